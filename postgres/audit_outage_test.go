package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// trouble is what happens between the log and its database.
type trouble int

const (
	passing   trouble = iota
	stopped           // connections break and new ones are refused
	hanging           // connections stay and nothing passes any more
	deafening         // what is asked arrives, what is answered is lost
)

// line is a connection to the database that can be troubled.
type line struct {
	t               *testing.T
	network, target string
	listener        net.Listener
	mu              sync.Mutex
	changed         *sync.Cond
	state           trouble
	conns           map[net.Conn]bool
}

// newLine returns a line to the database and the URL that goes through it.
func newLine(t *testing.T, database *pgtest.Database) (*line, string) {
	t.Helper()
	config, err := pgx.ParseConfig(database.URL())
	if err != nil {
		t.Fatal(err)
	}
	if config.TLSConfig != nil {
		t.Skip("the database is reached over TLS")
	}
	l := &line{t: t, network: "tcp", target: fmt.Sprintf("%s:%d", config.Host, config.Port), conns: map[net.Conn]bool{}}
	if strings.HasPrefix(config.Host, "/") {
		l.network, l.target = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	l.changed = sync.NewCond(&l.mu)
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.set(stopped)
	})
	go l.accept()
	secret := config.User
	if config.Password != "" {
		secret += ":" + config.Password
	}
	return l, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", secret, l.listener.Addr(), config.Database)
}

func (l *line) set(state trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	l.changed.Broadcast()
	if state == stopped {
		for conn := range l.conns {
			_ = conn.Close()
		}
		clear(l.conns)
	}
}

func (l *line) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(l.network, l.target)
		l.mu.Lock()
		if err != nil || l.state == stopped {
			l.mu.Unlock()
			_ = client.Close()
			continue
		}
		l.conns[client], l.conns[server] = true, true
		l.mu.Unlock()
		go l.carry(server, client, true)
		go l.carry(client, server, false)
	}
}

func (l *line) carry(to, from net.Conn, asking bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		for l.state == hanging {
			l.changed.Wait()
		}
		lost := l.state == deafening && !asking
		l.mu.Unlock()
		if lost {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// shortDeadline is one that tests can wait for. Until something is wrong a log has minutes: a
// healthy database may be slow on a machine that runs many tests at once.
const shortDeadline = 3 * time.Second

// newLogOnLine has a log whose line can be troubled, and a database handle that is not.
func newLogOnLine(t *testing.T) (*AuditLog, *line, *DB) {
	t.Helper()
	direct, database := newDB(t)
	troubled, url := newLine(t, database)
	db, err := Open(t.Context(), Config{URL: url, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		troubled.set(stopped) // lest connections be waited for
		db.Close()
	})
	config := auditConfig()
	config.Deadline = 5 * time.Minute
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	return newAuditLog(t, db, config), troubled, direct
}

// TestOutageIsAnsweredAndEnds stops or hangs the database under callers of both ways
// in: each is told within the deadline, nothing is told twice, and when the database is
// back the log goes on by itself, without a gap.
func TestOutageIsAnsweredAndEnds(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]trouble{"stopped": stopped, "hanging": hanging} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, troubled, direct := newLogOnLine(t)
			unchanged := func(context.Context, pgx.Tx) error { return nil }
			appendOnce := func(tx bool) error {
				ctx, cancel := context.WithTimeout(t.Context(), l.config.Deadline)
				defer cancel()
				start := time.Now()
				var err error
				if tx {
					_, err = l.AppendTx(ctx, denied(), unchanged)
				} else {
					_, err = l.Append(ctx, denied())
				}
				// AppendTx waits for a connection, a turn and a flush, each bounded.
				if took := time.Since(start); took > 4*l.config.Deadline+time.Minute {
					t.Errorf("took %v to fail", took)
				}
				return err
			}
			for _, tx := range []bool{false, true} {
				if err := appendOnce(tx); err != nil {
					t.Fatal(err)
				}
			}
			l.config.Deadline = shortDeadline
			troubled.set(state)
			var callers sync.WaitGroup
			for caller := range 8 {
				callers.Go(func() {
					for range 2 {
						if err := appendOnce(caller%2 == 0); !errors.Is(err, privacy.ErrUnavailable) {
							t.Errorf("during the outage: %v", err)
						}
					}
				})
			}
			callers.Wait()
			if state == hanging {
				troubled.set(stopped) // a hanging server comes back with new connections
			}
			troubled.set(passing)
			for _, tx := range []bool{false, true} {
				err := errors.New("not tried")
				for until := time.Now().Add(5 * time.Minute); err != nil && time.Now().Before(until); {
					err = appendOnce(tx)
				}
				if err != nil {
					t.Errorf("after the outage: %v", err)
				}
			}
			report, err := newAuditLog(t, direct, auditConfig()).Verify(t.Context(), nil)
			if err != nil || !report.Whole() || report.Size < 4 {
				t.Errorf("log after the outage: %+v, %v", report, err)
			}
		})
	}
}

// TestLostAnswerIsFoundOut commits a batch and loses the answer: the caller still gets
// the receipt, and the entry is there once.
func TestLostAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	l, troubled, direct := newLogOnLine(t)
	if _, err := l.Append(t.Context(), denied()); err != nil {
		t.Fatal(err)
	}
	troubled.set(deafening)
	type outcome struct {
		receipt audit.Receipt
		err     error
	}
	done := make(chan outcome)
	go func() {
		r, err := l.Append(context.Background(), denied())
		done <- outcome{r, err}
	}()
	for size := uint64(0); size < 2; {
		var err error
		if size, _, err = readHead(t.Context(), direct.pool); err != nil {
			t.Fatal(err)
		}
	}
	troubled.set(stopped)
	troubled.set(passing)
	if o := <-done; o.err != nil || o.receipt.Index() != 1 {
		t.Errorf("got index %d, %v", o.receipt.Index(), o.err)
	}
	if size, _, err := readHead(t.Context(), direct.pool); err != nil || size != 2 {
		t.Errorf("log has %d entries, %v, want 2", size, err)
	}
}

// TestLockThatIsNeverGranted: somebody sits on the log's lock.
func TestLockThatIsNeverGranted(t *testing.T) {
	t.Parallel()
	l, _, direct := newLogOnLine(t)
	tx, err := direct.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Who sits there would be ended after 30 s, and the lock be free.
	if _, err := tx.Exec(t.Context(), `set local idle_in_transaction_session_timeout = 0; select audit.claim_head()`); err != nil {
		t.Fatal(err)
	}
	l.config.Deadline = shortDeadline
	start := time.Now()
	if _, err := l.Append(t.Context(), denied()); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 2*time.Minute { // a machine that runs tests may be slow
		t.Errorf("took %v", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(5 * time.Minute); ; {
		if _, err = l.Append(t.Context(), denied()); err == nil || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		t.Errorf("after the lock was free: %v", err)
	}
}

// TestAlarmIsRaisedOnceAndEnds: the first entry that cannot be written raises the alarm,
// each is counted, and the first one that can ends it.
func TestAlarmIsRaisedOnceAndEnds(t *testing.T) {
	t.Parallel()
	l, troubled, _ := newLogOnLine(t)
	var said strings.Builder
	l.config.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo}))
	unchanged := func(context.Context, pgx.Tx) error { return nil }
	if _, err := l.AppendTx(t.Context(), denied(), unchanged); err != nil {
		t.Fatal(err)
	}
	// What a change does wrong is nobody's alarm.
	errRefused := errors.New("changed my mind")
	if _, err := l.AppendTx(t.Context(), denied(), func(context.Context, pgx.Tx) error { return errRefused }); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	if s := l.Status(); !s.Writable || s.Failures != 0 || s.Queue == 0 {
		t.Fatalf("before: %+v", s)
	}
	l.config.Deadline = shortDeadline
	troubled.set(stopped)
	for range 2 {
		if _, err := l.Append(t.Context(), denied()); !errors.Is(err, privacy.ErrUnavailable) {
			t.Fatalf("appended: %v", err)
		}
		if _, err := l.AppendTx(t.Context(), denied(), unchanged); !errors.Is(err, privacy.ErrUnavailable) {
			t.Fatalf("changed: %v", err)
		}
	}
	if s := l.Status(); s.Writable || s.Failures != 4 {
		t.Errorf("during: %+v", s)
	}
	troubled.set(passing)
	for until := time.Now().Add(5 * time.Minute); !l.Status().Writable && time.Now().Before(until); {
		_, _ = l.AppendTx(t.Context(), denied(), unchanged)
	}
	if !l.Status().Writable {
		t.Error("the alarm did not end")
	}
	if cannot, can := strings.Count(said.String(), "cannot be written"), strings.Count(said.String(), "can be written again"); cannot != 1 || can != 1 {
		t.Errorf("said:\n%s", &said)
	}
}

// TestQueueThatIsFullMakesCallersWait: more callers than the queue holds are all served,
// and while nothing is committed no more than that wait inside it.
func TestQueueThatIsFullMakesCallersWait(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	config := auditConfig()
	config.Queue, config.MaxBatch = 4, 4
	l := newAuditLog(t, db, config)
	<-l.turn // nothing is committed
	var mu sync.Mutex
	var receipts []audit.Receipt
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			r, err := l.Append(t.Context(), denied())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			receipts = append(receipts, r)
			mu.Unlock()
		})
	}
	// As soon as it is full the batch may take some out of it, before others come.
	s := l.Status()
	for ; s.Waiting < 4; s = l.Status() {
		time.Sleep(time.Millisecond)
	}
	if s.Waiting != 4 || s.Queue != 4 {
		t.Errorf("%+v", s)
	}
	l.giveTurn()
	callers.Wait()
	checkLog(t, db, receipts)
}
