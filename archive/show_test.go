package archive

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func TestShow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.decide(t, greeted(), 1, "first_name")
	shown, err := b.Show(t.Context(), auditor, id)
	if err != nil {
		t.Fatal(err)
	}
	facts := greeted()
	plan, err := b.revision.PlanUncached(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(facts, shown.Facts, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(plan, shown.Plan, cmpopts.EquateEmpty()); diff != "" || !shown.Kept || !shown.Planned {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b.revision.Explain(plan), shown.Reasons); diff != "" || len(shown.Reasons[0].Laws) == 0 {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	entry := b.last(t)
	if entry.Kind != audit.DecisionShown || entry.Role != privacy.RoleAuditor || entry.Count != "1" ||
		entry.List != sha256.Sum256([]byte(id.String()+"\n")) || shown.Receipt.Index() != id.Index+1 {
		t.Errorf("the entry of the showing: %+v", entry)
	}
}

func TestShowRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.decide(t, greeted(), 1)
	other := b.logged(t, audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done})
	guessed := id
	guessed.EntryID[3] ^= 1
	for name, call := range map[string]struct {
		by   privacy.Principal
		id   audit.DecisionID
		want error
	}{
		"a service":            {shop, id, privacy.ErrForbidden},
		"nobody":               {privacy.Principal{}, id, privacy.ErrForbidden},
		"a delivery":           {privacy.Principal{ID: "x", Role: privacy.RoleIngest}, id, privacy.ErrForbidden},
		"a guessed id":         {dpo, guessed, privacy.ErrNotFound},
		"an index of another":  {dpo, audit.DecisionID{Index: other.Index, EntryID: id.EntryID}, privacy.ErrNotFound},
		"no decision":          {dpo, other, privacy.ErrNotFound},
		"behind the log's end": {dpo, audit.DecisionID{Index: 99, EntryID: id.EntryID}, privacy.ErrNotFound},
	} {
		before := len(b.log.leaves)
		if _, err := b.Show(t.Context(), call.by, call.id); !errors.Is(err, call.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.ReplayOne(t.Context(), call.by, call.id); !errors.Is(err, call.want) {
			t.Errorf("%s: replay: %v", name, err)
		}
		if len(b.log.leaves) != before {
			t.Errorf("%s: a refusal is logged as a showing", name)
		}
	}
	// Without evidence nothing is shown.
	b.log.err = privacy.ErrUnavailable
	if shown, err := b.Show(t.Context(), dpo, id); !errors.Is(err, privacy.ErrUnavailable) || shown.Kept {
		t.Errorf("without a log: %v", err)
	}
}

func TestShowOfWhatWasNotKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.decide(t, greeted(), 1)
	kept := b.store.decided
	b.store.decided = nil
	if shown, err := b.Show(t.Context(), dpo, id); err != nil || shown.Kept || shown.Entry.Purpose != "greeting" {
		t.Errorf("without a record: %v, kept: %t", err, shown.Kept)
	}
	// A row in the place of another does not open.
	facts := greeted()
	facts.Subject.Age = policies.Child
	second := b.decide(t, facts, 2)
	b.store.decided[0].Sealed = kept[0].Sealed
	if _, err := b.Show(t.Context(), dpo, second); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("with the record of another decision: %v", err)
	}
}

func TestShowWithoutPlanAndBundle(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := greeted()
	if err := b.Keep(t.Context(), b.revision.Digest(), facts, nil); err != nil {
		t.Fatal(err)
	}
	id := b.logged(t, audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: shop, Policy: b.revision.Digest(), Facts: facts.Digest(),
		Checks: []string{gate.CheckPolicy}, Subject: audit.Subject{Unknown: true},
	})
	shown, err := b.Show(t.Context(), dpo, id)
	if err != nil || !shown.Kept || shown.Planned || shown.Facts.Purpose != "greeting" {
		t.Errorf("without a plan: %v, kept: %t, planned: %t", err, shown.Kept, shown.Planned)
	}
	facts.Role = privacy.RoleAuditor
	denied := b.decide(t, facts, 1)
	clear(b.store.bundles)
	b.revisions = revisions{}
	shown, err = b.Show(t.Context(), dpo, denied)
	if err != nil || len(shown.Reasons) != len(shown.Plan.Failed) || len(shown.Reasons) == 0 || shown.Reasons[0].Title != "" {
		t.Errorf("without the bundle: %v, %v", err, shown.Reasons)
	}
}

func TestKeepBundleOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 3 {
		if err := b.KeepBundle(t.Context(), b.revision.Digest(), func() []byte { t.Error("packed again"); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	b.store.err = errBroken
	if err := b.KeepBundle(t.Context(), audit.Digest{1}, func() []byte { return []byte{1} }); !errors.Is(err, errBroken) {
		t.Errorf("a store that is broken: %v", err)
	}
	if err := b.Keep(t.Context(), audit.Digest{1}, greeted(), nil); !errors.Is(err, errBroken) {
		t.Errorf("a store that is broken: %v", err)
	}
}

// TestShowOfAlteredEntry: an entry whose hash is not its own is no evidence.
func TestShowOfAlteredEntry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.decide(t, greeted(), 1)
	b.log.altered = true
	if _, err := b.Show(t.Context(), dpo, id); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("showing: %v", err)
	}
	if _, err := b.ReplaySince(t.Context(), dpo, testTime); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("replaying: %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := recommended()
	id := b.decide(t, facts, 1, "purchases.product_groups")
	facts.Consent.State = policies.ConsentRefused
	denied := b.decide(t, facts, 2)
	var pairs []Pair
	for _, id := range []audit.DecisionID{id, denied} {
		d, err := b.at(t.Context(), id.Index)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, d.pair())
	}
	allowedPair, deniedPair := pairs[0], pairs[1]
	unknown := Pair{allowedPair.Policy, audit.Digest{1}}
	found, err := b.Explain(t.Context(), []Pair{allowedPair, deniedPair, unknown})
	if err != nil || len(found) != 2 {
		t.Fatalf("%d explained, %v", len(found), err)
	}
	if e := found[allowedPair]; !e.Plan.Allow || len(e.Reasons) != 1 || e.Reasons[0].Title == "" {
		t.Errorf("allowed: %+v", e)
	}
	if e := found[deniedPair]; e.Plan.Allow || len(e.Reasons) == 0 || len(e.Reasons[0].Laws) == 0 {
		t.Errorf("denied: %+v", e)
	}
}
