package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running postmaster.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done

	// owner keeps the Server's files open for as long as the process runs, even if nobody
	// else remembers it: a collected lock file is an open lock, and the watchdog takes the
	// end of its pipe for the end of us.
	owner *Server
}

// environment is all that PostgreSQL gets to see of ours. There are secrets in there.
func environment() []string {
	return []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"}
}

// attributes start a program as the account, apart from our terminal and its signals: a
// Ctrl-C is for us, and we stop the server when we are done with it.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// startProcess starts the server. The kernel's promise to signal it when its
// parent dies is about the parent's thread, not its process, and the Go runtime ends
// threads as it pleases: so the thread stays locked until the server has ended.
func startProcess(s *Server, log *os.File) (*process, error) {
	p := &process{done: make(chan struct{}), owner: s}
	path := s.programs.Path("postgres")
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		cmd := exec.Command(path, s.arguments()...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.layout.data, environment(), log, log
		cmd.SysProcAttr = s.account.attributes()
		dieWithParent(cmd.SysProcAttr)
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("starting %s: %w", path, err)
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop ends the server: by a fast shutdown, and if that takes longer than timeout, by an
// immediate one, from which the next start recovers.
func (p *process) stop(timeout time.Duration) error {
	if !p.signal(syscall.SIGINT) {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
	}
	p.signal(syscall.SIGQUIT)
	select {
	case <-p.done:
		return fmt.Errorf("server did not stop within %s and was made to; the next start recovers", timeout)
	case <-time.After(time.Minute):
		return fmt.Errorf("server (process %d) does not stop", p.pid)
	}
}

// signal reports whether the server still ran to get it.
func (p *process) signal(sig syscall.Signal) bool {
	select {
	case <-p.done:
		return false
	default:
		err := syscall.Kill(p.pid, sig)
		return err == nil || !errors.Is(err, syscall.ESRCH)
	}
}
