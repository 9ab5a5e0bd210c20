package bundle_test

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// exportInto is the place into which a process of this test exports until it is killed.
const exportInto = "MAHREM_TEST_EXPORT_INTO"

// killedLog is the log that is exported: the same whenever it is made.
func killedLog(t *testing.T) *memoryLog {
	log := newLog(t, 1)
	log.grow(t, 3000)
	log.sign(t)
	log.grow(t, 700)
	log.sign(t)
	return log
}

// TestExportToBeKilled exports in a process of its own; by itself it does nothing.
func TestExportToBeKilled(t *testing.T) {
	dir := os.Getenv(exportInto)
	if dir == "" {
		t.Skip("run by TestKilledExport")
	}
	log := killedLog(t)
	_, _ = os.Stdout.WriteString("exporting\n")
	log.export(t, dir)
}

// TestKilledExport kills an exporting process anywhere, again and again, and finishes the export:
// the bundle is the one of an export that nobody disturbed. Until then it says that it is unfinished.
func TestKilledExport(t *testing.T) {
	t.Parallel()
	log := killedLog(t)
	want := filepath.Join(t.TempDir(), "want")
	log.export(t, want)
	rounds, broken := 40, 0
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		dir := filepath.Join(t.TempDir(), "bundle")
		for range 1 + rand.IntN(2) {
			process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExportToBeKilled$")
			process.Env = append(os.Environ(), exportInto+"="+dir)
			out, err := process.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			_, _ = bufio.NewReader(out).ReadString('\n')
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
			_ = process.Process.Kill()
			_ = process.Wait()
		}
		if _, err := bundle.Open(t.Context(), bundle.Dir(dir), nil); err != nil {
			broken++
		}
		log.export(t, dir)
		if diff := cmp.Diff(content(t, want), content(t, dir)); diff != "" {
			t.Fatalf("after a kill:\n%s", diff)
		}
	}
	t.Logf("%d of %d exports were broken off", broken, rounds)
}

// TestExportBrokenOff stops an export behind every read of the log and finishes it.
func TestExportBrokenOff(t *testing.T) {
	t.Parallel()
	log := killedLog(t)
	want := filepath.Join(t.TempDir(), "want")
	log.export(t, want)
	errStop := errors.New("stop")
	for stop := range 12 {
		dir := filepath.Join(t.TempDir(), "bundle")
		older := log.copyOf(t, 3000)
		older.sign(t)
		if stop%2 == 0 { // extending, or from nothing
			older.export(t, dir)
		}
		left := stop / 2
		config := log.config(t)
		config.Commit = func(context.Context, []byte) error { return errStop }
		if _, err := bundle.Export(t.Context(), dir, stopping{log, &left, errStop}, config); !errors.Is(err, errStop) {
			t.Fatal(stop, err)
		}
		if _, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{}); !errors.Is(err, bundle.ErrUnfinished) {
			t.Errorf("%d: %v", stop, err)
		}
		log.export(t, dir)
		if diff := cmp.Diff(content(t, want), content(t, dir)); diff != "" {
			t.Fatalf("%d: %s", stop, diff)
		}
	}
}

// stopping is a log that fails after some reads.
type stopping struct {
	*memoryLog
	left *int
	err  error
}

func (s stopping) Entries(ctx context.Context, from uint64, _ int) ([]audit.StoredEntry, error) {
	if *s.left--; *s.left < 0 {
		return nil, s.err
	}
	return s.memoryLog.Entries(ctx, from, 256)
}

// TestExportRefusesAnotherHistory: a log that was rewritten does not replace what an auditor has.
func TestExportRefusesAnotherHistory(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
	log.grow(t, 600)
	log.sign(t)
	log.export(t, dir)
	was := content(t, dir)
	fork := log.copyOf(t, 599)
	fork.grow(t, 400)
	fork.sign(t)
	short := log.copyOf(t, 300)
	short.sign(t)
	for name, other := range map[string]*memoryLog{"forked": fork, "cut off": short} {
		if _, err := bundle.Export(t.Context(), dir, other, other.config(t)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(was, content(t, dir)); diff != "" {
			t.Errorf("%s: the bundle changed:\n%s", name, diff)
		}
	}
	// Entries that do not fit the checkpoint are not exported at all.
	altered := log.copyOf(t, 600)
	altered.sign(t)
	altered.entries[7] = altered.entries[8]
	altered.entries[7].Index = 7
	if _, err := bundle.Export(t.Context(), filepath.Join(t.TempDir(), "new"), altered, altered.config(t)); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("altered: %v", err)
	}
	if _, err := bundle.Export(t.Context(), filepath.Join(t.TempDir(), "new"), newLog(t, 1), log.config(t)); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("nothing is signed: %v", err)
	}
}
