// Package browsertest drives a headless Chromium for tests of pages: over the two pipes
// of its debugging protocol, without a library and without a port.
package browsertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every step. A busy machine is not a broken page.
const patience = 3 * time.Minute

// names are the programs that will do, in the order of search. The environment's
// MAHREM_CHROMIUM goes before them.
var names = []string{
	"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
	"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
}

// find returns the program, or "".
func find() string {
	if named := os.Getenv("MAHREM_CHROMIUM"); named != "" {
		return named
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Browser is one running Chromium. It ends with the test.
type Browser struct {
	pipe *os.File // commands

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	tabs    map[string]*Tab // by session
	gone    error
}

type reply struct {
	result json.RawMessage
	err    error
}

type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts a browser. Where there is none the test is skipped, except in continuous
// integration (CI is set): there it fails.
func Start(tb testing.TB) *Browser {
	tb.Helper()
	program := find()
	if program == "" {
		say := "no Chromium on this machine: run scripts/ensure-chromium, or set MAHREM_CHROMIUM"
		if os.Getenv("CI") != "" {
			tb.Fatal(say)
		}
		tb.Skip(say)
	}
	b, err := start(tb, program)
	if err != nil {
		tb.Fatalf("starting %s: %v", program, err)
	}
	return b
}

func start(tb testing.TB, program string) (*Browser, error) {
	// Not a directory of the test: the browser's children may still write while it is removed.
	profile, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return nil, err
	}
	commandsOut, commandsIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answersOut, answersIn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--lang=en-US",
		"--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
	}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has no sandbox for root
	}
	cmd := exec.Command(program, append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{commandsOut, answersIn} // 3 and 4, as the protocol has it
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = commandsOut.Close()
	_ = answersIn.Close()
	b := &Browser{pipe: commandsIn, waiting: map[int]chan reply{}, tabs: map[string]*Tab{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(answersOut)
	}()
	tb.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = commandsIn.Close()
		_ = answersOut.Close()
		<-read
		_ = os.RemoveAll(profile)
	})
	return b, nil
}

// read hands out what the browser says, until it says no more.
func (b *Browser) read(from *os.File) {
	lines := bufio.NewReader(from)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.gone = errors.New("the browser is gone")
			for _, waiting := range b.waiting {
				waiting <- reply{err: b.gone}
			}
			b.waiting = map[int]chan reply{}
			b.mu.Unlock()
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		waiting, tab := b.waiting[m.ID], b.tabs[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case waiting != nil && m.Error != nil:
			waiting <- reply{err: errors.New(m.Error.Message)}
		case waiting != nil:
			waiting <- reply{result: m.Result}
		case tab != nil && m.Method != "":
			tab.note(m.Method, m.Params)
		}
	}
}

// call sends a command and decodes what comes back into result, which may be nil.
func (b *Browser) call(session, method string, params, result any) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.next++
	m, answer := message{ID: b.next, Session: session, Method: method, Params: encoded}, make(chan reply, 1)
	if err = b.gone; err == nil {
		b.waiting[m.ID] = answer
		line, _ := json.Marshal(m)
		_, err = b.pipe.Write(append(line, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case got := <-answer:
		if got.err != nil {
			return fmt.Errorf("%s: %w", method, got.err)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(got.result, result)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// URL is where a browser finds a file of this machine.
func URL(tb testing.TB, path string) string {
	tb.Helper()
	absolute, err := filepath.Abs(path)
	if err != nil {
		tb.Fatal(err)
	}
	return "file://" + strings.ReplaceAll(filepath.ToSlash(absolute), " ", "%20")
}
