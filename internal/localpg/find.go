package localpg

import (
	"errors"
	"fmt"
	"os"
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
	// Major is their major version, zero when the directory does not tell it.
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
		if p.Major == major || p.Major == 0 {
			return p, nil
		}
	}
	return Programs{}, fmt.Errorf("data directory was made by PostgreSQL %d, and only %d is here (%s): %w; %s",
		major, all[0].Major, all[0].Dir, ErrNoPrograms, installHint(major))
}

func findAll() ([]Programs, error) {
	if dir := os.Getenv("MAHREM_PG_BIN"); dir != "" {
		p, missing := inspect(dir)
		if missing != "" {
			return nil, fmt.Errorf("MAHREM_PG_BIN=%s holds no %s: %w", dir, missing, ErrNoPrograms)
		}
		return []Programs{p}, nil
	}
	var found []Programs
	for _, dir := range candidates() {
		p, missing := inspect(dir)
		if missing != "" || p.Major != 0 && p.Major < OldestMajor {
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
	slices.SortStableFunc(versioned, func(a, b string) int { return majorOf(b) - majorOf(a) })
	return append(dirs, versioned...)
}

// inspect says what of the needed programs a directory lacks. Links are followed, so that
// a directory of links into an installation counts as that installation: postgres finds
// its libraries beside the real file.
func inspect(dir string) (p Programs, missing string) {
	var home string
	for _, name := range needed {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if err != nil {
			return Programs{}, name
		}
		info, err := os.Stat(real)
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 || filepath.Base(real) != name {
			return Programs{}, name
		}
		if home != "" && filepath.Dir(real) != home {
			return Programs{}, name
		}
		home = filepath.Dir(real)
	}
	return Programs{Dir: home, Major: majorOf(home)}, ""
}

// majorOf reads the version out of the path of a directory: the last number between 9
// and 99 that is a whole part of it.
func majorOf(dir string) int {
	parts := strings.FieldsFunc(dir, func(r rune) bool { return r == '/' || r == '@' || r == '-' || r == '.' })
	for _, part := range slices.Backward(parts) {
		if n, err := strconv.Atoi(part); err == nil && n >= 9 && n <= 99 {
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
