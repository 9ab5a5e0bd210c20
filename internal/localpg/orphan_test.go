package localpg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/localpg"
)

// childMode says what this binary does when a test has started it again.
const childMode = "MAHREM_LOCALPG_CHILD"

func TestMain(m *testing.M) {
	switch argument := os.Getenv("MAHREM_LOCALPG_ARGUMENT"); os.Getenv(childMode) {
	case "serve":
		// Runs a server until it is killed.
		s, err := localpg.Start(context.Background(), localpg.Config{Dir: argument, SharedBuffers: 16})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Printf("%d %s %s\n", s.PID(), s.Dir(), s.URL())
		_, _ = io.Copy(io.Discard, os.Stdin)
		select {}
	case "connect":
		conn, err := pgx.Connect(context.Background(), argument)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println("connected")
		_ = conn.Close(context.Background())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts this binary again in another mode.
func child(t *testing.T, mode, argument string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), childMode+"="+mode, "MAHREM_LOCALPG_ARGUMENT="+argument)
	return cmd
}

// TestNothingIsLeftOfAKilledParent kills a process that runs a server, and looks for the
// server.
func TestNothingIsLeftOfAKilledParent(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		for _, temporary := range []bool{false, true} {
			if temporary && signal != syscall.SIGKILL {
				continue // The way is the same.
			}
			t.Run(fmt.Sprintf("%v, temporary %t", signal, temporary), func(t *testing.T) {
				t.Parallel()
				dir := ""
				if !temporary {
					dir = newDir(t)
				}
				cmd := child(t, "serve", dir)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cmd.StdinPipe(); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(out).ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				var pid int
				var where, url string
				if _, err := fmt.Sscan(line, &pid, &where, &url); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				mustQuery(t, url, `create table kept (answer text); insert into kept values ('yes'); select ''`)
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait()
				if temporary {
					waitUntil(t, where+" is removed", func() bool {
						_, err := os.Stat(where)
						return errors.Is(err, os.ErrNotExist)
					})
					waitUntil(t, "server ends", func() bool { return !isPostgres(pid) })
					return
				}
				// A start at once must wait for the old server, and find everything there.
				s := mustStart(t, dir)
				if got := mustQuery(t, s.URL(), `select answer from kept`); got != "yes" {
					t.Errorf("got %q, want yes", got)
				}
				if isPostgres(pid) {
					t.Errorf("process %d still runs", pid)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(log), "automatic recovery in progress") {
					t.Errorf("the server was cut down instead of stopping in order:\n%s", log)
				}
			})
		}
	}
}

// isPostgres reports whether the process runs and is a server: its number may have gone
// to another.
func isPostgres(pid int) bool {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		if _, statErr := os.Stat("/proc/self/comm"); statErr != nil {
			return syscall.Kill(pid, 0) == nil
		}
		return false
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.TrimSpace(string(comm)) == "postgres" && !strings.Contains(string(stat), ") Z ")
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("waited in vain until %s", what)
}

// asNobody makes the command run as the account "nobody", from a copy of this binary that
// the account can read.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can step down to another account; run these tests as root to have this one")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(`there is no account "nobody" to step down to`)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "localpg.test")
	// A child that another test forks while the file is open for writing would keep it so
	// for a moment, and a file that is open for writing cannot be executed.
	syscall.ForkLock.RLock()
	err = os.WriteFile(cmd.Path, program, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// TestAsAnOrdinaryUser runs this file's and its neighbours' tests again without root.
func TestAsAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^(TestStart|TestNothing)/killed")
	cmd.Env = append(os.Environ(), "TMPDIR=/tmp", "HOME=/nonexistent")
	asNobody(t, cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestStartKeepsWhatWasCommitted") {
		t.Errorf("no test has run:\n%s", out)
	}
}

// TestOthersCannotConnect: the server is for the account that Mahrem runs as.
func TestOthersCannotConnect(t *testing.T) {
	t.Parallel()
	s := mustStart(t, newDir(t))
	cmd := child(t, "connect", s.URL())
	asNobody(t, cmd)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("got %q, %v, want permission denied", out, err)
	}
	out, err := child(t, "connect", s.URL()).CombinedOutput()
	if err != nil {
		t.Errorf("our own account cannot connect either: %v %s", err, out)
	}
}
