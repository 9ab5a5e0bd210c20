package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// TestSharedLoadsGiveEachTheirOwn: one statement reads for all queries that wait, and no
// query may ever see a row about somebody that another one asked for.
func TestSharedLoadsGiveEachTheirOwn(t *testing.T) {
	t.Parallel()
	bench := newGate(t)
	v := bench.keys.Vault()
	var keys []*vault.PersonKey
	for i := range 24 {
		groups := []string{"grocery.dairy", "bakery", "fresh.fruit", "pets"}[:i%5]
		key := bench.person(t, fmt.Sprintf("person%d", i), groups...)
		if i%2 == 0 {
			bench.choose(t, key, consent.Granted, "recommendations")
		}
		if i%3 == 0 {
			bench.choose(t, key, consent.Withdrawn, "newsletter")
		}
		if i%4 == 0 {
			bench.exec(t, `insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at)
values ($1, 'recommender', $2, $3, now())`, [16]byte(key.DataSubject()), i+1, []byte{byte(i)})
		}
		if i%2 == 1 {
			bench.exec(t, `insert into gate.case_file (data_subject_id, case_id, recipient, kind, opened_at, ends_at)
values ($1, $2, 'recommender', 'support', now(), now() + interval '30 days')`, [16]byte(key.DataSubject()), [16]byte(key.DataSubject()))
		}
		keys = append(keys, key)
	}
	var loads []gate.LoadQuery
	for i := range 96 {
		var id privacy.DataSubjectID // every seventh is about nobody
		if id[0] = byte(i); i%7 != 0 {
			id = keys[i%len(keys)].DataSubject()
		}
		load := gate.LoadQuery{
			DataSubject: id, Channel: "web", Recipient: "recommender", LogSize: i%5 == 0,
			Purposes: [][]privacy.Purpose{{"recommendations"}, {"newsletter", "recommendations"}}[i%2],
			Records:  []gate.Slot{v.Slot(id, "core"), v.Slot(id, "contact")}[:1+i%2],
		}
		if i%3 != 0 {
			load.Streams, load.Chunks = []gate.Slot{v.Slot(id, "purchases")}, 1+i%4
		}
		if i%4 == 1 {
			load.Case = casework.ID(id)
		}
		loads = append(loads, load)
	}
	alone := make([]gate.Snapshot, len(loads))
	for i := range loads {
		alone[i] = mustLoad(t, bench.store, loads[i])
	}
	shared := make([]gate.Snapshot, len(loads))
	var group sync.WaitGroup
	for i := range loads {
		group.Go(func() { shared[i] = mustLoad(t, bench.store, loads[i]) })
	}
	group.Wait()
	known, cases := 0, 0
	for i := range loads {
		if shared[i].At.IsZero() || shared[i].At.Before(alone[i].At) {
			t.Errorf("load %d has the time of an earlier one", i)
		}
		shared[i].At = alone[i].At
		if !cmp.Equal(alone[i], shared[i]) { // without a diff, which would print what is held
			t.Errorf("load %d differs from the same load alone", i)
		}
		if (shared[i].LogSize > 0) != loads[i].LogSize {
			t.Errorf("load %d: log size %d", i, shared[i].LogSize)
		}
		if shared[i].Known {
			known++
		}
		if shared[i].Case.ID != (casework.ID{}) {
			cases++
		}
	}
	if known == 0 || known == len(loads) || cases == 0 {
		t.Errorf("%d of %d are known, %d with a case: the test compares too little", known, len(loads), cases)
	}
}

// TestSharedLoadOutlivesItsFirstCaller: who goes away takes nobody along.
func TestSharedLoadOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	bench := newGate(t)
	key := bench.person(t, "somebody")
	load := gate.LoadQuery{DataSubject: key.DataSubject(), Channel: "web", Purposes: []privacy.Purpose{"greeting"}}
	gone, leave := context.WithCancel(t.Context())
	leave()
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			if i%2 == 0 {
				if snapshot, err := bench.store.Load(gone, load); err != nil && !errors.Is(err, privacy.ErrUnavailable) || err == nil && !snapshot.Known {
					t.Errorf("a caller that went away got %v", err)
				}
				return
			}
			if !mustLoad(t, bench.store, load).Known {
				t.Error("a caller that stayed was told that nobody is there")
			}
		})
	}
	group.Wait()
}

func mustLoad(t *testing.T, store *GateStore, load gate.LoadQuery) gate.Snapshot {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	snapshot, err := store.Load(ctx, load)
	if err != nil {
		t.Error(err)
	}
	return snapshot
}
