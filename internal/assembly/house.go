package assembly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/proof"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server/token"
	"github.com/mahrem/mahrem/vault/keydir"
)

// Options are what a caller of [Open] may want otherwise. The zero value is right for a
// command that runs and ends.
type Options struct {
	// SignEvery is the rhythm of checkpoints; zero means that one is signed at the end,
	// if anything was logged.
	SignEvery time.Duration
	// Now is the clock of the log and of tokens; nil means time.Now.
	// Decisions go by the database's clock.
	Now func() time.Time
	// Random draws ids; nil means crypto/rand.
	Random io.Reader
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
	// Database is one that is open already; it is not closed. Nil means the one that the
	// settings name.
	Database *Database
	// Lasting is for a process that goes on until it is told to stop: it has an embedded
	// PostgreSQL of its own, and joins none that ends with another process.
	Lasting bool
	// Base stops before the log and everything that needs it: keys and database only, for
	// looking at a log that may not open.
	Base bool
	// Replay opens a database that is older than the erasure ledger, for [House.Replay] and
	// nothing else.
	Replay bool
	// AcceptOlderLog is who answers for it that the log is shorter than its kept checkpoint
	// because an older database was restored. The zero value: nobody, and the house does
	// not open.
	AcceptOlderLog privacy.Principal
	// MaxConns bounds the connections; zero means the default of package postgres.
	MaxConns int32
}

// House is an open Mahrem.
type House struct {
	Settings config.Config
	Database *Database
	DB       *postgres.DB
	Keys     *keydir.Keys
	Log      *postgres.AuditLog
	// Ledger is the erasure ledger; nil in a house that was opened as Base.
	Ledger *ledger.Ledger
	Tokens *token.Tokens
	Services

	erased       *postgres.LedgerStore
	broken       []ledger.Record // erasures that were broken off
	options      Options
	signing      signing
	policySource policies.Source // nil for the bundle in the binary
	senders      map[outbox.Kind]outbox.Sender
	closers      []func(context.Context) error
	chores       []chore
	keyUses      *postgres.KeyUseStore
	flushKeyUses func(context.Context) error
	anchoring    anchorMeter
	roomKeys     *roomKeys
}

// Open opens everything, in the order in which it depends on one another, or nothing.
func Open(ctx context.Context, settings config.Config, options Options) (*House, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	h := &House{Settings: settings, options: options, Database: options.Database}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	return h, nil
}

func (h *House) open(ctx context.Context) (err error) {
	// The keys come first: without them nothing else is of use, and reading them is
	// quicker than starting a database.
	if h.Keys, err = keydir.Open(h.Settings.Keys, keydir.Config{}); err != nil {
		return err
	}
	if err := h.openSigning(); err != nil {
		return err
	}
	if h.Tokens, err = token.New(h.Keys.TokenKeyset(), token.Config{Now: h.options.Now, Random: h.options.Random}); err != nil {
		return err
	}
	if h.Database == nil {
		open := OpenDatabase
		if h.options.Lasting {
			open = openLasting
		}
		if h.Database, err = open(ctx, h.Settings); err != nil {
			return err
		}
		h.onClose(func(context.Context) error { return h.Database.Close() })
	}
	appURL, err := h.Database.AppURL()
	if err != nil {
		return err
	}
	if h.DB, err = postgres.Open(ctx, postgres.Config{URL: appURL, MaxConns: h.options.MaxConns, ConnectTimeout: h.Settings.Patience.With(postgres.ConnectTimeout)}); err != nil {
		return err
	}
	h.onClose(func(context.Context) error { h.DB.Close(); return nil })
	h.findInRooms()
	pending, err := h.DB.PendingMigrations(ctx)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("the database lacks %d of this binary's migrations; run: mahrem migrate up", len(pending))
	}
	if err := h.checkKEK(ctx); err != nil {
		return err
	}
	if h.options.Base {
		return nil
	}
	// Before the log, which refuses a database that was restored too, and can say less.
	if err := h.openErasures(ctx); err != nil {
		return err
	}
	if h.options.AcceptOlderLog != (privacy.Principal{}) {
		if err := h.restoreLog(ctx, h.options.AcceptOlderLog); err != nil {
			return err
		}
	}
	if err := h.openLog(ctx); err != nil {
		return err
	}
	if err := h.openServices(ctx); err != nil {
		return err
	}
	return h.finishErasures(ctx)
}

func (h *House) auditConfig() postgres.AuditConfig {
	config := postgres.AuditConfig{
		Origin: h.Settings.Origin, PublicKey: h.signing.current, Former: h.signing.former, Witnesses: h.signing.witnesses,
		Memory: checkpointFileOf(h.Settings), Deadline: h.Settings.Patience.With(postgres.AuditDeadline), AwaitSigner: h.Settings.Patience.With(postgres.AwaitSigner),
		Actor: h.Keys.ActorTag, Now: h.options.Now, Random: h.options.Random, Logger: h.options.Logger,
	}
	if !h.signing.outside {
		config.Sign = h.Keys.SignLog
	}
	if h.Settings.Signing.WitnessRequired {
		config.Hold = h.signing.hold
	}
	return config
}

func (h *House) openLog(ctx context.Context) (err error) {
	every := h.options.SignEvery
	if every == 0 {
		every = -1
	}
	config := h.auditConfig()
	config.SignEvery = every
	h.Log, err = postgres.OpenAuditLog(ctx, h.DB, config)
	if err != nil {
		return err
	}
	h.onClose(h.Log.Close)
	h.tendSigning()
	if err := h.tendHold(ctx); err != nil {
		return err
	}
	if err := h.noteLogKey(ctx); err != nil {
		return fmt.Errorf("logging that another key signs: %w", err)
	}
	if h.options.SignEvery == 0 && !h.signing.outside {
		h.onClose(func(ctx context.Context) error {
			if size, err := h.Log.Size(ctx); err != nil || size == 0 {
				return err
			}
			return h.Log.SignCheckpoint(ctx)
		})
	}
	return nil
}

// VerifyLog recomputes the whole log and compares it with the checkpoint in the key
// directory and with those in kept, which are signed notes. It works on a house that was
// opened as Base too.
func (h *House) VerifyLog(ctx context.Context, progress func(done, total uint64), kept ...[]byte) (audit.Report, error) {
	file := checkpointFileOf(h.Settings)
	own, err := file.Load()
	if err != nil {
		return audit.Report{}, fmt.Errorf("reading kept checkpoint: %w", err)
	}
	if own != nil {
		kept = append(slices.Clone(kept), own)
	}
	return postgres.VerifyAuditLogByKeys(ctx, h.DB, h.Settings.Origin, h.signing.keys(), progress, kept...)
}

// ConsentLedger is what the consents of this house are added to.
func (h *House) ConsentLedger() *postgres.ConsentStore { return postgres.NewConsentStore(h.DB, h.Log) }

// VerifyConsents compares the consent ledger with the log. Progress may be nil.
func (h *House) VerifyConsents(ctx context.Context, progress func(done, total uint64)) (proof.Report, error) {
	return h.DB.VerifyConsents(ctx, progress)
}

// onClose has f called by Close, before everything that was opened earlier.
func (h *House) onClose(f func(context.Context) error) { h.closers = append(h.closers, f) }

// Close closes everything in the reverse order of opening. It loses nothing: what was
// answered is in the log, and what waits for the log is written first.
func (h *House) Close(ctx context.Context) error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i](ctx))
	}
	h.closers = nil
	return errors.Join(errs...)
}

// Operator is the principal of somebody who works on this machine with the key
// directory in hand. Their account is tagged in the log like any other.
func Operator(account string) privacy.Principal {
	return privacy.Principal{ID: account, Role: privacy.RoleDPO}
}
