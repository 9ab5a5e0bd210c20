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
		member, identifier, err := r.member(at, &held[i])
		switch {
		case errors.Is(err, privacy.ErrDamaged):
			continue // what does not open is nobody's
		case err != nil:
			return nil, err
		case len(member.Rows) == 0:
			continue
		}
		seed := r.matcher.Seed(identifier)
		if _, seen := r.seen[seed]; seen {
			continue // of several people who share an identifier, one is drawn
		}
		r.seen[seed] = struct{}{}
		members, seeds = append(members, member), append(seeds, seed)
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

// member makes the rows of somebody whose consent covers the purpose; without rows they are
// not drawn.
func (r *run) member(at time.Time, held *Held) (m Member, identifier privacy.Plain, err error) {
	key, err := r.Vault.OpenPersonKey(held.DataSubject, held.WrappedKey, vault.UseRoom)
	if err != nil {
		return m, identifier, err
	}
	r.opened++
	records := map[privacy.DataCategory]vault.Record{}
	for i := range held.Records {
		s := &held.Records[i]
		if records[s.Category], err = key.OpenRecord(s.Category, s.Version, s.Sealed); err != nil {
			return m, identifier, err
		}
	}
	held.Standing.Core = records[Core]
	if !r.rules.Covers(r.purpose, CategoriesOf(r.contract), &held.Standing, at) {
		return m, identifier, nil
	}
	attribute := func(name privacy.AttributeName) string { return valueOf(&r.rules, records, name, at) }
	raw := attribute(r.order.Mapping.Identifier.Attribute)
	if raw == "" {
		return m, identifier, nil
	}
	identifier, err = match.Normalize(privacy.Identifier{Kind: r.order.Mapping.Identifier.Kind, Value: privacy.NewPlain(raw)})
	if errors.Is(err, privacy.ErrInvalid) {
		return m, identifier, nil // by what has no normal form nobody can be found
	}
	if err != nil {
		return m, identifier, err
	}
	var events []vault.EventView
	for i := range held.Chunks {
		c := &held.Chunks[i]
		if events, err = key.OpenChunkViews(events, r.order.Mapping.Stream, c.Number, c.Version, c.Sealed); err != nil {
			return m, identifier, err
		}
	}
	m.DataSubject = held.DataSubject
	rows := encoder{r.order.Mapping, r.contract}
	m.Rows, _ = rows.rows(attribute, events)
	return m, identifier, nil
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
