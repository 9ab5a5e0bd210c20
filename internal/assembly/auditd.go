package assembly

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// The files of a signer of its own, beside its key and its last-checkpoint.
const (
	logKeysFile = "log.vkey"
	refusalFile = "refusal"
	runningFile = "lock"
)

// InitAuditd makes the directory of a signer of its own: its key, and the file with its
// public half for the setting log_key. former are the public keys that signed before, the
// newest first; those of a house that is in the same home are found. The error wraps
// [privacy.ErrConflict] if there is a key already.
func InitAuditd(settings config.Config, former []string) (key, file string, err error) {
	if keys, err := keydir.Open(settings.Keys, keydir.Config{}); err == nil && len(former) == 0 {
		own, err := audit.FormatKey(settings.Origin, keys.LogPublicKey())
		if err != nil {
			return "", "", err
		}
		former = []string{own}
	}
	for _, one := range former {
		origin, _, err := audit.ParseKey(one)
		if err != nil {
			return "", "", fmt.Errorf("former key: %w", err)
		}
		if origin != settings.Origin {
			return "", "", fmt.Errorf("former key is of another log than the setting origin names: %w", privacy.ErrInvalid)
		}
	}
	signer, err := keydir.CreateLogSigner(settings.Signing.Signer)
	if err != nil {
		return "", "", err
	}
	if key, err = audit.FormatKey(settings.Origin, signer.PublicKey()); err != nil {
		return "", "", err
	}
	file = filepath.Join(settings.Signing.Signer, logKeysFile)
	return key, file, writeDurably(file, []byte(strings.Join(append([]string{key}, former...), "\n")+"\n"))
}

// Auditd is a signer of its own, open.
type Auditd struct {
	Signer *postgres.Signer
	// Key is the public key, name+hash+key.
	Key string

	dir      string
	db       *postgres.DB
	database *Database
	lock     *os.File
	logger   *slog.Logger
	now      func() time.Time
}

// AuditdOptions are what a caller of [OpenAuditd] may want otherwise.
type AuditdOptions struct {
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
	// Join waits for an embedded PostgreSQL that another process runs, instead of starting it.
	Join bool
	// AcceptOlderLog is whether somebody answers for it that the log is shorter than the
	// checkpoint in the signer's memory, because an older database was restored. The log itself
	// must say so too.
	AcceptOlderLog bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// OpenAuditd opens a signer of its own: its key and memory, and the log with the rights of
// mahrem_signer. It opens neither the key directory of the house nor any other table. Only
// one process may have a memory open; for another the error wraps [privacy.ErrConflict].
func OpenAuditd(ctx context.Context, settings config.Config, options AuditdOptions) (_ *Auditd, err error) {
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	a := &Auditd{dir: settings.Signing.Signer, logger: options.Logger, now: options.Now}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	key, err := keydir.OpenLogSigner(a.dir)
	if err != nil {
		return nil, err
	}
	if a.Key, err = audit.FormatKey(settings.Origin, key.PublicKey()); err != nil {
		return nil, err
	}
	if err := a.takeLock(); err != nil {
		return nil, err
	}
	keys, err := readLogKeys(filepath.Join(a.dir, logKeysFile), settings.Origin)
	if err != nil {
		return nil, err
	}
	if !keys[0].Equal(key.PublicKey()) {
		return nil, fmt.Errorf("%s begins with another key than that of the signer: %w", filepath.Join(a.dir, logKeysFile), privacy.ErrDamaged)
	}
	policy, err := readWitnesses(settings)
	if err != nil {
		return nil, err
	}
	if err := a.openDatabase(ctx, settings, options.Join); err != nil {
		return nil, err
	}
	signing := postgres.SignerConfig{
		Origin: settings.Origin, PublicKey: key.PublicKey(), Sign: key.Sign, Former: keys[1:],
		Memory: checkpointFile{filepath.Join(a.dir, lastCheckpoint)}, Witnesses: policy, Now: options.Now, Logger: options.Logger,
		Refused: a.refused,
	}
	if options.AcceptOlderLog {
		if err := a.acceptRestored(ctx, signing); err != nil {
			return nil, err
		}
	}
	a.Signer, err = postgres.NewSigner(a.db, signing)
	return a, err
}

// acceptRestored puts the checkpoint of the longer log aside, where it stays, and one of the
// log as it is in its place.
func (a *Auditd) acceptRestored(ctx context.Context, signing postgres.SignerConfig) error {
	file := checkpointFile{filepath.Join(a.dir, lastCheckpoint)}
	lost, err := file.Load()
	if err != nil || lost == nil {
		return err
	}
	next, err := postgres.AcceptRestored(ctx, a.db, signing, lost)
	if err != nil || next == nil {
		return err
	}
	return file.replace(lost, next)
}

func (a *Auditd) takeLock() (err error) {
	if a.lock, err = os.OpenFile(filepath.Join(a.dir, runningFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("locking memory of the signer: %w", err)
	}
	err = syscall.Flock(int(a.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another signer has %s open: %w", a.dir, privacy.ErrConflict)
	}
	return err
}

func (a *Auditd) openDatabase(ctx context.Context, settings config.Config, join bool) (err error) {
	if a.database, err = openForSigner(ctx, settings, join); err != nil {
		return err
	}
	address, err := a.database.signerURL()
	if err != nil {
		return err
	}
	if a.db, err = postgres.Open(ctx, postgres.Config{URL: address, Role: postgres.SignerRole, MaxConns: 4, ConnectTimeout: settings.Patience.With(postgres.ConnectTimeout)}); err != nil {
		return err
	}
	pending, err := a.db.PendingMigrations(ctx)
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("the database lacks %d of this binary's migrations; run: mahrem migrate up", len(pending))
	}
	return err
}

// openForSigner finds the database. A signer that only joins never becomes the one whose
// end stops an embedded PostgreSQL that others use.
func openForSigner(ctx context.Context, settings config.Config, join bool) (*Database, error) {
	if settings.DatabaseURL != "" || !join {
		return OpenDatabase(ctx, settings)
	}
	joined, err := localpg.JoinURL(settings.PostgresDir())
	if err != nil {
		return nil, fmt.Errorf("joining the embedded PostgreSQL, which mahrem serve runs: %w: %w", err, privacy.ErrUnavailable)
	}
	return &Database{url: joined, embedded: true}, nil
}

// signerURL is the connection string of a signer: see [Database.AppURL].
func (d *Database) signerURL() (string, error) {
	if !d.embedded {
		return d.url, nil
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return "", errors.New("reading connection string of the embedded PostgreSQL")
	}
	u.User = url.User(localpg.SignerRole)
	return u.String(), nil
}

// refused keeps in a file why the signer does not sign, for those who look at nothing else,
// and moves it aside when it signs again.
func (a *Auditd) refused(why error) {
	path := filepath.Join(a.dir, refusalFile)
	if why == nil {
		if err := os.Rename(path, path+".past"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.logger.Error("refusal not moved aside", "error", err)
		}
		return
	}
	if _, err := os.Lstat(path); err == nil {
		return // since when and why is there already
	}
	if err := writeDurably(path, []byte(a.now().UTC().Format(time.RFC3339)+" "+why.Error()+"\n")); err != nil {
		a.logger.Error("refusal not kept", "error", err)
	}
}

// Close ends it.
func (a *Auditd) Close() error {
	if a.db != nil {
		a.db.Close()
	}
	var errs []error
	if a.database != nil {
		errs = append(errs, a.database.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}

// AuditdMemory is what a signer of its own remembers, without its database.
type AuditdMemory struct {
	Dir string `json:"directory"`
	Key string `json:"key"`
	// Signed is the last checkpoint: its size and root.
	Signed uint64 `json:"signed_entries"`
	Root   string `json:"root,omitempty"`
	// Refusal is since when and why it does not sign.
	Refusal string `json:"refusal,omitempty"`
}

// ReadAuditdMemory reads it.
func ReadAuditdMemory(settings config.Config) (AuditdMemory, error) {
	m := AuditdMemory{Dir: settings.Signing.Signer}
	key, err := keydir.OpenLogSigner(m.Dir)
	if err != nil {
		return m, err
	}
	if m.Key, err = audit.FormatKey(settings.Origin, key.PublicKey()); err != nil {
		return m, err
	}
	signed, err := checkpointFile{filepath.Join(m.Dir, lastCheckpoint)}.Load()
	if err != nil {
		return m, err
	}
	if signed != nil {
		verifier, err := audit.NewVerifier(settings.Origin, key.PublicKey())
		if err != nil {
			return m, err
		}
		c, err := audit.OpenCheckpoint(signed, verifier)
		if err != nil {
			return m, fmt.Errorf("%s: %w", filepath.Join(m.Dir, lastCheckpoint), err)
		}
		m.Signed, m.Root = c.Size, c.Root.String()
	}
	why, err := os.ReadFile(filepath.Join(m.Dir, refusalFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	m.Refusal = strings.TrimSpace(string(why))
	return m, nil
}
