package localpg_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/localpg"
)

// newDir makes a directory that the server's account can enter, which t.TempDir is not
// when the tests run as root.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mahrem-localpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "postgres")
}

func mustStart(t *testing.T, dir string) *localpg.Server {
	t.Helper()
	s, err := localpg.Start(t.Context(), localpg.Config{Dir: dir, SharedBuffers: 16, MaxConnections: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(t *testing.T, url, statement string) (string, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return "", err
	}
	defer conn.Close(t.Context())
	results, err := conn.PgConn().Exec(t.Context(), statement).ReadAll()
	if err != nil || len(results) == 0 || len(results[len(results)-1].Rows) == 0 {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

func mustQuery(t *testing.T, url, statement string) string {
	t.Helper()
	text, err := query(t, url, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return text
}

func TestStartKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := mustStart(t, dir)
	for setting, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
		"listen_addresses": "", "server_encoding": "UTF8", "log_error_verbosity": "terse",
	} {
		if got := mustQuery(t, s.URL(), `select current_setting('`+setting+`')`); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	for url, want := range map[string]string{
		s.URL():                      "mahrem_owner mahrem false",
		s.AppURL():                   "mahrem_app mahrem false",
		s.AdminURL("postgres"):       "postgres postgres true",
		s.URL() + "&role=mahrem_app": "mahrem_app mahrem false",
	} {
		got := mustQuery(t, url, `select concat_ws(' ', current_user, current_database(), (select rolsuper::text from pg_roles where rolname = current_user))`)
		if got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
	mustQuery(t, s.URL(), `create table kept (answer text); insert into kept values ('yes'); select ''`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, s.URL(), `select 'x'`); err == nil {
		t.Error("server answers after Close")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if got := mustQuery(t, mustStart(t, dir).URL(), `select answer from kept`); got != "yes" {
		t.Errorf("got %q after a restart, want yes", got)
	}
}

func TestSecondStartNamesTheProcess(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	mustStart(t, dir)
	_, err := localpg.Start(t.Context(), localpg.Config{Dir: dir})
	if !errors.Is(err, localpg.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("got %v, want in use by process %d", err, os.Getpid())
	}
	// The refused start must leave the running server as it was.
	url, err := localpg.JoinURL(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, url, `select current_user::text`); got != localpg.OwnerRole {
		t.Errorf("joined as %q, want %s", got, localpg.OwnerRole)
	}
}

func TestTemporaryServerLeavesNothing(t *testing.T) {
	t.Parallel()
	s := mustStart(t, "")
	if got := mustQuery(t, s.URL(), `select current_setting('fsync')`); got != "on" {
		t.Errorf("fsync is %q", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", s.Dir(), err)
	}
}

func TestSocketOfALongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), strings.Repeat("long/", 20), "postgres")
	s := mustStart(t, dir)
	if got := mustQuery(t, s.URL(), `select 'x'`); got != "x" {
		t.Errorf("got %q", got)
	}
	socket := mustQuery(t, s.AdminURL("postgres"), `select current_setting('unix_socket_directories')`)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("socket directory %s: %v, %v, want 0700", socket, info, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", socket, err)
	}
}

func TestRecoversFromAKilledServer(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := mustStart(t, dir)
	mustQuery(t, s.URL(), `create table kept (answer text); insert into kept values ('yes'); select ''`)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(5 * time.Minute):
		t.Fatal("Done does not tell that the server has ended")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing after the server ended: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Fatalf("nothing to recover from: %v", err)
	}
	if got := mustQuery(t, mustStart(t, dir).URL(), `select answer from kept`); got != "yes" {
		t.Errorf("got %q after a crash, want yes", got)
	}
}

// TestStalePIDFile: after a reboot, the number in the file may be any process's, here
// our own.
func TestStalePIDFile(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		t.Skip("no /proc: PostgreSQL looks for itself here")
	}
	dir := newDir(t)
	if err := mustStart(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%d\n%s/data\n", os.Getpid(), dir), "1\n", "", "99999999\n"} {
		if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := mustStart(t, dir).Close(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestInterruptedInitdb: half a cluster is not taken for one.
func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	half := filepath.Join(dir, "data.new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(half, "PG_VERSION"), filepath.Join(dir, "mahrem.lock")} {
		if err := os.WriteFile(path, []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustStart(t, dir)
}

func TestRefusesAForeignDirectory(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "holiday.jpg"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.Start(t.Context(), localpg.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "neither empty") {
		t.Errorf("got %v, want a refusal", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("got %v, %v: the directory was changed", info, err)
	}
}

func TestRefusesADirectoryThatTheServerCannotEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only a root Mahrem runs its server as somebody else")
	}
	private := newDir(t)
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := localpg.Start(t.Context(), localpg.Config{Dir: filepath.Join(private, "postgres")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+private+";") {
		t.Errorf("got %v, want the name of %s", err, private)
	}
}

func TestRefusesAnUnknownVersion(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := mustStart(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := localpg.Start(t.Context(), localpg.Config{Dir: dir})
	if !errors.Is(err, localpg.ErrNoPrograms) || !strings.Contains(err.Error(), "made by PostgreSQL 9") {
		t.Errorf("got %v, want that PostgreSQL 9 is missing", err)
	}
}
