package postgres

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func TestActivationsOnlyGoForward(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewPolicyStore(db, log)
	activate := func(sequence uint64, digest byte) (bool, error) {
		signed := policies.Signed{By: "shop.example/policies"}
		signed.Sequence, signed.Digest = sequence, [32]byte{digest}
		return store.Activate(t.Context(), signed, []byte{digest}, audit.Event{Kind: audit.PolicyActivated, Outcome: audit.Done, Policy: audit.Digest(signed.Digest)})
	}
	if _, _, err := store.Newest(t.Context()); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("before the first: %v", err)
	}
	for _, step := range []struct {
		sequence uint64
		digest   byte
		added    bool
		conflict bool
	}{
		{3, 'a', true, false},
		{3, 'a', false, false}, // a restart
		{2, 'b', false, true},
		{3, 'b', false, true},
		{7, 'a', true, false}, // the same rules under a new number
		{3, 'a', false, true}, // was active once, and not any more
		{1<<63 - 1, 'c', true, false},
	} {
		before, err := log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		added, err := activate(step.sequence, step.digest)
		refusal, refused := errors.AsType[*policies.Refusal](err)
		if added != step.added || refused != step.conflict || refused && refusal.Check != policies.BundleSequence || err != nil && !step.conflict {
			t.Errorf("sequence %d, digest %c: %t, %v", step.sequence, step.digest, added, err)
		}
		after, err := log.Size(t.Context())
		if err != nil || (after == before+1) != step.added {
			t.Errorf("sequence %d, digest %c: the log grew from %d to %d, %v", step.sequence, step.digest, before, after, err)
		}
	}
	if digest, note, err := store.Newest(t.Context()); err != nil || digest != [32]byte{'c'} || string(note) != "c" {
		t.Errorf("the newest is %x, %v", digest, err)
	}
}

// TestActivationsAtOnce: whatever several machines are given at the same moment, each
// number is added once and never below a higher one.
func TestActivationsAtOnce(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewPolicyStore(db, log)
	var added atomic.Int64
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			signed := policies.Signed{By: "shop.example/policies"}
			signed.Sequence, signed.Digest = uint64(1+i%4), [32]byte{byte(i % 4)}
			ok, err := store.Activate(t.Context(), signed, []byte("note"), audit.Event{Kind: audit.PolicyActivated, Outcome: audit.Done})
			if _, late := errors.AsType[*policies.Refusal](err); err != nil && !late {
				t.Error(err)
			}
			if ok {
				added.Add(1)
			}
		})
	}
	group.Wait()
	rows, err := db.pool.Query(t.Context(), `select sequence from policy.activation order by ctid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var last, n int64
	for rows.Next() {
		var sequence int64
		if err := rows.Scan(&sequence); err != nil {
			t.Fatal(err)
		}
		if sequence <= last {
			t.Errorf("%d was added after %d", sequence, last)
		}
		last = sequence
		n++
	}
	size, err := log.Size(t.Context())
	if err != nil || n != added.Load() || size != uint64(n) || last != 4 {
		t.Errorf("%d rows, %d reported, %d entries, the last is %d; %v", n, added.Load(), size, last, err)
	}
}
