package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Made is what was kept of decisions on the same facts under the same policy, to go into a
// bundle for auditors. Neither facts nor plan say anything about who the person is.
type Made struct {
	Pair
	// Facts and Plan are canonical. Plan is empty if the policies never came to one.
	Facts, Plan []byte
}

// Append appends the facts, and the plan behind a line feed.
func (m *Made) Append(b []byte) []byte {
	b = append(b, m.Facts...)
	if len(m.Plan) > 0 {
		b = append(append(b, '\n'), m.Plan...)
	}
	return b
}

// ParseMade reads what [Made.Append] wrote. The error wraps [privacy.ErrDamaged] if they are
// not the facts of the pair.
func ParseMade(pair Pair, content []byte) (Made, error) {
	facts, plan, _ := bytes.Cut(content, []byte("\n"))
	if sha256.Sum256(facts) != pair.Facts {
		return Made{}, fmt.Errorf("reading facts: they are others: %w", privacy.ErrDamaged)
	}
	return Made{pair, facts, plan}, nil
}

// Made returns what was kept of these pairs. What was not kept, or does not open, is left out.
func (a *Archive) Made(ctx context.Context, pairs []Pair) ([]Made, error) {
	kept, err := a.records(ctx, pairs)
	if err != nil {
		return nil, err
	}
	var list []Made
	for _, pair := range pairs {
		for _, planned := range []bool{true, false} {
			if r, ok := kept[recordKey{pair, planned}]; ok && r.err == nil {
				list = append(list, Made{pair, r.facts, r.plan})
				break
			}
		}
	}
	return list, nil
}

// Bundle returns the policy bundle that was kept under a digest, as one file. The error wraps
// [privacy.ErrNotFound] if none was.
func (a *Archive) Bundle(ctx context.Context, policy audit.Digest) ([]byte, error) {
	return a.store.Bundle(ctx, policy)
}

// ReplayerConfig says from where a [Replayer] takes what decisions were made of. All is
// required. What is not there is an error that wraps [fs.ErrNotExist].
type ReplayerConfig struct {
	Policy  func(ctx context.Context, policy audit.Digest) ([]byte, error)
	Made    func(ctx context.Context, pair Pair) (Made, error)
	Compile Compile
}

// Replayer makes decisions again far from the database that they were made over: from a
// bundle of the log with policies and facts. It costs as much as there are distinct facts.
type Replayer struct {
	config    ReplayerConfig
	replayer  *replayer
	revisions revisions
}

// NewReplayer returns a replayer of no decisions yet.
func NewReplayer(config ReplayerConfig) *Replayer {
	r := &Replayer{config: config}
	r.replayer = newReplayer(r.records, func(ctx context.Context, policy audit.Digest) (*policies.Revision, error) {
		return r.revisions.get(ctx, policy, r.policy, config.Compile)
	})
	return r
}

// Add takes the entry with an index, if it tells of a decision about a person by a policy.
func (r *Replayer) Add(index uint64, entry *audit.Entry) {
	if isDecision(entry.Kind) && entry.Policy != (audit.Digest{}) {
		r.replayer.add(&decision{id: audit.DecisionID{Index: index, EntryID: entry.ID}, entry: *entry})
	}
}

// Run makes all of them again. There is no receipt in what it returns: nobody logged it.
func (r *Replayer) Run(ctx context.Context) (Replay, error) {
	result, err := r.replayer.run(ctx)
	if err != nil {
		return Replay{}, fmt.Errorf("replaying decisions: %w", err)
	}
	return result, nil
}

func (r *Replayer) policy(ctx context.Context, policy audit.Digest) ([]byte, error) {
	content, err := r.config.Policy(ctx, policy)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", err, privacy.ErrNotFound)
	}
	return content, err
}

func (r *Replayer) records(ctx context.Context, pairs []Pair) (records, error) {
	list := records{}
	for _, pair := range pairs {
		made, err := r.config.Made(ctx, pair)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			return nil, err
		}
		if err != nil || len(made.Plan) > 0 {
			list[recordKey{pair, true}] = opened{record{made.Facts, made.Plan}, err}
		}
		list[recordKey{pair, false}] = opened{record{facts: made.Facts}, err}
	}
	return list, nil
}
