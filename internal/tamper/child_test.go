package tamper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/cli"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// childEnv makes the test binary a process that writes or signs the log until it is
// killed, by a [childOrder] in JSON.
const childEnv = "MAHREM_TEST_LOG_CHILD"

// commandEnv makes it the real command, with these arguments, one a line.
const commandEnv = "MAHREM_TEST_COMMAND"

// childOrder is what such a process does.
type childOrder struct {
	// Role is "writer" or "signer".
	Role string
	// Database is its URL.
	Database string
	// Memory is the directory in which a signer keeps what it signed last.
	Memory string
	// Appends and Changes are how many callers a writer has of each of both ways in.
	Appends, Changes int
}

// TestLogChild is the process that is killed. Run by itself it has nothing to do.
func TestLogChild(t *testing.T) {
	text, command := os.Getenv(childEnv), os.Getenv(commandEnv)
	if text == "" && command == "" {
		t.Skip("only as a process of TestKilled")
	}
	if command != "" && command != "auditd" && !strings.HasPrefix(command, "serve\n") {
		os.Exit(cli.Run(t.Context(), strings.Split(command, "\n"), strings.NewReader(""), os.Stdout, os.Stderr))
	}
	go func() { // nor does it outlive the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if command != "" {
		os.Exit(cli.Run(t.Context(), strings.Split(command, "\n"), strings.NewReader(""), os.Stdout, os.Stderr))
	}
	var order childOrder
	err := json.Unmarshal([]byte(text), &order)
	if err == nil {
		err = order.run(t.Context())
	}
	fmt.Fprintln(os.Stderr, "child:", err)
	os.Exit(1)
}

// run works until it is killed, or until something happens that must not.
func (o *childOrder) run(ctx context.Context) error {
	work := o.write
	if o.Role == "signer" {
		work = o.sign
	}
	for {
		if err := work(ctx); errors.Is(err, privacy.ErrDamaged) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // the database is being killed too
	}
}

func (o *childOrder) open(ctx context.Context, role string) (*postgres.DB, error) {
	return postgres.Open(ctx, postgres.Config{URL: o.Database, MaxConns: 24, ConnectTimeout: 2 * time.Second, Role: role})
}

const sqlChange = `insert into trial.change (nonce) values ($1)`

// write appends by both ways from many callers, and tells of each entry once it was
// acknowledged, in one write to a pipe: what was told stays told.
func (o *childOrder) write(ctx context.Context) error {
	db, err := o.open(ctx, "")
	if err != nil {
		return err
	}
	config := logConfig(nil)
	config.Deadline = 2 * time.Second // as the product's
	l, err := postgres.OpenAuditLog(ctx, db, config)
	if err != nil {
		db.Close()
		return err
	}
	fatal := make(chan error)
	caller := func(one func() (string, audit.Receipt, error)) {
		for {
			nonce, receipt, err := one()
			switch {
			case err == nil:
				hash := receipt.LeafHash()
				fmt.Printf("ack %d %x %s\n", receipt.Index(), hash[:], nonce)
				time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond)))) //nolint:gosec // a pause
			case errors.Is(err, privacy.ErrDamaged):
				fatal <- err
				return
			default:
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	for range o.Appends {
		go caller(func() (string, audit.Receipt, error) {
			// All processes pause together most of the time: a commit that waits for the disk
			// takes those with it that do not, and would hide a flush that is missing.
			for time.Now().UnixMilli()%500 > 150 {
				time.Sleep(5 * time.Millisecond)
			}
			receipt, err := l.Append(ctx, denied())
			return "-", receipt, err
		})
	}
	for range o.Changes {
		go caller(func() (string, audit.Receipt, error) {
			nonce := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) //nolint:gosec // a name
			event := denied()
			event.Kind, event.Outcome = audit.ConsentWithdrawn, audit.Done
			receipt, err := l.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, sqlChange, nonce)
				return err
			})
			return nonce, receipt, err
		})
	}
	return <-fatal
}

// sign signs all the time, with the rights of a signer and no others, and publishes each
// note after it was kept and stored.
func (o *childOrder) sign(ctx context.Context) error {
	db, err := o.open(ctx, "mahrem_signer")
	if err != nil {
		return err
	}
	memory := noteFile(filepath.Join(o.Memory, "last-checkpoint"))
	signer, err := postgres.NewSigner(db, postgres.SignerConfig{
		Origin: origin, PublicKey: publicKey(), Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(logKey, m), nil },
		Memory: memory, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	for {
		err := signer.Sign(ctx)
		if errors.Is(err, privacy.ErrDamaged) {
			return err
		}
		if err == nil {
			if note, err := memory.Load(); err == nil && note != nil {
				fmt.Printf("note %s\n", base64.StdEncoding.EncodeToString(note))
			}
		}
		time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond)))) //nolint:gosec // a pause
	}
}

// noteFile is a [postgres.CheckpointMemory] in a file.
type noteFile string

func (f noteFile) String() string { return string(f) }

func (f noteFile) Load() ([]byte, error) {
	note, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return note, err
}

func (f noteFile) Keep(note []byte) error {
	if old, err := f.Load(); err != nil || bytes.Equal(old, note) {
		return err
	}
	file, err := os.Create(string(f) + ".new")
	if err != nil {
		return err
	}
	_, err = file.Write(note)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(string(f)+".new", string(f)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(string(f)))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// kill9 is how everything ends here.
func kill9(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
