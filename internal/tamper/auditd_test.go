package tamper

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// auditd is the real signer as a process of its own, and what was seen of its memory.
type auditd struct {
	*shop
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	ended  chan struct{} // the process has

	watching sync.WaitGroup
	gone     chan struct{} // nobody watches any more

	mu    sync.Mutex
	notes [][]byte // what it kept, in the order in which it was seen
	last  audit.Checkpoint
}

// appoint has the log signed by another process with another key, as docs/operations.md says,
// and takes the right to sign from the servers.
func (s *shop) appoint() *auditd {
	s.t.Helper()
	s.run("auditd", "init")
	s.logKey = filepath.Join(s.home(), "auditd", "log.vkey")
	s.exec(`revoke insert on audit.checkpoint, audit.cosignature from mahrem_app`)
	a := &auditd{shop: s, gone: make(chan struct{})}
	a.begin()
	a.watching.Go(a.watch)
	return a
}

func (a *auditd) begin() {
	a.t.Helper()
	a.cmd, a.stderr, a.ended = a.mahrem("auditd"), &bytes.Buffer{}, make(chan struct{})
	a.cmd.Stderr = a.stderr
	if _, err := a.cmd.StdinPipe(); err != nil { // closed when this process ends
		a.t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(a.cmd, a.ended)
}

// kill kills it and starts it again, as whatever supervises it does.
func (a *auditd) kill() {
	a.t.Helper()
	a.stop()
	a.begin()
}

func (a *auditd) stop() {
	a.t.Helper()
	kill9(a.cmd.Process.Pid)
	<-a.ended
	if a.cmd.ProcessState.Exited() {
		a.t.Errorf("mahrem auditd ended by itself: %s", a.stderr.String())
	}
}

func (a *auditd) dismiss() {
	select {
	case <-a.gone:
		return
	default:
	}
	a.stop()
	close(a.gone)
	a.watching.Wait()
	a.look()
}

// watch takes down every checkpoint that it keeps. A file is kept at once or not at all.
func (a *auditd) watch() {
	for {
		a.look()
		select {
		case <-a.gone:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *auditd) look() {
	note, err := os.ReadFile(filepath.Join(a.home(), "auditd", "last-checkpoint"))
	if os.IsNotExist(err) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.notes) > 0 && bytes.Equal(a.notes[len(a.notes)-1], note) {
		return
	}
	text, _, _ := strings.Cut(string(note), "\n\n")
	checkpoint, parseErr := audit.ParseCheckpoint(text + "\n")
	if err != nil || parseErr != nil {
		a.t.Errorf("memory of auditd: %v, %v", err, parseErr)
		return
	}
	if checkpoint.Size < a.last.Size || checkpoint.Size == a.last.Size && checkpoint.Root != a.last.Root {
		a.t.Errorf("auditd signed size %d, root %v after size %d, root %v", checkpoint.Size, checkpoint.Root, a.last.Size, a.last.Root)
	}
	a.notes, a.last = append(a.notes, note), checkpoint
}

// size is that of what it signed last.
func (a *auditd) size() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last.Size
}

// awaitBeyond waits until it has signed more than so much: the log grows all the time.
func (a *auditd) awaitBeyond(size uint64) {
	a.t.Helper()
	for until := time.Now().Add(patience); a.size() <= size; time.Sleep(10 * time.Millisecond) {
		select {
		case <-a.ended:
			a.t.Fatalf("mahrem auditd ended by itself: %s", a.stderr.String())
		default:
		}
		if time.Now().After(until) {
			a.t.Fatalf("mahrem auditd does not sign beyond %d entries", size)
		}
	}
}

// kept writes what it kept into files, and returns the arguments that have the log compared
// with each of them.
func (a *auditd) kept() (arguments []string) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, note := range a.notes {
		path := filepath.Join(a.dir, fmt.Sprintf("kept-%d", i))
		if err := os.WriteFile(path, note, 0o600); err != nil {
			a.t.Fatal(err)
		}
		arguments = append(arguments, "--kept", path)
	}
	if len(a.notes) < 2 {
		a.t.Error("auditd signed next to nothing")
	}
	return arguments
}
