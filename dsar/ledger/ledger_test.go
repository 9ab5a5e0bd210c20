package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	path := create(t)
	l := open(t, path)
	var want []Record
	for n := range 40 {
		r := sample(n)
		r.Time = r.Time.Add(123 * time.Millisecond) // is cut
		got, err := l.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		r = sample(n)
		r.Sequence, r.Hash = uint64(n+1), got.Hash
		want = append(want, r)
	}
	if diff := cmp.Diff(want, all(t, l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := open(t, path)
	head, err := again.Head(t.Context())
	if err != nil || head != (Head{40, want[39].Hash}) || again.ID() != l.ID() {
		t.Errorf("opened again it ends at %+v, %v", head, err)
	}
}

// TestEndIsFoundBehindLongLines: what is read at opening does not depend on the length of
// the lines.
func TestEndIsFoundBehindLongLines(t *testing.T) {
	t.Parallel()
	for _, tags := range [][]int{{0}, {1000}, {0, 1000}, {1000, 0}, {0, 5000, 5000}, {5000, 0, 0}, {30_000, 30_000, 1}} {
		path := create(t)
		l := open(t, path)
		for i, n := range tags {
			r := sample(0)
			r.Suppressed = slices.Repeat([]Tag{{byte(i + 1)}}, n)
			add(t, l, r)
		}
		want, _ := l.Head(t.Context())
		if got, err := open(t, path).Head(t.Context()); err != nil || got != want || got.Sequence != uint64(len(tags)) {
			t.Errorf("%v: %+v, %v, want %+v", tags, got, err, want)
		}
		if got := all(t, l); len(got[len(got)-1].Suppressed) != tags[len(tags)-1] {
			t.Errorf("%v: the last has %d tags", tags, len(got[len(got)-1].Suppressed))
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	for name, change := range map[string]func(*Record){
		"no kind":               func(r *Record) { r.Kind = "" },
		"another kind":          func(r *Record) { r.Kind = "held" },
		"no time":               func(r *Record) { r.Time = time.Time{} },
		"far future":            func(r *Record) { r.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"nobody":                func(r *Record) { r.Person = Tag{} },
		"no erasure":            func(r *Record) { r.Erasure = [16]byte{} },
		"readmission of nobody": func(r *Record) { *r = Record{Time: r.Time, Kind: Readmitted} },
		"readmission with a person": func(r *Record) {
			*r = Record{Time: r.Time, Kind: Readmitted, Person: Tag{1}, Suppressed: []Tag{{1}}}
		},
		"too long": func(r *Record) { r.Suppressed = make([]Tag, maxTags+1) },
	} {
		r := sample(0)
		change(&r)
		if _, err := l.Append(t.Context(), r); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if head, err := l.Head(t.Context()); head.Sequence != 0 || err != nil {
		t.Errorf("something was written: %+v, %v", head, err)
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	path := create(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(path, testConfig); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("over a ledger: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("it was replaced")
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || len(entries) != 1 {
		t.Errorf("mode %v, %d files, %v", info.Mode(), len(entries), err)
	}
	if err := Create(filepath.Join(t.TempDir(), "no", "such"), testConfig); err == nil {
		t.Error("in no directory")
	}
	if err := Create(path, Config{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without seal: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(filepath.Join(t.TempDir(), "none"), testConfig); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
	path := create(t)
	if _, err := Open(path, Config{Seal: sealWith("other")}); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another key directory: %v", err)
	}
	if _, err := Open(path, Config{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("no seal: %v", err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, testConfig); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("open to others: %v", err)
	}
	other := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(other, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other, testConfig); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another file: %v", err)
	}
	l := open(t, create(t))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), sample(1)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

// TestUnfinishedLine: a line without its end was never confirmed. The next writer takes it
// away; readers do not see it.
func TestUnfinishedLine(t *testing.T) {
	t.Parallel()
	path := create(t)
	add(t, open(t, path), sample(1), sample(2), sample(3))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	last := lines[3]
	for cut := range len(last) {
		path := filepath.Join(t.TempDir(), "cut")
		if err := os.WriteFile(path, whole[:len(whole)-len(last)+cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, path)
		if got := all(t, l); len(got) != 2 {
			t.Fatalf("after %d bytes of the last line: %d records", cut, len(got))
		}
		add(t, l, sample(3))
		if after, _ := os.ReadFile(path); !bytes.Equal(after, whole) {
			t.Fatalf("after %d bytes of the last line the file is another one", cut)
		}
	}
}

// TestChangedBytes: every change of every byte of a complete line is seen by Scan; those of
// the first and last line already when it is opened.
func TestChangedBytes(t *testing.T) {
	t.Parallel()
	path := create(t)
	add(t, open(t, path), sample(1), sample(2), sample(6), sample(3))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	changed := filepath.Join(t.TempDir(), "changed")
	for i := range len(whole) - 1 { // without the last newline the line is unfinished
		content := bytes.Clone(whole)
		content[i] ^= 1
		if err := os.WriteFile(changed, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(changed, testConfig)
		if err == nil {
			if i < headerSize || i >= last {
				t.Fatalf("byte %d: opened", i)
			}
			err = errors.Join(l.Scan(t.Context(), func(Record) error { return nil }, nil), l.Close())
		}
		if !errors.Is(err, privacy.ErrDamaged) {
			t.Fatalf("byte %d: %v, want ErrDamaged", i, err)
		}
	}
}

func TestMovedLines(t *testing.T) {
	t.Parallel()
	path := create(t)
	add(t, open(t, path), sample(1), sample(2), sample(3), sample(4))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, order := range map[string][]int{
		"taken out":   {0, 1, 3, 4},
		"swapped":     {0, 2, 1, 3, 4},
		"twice":       {0, 1, 2, 2, 3, 4},
		"without one": {0, 2, 3, 4},
	} {
		var content []byte
		for _, i := range order {
			content = append(content, lines[i]...)
		}
		changed := filepath.Join(t.TempDir(), "moved")
		if err := os.WriteFile(changed, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, changed)
		if err := l.Scan(t.Context(), func(Record) error { return nil }, nil); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// TestManyWriters: of one process and of several, as which different opened files count.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	path := create(t)
	const processes, writers, each = 3, 16, 20
	seen := make([]bool, processes*writers*each+1)
	var mu sync.Mutex
	var work sync.WaitGroup
	for range processes {
		l := open(t, path)
		for range writers {
			work.Go(func() {
				for n := range each {
					r, err := l.Append(context.Background(), sample(n))
					mu.Lock()
					if err != nil || seen[r.Sequence] {
						t.Errorf("sequence %d: %v", r.Sequence, err)
					}
					seen[r.Sequence] = true
					mu.Unlock()
				}
			})
		}
	}
	work.Wait()
	if got := all(t, open(t, path)); len(got) != processes*writers*each {
		t.Errorf("%d records, want %d", len(got), processes*writers*each)
	}
}

func TestMovedWhileOpen(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(path string) error{
		"moved":    func(path string) error { return os.Rename(path, path+".old") },
		"removed":  os.Remove,
		"cut":      func(path string) error { return os.Truncate(path, int64(headerSize)) },
		"replaced": func(path string) error { return errors.Join(os.Rename(path, path+".old"), Create(path, testConfig)) },
	} {
		path := create(t)
		l := open(t, path)
		add(t, l, sample(1))
		if err := act(path); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it stays that way
			if _, err := l.Append(t.Context(), sample(2)); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%s: %v, want ErrDamaged", name, err)
			}
		}
	}
}

// TestGivingUp: whoever gives up before the line is begun has written nothing.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	l := open(t, create(t))
	<-l.turn // somebody writes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, sample(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
	l.turn <- struct{}{}
	add(t, l, sample(2))
	if got := all(t, l); len(got) != 1 || got[0].Erasure != sample(2).Erasure {
		t.Errorf("%d records", len(got))
	}
}

// TestHangingProcess: the lock of a process that hangs is not waited for without end.
func TestHangingProcess(t *testing.T) {
	t.Parallel()
	path := create(t)
	hanging := open(t, path)
	if err := hanging.lock(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, Config{Seal: testConfig.Seal, Wait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), sample(1)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}
