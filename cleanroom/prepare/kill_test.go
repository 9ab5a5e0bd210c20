package prepare_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
)

// killedEnv makes the test binary a process that prepares into a directory until it is killed.
const killedEnv = "MAHREM_TEST_PREPARE_INTO"

const killedPeople = 8*prepare.ChunkSize + 5

// lingering gives whoever watches the directory the time to see each chunk.
type lingering struct{ match.Matcher }

func (l lingering) Mask(ctx context.Context, people []match.Seed) ([]match.Token, error) {
	time.Sleep(20 * time.Millisecond)
	return l.Matcher.Mask(ctx, people)
}

func TestProcessThatPrepares(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("is run by TestKilledPreparationsComeOutTheSame")
	}
	c, _ := config(t)
	c.Declared, c.Matcher = killedPeople, lingering{c.Matcher}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(killedPeople)), dir, c); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed with SIGKILL again and again comes to the same end, byte by byte, as
// one that nobody disturbed.
func TestKilledPreparationsComeOutTheSame(t *testing.T) {
	t.Parallel()
	dir, whole := filepath.Join(t.TempDir(), "killed"), filepath.Join(t.TempDir(), "whole")
	run := func(dir string, stop func() bool) bool {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessThatPrepares$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for {
			select {
			case err := <-ended:
				if err == nil {
					return false
				}
				exit, ok := errors.AsType[*exec.ExitError](err)
				if status, is := exit.Sys().(syscall.WaitStatus); !ok || !is || !status.Signaled() {
					t.Fatalf("%v\n%s", err, out.String())
				}
				return true
			default:
				if stop() {
					_ = cmd.Process.Kill()
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, prepare.MembersFile))
		if err != nil {
			return -1
		}
		return info.Size()
	}
	kills := 0
	for range 5 {
		more := size() + 1 + rand.Int64N(300_000) // a chunk has about 230,000 bytes
		if run(dir, func() bool { return size() >= more }) {
			kills++
		}
		if kills != 1 {
			continue
		}
		// An undisturbed one with the same seed.
		state := must(os.ReadFile(filepath.Join(dir, ".state")))(t)
		if err := errors.Join(os.MkdirAll(whole, 0o700), os.WriteFile(filepath.Join(whole, ".state"), state, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if kills < 2 {
		t.Fatalf("killed only %d times", kills)
	}
	never := func() bool { return false }
	if _, err := os.Stat(filepath.Join(dir, prepare.ManifestFile)); err != nil {
		run(dir, never)
	}
	run(whole, never)
	for _, name := range []string{prepare.MembersFile, prepare.RowsFile} {
		a, b := must(os.ReadFile(filepath.Join(dir, name)))(t), must(os.ReadFile(filepath.Join(whole, name)))(t)
		if !bytes.Equal(a, b) {
			t.Errorf("%s came out otherwise after %d kills", name, kills)
		}
	}
}
