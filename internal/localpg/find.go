package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// OldestMajor is the oldest PostgreSQL that Mahrem runs on.
const OldestMajor = 15

// ErrNoPrograms means that no PostgreSQL server programs were found on this machine. The
// text that wraps it names the command that installs them.
var ErrNoPrograms = errors.New("no PostgreSQL server programs found")

// Programs is one set of PostgreSQL server programs, all from the same directory.
type Programs struct {
	// Dir is the directory that holds initdb and postgres.
	Dir string
	// Major is their major version.
	Major int
}

// Path returns where the named program of the set is. It need not exist: a server
// without its clients has no pg_dump.
func (p Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// needed are the programs without which a directory is passed over: on Debian, /usr/bin
// holds wrappers for some, which need a cluster of their own kind.
var needed = []string{"initdb", "postgres", "pg_ctl"}

// FindPrograms looks in MAHREM_PG_BIN (there alone, when it is set), in PATH, where
// Debian keeps them, where the RPM packages of postgresql.org do, and in Homebrew;
// newest first.
func FindPrograms() (Programs, error) {
	all, err := findAll()
	if err != nil {
		return Programs{}, err
	}
	return all[0], nil
}

// findMajor returns the set of programs that can open a data directory of that version.
func findMajor(major int) (Programs, error) {
	all, err := findAll()
	if err != nil {
		return Programs{}, err
	}
	for _, p := range all {
		if p.Major == major {
			return p, nil
		}
	}
	return Programs{}, fmt.Errorf("data directory was made by PostgreSQL %d, and only %d is here (%s): %w; %s",
		major, all[0].Major, all[0].Dir, ErrNoPrograms, installHint(major))
}

func findAll() ([]Programs, error) {
	if dir := os.Getenv("MAHREM_PG_BIN"); dir != "" {
		p, fault := inspect(dir)
		if fault != "" {
			return nil, fmt.Errorf("MAHREM_PG_BIN=%s %s: %w", dir, fault, ErrNoPrograms)
		}
		return []Programs{p}, nil
	}
	var found []Programs
	for _, dir := range candidates() {
		p, fault := inspect(dir)
		if fault != "" {
			continue
		}
		if !slices.ContainsFunc(found, func(f Programs) bool { return f.Dir == p.Dir }) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w; %s", ErrNoPrograms, installHint(0))
	}
	return found, nil
}

// candidates lists directories to look into, best first.
func candidates() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	var versioned []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	} {
		matches, _ := filepath.Glob(pattern)
		versioned = append(versioned, matches...)
	}
	slices.SortStableFunc(versioned, func(a, b string) int { return majorIn(b) - majorIn(a) })
	return append(dirs, versioned...)
}

// inspect says what is wrong with a directory, or returns the programs in it. Links are
// followed, so that a directory of links into an installation counts as that
// installation: postgres finds its libraries beside the real file.
func inspect(dir string) (p Programs, fault string) {
	var home string
	for _, name := range needed {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil {
			return Programs{}, "holds no " + name
		}
		info, err := os.Stat(real)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || filepath.Base(real) != name {
			return Programs{}, "holds no " + name + " but a stand-in"
		}
		if home != "" && filepath.Dir(real) != home {
			return Programs{}, "links to more than one installation"
		}
		home = filepath.Dir(real)
	}
	major := askMajor(filepath.Join(home, "postgres"))
	if major < OldestMajor {
		return Programs{}, fmt.Sprintf("holds PostgreSQL %d, older than %d", major, OldestMajor)
	}
	return Programs{Dir: home, Major: major}, ""
}

// askMajor asks the server program for its version: "postgres (PostgreSQL) 15.18 …". It
// returns zero for a program that does not say.
func askMajor(postgres string) int {
	cmd := exec.Command(postgres, "--version")
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return 0
	}
	digits := fields[2]
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return major
}

// majorIn reads a version out of a path, to look at newer installations first.
func majorIn(dir string) int {
	for _, part := range strings.FieldsFunc(dir, func(r rune) bool { return r == '/' || r == '@' || r == '-' }) {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return 0
}

// installHint names the one command that helps.
func installHint(major int) string {
	version := ""
	if major != 0 {
		version = strconv.Itoa(major)
	}
	switch {
	case runtime.GOOS == "darwin" && major != 0:
		return "install them with: brew install postgresql@" + version
	case runtime.GOOS == "darwin":
		return "install them with: brew install postgresql@17"
	case exists("/usr/bin/apt-get") && major != 0:
		return "install them with: sudo apt-get install postgresql-" + version
	case exists("/usr/bin/apt-get"):
		return "install them with: sudo apt-get install postgresql"
	case exists("/usr/bin/dnf"):
		return "install them with: sudo dnf install postgresql-server postgresql-contrib"
	default:
		return "install PostgreSQL 15 or newer, or point MAHREM_PG_BIN to the directory that holds initdb and postgres"
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
