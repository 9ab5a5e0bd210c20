package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrInUse means that another process runs a server in the same directory.
var ErrInUse = errors.New("directory in use")

// layout is where the parts lie. The directory itself and all but data and socket belong
// to us and not to the account that PostgreSQL runs as: nothing that a root Mahrem
// writes to can be a link that the account has planted.
type layout struct {
	dir, data, socket, hba, ident, log, lock, socketNote string
}

func layoutIn(dir string) layout {
	in := func(name string) string { return filepath.Join(dir, name) }
	return layout{
		dir: dir, data: in("data"), socket: in("s"), hba: in("pg_hba.conf"), ident: in("pg_ident.conf"),
		log: in("postgres.log"), lock: in("mahrem.lock"), socketNote: in("socket_directory"),
	}
}

// prepare brings the directory to where the server can be started in it.
func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.programs, err = FindPrograms(); err != nil {
		return err
	}
	if s.config.Dir == "" {
		s.temporary = true
		if s.layout, s.account, err = temporaryLayout(); err != nil {
			return err
		}
	} else {
		dir, err := filepath.Abs(s.config.Dir)
		if err != nil {
			return err
		}
		s.layout = layoutIn(dir)
		if s.account, err = serverAccount(s.layout.data); err != nil {
			return err
		}
		if err := claimDir(s.layout); err != nil {
			return err
		}
	}
	mode := os.FileMode(0o700)
	if s.account.drop {
		mode = 0o711
	}
	if err := os.Chmod(s.layout.dir, mode); err != nil {
		return fmt.Errorf("closing directory to others: %w", err)
	}
	if err := s.account.canReach(s.layout.data); err != nil {
		return err
	}
	if s.lock, err = takeLock(s.layout.lock); err != nil {
		return err
	}
	if err := waitForPredecessor(ctx, s.layout.data); err != nil {
		return err
	}
	if err := s.ensureData(ctx); err != nil {
		return err
	}
	if err := s.writeAccess(); err != nil {
		return err
	}
	return s.makeSocketDir()
}

// claimDir makes the directory, or sees that it is empty or was made here. Anything else
// is somebody's, and must not have its mode changed and files put into it.
func claimDir(l layout) error {
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return fmt.Errorf("making directory: %w", err)
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("reading directory: %w", err)
	}
	if len(entries) > 0 && !exists(l.lock) {
		return fmt.Errorf("%s is neither empty nor a database of Mahrem; choose another directory", l.dir)
	}
	return nil
}

// temporaryLayout makes a directory for a server that leaves nothing behind, where the
// server's account can reach it: TMPDIR may be private to us.
func temporaryLayout() (layout, account, error) {
	account, err := serverAccount("")
	if err != nil {
		return layout{}, account, err
	}
	parent := os.TempDir()
	if account.canReach(filepath.Join(parent, "x")) != nil {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "mahrem-pg-")
	if err != nil {
		return layout{}, account, fmt.Errorf("making temporary directory: %w", err)
	}
	return layoutIn(dir), account, nil
}

// takeLock makes this process the only one that works in the directory. The kernel frees
// the lock when the process ends, however it ends.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		holder := make([]byte, 20)
		n, _ := f.ReadAt(holder, 0)
		return nil, fmt.Errorf("%s is in use by process %s: %w",
			filepath.Dir(path), strings.TrimSpace(string(holder[:n])), ErrInUse)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing lock file: %w", err)
	}
	return f, nil
}

// ensureData makes the data directory if there is none. It is made under another name
// first: initdb writes PG_VERSION early, and half a cluster must not pass for one.
func (s *Server) ensureData(ctx context.Context) error {
	version, err := os.ReadFile(filepath.Join(s.layout.data, "PG_VERSION"))
	if err == nil {
		major, err := strconv.Atoi(strings.TrimSpace(string(version)))
		if err != nil {
			return fmt.Errorf("reading version of data directory: %w", err)
		}
		s.programs, err = findMajor(major)
		return err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading version of data directory: %w", err)
	}
	fresh := s.layout.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("removing what an interrupted start left: %w", err)
	}
	if err := s.account.mkdir(fresh); err != nil {
		return fmt.Errorf("making data directory: %w", err)
	}
	args := []string{
		"--pgdata=" + fresh, "--username=" + AdminRole, "--auth-local=peer", "--auth-host=reject",
		"--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions",
	}
	if s.config.throwaway {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, s.programs.Path("initdb"), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = fresh, environment(), s.account.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making data directory with %s: %w\n%s", cmd.Path, err, bytes.TrimSpace(out))
	}
	if err := os.Rename(fresh, s.layout.data); err != nil {
		return fmt.Errorf("moving data directory into place: %w", err)
	}
	return syncDir(s.layout.dir)
}

// writeAccess says who may connect: the account that we run as, to the four roles.
func (s *Server) writeAccess() error {
	caller, err := callerName()
	if err != nil {
		return err
	}
	var ident strings.Builder
	for _, role := range []string{AdminRole, OwnerRole, AppRole, SignerRole} {
		fmt.Fprintf(&ident, "mahrem \"%s\" %s\n", strings.ReplaceAll(caller, `"`, `""`), role)
	}
	for path, text := range map[string]string{
		s.layout.hba:   "local all all peer map=mahrem\n",
		s.layout.ident: ident.String(),
	} {
		// PostgreSQL reads them as another account than ours.
		if err := writeFile(path, text, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// longestSocket is how long the path of a Unix socket may be where it is shortest
// (macOS; Linux allows four bytes more).
const longestSocket = 103

// makeSocketDir makes the directory of the socket: beside the data, or, where that path
// is too long for a socket, under /tmp with a name that nobody can foresee.
func (s *Server) makeSocketDir() error {
	if note, err := os.ReadFile(s.layout.socketNote); err == nil {
		stale := s.layout
		stale.socket = string(note)
		removeSocketDir(stale)
	}
	removeSocketDir(s.layout)
	if len(s.layout.socket)+len("/.s.PGSQL.5432") <= longestSocket {
		if err := s.account.mkdir(s.layout.socket); err != nil {
			return fmt.Errorf("making socket directory: %w", err)
		}
		return nil
	}
	dir, err := os.MkdirTemp("/tmp", "mahrem-s-")
	if err != nil {
		return fmt.Errorf("making socket directory: %w", err)
	}
	s.layout.socket = dir
	if err := s.account.own(dir); err != nil {
		return fmt.Errorf("making socket directory: %w", err)
	}
	if err := writeFile(s.layout.socketNote, dir, 0o600); err != nil {
		return fmt.Errorf("noting socket directory: %w", err)
	}
	return nil
}

// removeSocketDir takes away what a server leaves in its socket directory when it is
// killed, and the directory. It removes nothing that it does not know.
func removeSocketDir(l layout) {
	_ = os.Remove(filepath.Join(l.socket, ".s.PGSQL.5432"))
	_ = os.Remove(filepath.Join(l.socket, ".s.PGSQL.5432.lock"))
	_ = os.Remove(l.socket)
	_ = os.Remove(l.socketNote)
}

// waitForPredecessor lets a server finish that is still stopping because its parent was
// killed, and removes the pid file of one that is gone: after a reboot its number may be
// some other process's, and PostgreSQL would not start.
func waitForPredecessor(ctx context.Context, data string) error {
	path := filepath.Join(data, "postmaster.pid")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		pid, err := readPID(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading postmaster.pid: %w", err)
		}
		running, known := isServerOf(pid, data)
		if !known {
			return nil // PostgreSQL looks for itself.
		}
		if !running {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("removing stale postmaster.pid: %w", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d still serves %s: %w", pid, data, ErrInUse)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readPID(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid < 2 {
		return 0, nil // Cut short by a crash: nobody's.
	}
	return pid, nil
}

// isServerOf reports whether the process works in the data directory, which a postmaster
// does. It is known only where there is a /proc.
func isServerOf(pid int, data string) (running, known bool) {
	if !exists("/proc/self/cwd") {
		return false, false
	}
	if pid == 0 {
		return false, true
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, os.ErrPermission) {
		return false, false
	}
	return err == nil && cwd == data, true
}

func writeFile(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
