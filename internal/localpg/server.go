package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Roles and database that every server made here has.
const (
	// AdminRole is the superuser that made the cluster.
	AdminRole = "postgres"
	// OwnerRole owns the database and runs the migrations.
	OwnerRole = "mahrem_owner"
	// AppRole is what a running Mahrem may be; see the migrations.
	AppRole = "mahrem_app"
	// SignerRole is what signs checkpoints of the log as a process of its own.
	SignerRole = "mahrem_signer"
	// DatabaseName is the database that holds everything.
	DatabaseName = "mahrem"
)

// Config says where and how to run the server. The zero value runs one in a temporary
// directory that is removed when the server stops.
type Config struct {
	// Dir holds the data directory and what belongs to it. It is made if it does not
	// exist. Empty means a new temporary directory.
	Dir string
	// MaxConnections bounds the connections; zero means 100.
	MaxConnections int
	// SharedBuffers is PostgreSQL's own cache in MiB; zero means 128.
	SharedBuffers int
	// StopTimeout is how long Close waits for an orderly stop; zero means 30 seconds.
	StopTimeout time.Duration

	// throwaway gives up durability, for tests only: see StartThrowaway.
	throwaway bool
}

// Server is a running PostgreSQL.
type Server struct {
	programs  Programs
	account   account
	layout    layout
	config    Config
	lock      *os.File
	temporary bool
	process   *process
	watchdog  *watchdog
	closing   sync.Once
	closeErr  error
}

// Start starts the server and returns when it answers queries and has its roles and its
// database. A directory that another process is using is refused, with that process's
// id. A server that was killed, or a machine that lost power, is recovered from here.
func Start(ctx context.Context, config Config) (*Server, error) {
	if config.MaxConnections == 0 {
		config.MaxConnections = 100
	}
	if config.SharedBuffers == 0 {
		config.SharedBuffers = 128
	}
	if config.StopTimeout == 0 {
		config.StopTimeout = 30 * time.Second
	}
	s := &Server{config: config}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: %w", err), s.Close())
	}
	return s, nil
}

// StartThrowaway starts a server in a temporary directory with fsync off: much faster to
// make, and worthless after a crash. It is for tests, and a test sees to that. As many of them
// as there are processors run at once, each with its pools, so it lets that many more in: on a
// machine with sixteen, a hundred connections are too few.
func StartThrowaway(ctx context.Context) (*Server, error) {
	return Start(ctx, Config{
		MaxConnections: max(200, 50*runtime.GOMAXPROCS(0)), SharedBuffers: 32, StopTimeout: time.Minute, throwaway: true,
	})
}

func (s *Server) start(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	log, err := openLog(s.layout.log)
	if err != nil {
		return fmt.Errorf("opening server log: %w", err)
	}
	defer log.Close()
	s.process, err = startProcess(s, log)
	if err != nil {
		return err
	}
	if s.temporary || !kernelWatches {
		remove := ""
		if s.temporary {
			remove = s.layout.dir
		}
		if s.watchdog, err = startWatchdog(s.process.pid, s.layout.data, remove); err != nil {
			return err
		}
	}
	if err := s.waitUntilReady(ctx); err != nil {
		return err
	}
	return s.bootstrap(ctx)
}

// arguments are the settings that a data directory cannot overrule.
func (s *Server) arguments() []string {
	settings := []string{
		"listen_addresses=",
		"port=5432",
		"unix_socket_directories=" + s.layout.socket,
		"unix_socket_permissions=0700",
		"hba_file=" + s.layout.hba,
		"ident_file=" + s.layout.ident,
		fmt.Sprintf("max_connections=%d", s.config.MaxConnections),
		fmt.Sprintf("shared_buffers=%dMB", s.config.SharedBuffers),
		"jit=off", // compiling a statement takes longer than any of ours runs
		"timezone=UTC",
		"log_timezone=UTC",
		"logging_collector=off",
		"log_destination=stderr",
		// Details and statements of an error may hold values; the log must not.
		"log_error_verbosity=terse",
		"log_min_error_statement=panic",
		"log_statement=none",
	}
	if s.config.throwaway {
		settings = append(settings, "fsync=off", "full_page_writes=off", "autovacuum=off", "max_wal_size=256MB")
	} else {
		// Fewer checkpoints than the defaults' write fewer full pages while much is loaded; the
		// price is a recovery of some seconds.
		settings = append(settings, "fsync=on", "full_page_writes=on", "synchronous_commit=on",
			"max_wal_size=1GB", "checkpoint_timeout=15min")
	}
	args := []string{"-D", s.layout.data}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// URL connects to the database as its owner.
func (s *Server) URL() string { return s.url(OwnerRole, DatabaseName) }

// AppURL connects to the database as mahrem_app.
func (s *Server) AppURL() string { return s.url(AppRole, DatabaseName) }

// AdminURL connects to any database of the cluster as its superuser.
func (s *Server) AdminURL(database string) string { return s.url(AdminRole, database) }

func (s *Server) url(role, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(role), Path: "/" + database,
		RawQuery: url.Values{"host": {s.layout.socket}, "port": {"5432"}}.Encode(),
	}
	return u.String()
}

// Programs returns the server programs in use.
func (s *Server) Programs() Programs { return s.programs }

// PID is the process id of the server.
func (s *Server) PID() int { return s.process.pid }

// Dir is where everything of the server lies.
func (s *Server) Dir() string { return s.layout.dir }

// Done is closed when the server has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Close stops the server in its orderly way: connections are cut, nothing that was
// committed is lost. Later calls return what the first one did.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Server) close() error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.process.stop(s.config.StopTimeout))
	}
	if s.watchdog != nil {
		errs = append(errs, s.watchdog.dismiss())
	}
	// Without the lock the socket is somebody else's.
	if s.lock != nil && s.layout.socket != "" {
		removeSocketDir(s.layout)
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.layout.dir))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	return nil
}

// openLog opens the server's log for appending. One that has grown large is moved aside
// first, so that at most two are kept.
func openLog(path string) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && info.Size() > 8<<20 {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
}

// logTail returns the last lines of the server's log, for an error message.
func (s *Server) logTail() string {
	b, err := os.ReadFile(s.layout.log)
	if err != nil {
		return ""
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return "\nlast lines of " + filepath.Base(s.layout.log) + ":\n" + string(b)
}
