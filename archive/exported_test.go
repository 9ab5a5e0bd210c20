package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestReplayer makes decisions again from what an archive gave out, without the archive, and
// finds each way in which it was changed or is not there.
func TestReplayer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	child := greeted()
	child.Subject.Age, child.Purpose = policies.Child, "newsletter"
	for person := range byte(5) {
		b.decide(t, greeted(), person+1, "first_name")
		b.decide(t, child, person+1)
	}
	adult := greeted()
	pair := Pair{b.revision.Digest(), adult.Digest()}
	for name, c := range map[string]struct {
		change func(files map[Pair][]byte, policy *[]byte, entry *audit.Entry)
		want   string
		same   uint64
	}{
		"as it was":     {func(map[Pair][]byte, *[]byte, *audit.Entry) {}, "", 10},
		"without facts": {func(f map[Pair][]byte, _ *[]byte, _ *audit.Entry) { delete(f, pair) }, RecordMissing, 5},
		"other facts":   {func(f map[Pair][]byte, _ *[]byte, _ *audit.Entry) { f[pair] = []byte("{}") }, RecordDamaged, 5},
		"another plan": {func(f map[Pair][]byte, _ *[]byte, _ *audit.Entry) {
			f[pair] = bytes.Replace(f[pair], []byte(`"allow":true`), []byte(`"allow":false`), 1)
		}, PlanDiffers, 5},
		"without policy": {func(_ map[Pair][]byte, p *[]byte, _ *audit.Entry) { *p = nil }, BundleMissing, 0},
		"another policy": {func(_ map[Pair][]byte, p *[]byte, _ *audit.Entry) { *p = []byte("x") }, BundleDamaged, 0},
		"denied in entry": {func(_ map[Pair][]byte, _ *[]byte, e *audit.Entry) {
			e.Kind, e.Outcome, e.Attributes = audit.QueryDenied, audit.Denied, nil
		}, EntryDiffers, 9},
	} {
		made, err := b.Made(t.Context(), []Pair{pair, {b.revision.Digest(), child.Digest()}, {Policy: audit.Digest{1}}})
		if err != nil || len(made) != 2 {
			t.Fatal(len(made), err)
		}
		files := map[Pair][]byte{}
		for i := range made {
			files[made[i].Pair] = made[i].Append(nil)
		}
		policy, err := b.Bundle(t.Context(), b.revision.Digest())
		if err != nil {
			t.Fatal(err)
		}
		var changed audit.Entry
		c.change(files, &policy, &changed)
		r := NewReplayer(ReplayerConfig{
			Compile: compileTest,
			Policy: func(context.Context, audit.Digest) ([]byte, error) {
				if policy == nil {
					return nil, fs.ErrNotExist
				}
				return policy, nil
			},
			Made: func(_ context.Context, pair Pair) (Made, error) {
				if files[pair] == nil {
					return Made{}, fs.ErrNotExist
				}
				return ParseMade(pair, files[pair])
			},
		})
		for i, leaf := range b.log.leaves {
			entry, err := audit.ParseEntry(leaf)
			if err != nil {
				t.Fatal(err)
			}
			if changed.Kind != "" && i == 4 {
				entry.Kind, entry.Outcome, entry.Attributes = changed.Kind, changed.Outcome, changed.Attributes
			}
			r.Add(uint64(i), &entry)
		}
		replay, err := r.Run(t.Context())
		got := ""
		if len(replay.Findings) > 0 {
			got = replay.Findings[0].Why
		}
		if err != nil || got != c.want || replay.Decisions != 10 || replay.Same != c.same {
			t.Errorf("%s: %q, %v, want %q; %+v", name, got, err, c.want, replay)
		}
		if got == EntryDiffers && replay.Findings[0].First.Index != 4 {
			t.Errorf("%s: first is %d", name, replay.Findings[0].First.Index)
		}
	}
	if _, err := ParseMade(pair, []byte("{}\n{}")); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("facts of another pair: %v", err)
	}
}
