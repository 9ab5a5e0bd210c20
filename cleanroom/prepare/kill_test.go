package prepare_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
)

// killedEnv makes the test binary a process that prepares into a directory until it is killed;
// heldEnv is the size of the members' file with which it waits for that.
const (
	killedEnv = "MAHREM_TEST_PREPARE_INTO"
	heldEnv   = "MAHREM_TEST_PREPARE_HELD"
)

const killedPeople = 8*prepare.ChunkSize + 5

// lingering gives whoever watches the directory the time to see each chunk, and does not get
// away from somebody who is slow to kill.
type lingering struct {
	match.Matcher
	dir  string
	held int64 // 0: never
}

func (l lingering) Mask(ctx context.Context, people []match.Seed) ([]match.Token, error) {
	time.Sleep(20 * time.Millisecond)
	if l.held > 0 && membersSize(l.dir) >= l.held {
		time.Sleep(10 * time.Minute)
		return nil, errors.New("nobody kills this process")
	}
	return l.Matcher.Mask(ctx, people)
}

// membersSize is the size of the members' file; -1 without one.
func membersSize(dir string) int64 {
	info, err := os.Stat(filepath.Join(dir, prepare.MembersFile))
	if err != nil {
		return -1
	}
	return info.Size()
}

func TestProcessThatPrepares(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("is run by TestKilledPreparationsComeOutTheSame")
	}
	held, err := strconv.ParseInt(os.Getenv(heldEnv), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := config(t)
	c.Declared, c.Matcher = killedPeople, lingering{c.Matcher, dir, held}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(killedPeople)), dir, c); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed with SIGKILL again and again comes to the same end, byte by byte, as
// one that nobody disturbed.
func TestKilledPreparationsComeOutTheSame(t *testing.T) {
	t.Parallel()
	dir, whole := filepath.Join(t.TempDir(), "killed"), filepath.Join(t.TempDir(), "whole")
	// run kills when there is so much of the members' file; never, if that is 0.
	run := func(dir string, kill int64) bool {
		held := int64(0)
		if kill > 0 {
			held = kill + 230_000 // one chunk more than it is killed for
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessThatPrepares$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir, heldEnv+"="+strconv.FormatInt(held, 10))
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
				if kill > 0 && membersSize(dir) >= kill {
					_ = cmd.Process.Kill()
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	kills := 0
	for range 5 {
		if run(dir, membersSize(dir)+2+rand.Int64N(300_000)) { // a chunk has about 230,000 bytes
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
	if _, err := os.Stat(filepath.Join(dir, prepare.ManifestFile)); err != nil {
		run(dir, 0)
	}
	run(whole, 0)
	for _, name := range []string{prepare.MembersFile, prepare.RowsFile} {
		a, b := must(os.ReadFile(filepath.Join(dir, name)))(t), must(os.ReadFile(filepath.Join(whole, name)))(t)
		if !bytes.Equal(a, b) {
			t.Errorf("%s came out otherwise after %d kills", name, kills)
		}
	}
}
