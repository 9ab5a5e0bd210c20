package proof_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
)

// tables are a ledger and a log in memory.
type tables struct {
	begin   time.Time
	entries []audit.Entry
	gone    []proof.Gone
	batches []proof.Batch
	members []proof.Member
}

func (s *tables) Count(context.Context) (uint64, error) {
	return uint64(len(s.gone) + len(s.batches)), nil
}
func (s *tables) Begin(context.Context) (time.Time, error) { return s.begin, nil }
func (s *tables) Bare(context.Context) (uint64, error)     { return 0, nil }

func (s *tables) Entries(_ context.Context, each func(uint64, *audit.Entry) error) error {
	for i := range s.entries {
		if err := each(uint64(i), &s.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *tables) Rows(context.Context, proof.Span, func(proof.Row) error) error { return nil }

func (s *tables) Gone(_ context.Context, _ proof.Span, each func(proof.Gone) error) error {
	return all(s.gone, each)
}

func (s *tables) Batches(_ context.Context, _ proof.Span, each func(proof.Batch) error) error {
	return all(s.batches, each)
}

func (s *tables) Members(_ context.Context, each func(proof.Member) error) error {
	return all(s.members, each)
}

func (s *tables) Erasures(_ context.Context, each func(audit.Digest, consent.Commitment) error) error {
	return all(s.gone, func(g proof.Gone) error {
		return each(g.Erasure, consent.Commitment(s.commitment(g)))
	})
}

func (s *tables) commitment(g proof.Gone) [32]byte {
	for _, m := range s.members {
		if g.InBatch && !m.Itself && m.Digest == g.Entry {
			return m.Commitment
		}
	}
	return g.Entry
}

func all[T any](list []T, each func(T) error) error {
	for _, one := range list {
		if err := each(one); err != nil {
			return err
		}
	}
	return nil
}

func erasedDigest(c consent.Commitment) audit.Digest {
	d := consent.NewErasedDigest()
	d.Add(c)
	return d.Sum()
}

// TestErasureIsNotBeforeItsRows: where the log begins later, an erasure may be one of which
// only the archive knows, but not one of rows that were recorded after that. So whoever
// deletes a row cannot pass it off as erased.
func TestErasureIsNotBeforeItsRows(t *testing.T) {
	t.Parallel()
	row, member := consent.Commitment{1}, consent.Commitment{2}
	batch := consent.NewBatchDigest()
	batch.Add(member)
	recorded := []audit.Entry{
		{Kind: audit.ConsentGranted, List: audit.Digest(row)},
		{Kind: audit.ConsentImported, List: batch.Sum()},
	}
	erased := []audit.Entry{
		{Kind: audit.ConsentErased, List: erasedDigest(row)},
		{Kind: audit.ConsentErased, List: erasedDigest(member)},
	}
	for name, test := range map[string]struct {
		begin   time.Time
		entries []audit.Entry
		want    []proof.DamageKind
	}{
		"all there":              {time.Time{}, slices.Concat(recorded, erased), nil},
		"all there, begun later": {time.Now(), slices.Concat(recorded, erased), nil},
		"rows archived":          {time.Now(), erased, nil},
		"all archived":           {time.Now(), nil, nil},
		"nobody was erased":      {time.Now(), recorded, []proof.DamageKind{proof.TombstoneUnbound, proof.TombstoneUnbound}},
		"one was":                {time.Now(), append(slices.Clone(recorded), erased[0]), []proof.DamageKind{proof.TombstoneUnbound}},
	} {
		source := &tables{
			begin: test.begin, entries: test.entries,
			gone: []proof.Gone{
				{Entry: row, Erasure: erasedDigest(row)},
				{Entry: batch.Sum(), InBatch: true, Erasure: erasedDigest(member)},
			},
			batches: []proof.Batch{{ID: [16]byte{1}, Digest: batch.Sum(), Rows: 1, RecordedAt: test.begin}},
			members: []proof.Member{
				{Batch: [16]byte{1}, Itself: true, Digest: batch.Sum(), Rows: 1},
				{Batch: [16]byte{1}, Commitment: member, Digest: batch.Sum(), Rows: 1},
			},
		}
		report, err := proof.Check(t.Context(), source, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []proof.DamageKind
		for _, d := range report.Damages {
			got = append(got, d.Kind)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v", name, report.Damages)
		}
	}
}
