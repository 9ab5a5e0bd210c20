package cleanroom

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/mahrem/mahrem/audit"
)

// questionHeader begins what the digest of a question is made of.
const questionHeader = "mahrem question v1\n"

// Canonical returns the query as RFC 8785 JSON, in the one way in which it can be said: full
// names in the place of the asker's, in order; "=" as a list of one; in as many groups a
// person as there are.
func (q *Question) Canonical() []byte {
	b := append(make([]byte, 0, 512), `{"datasets":[`...)
	for i := range q.sources {
		b = appendCanonicalString(appendComma(b, i), q.sources[i].ref.String())
	}
	b = append(b, `],"group_by":[`...)
	for i := range q.keys {
		b = appendCanonicalString(appendComma(b, i), q.keys[i].name)
	}
	b = append(b, `],"metrics":[`...)
	for i := range q.metrics {
		b = appendCanonicalString(appendComma(b, i), q.metrics[i].name)
	}
	b = append(b, `],"mode":`...)
	b = appendCanonicalString(b, string(q.room.Mode))
	b = append(b, `,"privacy":{"max_groups_per_person":`...)
	b = strconv.AppendInt(b, int64(q.groups), 10)
	b = append(b, `,"noise_people":`...)
	b = strconv.AppendInt(b, int64(q.noisePeople()), 10)
	b = append(b, `},"purpose":`...)
	b = appendCanonicalString(b, string(q.query.Purpose))
	b = append(b, `,"room":`...)
	b = appendCanonicalString(b, string(q.room.ID))
	b = append(b, `,"where":[`...)
	n := 0
	for i := range q.sources {
		for j := range q.sources[i].filters {
			if q.sources[i].filters[j].whole {
				continue
			}
			b = q.sources[i].filters[j].append(appendComma(b, n), q.sources[i].ref)
			n++
		}
	}
	return append(b, "]}"...)
}

// noisePeople is the noise of the answer: none in a room without noise, whatever was asked for.
func (q *Question) noisePeople() int {
	if q.room.Mode == ThresholdOnly {
		return 0
	}
	return q.query.Privacy.NoisePeople
}

func (f *filter) append(b []byte, ref DatasetRef) []byte {
	b = append(b, `{"col":`...)
	b = appendCanonicalString(b, ref.String()+"."+f.column.Name)
	if f.column.Type == Day {
		b = append(b, `,"from":"`...)
		b = append(b, formatDay(f.from)...)
		b = append(b, `","to":"`...)
		b = append(b, formatDay(f.to)...)
		return append(b, `"}`...)
	}
	b = append(b, `,"in":[`...)
	for i, place := range f.places {
		b = appendCanonicalString(appendComma(b, i), f.column.Domain[place])
	}
	return append(b, "]}"...)
}

func appendComma(b []byte, n int) []byte {
	if n > 0 {
		return append(b, ',')
	}
	return b
}

// Digest returns the digest of all that the answer depends on: the canonical query, how many
// people a group must have, and for each dataset its snapshot and the contracts in force and
// of the snapshot.
func (q *Question) Digest() audit.Digest {
	b := append(make([]byte, 0, 1024), questionHeader...)
	b = append(b, `{"datasets":[`...)
	for i := range q.sources {
		s := &q.sources[i]
		b = append(appendComma(b, i), `{"contract":"`...)
		b = hex.AppendEncode(b, s.contract.Digest[:])
		b = append(b, `","prepared":"`...)
		b = hex.AppendEncode(b, s.snapshot.Prepared.Digest[:])
		b = append(b, `","snapshot":`...)
		b = strconv.AppendInt(b, int64(s.snapshot.ID), 10)
		b = append(b, '}')
	}
	b = append(b, `],"minimum_people":`...)
	b = strconv.AppendInt(b, int64(q.Rule.MinimumPeople), 10)
	b = append(b, `,"query":`...)
	b = append(b, q.Canonical()...)
	b = append(b, '}')
	return sha256.Sum256(b)
}

// Plan returns what is to be computed. seed draws in which groups those count who are in too
// many.
func (q *Question) Plan(seed int64) *Plan {
	p := &Plan{MaxGroups: q.groups, Seed: seed}
	for i := range q.sources {
		from := PlanSource{Snapshot: q.sources[i].snapshot.ID}
		for _, f := range q.sources[i].filters {
			if f.whole {
				continue
			}
			from.Filters = append(from.Filters, PlanFilter{Slot: f.slot, Values: slices.Clone(f.places), Lo: f.from, Hi: f.to})
		}
		p.Sources = append(p.Sources, from)
	}
	for _, k := range q.keys {
		p.Keys = append(p.Keys, PlanKey{Source: k.source, Slot: k.slot, Size: len(k.column.Domain)})
	}
	for _, m := range q.measures {
		planned := PlanMeasure{Source: m.source, Slot: m.slot, Lo: m.column.Lo, Hi: m.column.Hi}
		if m.bins {
			planned.Edges = slices.Clone(m.column.Bins)
		}
		p.Measures = append(p.Measures, planned)
	}
	return p
}
