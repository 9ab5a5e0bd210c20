package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// lines is a database that knows these, and gives two at a time.
type lines []Head

func (l lines) Extent(context.Context) (uint64, Head, error) {
	if len(l) == 0 {
		return 0, Head{}, nil
	}
	return uint64(len(l)), l[len(l)-1], nil
}

func (l lines) Lines(_ context.Context, after uint64) ([]Head, error) {
	var page []Head
	for _, line := range l {
		if line.Sequence > after && len(page) < 2 {
			page = append(page, line)
		}
	}
	return page, nil
}

func TestWhatADatabaseLacks(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	var heads lines
	for n := range 9 {
		r, err := l.Append(t.Context(), sample(n))
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, Head{r.Sequence, r.Hash})
	}
	for bits := range 1 << 9 {
		var known lines
		var want []uint64
		for i, head := range heads {
			if bits>>i&1 == 1 {
				known = append(known, head)
			} else {
				want = append(want, head.Sequence)
			}
		}
		var got []uint64
		err := l.Missing(t.Context(), known, func(r Record) error { got = append(got, r.Sequence); return nil }, nil)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("a database that knows %b lacks %v, %v, want %v", bits, got, err, want)
		}
		if behind, err := l.Behind(t.Context(), known); err != nil || behind != uint64(len(want)) {
			t.Fatalf("a database that knows %b is %d behind, %v, want %d", bits, behind, err, len(want))
		}
	}
	stop := errors.New("stop")
	if err := l.Missing(t.Context(), lines{}, func(Record) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("%v, want the visitor's error", err)
	}
}

func TestALedgerThatLacksWhatADatabaseKnows(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	add(t, l, sample(0), sample(1), sample(2))
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, known := range map[string]lines{
		"cut":                   {{1, all(t, l)[0].Hash}, head, {4, Hash{1}}},
		"cut, and behind":       {{4, Hash{1}}},
		"cut by as many":        {{2, all(t, l)[1].Hash}, head, {4, Hash{1}}},
		"another last line":     {{1, all(t, l)[0].Hash}, {2, all(t, l)[1].Hash}, {3, Hash{1}}},
		"another line before":   {{2, Hash{1}}, head},
		"another one, same end": {{1, Hash{1}}},
	} {
		if _, err := l.Behind(t.Context(), known); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	empty := open(t, create(t))
	if _, err := empty.Behind(t.Context(), lines{{1, Hash{1}}}); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a new ledger: %v, want ErrDamaged", err)
	}
	if behind, err := empty.Behind(t.Context(), lines{}); behind != 0 || err != nil {
		t.Errorf("a new ledger and a new database: %d, %v", behind, err)
	}
}
