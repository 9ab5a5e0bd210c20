package tally_test

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/tally"
	"github.com/mahrem/mahrem/audit/wording"
	"github.com/mahrem/mahrem/privacy"
)

// log is a log of one entry.
type log struct{ leaf []byte }

func (l log) Size(context.Context) (uint64, error) { return 1, nil }

func (l log) Entries(context.Context, uint64, int) ([]audit.StoredEntry, error) {
	return []audit.StoredEntry{{Leaf: l.leaf, LeafHash: audit.LeafHash(l.leaf)}}, nil
}

func ExampleRead() {
	encoder, _ := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{1} }})
	entry, _ := encoder.NewEntry(audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Purpose: "advertising", Checks: []string{"consent.missing"},
		Principal: privacy.Principal{ID: "ads", Role: privacy.RoleService, Recipient: "ads"},
	})
	report, proof, err := tally.Read(context.Background(), log{entry.Leaf()}, tally.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Refused, "refused of", proof.Size)
	for _, table := range report.Tables(wording.English)[:2] {
		fmt.Println(table.Title, table.Rows)
	}
	// Output:
	// 1 refused of 1
	// Who asked what, for which purpose [[service ads a person advertising  0 1 100.0]]
	// Why questions were refused [[consent.missing a person advertising 1]]
}
