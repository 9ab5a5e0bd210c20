package export

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// Config holds what an exporter must and may be told.
type Config struct {
	// Origin is the name of the log, Key the public key of exports, and Sign signs with it.
	// Required.
	Origin string
	Key    ed25519.PublicKey
	Sign   func(message []byte) ([]byte, error)
	// LogKey is the public key of checkpoints, where another process signs them; nil means Key.
	LogKey ed25519.PublicKey
	// Catalogue is the one in force. Required.
	Catalogue Catalogue
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Workers is how many people are written at once; zero means as many as processors.
	Workers int
}

// Exporter writes exports. It is safe for concurrent use.
type Exporter struct {
	store     Store
	log       Log
	decisions Decisions
	verifier  note.Verifier
	config    Config
}

// New returns an exporter. The error wraps [privacy.ErrInvalid] if something is missing.
func New(store Store, log Log, decisions Decisions, config Config) (*Exporter, error) {
	if store == nil || log == nil || decisions == nil || config.Catalogue == nil || config.Sign == nil {
		return nil, fmt.Errorf("making exporter without store, log, decisions, catalogue or key: %w", privacy.ErrInvalid)
	}
	if config.LogKey == nil {
		config.LogKey = config.Key
	}
	verifier, err := audit.NewVerifier(config.Origin, config.LogKey)
	if err != nil {
		return nil, fmt.Errorf("making exporter: %w", err)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Workers <= 0 {
		config.Workers = max(1, runtime.GOMAXPROCS(0))
	}
	return &Exporter{store: store, log: log, decisions: decisions, verifier: verifier, config: config}, nil
}

// Job is one export that is wanted.
type Job struct {
	Person privacy.DataSubjectID
	// Request is the request that it answers; zero: none.
	Request dsar.RequestID
	// Kind is [dsar.Access], or [dsar.Portability] for the part that the person gave.
	Kind dsar.Kind
	// Language of the pages: "en", "tr" or "cs"; anything else is English.
	Language string
	// Lock is for whom it is encrypted. Required.
	Lock Lock
	// Create makes the file that it is written to, when its turn comes. Required.
	Create func() (File, error)
	// Progress is told how much is done; it may be nil.
	Progress func(done, total int64)
}

// File takes an export.
type File interface {
	io.Writer
	// Keep makes what was written durable under its name. Until then there MUST NOT be a
	// file of that name.
	Keep() error
	// Drop takes back what was written. After Keep it does nothing.
	Drop() error
}

// Result is what came of a job.
type Result struct {
	// Err is why there is no export. Nothing else is set then.
	Err error
	// Manifest is the digest of the manifest, which the log entry names too: the evidence
	// that a request was fulfilled.
	Manifest audit.Digest
	// File is the SHA-256 of the encrypted file, Size its length.
	File [32]byte
	Size int64
	// Events and Entries are how many events and log entries are in it, Redacted how often
	// somebody else was taken out of a text.
	Events, Entries, Redacted int64
	Receipt                   audit.Receipt
}

// Export writes one export. The file is complete, and kept, only if there is no error; the
// log says before that it was made. Errors wrap:
//
//   - [privacy.ErrForbidden]: the principal is no data protection officer;
//   - [privacy.ErrNotFound]: the person is unknown, or was erased meanwhile;
//   - [privacy.ErrInvalid]: the job lacks something, or its kind is not one of the two;
//   - [privacy.ErrDamaged]: what is held, or the log, is not what it was;
//   - [privacy.ErrUnavailable]: database or log cannot be reached or written.
func (e *Exporter) Export(ctx context.Context, by privacy.Principal, job Job) (Result, error) {
	results, err := e.ExportMany(ctx, by, []Job{job}, nil)
	if err != nil {
		return Result{}, err
	}
	return results[0], results[0].Err
}

// ExportMany writes many exports after going through the log once for all. Each has its own
// result and error; the error that is returned is about all of them. Scanned is told how far
// the log is; it may be nil.
func (e *Exporter) ExportMany(ctx context.Context, by privacy.Principal, jobs []Job, scanned func(done, total uint64)) ([]Result, error) {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return nil, fmt.Errorf("exporting person: %w", privacy.ErrForbidden)
	}
	results, subjects := make([]Result, len(jobs)), make([]audit.Subject, 0, len(jobs))
	var able []int // the jobs that subjects are of
	for i := range jobs {
		subject, err := e.prepare(ctx, &jobs[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		able, subjects = append(able, i), append(subjects, subject)
	}
	if len(able) == 0 {
		return results, nil
	}
	trails, seen, err := e.follow(ctx, jobs, able, subjects, scanned)
	if err != nil {
		return nil, fmt.Errorf("exporting person: %w", err)
	}
	turns := make(chan int)
	var work sync.WaitGroup
	for range min(e.config.Workers, len(able)) {
		work.Go(func() {
			for n := range turns {
				i := able[n]
				results[i] = e.one(ctx, by, &jobs[i], subjects[n], trails[n], seen)
			}
		})
	}
	for n := range able {
		turns <- n
	}
	close(turns)
	work.Wait()
	return results, nil
}

// prepare refuses a job that cannot be done, before anything is made.
func (e *Exporter) prepare(ctx context.Context, job *Job) (audit.Subject, error) {
	if job.Kind != dsar.Access && job.Kind != dsar.Portability || job.Create == nil || job.Lock.recipient == nil {
		return audit.Subject{}, fmt.Errorf("exporting person: kind, lock or file is missing: %w", privacy.ErrInvalid)
	}
	subject, err := e.store.AuditSubject(ctx, job.Person)
	if err != nil {
		return audit.Subject{}, fmt.Errorf("exporting person: %w", err)
	}
	return subject, nil
}

// follow goes through the log and returns where each person's entries are, none for those
// who take only their data along.
func (e *Exporter) follow(ctx context.Context, jobs []Job, able []int, subjects []audit.Subject, scanned func(done, total uint64)) ([][]uint64, logPart, error) {
	trails, seen := make([][]uint64, len(able)), logPart{Origin: e.config.Origin}
	var followed []audit.Subject
	var of []int
	for n, i := range able {
		if jobs[i].Kind == dsar.Access {
			followed, of = append(followed, subjects[n]), append(of, n)
		}
	}
	if len(followed) == 0 {
		return trails, seen, nil
	}
	trail, err := audit.NewTrail(followed)
	if err != nil {
		return nil, seen, err
	}
	config := audit.TrailConfig{Progress: scanned}
	// The checkpoint first: the log is never smaller than what was signed before.
	signed, err := e.log.LatestCheckpoint(ctx)
	switch {
	case err == nil:
		if config.Checkpoint, err = audit.OpenCheckpoint(signed, e.verifier); err != nil {
			return nil, seen, err
		}
		seen.Checkpoint = string(signed)
	case !errors.Is(err, privacy.ErrNotFound):
		return nil, seen, err
	}
	if config.Size, err = e.log.Size(ctx); err != nil {
		return nil, seen, err
	}
	if config.Size < config.Checkpoint.Size {
		return nil, seen, fmt.Errorf("going through the log: it is smaller than its checkpoint: %w", privacy.ErrDamaged)
	}
	report, err := trail.Scan(ctx, e.log, config, func(person int, index uint64) error {
		trails[of[person]] = append(trails[of[person]], index)
		return nil
	})
	if err != nil {
		return nil, seen, err
	}
	seen.First, seen.Size = report.First, report.Size
	if report.First == 0 {
		seen.Root = digestText(audit.Digest(report.Root))
	}
	return trails, seen, nil
}

// one writes one export into its file.
func (e *Exporter) one(ctx context.Context, by privacy.Principal, job *Job, subject audit.Subject, trail []uint64, seen logPart) (result Result) {
	fail := func(err error) Result { return Result{Err: fmt.Errorf("exporting person: %w", err)} }
	if err := ctx.Err(); err != nil {
		return fail(fmt.Errorf("%w: %w", privacy.ErrUnavailable, err))
	}
	file, err := job.Create()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = file.Drop() }()
	w := &writing{
		exporter: e, job: job, by: by, subject: subject, trail: trail, log: seen,
		language: knownLanguage(job.Language), catalogue: e.config.Catalogue(), at: e.config.Now().UTC().Truncate(time.Second),
	}
	if w.catalogue == nil {
		return fail(fmt.Errorf("no catalogue is in force: %w", privacy.ErrUnavailable))
	}
	if err := w.run(ctx, file); err != nil {
		return fail(err)
	}
	if err := file.Keep(); err != nil {
		return fail(err)
	}
	return w.result
}

// String keeps the language and the kind, and nothing of anybody.
func (j Job) String() string { return fmt.Sprintf("export of kind %s in %s", j.Kind, j.Language) }

// LogValue is String.
func (j Job) LogValue() slog.Value { return slog.StringValue(j.String()) }
