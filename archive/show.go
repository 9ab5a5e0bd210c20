package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Shown is one decision with everything that it was made of. There is no personal data
// in it, and nothing that leads to the person.
type Shown struct {
	ID    audit.DecisionID
	Entry audit.Entry
	// Kept is whether facts and plan were kept. Decisions that are older than the
	// archive, and those about an audience, have their entry alone.
	Kept  bool
	Facts policies.Facts
	// Planned is whether the policies came to a plan.
	Planned bool
	Plan    policies.Plan
	// Reasons are the checks that did not pass, or the legal basis, in words and with the
	// law, as the bundle explained them that decided. Checks of the gate itself stand in
	// the entry only.
	Reasons []policies.Reason
	// Receipt is the evidence that it was shown.
	Receipt audit.Receipt
}

// mayLook reports whether somebody may see decisions.
func mayLook(by privacy.Principal) bool {
	return by.Role == privacy.RoleDPO || by.Role == privacy.RoleAuditor
}

// Show returns a decision, after the log holds that it was shown. Errors:
//
//   - [privacy.ErrForbidden]: for others than data protection officers and auditors;
//   - [privacy.ErrNotFound]: there is no such decision;
//   - [privacy.ErrDamaged]: what was kept is not what the log has the digests of;
//   - [privacy.ErrUnavailable]: the database or the log could not be reached or written.
func (a *Archive) Show(ctx context.Context, by privacy.Principal, id audit.DecisionID) (Shown, error) {
	if !mayLook(by) {
		return Shown{}, fmt.Errorf("showing decision: %w", privacy.ErrForbidden)
	}
	shown, err := a.show(ctx, id)
	if err != nil {
		return Shown{}, fmt.Errorf("showing decision: %w", err)
	}
	if shown.Receipt, err = a.logShown(ctx, by, audit.Digest{}, digestOf(id), 1); err != nil {
		return Shown{}, err
	}
	return shown, nil
}

func (a *Archive) show(ctx context.Context, id audit.DecisionID) (Shown, error) {
	d, err := a.at(ctx, id.Index)
	if err != nil {
		return Shown{}, err
	}
	if d.id != id || !isDecision(d.entry.Kind) && d.entry.Kind != audit.AudienceAnswered && d.entry.Kind != audit.AudienceDenied {
		return Shown{}, privacy.ErrNotFound
	}
	shown := Shown{ID: id, Entry: d.entry}
	if d.entry.Policy == (audit.Digest{}) {
		return shown, nil
	}
	kept, err := a.records(ctx, []Pair{d.pair()})
	if err != nil {
		return Shown{}, err
	}
	r, ok, err := kept.of(&d)
	if err != nil || !ok {
		return shown, err
	}
	shown.Kept, shown.Planned = true, len(r.plan) > 0
	if shown.Facts, err = policies.ParseFacts(r.facts); err != nil || !shown.Planned {
		return shown, err
	}
	if shown.Plan, err = policies.ParsePlan(r.plan); err != nil {
		return Shown{}, err
	}
	revision, err := a.revision(ctx, d.entry.Policy)
	if errors.Is(err, privacy.ErrNotFound) {
		// The checks without their words are still the truth.
		for _, check := range shown.Plan.Failed {
			shown.Reasons = append(shown.Reasons, policies.Reason{Check: check})
		}
		return shown, nil
	}
	if err != nil {
		return Shown{}, err
	}
	shown.Reasons = revision.Explain(shown.Plan)
	return shown, nil
}

// logShown notes in the log that decisions were shown or gone through. The list stands
// for which.
func (a *Archive) logShown(ctx context.Context, by privacy.Principal, policy, list audit.Digest, count uint64) (audit.Receipt, error) {
	receipt, err := a.log.Append(ctx, audit.Event{
		Kind: audit.DecisionShown, Outcome: audit.Done, Principal: by, Policy: policy, List: list, Count: count,
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("logging that decisions were shown: %w", err)
	}
	return receipt, nil
}

// digestOf is the digest of a list of one: of the decision id and a line feed.
func digestOf(id audit.DecisionID) audit.Digest { return sha256.Sum256([]byte(id.String() + "\n")) }

// recordKey tells a plan from the absence of one.
type recordKey struct {
	Pair
	planned bool
}

// records are rows of the archive, opened.
type records map[recordKey]opened

type opened struct {
	record
	err error
}

// records opens the rows of these pairs. What does not open is an error of its own and
// not of all.
func (a *Archive) records(ctx context.Context, pairs []Pair) (records, error) {
	rows, err := a.store.Decided(ctx, pairs)
	if err != nil {
		return nil, fmt.Errorf("reading what was kept: %w", err)
	}
	list := make(records, len(rows))
	for i := range rows {
		r, err := a.open(&rows[i])
		list[recordKey{rows[i].Pair, rows[i].Planned}] = opened{r, err}
	}
	return list, nil
}

// of returns the record of a decision, and whether there is one: without a plan only for
// an entry that says that there was none.
func (list records) of(d *decision) (record, bool, error) {
	r, ok := list[recordKey{d.pair(), !undecided(&d.entry)}]
	if !ok && !undecided(&d.entry) {
		// What is stored about the person did not open, and the policies failed too.
		r, ok = list[recordKey{d.pair(), false}]
		ok = ok && damagedOnly(&d.entry)
	}
	return r.record, ok && r.err == nil, r.err
}
