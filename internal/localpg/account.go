package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the operating system account that PostgreSQL runs as. PostgreSQL refuses to
// run as root, so a Mahrem that is root steps down for it.
type account struct {
	uid, gid int
	name     string
	// drop is whether the process must change to this account, because it is root.
	drop bool
}

// serverAccount chooses the account for a data directory: our own, or, for root, the one
// that already owns the directory's contents, "postgres", or "nobody", in this order.
func serverAccount(data string) (account, error) {
	if os.Geteuid() != 0 {
		name, err := callerName()
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: name}, err
	}
	if info, err := os.Stat(data); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
				return accountOf(u)
			}
			return account{}, fmt.Errorf("%s belongs to user %d, who is not in /etc/passwd", data, st.Uid)
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u)
		}
	}
	return account{}, errors.New(`running as root, and neither user "postgres" nor user "nobody" exists to run PostgreSQL as`)
}

func accountOf(u *user.User) (account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("reading user id of %q: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("reading group id of %q: %w", u.Username, err)
	}
	return account{uid: uid, gid: gid, name: u.Username, drop: true}, nil
}

// callerName is the name by which PostgreSQL's peer authentication will know us. A binary
// without cgo reads only /etc/passwd; the directory of a company is left to id(1).
func callerName() (string, error) {
	uid := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(uid); err == nil {
		return u.Username, nil
	}
	out, err := exec.Command("id", "-un").Output()
	if name := strings.TrimSpace(string(out)); err == nil && name != "" && name != uid {
		return name, nil
	}
	return "", fmt.Errorf("user %s has no name, which PostgreSQL needs to know who connects; add one to /etc/passwd", uid)
}

// own hands a path to the account.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// mkdir makes a directory that only the account can enter, and fails if there is
// anything of that name already.
func (a account) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return a.own(path)
}

// canReach fails, naming the directory that is in the way, if the account cannot pass
// through every parent of path. Groups beyond the first are not considered.
func (a account) canReach(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		var need os.FileMode = 0o001
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if int(st.Uid) == a.uid {
				need = 0o100
			} else if int(st.Gid) == a.gid {
				need = 0o010
			}
		}
		if info.Mode().Perm()&need == 0 {
			return fmt.Errorf("PostgreSQL runs as %q, who cannot enter %s; choose a directory elsewhere, or: chmod a+x %s", a.name, dir, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
