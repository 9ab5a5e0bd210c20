package audit_test

import (
	stdcmp "cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// trailLog is a log in memory.
type trailLog []audit.StoredEntry

func (l trailLog) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	i, _ := slices.BinarySearchFunc(l, from, func(e audit.StoredEntry, from uint64) int { return stdcmp.Compare(e.Index, from) })
	return slices.Clone(l[i:min(len(l), i+limit)]), nil
}

func trailPerson(n int) audit.Subject {
	id := sha256.Sum256(fmt.Append(nil, "id", n))
	return audit.Subject{ID: privacy.DataSubjectID(id[:16]), Blinding: sha256.Sum256(fmt.Append(nil, "key", n))}
}

// makeTrailLog makes a log of n entries: about each of people in turn, about nobody, and
// about somebody unknown. It returns where each person's entries are.
func makeTrailLog(t testing.TB, n, people int) (trailLog, [][]uint64) {
	t.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{1} }})
	if err != nil {
		t.Fatal(err)
	}
	log, where := make(trailLog, n), make([][]uint64, people)
	for i := range n {
		event := audit.Event{Kind: audit.QueryAnswered, Outcome: audit.Allowed, Purpose: "newsletter", Channel: "email"}
		switch who := i % (people + 2); {
		case who < people:
			event.Subject = trailPerson(who)
			where[who] = append(where[who], uint64(i))
		case who == people:
			event.Subject = audit.Subject{Unknown: true}
		}
		entry, err := encoder.NewEntry(event)
		if err != nil {
			t.Fatal(err)
		}
		log[i] = audit.StoredEntry{Index: uint64(i), Leaf: entry.Leaf(), LeafHash: audit.LeafHash(entry.Leaf())}
	}
	return log, where
}

func rootOf(log trailLog) tlog.Hash {
	var edge audit.Edge
	for i := range log {
		edge.Append(log[i].LeafHash, nil)
	}
	return edge.Root()
}

func scan(t testing.TB, log trailLog, config audit.TrailConfig, people ...int) (audit.TrailReport, [][]uint64, error) {
	t.Helper()
	var subjects []audit.Subject
	for _, n := range people {
		subjects = append(subjects, trailPerson(n))
	}
	trail, err := audit.NewTrail(subjects)
	if err != nil {
		t.Fatal(err)
	}
	found := make([][]uint64, len(people))
	report, err := trail.Scan(t.Context(), log, config, func(person int, index uint64) error {
		found[person] = append(found[person], index)
		return nil
	})
	return report, found, err
}

func TestTrailFindsEveryEntryAndNoOther(t *testing.T) {
	t.Parallel()
	const people = 3
	// Around the length of a page, where one may be lost or told twice.
	for _, n := range []int{0, 1, 4, 4095, 4096, 4097, 9001} {
		log, where := makeTrailLog(t, n, people)
		var last uint64
		report, found, err := scan(t, log, audit.TrailConfig{Size: uint64(n), Progress: func(done, total uint64) {
			if total != uint64(n) || done <= last {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		}}, 0, 1, 2, 7)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(where, nil), found); diff != "" {
			t.Errorf("%d entries (-want +got):\n%s", n, diff)
		}
		if report.Size != uint64(n) || report.First != 0 || report.Root != rootOf(log) || last != uint64(n) {
			t.Errorf("%d entries: report %+v, progress to %d", n, report, last)
		}
	}
}

func TestTrailIsOfTheWholeLog(t *testing.T) {
	t.Parallel()
	log, where := makeTrailLog(t, 5000, 2)
	signed := audit.Checkpoint{Size: 4200, Root: rootOf(log[:4200])}
	if _, _, err := scan(t, log, audit.TrailConfig{Size: 5000, Checkpoint: signed}, 0); err != nil {
		t.Fatal(err)
	}
	altered := func(change func(trailLog) trailLog) error {
		_, _, err := scan(t, change(slices.Clone(log)), audit.TrailConfig{Size: 5000, Checkpoint: signed}, 0)
		return err
	}
	for name, change := range map[string]func(trailLog) trailLog{
		"cut off":  func(l trailLog) trailLog { return l[:4990] },
		"gap":      func(l trailLog) trailLog { return slices.Delete(l, 100, 101) },
		"page gap": func(l trailLog) trailLog { return slices.Delete(l, 4096, 4097) },
		"altered": func(l trailLog) trailLog {
			l[9].Leaf = []byte(strings.Replace(string(l[9].Leaf), "newsletter", "newsletteR", 1))
			return l
		},
		"another with its hash": func(l trailLog) trailLog {
			l[9].Leaf, l[9].LeafHash = l[10].Leaf, l[10].LeafHash
			return l
		},
		"malformed": func(l trailLog) trailLog {
			l[9].Leaf = []byte(`{"v":2}`)
			l[9].LeafHash = audit.LeafHash(l[9].Leaf)
			return l
		},
	} {
		if err := altered(change); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was retired is no gap, and what is left cannot be compared.
	report, found, err := scan(t, log[4096:], audit.TrailConfig{Size: 5000, Checkpoint: signed}, 1)
	if err != nil || report.First != 4096 || report.Root != (tlog.Hash{}) {
		t.Fatalf("retired: %+v, %v", report, err)
	}
	i, _ := slices.BinarySearch(where[1], 4096)
	if diff := cmp.Diff(where[1][i:], found[0]); diff != "" {
		t.Errorf("retired (-want +got):\n%s", diff)
	}
}

func TestTrailStops(t *testing.T) {
	t.Parallel()
	log, _ := makeTrailLog(t, 100, 1)
	trail, err := audit.NewTrail([]audit.Subject{trailPerson(0)})
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	if _, err := trail.Scan(t.Context(), log, audit.TrailConfig{Size: 100}, func(int, uint64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("an error of the caller: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	none := func(int, uint64) error { return nil }
	if _, err := trail.Scan(ctx, log, audit.TrailConfig{Size: 1 << 40}, none); err == nil {
		t.Error("a cancelled scan came to an end")
	}
	for _, subject := range []audit.Subject{{}, {Unknown: true}, {ID: privacy.DataSubjectID{1}}} {
		if _, err := audit.NewTrail([]audit.Subject{subject}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("following nobody: %v", err)
		}
	}
}

func ExampleTrail() {
	encoder, _ := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{} }})
	person := trailPerson(1)
	entry, _ := encoder.NewEntry(audit.Event{Kind: audit.PersonShown, Outcome: audit.Done, Subject: person})
	log := trailLog{{Leaf: entry.Leaf(), LeafHash: audit.LeafHash(entry.Leaf())}}

	trail, _ := audit.NewTrail([]audit.Subject{person})
	report, _ := trail.Scan(context.Background(), log, audit.TrailConfig{Size: 1}, func(person int, index uint64) error {
		fmt.Printf("entry %d is about person %d\n", index, person)
		return nil
	})
	fmt.Printf("of %d entries\n", report.Size)
	// Output:
	// entry 0 is about person 0
	// of 1 entries
}

// BenchmarkTrail measures one try of one person on one entry.
func BenchmarkTrail(b *testing.B) {
	log, _ := makeTrailLog(b, 4096, 2)
	var people []audit.Subject
	for n := range 100 {
		people = append(people, trailPerson(n))
	}
	trail, err := audit.NewTrail(people)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trail.Scan(b.Context(), log, audit.TrailConfig{Size: 4096}, func(int, uint64) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*4096*100*3/4/b.Elapsed().Seconds(), "tries/s")
}
