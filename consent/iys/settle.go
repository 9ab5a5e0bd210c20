package iys

import (
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Purpose is what the registry's consents are about: commercial messages of any content. An
// objection to it binds every purpose that the catalogue marks as marketing.
const Purpose privacy.Purpose = "marketing"

// SourceWord is the source of rows that came from the registry.
const SourceWord = "iys"

// Standing is what the registry holds about one address of a person who is known here.
type Standing struct {
	Person privacy.DataSubjectID
	// Address is a keyed tag of the address, see [Importer].
	Address [16]byte
	Type    Type
	As      RecipientType
	Registered
}

type standingKey struct {
	person  privacy.DataSubjectID
	address [16]byte
	kind    Type
	as      RecipientType
}

func (s *Standing) key() standingKey { return standingKey{s.Person, s.Address, s.Type, s.As} }

// Found is a movement with those who have its address, by the tags of the address for each.
type Found struct {
	Movement *Movement
	People   []Owner
}

// Owner is somebody who has an address.
type Owner struct {
	Person privacy.DataSubjectID
	// Address is the tag of the address for this person.
	Address [16]byte
	// Record is the ID of the row that the movement becomes.
	Record [16]byte
}

// Fate is what became of a movement.
type Fate string

// The fates.
const (
	// ToNobody: nobody here has the address.
	ToNobody Fate = "nobody"
	// Recorded: it is a row of the ledger, for somebody at least.
	Recorded Fate = "recorded"
	// HeldBack: an approval that opens nothing, because the person has refused with another
	// address, or because several people have this one.
	HeldBack Fate = "held_back"
)

// Settled is what a batch of movements comes to.
type Settled struct {
	Records   []consent.Record
	Standings []Standing
	// Fates are in the order of the movements.
	Fates []Fate
}

// Settle turns movements into rows of the ledger and standings. The ledger knows people and
// channels, the registry knows addresses; where they differ, the person is protected:
//
//   - a refusal for one address binds the person's channel, and an approval for another
//     address does not lift it, whichever is later;
//   - a refusal for an address that several people have binds all of them, an approval none.
//
// standings are those of the people of the movements, in any order. notice is the name of
// the text that approvals are recorded with.
func Settle(found []Found, standings []Standing, notice string) Settled {
	book := newBook(standings)
	settled := Settled{Fates: make([]Fate, len(found))}
	for i := range found {
		m := found[i].Movement
		settled.Fates[i] = ToNobody
		for _, owner := range found[i].People {
			s := Standing{owner.Person, owner.Address, m.Type, m.RecipientType, Registered{m.Status, m.EffectiveAt()}}
			other := book.others(&s)
			book.put(s)
			if m.Status == Approved && (len(found[i].People) > 1 || other.refused) {
				if settled.Fates[i] == ToNobody {
					settled.Fates[i] = HeldBack
				}
				continue
			}
			r := newRecord(m, owner, notice)
			if book.stands(&s) && other.approved.After(r.EffectiveAt) {
				// At the same moment the refusal decides.
				r.EffectiveAt = other.approved
			}
			settled.Records = append(settled.Records, r)
			settled.Fates[i] = Recorded
		}
	}
	settled.Standings = book.changed()
	return settled
}

func newRecord(m *Movement, owner Owner, notice string) consent.Record {
	r := consent.Record{
		ID: owner.Record, DataSubject: owner.Person, Purpose: Purpose, Channel: m.Type.Channel(),
		Source: SourceWord, Actor: consent.ByRegistry, Jurisdiction: "TR", EffectiveAt: m.EffectiveAt(),
	}
	if m.TransactionID != "" {
		r.EvidenceRef = "iys/" + m.TransactionID
	}
	if m.Status == Approved {
		r.Action, r.Basis, r.Explicit, r.NoticeVersion = consent.Granted, privacy.Consent, true, notice
		return r
	}
	r.Action, r.Basis = consent.Objected, privacy.LegitimateInterests
	return r
}

// book holds standings by person and type.
type book struct {
	by    map[standingKey]Standing
	of    map[personType][]standingKey
	dirty []standingKey
}

type personType struct {
	person privacy.DataSubjectID
	kind   Type
}

func newBook(standings []Standing) *book {
	b := &book{by: make(map[standingKey]Standing, len(standings)), of: map[personType][]standingKey{}}
	for _, s := range standings {
		b.set(s)
	}
	return b
}

func (b *book) set(s Standing) {
	key := s.key()
	if _, known := b.by[key]; !known {
		group := personType{s.Person, s.Type}
		b.of[group] = append(b.of[group], key)
	}
	b.by[key] = s
}

// put notes what a movement says, unless a later one said otherwise. Of two at the same
// moment the refusal stays.
func (b *book) put(s Standing) {
	key := s.key()
	if before, known := b.by[key]; known {
		if before.At.After(s.At) || before.At.Equal(s.At) && (before.Status == Refused || before.Status == s.Status) {
			return
		}
	}
	b.set(s)
	b.dirty = append(b.dirty, key)
}

// stands reports whether a refusal is what the registry holds, and not an old one.
func (b *book) stands(s *Standing) bool {
	return s.Status == Refused && b.by[s.key()].Status == Refused
}

// otherwise is what stands for the other addresses of a person, for the same type.
type otherwise struct {
	refused  bool
	approved time.Time // the latest approval
}

func (b *book) others(s *Standing) otherwise {
	var o otherwise
	mine := s.key()
	for _, key := range b.of[personType{s.Person, s.Type}] {
		if key == mine {
			continue
		}
		other := b.by[key]
		switch {
		case other.Status == Refused:
			o.refused = true
		case other.At.After(o.approved):
			o.approved = other.At
		}
	}
	return o
}

// changed returns the standings that were put, each once.
func (b *book) changed() []Standing {
	var list []Standing
	seen := make(map[standingKey]bool, len(b.dirty))
	for _, key := range b.dirty {
		if !seen[key] {
			seen[key] = true
			list = append(list, b.by[key])
		}
	}
	return list
}
