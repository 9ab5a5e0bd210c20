package dsar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// SealedWithheld is something that is kept, sealed under a key of its own.
type SealedWithheld struct {
	ID [16]byte
	Withheld
	// Hold is the one that keeps it; zero if none does.
	Hold [16]byte
	// Wrapped is the key, Head the [Withheld], and Parts the record or the events.
	Wrapped []byte
	Head    []byte
	Parts   [][]byte
}

const (
	// WithheldLabel is the label under which the list of an erasure is sealed for the house.
	WithheldLabel = "erasure/withheld"
	labelHead     = "withheld/head"
)

type headJSON struct {
	Withheld
	IsRecord bool `json:"is_record"`
}

// sealWithheld seals what is kept under new keys: nothing of it can be linked to the person
// by whoever has not the key directory, and each can be destroyed apart.
func (e *Eraser) sealWithheld(kept []Kept) ([]SealedWithheld, error) {
	var sealed []SealedWithheld
	for i := range kept {
		k := &kept[i]
		id, err := privacy.NewDataSubjectID(e.config.Random)
		if err != nil {
			return nil, err
		}
		key, wrapped, err := e.rooms.Vault.NewPersonKey(id)
		if err != nil {
			return nil, err
		}
		s := SealedWithheld{ID: id, Withheld: k.Withheld, Hold: k.Hold, Wrapped: wrapped}
		if s.Head, err = sealJSON(key, labelHead, 0, headJSON{k.Withheld, k.Record != nil}); err != nil {
			return nil, err
		}
		if k.Record != nil {
			part, err := key.SealRecord(k.Category, 1, k.Record)
			if err != nil {
				return nil, fmt.Errorf("sealing what is withheld: %w", err)
			}
			s.Parts = append(s.Parts, part)
		}
		number := int64(0)
		for events := range slices.Chunk(k.Events, vault.MaxChunkEvents) {
			part, err := key.SealChunk(k.Category, number, 1, events)
			if err != nil {
				return nil, fmt.Errorf("sealing what is withheld: %w", err)
			}
			s.Parts = append(s.Parts, part)
			number++
		}
		sealed = append(sealed, s)
	}
	return sealed, nil
}

// OpenWithheld opens what an erasure has kept, for a data protection officer who has a
// reason. The error wraps [privacy.ErrDamaged] if it does not open.
func OpenWithheld(v *vault.Vault, s *SealedWithheld) (Kept, error) {
	key, err := v.OpenPersonKey(s.ID, s.Wrapped, vault.UseWithheld)
	if err != nil {
		return Kept{}, fmt.Errorf("opening key of what is withheld: %w", err)
	}
	var head headJSON
	if err := openJSON(key, labelHead, 0, s.Head, &head); err != nil {
		return Kept{}, err
	}
	kept := Kept{Withheld: head.Withheld, Hold: s.Hold}
	parts := s.Parts
	if head.IsRecord && len(parts) > 0 {
		if kept.Record, err = key.OpenRecord(head.Category, 1, parts[0]); err != nil {
			return Kept{}, fmt.Errorf("opening what is withheld: %w", err)
		}
		parts = parts[1:]
	}
	for number, part := range parts {
		events, err := key.OpenChunk(head.Category, int64(number), 1, part)
		if err != nil {
			return Kept{}, fmt.Errorf("opening what is withheld: %w", err)
		}
		kept.Events = append(kept.Events, events...)
	}
	return kept, nil
}

// withheldOf lists what is kept, in the order of the plan.
func withheldOf(kept []Kept) []Withheld {
	list := make([]Withheld, len(kept))
	for i := range kept {
		list[i] = kept[i].Withheld
		list[i].Until = list[i].Until.UTC()
	}
	slices.SortStableFunc(list, func(a, b Withheld) int {
		for _, c := range []int{
			strings.Compare(string(a.Category), string(b.Category)), strings.Compare(string(a.Attribute), string(b.Attribute)),
			strings.Compare(a.Ground, b.Ground), strings.Compare(a.Article, b.Article), a.Until.Compare(b.Until), int(a.Items - b.Items),
		} {
			if c != 0 {
				return c
			}
		}
		return 0
	})
	return list
}

func (e *Eraser) sealList(kept []Kept) ([]byte, error) {
	text, err := json.Marshal(withheldOf(kept))
	if err != nil {
		return nil, fmt.Errorf("encoding what is withheld: %w", err)
	}
	return e.rooms.Vault.SealHouse(WithheldLabel, text)
}

// ParseWithheldList opens the list of what an erasure has kept.
func ParseWithheldList(v *vault.Vault, sealed []byte) ([]Withheld, error) {
	text, err := v.OpenHouse(WithheldLabel, sealed)
	if err != nil {
		return nil, fmt.Errorf("opening list of what is withheld: %w", err)
	}
	var list []Withheld
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading list of what is withheld: %w", privacy.ErrDamaged)
	}
	return list, nil
}
