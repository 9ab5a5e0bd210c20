package draw

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// admit decides who of some people is drawn, and makes their rows. They are locked.
func (r *run) admit(ctx context.Context, at time.Time, held []Held) ([]Member, error) {
	var members []Member
	var seeds []match.Seed
	for i := range held {
		e, err := r.eligible(at, &held[i])
		// What does not open is nobody's. Whose identifier has become another one is not known
		// to be alone with it.
		if errors.Is(err, privacy.ErrDamaged) || err == nil && (e == nil || r.holders[e.seed] != e.DataSubject) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows, err := r.rowsOf(e)
		if errors.Is(err, privacy.ErrDamaged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			members, seeds = append(members, Member{DataSubject: e.DataSubject, Rows: rows}), append(seeds, e.seed)
		}
	}
	tokens, err := r.matcher.Mask(ctx, seeds)
	if err != nil {
		return nil, err
	}
	tags, err := r.Keys.Tags(ctx, r.room, r.room.Epoch+1, tokens)
	if err != nil {
		return nil, err
	}
	for i := range members {
		m := &members[i]
		seat, err := r.Keys.Seat(r.stay.Snapshot, m.DataSubject)
		if err != nil {
			return nil, err
		}
		var ordinal [8]byte
		if _, err := io.ReadFull(r.Random, ordinal[:]); err != nil {
			return nil, fmt.Errorf("drawing a number: %w", err)
		}
		if r.later() {
			r.kept = append(r.kept, kept{int64(binary.BigEndian.Uint64(ordinal[:]) >> 1), tokens[i]})
		}
		m.Staged = cleanroom.StagedMember{Ordinal: int64(binary.BigEndian.Uint64(ordinal[:]) >> 1), Token: tags[i][:], Seat: seat[:]}
		r.members, r.rows = r.members+1, r.rows+int64(len(m.Rows))
	}
	err = shuffle(r.Random, len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members, err
}

// eligible is somebody whose consent covers the purpose, and who has an identifier.
type eligible struct {
	*Held
	key       *vault.PersonKey
	seed      match.Seed
	attribute func(privacy.AttributeName) string
}

// eligible opens somebody's records, and returns nil if they are not.
func (r *run) eligible(at time.Time, held *Held) (*eligible, error) {
	key, err := r.Vault.OpenPersonKey(held.DataSubject, held.WrappedKey, vault.UseRoom)
	if err != nil {
		return nil, err
	}
	r.opened++
	records := map[privacy.DataCategory]vault.Record{}
	for i := range held.Records {
		s := &held.Records[i]
		if records[s.Category], err = key.OpenRecord(s.Category, s.Version, s.Sealed); err != nil {
			return nil, err
		}
	}
	held.Standing.Core = records[Core]
	if !r.rules.Covers(r.purpose, CategoriesOf(r.contract), &held.Standing, at) {
		return nil, nil
	}
	attribute := func(name privacy.AttributeName) string { return valueOf(&r.rules, records, name, at) }
	raw := attribute(r.order.Mapping.Identifier.Attribute)
	if raw == "" {
		return nil, nil
	}
	identifier, err := match.Normalize(privacy.Identifier{Kind: r.order.Mapping.Identifier.Kind, Value: privacy.NewPlain(raw)})
	if errors.Is(err, privacy.ErrInvalid) {
		return nil, nil // by what has no normal form nobody can be found
	}
	if err != nil {
		return nil, err
	}
	return &eligible{held, key, r.matcher.Seed(identifier), attribute}, nil
}

// rowsOf makes somebody's rows; without any they are not drawn.
func (r *run) rowsOf(e *eligible) ([]Row, error) {
	var events []vault.EventView
	var err error
	for i := range e.Chunks {
		c := &e.Chunks[i]
		if events, err = e.key.OpenChunkViews(events, r.order.Mapping.Stream, c.Number, c.Version, c.Sealed); err != nil {
			return nil, err
		}
	}
	encoder := encoder{r.order.Mapping, r.contract, r.rules.Catalogue.Protects}
	rows, _ := encoder.rows(e.attribute, events)
	return rows, nil
}

// valueOf is the one undisputed value of an attribute that is not too old, or nothing.
func valueOf(rules *Rules, records map[privacy.DataCategory]vault.Record, name privacy.AttributeName, at time.Time) string {
	a, known := rules.Catalogue.Attribute(name)
	if !known {
		return ""
	}
	field, held := records[a.Category][name]
	if !held || len(field.Values) != 1 || field.Quality == vault.Disputed {
		return ""
	}
	if a.MaxAge.Duration > 0 && field.ObservedAt.Add(a.MaxAge.Duration).Before(at) {
		return ""
	}
	return field.Values[0].RevealPersonalData()
}
