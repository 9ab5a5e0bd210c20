package export

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ID names an export that waits to be fetched, and its file. It is a random UUIDv4.
type ID [16]byte

// String returns the UUID as text.
func (id ID) String() string { return dsar.RequestID(id).String() }

// Waiting is an export that waits to be fetched.
type Waiting struct {
	ID      ID
	Request dsar.RequestID
	// Person is whom it is about, as the request knows them: nobody once they were erased.
	Person    privacy.DataSubjectID
	Manifest  audit.Digest
	File      [32]byte
	Size      int64
	ExpiresAt time.Time
}

// LinkStore keeps the links. A link is alive until it was used or has expired, and as long
// as the person of its request was not erased.
type LinkStore interface {
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
	// AddLink commits a link that lives so long together with the entry for event, and
	// returns when it expires by the store's clock.
	AddLink(ctx context.Context, w Waiting, tag [16]byte, life time.Duration, event audit.Event) (time.Time, audit.Receipt, error)
	// FindLink returns what a living link leads to, or an error that wraps
	// [privacy.ErrNotFound].
	FindLink(ctx context.Context, tag [16]byte) (Waiting, error)
	// UseLink uses a living link up, in one statement, together with the entry for event. Of
	// two who come at once one MUST get an error that wraps [privacy.ErrNotFound].
	UseLink(ctx context.Context, tag [16]byte, event audit.Event) (audit.Receipt, error)
	// Living returns those of the exports to which a living link leads.
	Living(ctx context.Context, exports []ID) ([]ID, error)
}

const (
	// DefaultLife is how long a link lives unless it is said otherwise.
	DefaultLife = 7 * 24 * time.Hour
	// MaxLife is the longest.
	MaxLife = 30 * 24 * time.Hour
	// tokenSize is how many random bytes a link has.
	tokenSize = 32
)

// Links hands out exports by a link that works once.
type Links struct {
	store  LinkStore
	vault  *vault.Vault
	dir    Dir
	random io.Reader
}

// NewLinks returns the links to the files in dir. Random may be nil: crypto/rand.
func NewLinks(store LinkStore, v *vault.Vault, dir Dir, random io.Reader) (*Links, error) {
	if store == nil || v == nil || dir == "" {
		return nil, fmt.Errorf("making links without store, vault or directory: %w", privacy.ErrInvalid)
	}
	if random == nil {
		random = rand.Reader
	}
	return &Links{store, v, dir, random}, nil
}

// Prepare draws the id of an export and returns how its file is made, for [Job.Create].
func (l *Links) Prepare() (ID, func() (File, error), error) {
	id, err := dsar.NewRequestID(l.random)
	if err != nil {
		return ID{}, nil, err
	}
	return ID(id), func() (File, error) { return l.dir.create(ID(id)) }, nil
}

// Link is what the person needs in order to fetch their export, beside the passphrase or
// key that opens it.
type Link struct {
	// Token is the last part of the address. It is drawn at random and says nothing.
	Token     privacy.Plain
	ExpiresAt time.Time
	Receipt   audit.Receipt
}

// Create makes a link to an export that was written to the file of that id. Life of zero
// means [DefaultLife]. Errors wrap [privacy.ErrForbidden] for whoever is no data protection
// officer, [privacy.ErrInvalid] for a life that is too long, and [privacy.ErrNotFound] if
// the person was erased meanwhile.
func (l *Links) Create(ctx context.Context, by privacy.Principal, id ID, job *Job, result *Result, life time.Duration) (Link, error) {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return Link{}, fmt.Errorf("making link to an export: %w", privacy.ErrForbidden)
	}
	if life == 0 {
		life = DefaultLife
	}
	if life < 0 || life > MaxLife || result.Size == 0 || job.Request == (dsar.RequestID{}) {
		return Link{}, fmt.Errorf("making link to an export: %w", privacy.ErrInvalid)
	}
	subject, err := l.store.AuditSubject(ctx, job.Person)
	if err != nil {
		return Link{}, fmt.Errorf("making link to an export: %w", err)
	}
	var raw [tokenSize]byte
	if _, err := io.ReadFull(l.random, raw[:]); err != nil {
		return Link{}, fmt.Errorf("drawing link: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	waiting := Waiting{ID: id, Request: job.Request, Person: job.Person, Manifest: result.Manifest, File: result.File, Size: result.Size}
	expires, receipt, err := l.store.AddLink(ctx, waiting, l.tag(token), life, audit.Event{
		Kind: audit.RequestNotified, Outcome: audit.Done, Principal: by, Subject: subject, List: result.Manifest,
	})
	if err != nil {
		return Link{}, fmt.Errorf("making link to an export: %w", err)
	}
	if receipt.IsZero() {
		return Link{}, fmt.Errorf("making link without a log entry: %w", privacy.ErrUnavailable)
	}
	return Link{privacy.NewPlain(token), expires, receipt}, nil
}

// Download is an export on its way. The content must be closed.
type Download struct {
	Size    int64
	Content io.ReadCloser
	Receipt audit.Receipt
}

// Fetch uses a link up and returns the encrypted export. That it was fetched is in the log
// before the first byte leaves. Whatever is wrong with the link (unknown, used, expired, the
// person erased, the file gone), the error wraps [privacy.ErrNotFound] and says no more.
func (l *Links) Fetch(ctx context.Context, token string) (Download, error) {
	nothing := fmt.Errorf("fetching export: %w", privacy.ErrNotFound)
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(raw) != tokenSize {
		return Download{}, nothing
	}
	tag := l.tag(token)
	waiting, err := l.store.FindLink(ctx, tag)
	if err != nil {
		return Download{}, fmt.Errorf("fetching export: %w", err)
	}
	subject, err := l.store.AuditSubject(ctx, waiting.Person)
	if err != nil {
		return Download{}, fmt.Errorf("fetching export: %w", err)
	}
	// The file first: a link that leads nowhere is not used up.
	file, err := l.dir.open(waiting.ID)
	if err != nil {
		return Download{}, nothing
	}
	info, err := file.Stat()
	if err != nil || info.Size() != waiting.Size {
		return Download{}, errors.Join(nothing, file.Close())
	}
	receipt, err := l.store.UseLink(ctx, tag, audit.Event{
		Kind: audit.ExportFetched, Outcome: audit.Done, Subject: subject, List: waiting.Manifest,
	})
	if err == nil && receipt.IsZero() {
		err = privacy.ErrUnavailable
	}
	if err != nil {
		return Download{}, errors.Join(fmt.Errorf("fetching export: %w", err), file.Close())
	}
	// Nothing leads to the file any more; what is open can still be read.
	if err := l.dir.remove(waiting.ID); err != nil {
		return Download{}, errors.Join(err, file.Close())
	}
	return Download{waiting.Size, file, receipt}, nil
}

// tag is what is stored of a link.
func (l *Links) tag(token string) [16]byte { return l.vault.WordTag("export-link", token) }

// Sweep removes the files to which no living link leads, unless they are younger than an
// hour: those may be just being written. It returns how many.
func (l *Links) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	ids, err := l.dir.older(now.Add(-time.Hour))
	if err != nil {
		return 0, err
	}
	for chunk := range slices.Chunk(ids, sweepAtOnce) {
		living, err := l.store.Living(ctx, chunk)
		if err != nil {
			return removed, fmt.Errorf("sweeping exports: %w", err)
		}
		for _, id := range chunk {
			if slices.Contains(living, id) {
				continue
			}
			if err := l.dir.remove(id); err != nil && !errors.Is(err, os.ErrNotExist) {
				return removed, err
			}
			removed++
		}
	}
	return removed, nil
}

// sweepAtOnce bounds how many are asked for together.
const sweepAtOnce = 500
