package proof

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
)

// memory is a ledger and a log that are held in memory.
type memory struct {
	begin   time.Time
	entries []audit.Entry
	rows    []Row
	bare    uint64
}

func (m *memory) Count(context.Context) (uint64, error) {
	return uint64(len(m.rows)), nil
}

func (m *memory) Begin(context.Context) (time.Time, error) { return m.begin, nil }

func (m *memory) Entries(_ context.Context, each func(uint64, *audit.Entry) error) error {
	for i := range m.entries {
		if err := each(uint64(i), &m.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Rows(_ context.Context, in Span, each func(Row) error) error {
	for _, r := range m.rows {
		if in.has(r.Commitment[:]) {
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Bare(context.Context) (uint64, error) { return m.bare, nil }

func (m *memory) Gone(context.Context, Span, func(Gone) error) error { return nil }

func (m *memory) Batches(context.Context, Span, func(Batch) error) error { return nil }

func (m *memory) Members(context.Context, func(Member) error) error { return nil }

func (m *memory) Erasures(context.Context, func(audit.Digest, consent.Commitment) error) error {
	return nil
}

func rowAt(at time.Time) Row {
	r := consent.Record{ID: [16]byte{1}, Purpose: "newsletter", Channel: "email", Action: consent.Granted, EffectiveAt: at, RecordedAt: at}
	return Row{Record: r, Commitment: r.Commitment()}
}

// TestRowsOfAPrunedLog: rows whose entries may be among those that were archived and dropped
// are counted apart, and rows that came later need their entries as ever.
func TestRowsOfAPrunedLog(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old, about, young := rowAt(begin.Add(-time.Hour)), rowAt(begin.Add(beginSlack-time.Second)), rowAt(begin.Add(beginSlack))
	bound := audit.Entry{Kind: audit.ConsentGranted, List: audit.Digest(young.Commitment)}
	for _, test := range []struct {
		name     string
		ledger   memory
		archived uint64
		want     []DamageKind
	}{
		{"a log that begins at its beginning holds all", memory{rows: []Row{old}}, 0, []DamageKind{RowUnbound}},
		{"a row from before", memory{begin: begin, rows: []Row{old}}, 1, nil},
		{"a row from about then", memory{begin: begin, rows: []Row{about}}, 1, nil},
		{"a row from later without its entry", memory{begin: begin, rows: []Row{old, young}}, 1, []DamageKind{RowUnbound}},
		{"a row from later with its entry", memory{begin: begin, rows: []Row{old, young}, entries: []audit.Entry{bound}}, 1, nil},
		{"an entry without its row", memory{begin: begin, rows: []Row{old}, entries: []audit.Entry{bound}}, 1, []DamageKind{RowMissing}},
		{"an altered row from before is altered all the same", memory{begin: begin, rows: []Row{{Record: young.Record, Commitment: consent.Commitment{7}}}}, 0, []DamageKind{RowAltered, RowUnbound}},
		{"rows of an older release", memory{begin: begin, bare: 3, entries: []audit.Entry{{Kind: audit.ConsentGranted}}}, 0, []DamageKind{RowBare}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report, err := Check(t.Context(), &test.ledger, nil)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []DamageKind
			for _, d := range report.Damages {
				kinds = append(kinds, d.Kind)
			}
			if diff := cmp.Diff(test.want, kinds); diff != "" || report.Archived != test.archived || report.Bare != test.ledger.bare {
				t.Errorf("archived %d, want %d; bare %d; damages (-want +got):\n%s\n%+v", report.Archived, test.archived, report.Bare, diff, report.Damages)
			}
		})
	}
}
