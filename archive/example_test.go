package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/audit"
)

// A decision is kept before it is logged; then it can be shown, and made again.
func ExampleArchive() {
	dir, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	a, err := makeBench(filepath.Join(dir, "keys")) // in memory, with the bundle of the program
	if err != nil {
		panic(err)
	}
	ctx, facts := context.Background(), greeted()
	plan, err := a.revision.Decide(ctx, facts)
	if err != nil {
		panic(err)
	}
	if err := a.Keep(ctx, a.revision.Digest(), facts, &plan); err != nil {
		panic(err)
	}
	receipt, err := a.log.Append(ctx, audit.Event{
		Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: shop, Subject: audit.Subject{Unknown: true},
		Purpose: facts.Purpose, Channel: facts.Channel, Policy: a.revision.Digest(), Facts: facts.Digest(),
	})
	if err != nil {
		panic(err)
	}

	shown, err := a.Show(ctx, auditor, receipt.DecisionID())
	fmt.Println(shown.Facts.Purpose, shown.Plan.Allow, shown.Reasons[0].Laws, err)
	replay, err := a.ReplayOne(ctx, auditor, receipt.DecisionID())
	fmt.Println(replay.Decisions, replay.Same, err)
	// Output:
	// greeting true [GDPR-6-1-b KVKK-5-2-c] <nil>
	// 1 1 <nil>
}
