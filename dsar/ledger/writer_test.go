package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
)

func TestRecordOfAnErasure(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	for n := range 7 {
		want := sample(n)
		record := dsar.LedgerRecord{
			Kind: dsar.LedgerErased, Erasure: want.Erasure, Request: want.Request, Person: want.Person,
			Plan: audit.Digest(want.Plan), At: want.Time,
		}
		if want.Kind == Readmitted {
			record.Kind = dsar.LedgerReadmitted
		}
		for _, tag := range want.Suppressed {
			record.Suppressed = append(record.Suppressed, tag)
		}
		at, err := l.Record(t.Context(), record)
		if err != nil {
			t.Fatal(err)
		}
		want.Sequence, want.Hash = at.Sequence, at.LineHash
		records := all(t, l)
		if diff := cmp.Diff(want, records[len(records)-1]); diff != "" || at.Sequence != uint64(n+1) {
			t.Errorf("line %d (-want +got):\n%s", at.Sequence, diff)
		}
	}
}
