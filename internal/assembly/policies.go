package assembly

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/policies/fetch"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// OpenPolicies compiles and activates the bundle at a place, as [Bundle] finds it, with the
// limits of a house of such patience.
func OpenPolicies(ctx context.Context, place string, patience config.Patience) (*policies.Engine, error) {
	bundle, err := Bundle(ctx, place)
	if err != nil {
		return nil, err
	}
	return policies.Open(ctx, bundle, policies.Config{EvaluationLimit: patience.With(policies.EvaluationLimit)})
}

// Bundle is the policy bundle at a place: a directory, a file or a URL; the one in the
// binary when place is empty. Nothing but its form is checked: it is for those who write
// and try rules, not for answering queries.
func Bundle(ctx context.Context, place string) (fs.FS, error) {
	content, err := ReadPolicies(ctx, place)
	if err != nil {
		return nil, err
	}
	return content.FS(), nil
}

// ReadPolicies is [Bundle] with the statement.
func ReadPolicies(ctx context.Context, place string) (*policies.Content, error) {
	if place == "" {
		return policies.ReadBundle(policies.Bundle())
	}
	source, err := policySource(place)
	if err != nil {
		return nil, err
	}
	return source.Read(ctx)
}

// TryPolicies does with a bundle what a house does before it makes it active, but for
// asking who signed it and what was active before. Nothing comes of it but the error.
func TryPolicies(ctx context.Context, content *policies.Content, patience config.Patience) error {
	return policies.New(policies.Config{EvaluationLimit: patience.With(policies.EvaluationLimit), Examine: examine}).ActivateContent(ctx, content)
}

func policySource(place string) (policies.Source, error) {
	if isURL(place) {
		return fetch.New(place, fetch.Config{})
	}
	return policies.NewFileSource(place), nil
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

// withstood is shared by all houses that this process opens, since the attack looks at nothing
// of a house.
var withstood policies.Withstood

// policyKeys are the keys that a bundle from outside must be signed by; nil where the
// settings, loudly, want none.
func policyKeys(settings config.Config) (*policies.Keys, error) {
	if settings.PoliciesKey == "" {
		if settings.DangerAcceptUnsignedPolicies {
			return nil, nil
		}
		return nil, fmt.Errorf("nobody is named whose policies may decide: set policies_key to a file with public keys (mahrem policy bundle keygen makes one): %w", privacy.ErrInvalid)
	}
	content, err := os.ReadFile(settings.PoliciesKey)
	if err != nil {
		return nil, fmt.Errorf("reading policies_key: %w", err)
	}
	keys, err := policies.ParseKeys(string(content))
	if err != nil {
		return nil, fmt.Errorf("policies_key: %w", err)
	}
	return keys, nil
}

// openPolicies activates the first revision. That a revision becomes active is in the log
// before it does, and that one was refused as well.
func (h *House) openPolicies(ctx context.Context) (*policies.Engine, error) {
	commit := policyCommit{house: h, store: postgres.NewPolicyStore(h.DB, h.Log)}
	c := policies.Config{EvaluationLimit: h.Settings.Patience.With(policies.EvaluationLimit), Withstood: &withstood, Now: h.options.Now, Examine: examine, Commit: commit.record, Refused: func(refusal *policies.Refusal) {
		h.noteRefusal(ctx, refusal)
	}}
	if h.Settings.Policies == "" {
		engine := policies.New(c)
		err := engine.Activate(ctx, policies.Bundle())
		commit.opened.Store(true)
		return engine, err
	}
	var err error
	if c.Keys, err = policyKeys(h.Settings); err != nil {
		return nil, err
	}
	if h.policySource, err = policySource(h.Settings.Policies); err != nil {
		return nil, err
	}
	engine := policies.New(c)
	err = engine.ActivateFrom(ctx, h.policySource)
	if err != nil && ctx.Err() == nil {
		if resumeErr := h.resumePolicies(ctx, engine, commit.store); resumeErr == nil {
			err = nil
		} else if !errors.Is(resumeErr, privacy.ErrNotFound) {
			err = errors.Join(err, resumeErr)
		}
	}
	commit.opened.Store(true)
	return engine, err
}

// resumePolicies makes the bundle active again that was the last to be, from where it was
// kept: a start is no reason to lose the last good policies. They are verified as if they
// had come from outside.
func (h *House) resumePolicies(ctx context.Context, engine *policies.Engine, store *postgres.PolicyStore) error {
	digest, note, err := store.Newest(ctx)
	if err != nil {
		return err
	}
	kept, err := postgres.NewArchiveStore(h.DB).Bundle(ctx, audit.Digest(digest))
	if err != nil {
		return err
	}
	content, err := policies.ParseArchive(kept)
	if err != nil {
		return err
	}
	if note != nil {
		content = content.WithNote(note) // it was kept with the first that it ever had
	}
	return engine.Resume(ctx, content)
}

// policyCommit records activations.
type policyCommit struct {
	house  *House
	store  *postgres.PolicyStore
	opened atomic.Bool
}

// record writes down that a revision becomes active. The first one of a process is in the
// log only if it is new to the house: what a start begins with is in the entry of the start.
func (c *policyCommit) record(ctx context.Context, r *policies.Revision, content *policies.Content) error {
	if err := c.house.keepBundle(ctx, r, content); err != nil {
		return err
	}
	event := audit.Event{Kind: audit.PolicyActivated, Outcome: audit.Done, Policy: audit.Digest(r.Digest())}
	if signed, ok := r.Signed(); ok {
		if added, err := c.store.Activate(ctx, signed, content.Note(), event); added || err != nil {
			return err
		}
	}
	if !c.opened.Load() {
		return nil
	}
	_, err := c.house.Log.Append(ctx, event)
	return err
}

func (h *House) noteRefusal(ctx context.Context, refusal *policies.Refusal) {
	h.options.Logger.Error("policies refused; those that were active stay", "check", refusal.Check, "error", refusal.Err)
	if refusal.Check == policies.BundleUnavailable {
		return // nothing was decided about it
	}
	_, err := h.Log.Append(ctx, audit.Event{
		Kind: audit.PolicyRefused, Outcome: audit.Denied, Policy: audit.Digest(refusal.Digest), Checks: []string{refusal.Check},
	})
	if err != nil {
		h.options.Logger.Error("refusal of policies not logged", "check", refusal.Check, "error", err)
	}
}

// examine plays the scenarios of a candidate. Those of the bundle in the binary were
// played when it was built. A decision that takes too long fails its case, and a machine
// can be very busy, so a failure must happen twice.
func examine(ctx context.Context, r *policies.Revision, bundle fs.FS) error {
	if digest, err := policies.BundleDigest(policies.Bundle()); err == nil && digest == r.Digest() {
		return nil
	}
	err := playCases(ctx, r, bundle)
	if err != nil && ctx.Err() == nil {
		err = playCases(ctx, r, bundle)
	}
	return err
}

func playCases(ctx context.Context, r *policies.Revision, bundle fs.FS) error {
	results, err := gate.RunCases(ctx, bundle, r)
	if err != nil {
		return err
	}
	failed, first := 0, ""
	for _, result := range results {
		if !result.Passed() {
			if failed++; failed == 1 {
				first = fmt.Sprintf("%s, %s: %s", result.File, result.Name, strings.Join(result.Failures, "; "))
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d scenarios do not come out as they say; the first is %s: %w", failed, len(results), first, privacy.ErrInvalid)
	}
	return nil
}

// How often a source is looked at. A URL is somebody else's machine.
const (
	watchFileEvery = time.Second
	watchURLEvery  = 30 * time.Second
)

// WatchPolicies activates what takes the place of the active policies, until ctx ends.
// The policies in the binary stay what they are.
func (h *House) WatchPolicies(ctx context.Context) error {
	if h.policySource == nil {
		return nil
	}
	every := watchFileEvery
	if isURL(h.Settings.Policies) {
		every = watchURLEvery
	}
	return h.Engine.Watch(ctx, h.policySource, every)
}

// PolicyDigest is the digest of the policy revision in force.
func (h *House) PolicyDigest() audit.Digest { return audit.Digest(h.Engine.Revision().Digest()) }

// PolicyRevision is the digest as text.
func (h *House) PolicyRevision() string {
	digest := h.PolicyDigest()
	return hex.EncodeToString(digest[:])
}
