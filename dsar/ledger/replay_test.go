package ledger

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// model is a database in memory that can fail at any moment.
type model struct {
	mu         sync.Mutex
	people     map[privacy.DataSubjectID]bool
	suppressed map[Tag]bool
	known      map[uint64]Hash
	calls      int // until it fails; less than zero: never
	erasures   int
}

var errCrash = errors.New("crashed")

func (m *model) crash() error {
	if m.calls == 0 {
		return errCrash
	}
	m.calls--
	return nil
}

func (m *model) Extent(context.Context) (uint64, Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last Head
	for sequence, hash := range m.known {
		if sequence > last.Sequence {
			last = Head{sequence, hash}
		}
	}
	return uint64(len(m.known)), last, nil
}

func (m *model) Lines(_ context.Context, after uint64) ([]Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []Head
	for sequence, hash := range m.known {
		if sequence > after {
			page = append(page, Head{sequence, hash})
		}
	}
	slices.SortFunc(page, func(a, b Head) int { return int(a.Sequence) - int(b.Sequence) })
	return page[:min(3, len(page))], nil
}

func (m *model) CountPeople(context.Context) (int64, error) { return int64(len(m.people)), nil }

func (m *model) People(_ context.Context, after privacy.DataSubjectID) ([]privacy.DataSubjectID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []privacy.DataSubjectID
	for id := range m.people {
		if bytes.Compare(id[:], after[:]) > 0 {
			page = append(page, id)
		}
	}
	slices.SortFunc(page, func(a, b privacy.DataSubjectID) int { return bytes.Compare(a[:], b[:]) })
	return page[:min(5, len(page))], nil
}

func (m *model) Erase(_ context.Context, id privacy.DataSubjectID, record Record) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.crash(); err != nil {
		return false, err
	}
	if record.Kind != Erased || tagOf(id) != record.Person {
		return false, errors.New("somebody else was to be erased")
	}
	was := m.people[id]
	delete(m.people, id)
	if was {
		m.erasures++
	}
	return was, nil
}

func (m *model) Apply(_ context.Context, records []Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.crash(); err != nil {
		return err
	}
	for _, r := range records {
		for id := range m.people {
			if r.Kind == Erased && tagOf(id) == r.Person {
				return errors.New("carried out before the person was erased")
			}
		}
		for _, tag := range r.Suppressed {
			m.suppressed[tag] = r.Kind == Erased
		}
		m.known[r.Sequence] = r.Hash
	}
	return nil
}

func tagOf(id privacy.DataSubjectID) Tag { return Tag{0xee, id[0], id[1]} }

// TestReplay: from any older state, broken off again and again, a replay ends where the
// database was.
func TestReplay(t *testing.T) {
	t.Parallel()
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 4))
		l := open(t, create(t))
		now := &model{people: map[privacy.DataSubjectID]bool{}, suppressed: map[Tag]bool{}, known: map[uint64]Hash{}, calls: -1}
		for i := range 60 {
			now.people[privacy.DataSubjectID{byte(i), 7}] = true
		}
		var old *model
		events := 20 + random.IntN(30)
		dump := random.IntN(events)
		for i := range events {
			if i == dump { // Behind it nothing is known to what will be restored.
				old = &model{people: map[privacy.DataSubjectID]bool{}, suppressed: map[Tag]bool{}, known: map[uint64]Hash{}, calls: -1}
				for id := range now.people {
					old.people[id] = true
				}
				for tag, is := range now.suppressed {
					old.suppressed[tag] = is
				}
				for sequence, hash := range now.known {
					old.known[sequence] = hash
				}
			}
			r := Record{Time: sample(i).Time, Kind: Readmitted, Suppressed: []Tag{{1, byte(random.IntN(12))}}}
			if random.IntN(4) > 0 {
				id := privacy.DataSubjectID{byte(i), 7}
				r = Record{Time: r.Time, Kind: Erased, Erasure: [16]byte{1, byte(i)}, Person: tagOf(id), Suppressed: []Tag{{1, byte(i % 12)}}}
				delete(now.people, id)
			}
			written, err := l.Append(t.Context(), r)
			if err == nil {
				err = now.Apply(t.Context(), []Record{written})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		lost := len(old.people) - len(now.people)
		config := ReplayConfig{Tag: tagOf, Workers: 1 + random.IntN(4)}
		for {
			old.calls = random.IntN(20)
			_, err := l.Replay(t.Context(), old, config)
			if err == nil {
				break
			}
			if !errors.Is(err, errCrash) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if len(old.people) != len(now.people) || old.erasures != lost {
			t.Fatalf("seed %d: %d people, want %d; %d erased, want %d", seed, len(old.people), len(now.people), old.erasures, lost)
		}
		for tag, is := range now.suppressed {
			if old.suppressed[tag] != is {
				t.Fatalf("seed %d: an identifier is suppressed: %t, want %t", seed, old.suppressed[tag], is)
			}
		}
		if behind, err := l.Behind(t.Context(), old); behind != 0 || err != nil {
			t.Fatalf("seed %d: %d behind, %v", seed, behind, err)
		}
		old.calls = -1
		again, err := l.Replay(t.Context(), old, config)
		if err != nil || again.Missing != 0 || again.People != 0 || again.Records != uint64(events) {
			t.Fatalf("seed %d: a second replay did %+v, %v", seed, again, err)
		}
	}
}

// TestReplayOfKeysAlone: a database that knows all records, but has the keys of people who
// were erased, because only the keys were restored.
func TestReplayOfKeysAlone(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	id := privacy.DataSubjectID{1, 2}
	r := sample(0)
	r.Person = tagOf(id)
	written, err := l.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{
		people: map[privacy.DataSubjectID]bool{id: true, {3}: true}, suppressed: map[Tag]bool{},
		known: map[uint64]Hash{1: written.Hash}, calls: -1,
	}
	done, err := l.Replay(t.Context(), m, ReplayConfig{Tag: tagOf})
	if err != nil || done != (Replayed{Records: 1, People: 1}) || len(m.people) != 1 {
		t.Errorf("%+v, %v; %d people", done, err, len(m.people))
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	add(t, l, sample(0), sample(1))
	m := &model{people: map[privacy.DataSubjectID]bool{}, suppressed: map[Tag]bool{}, known: map[uint64]Hash{}, calls: 0}
	if _, err := l.Replay(t.Context(), m, ReplayConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without tags: %v", err)
	}
	m.known[3] = Hash{1}
	if _, err := l.Replay(t.Context(), m, ReplayConfig{Tag: tagOf}); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a ledger that was cut: %v", err)
	}
}
