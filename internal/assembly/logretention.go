package assembly

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// LogArchive is what [House.ArchiveLog] did.
type LogArchive struct {
	// Directory is the bundle with entries Begin to End - 1; empty if none were old enough.
	Directory  string
	Begin, End uint64
	Manifest   audit.Digest
	// Archived is the entry that says so.
	Archived audit.Receipt
	// LogBegins is the first entry that is in the log afterwards.
	LogBegins uint64
}

// ArchiveLog copies every partition of the log that is older than the written policy into a
// bundle of its own below dir, verifies the bundle from its files, and has the log say so;
// then, if prune is true, it drops them from the database. Broken off at any point it is
// done again with the same dir.
//
// The error wraps [privacy.ErrNotFound] without a policy, and [privacy.ErrDamaged] if the
// bundle is not whole, and [postgres.ErrMayNotPrune] if no quorum of witnesses has signed the
// checkpoint in it, as far as their signatures verify: then nothing was dropped.
func (h *House) ArchiveLog(ctx context.Context, by privacy.Principal, dir string, prune bool, progress func(what string, done, total uint64)) (LogArchive, error) {
	if by.Role != privacy.RoleDPO {
		return LogArchive{}, fmt.Errorf("archiving log: %w", privacy.ErrForbidden)
	}
	done, err := h.archiveLog(ctx, by, dir, progress)
	if err != nil {
		return done, fmt.Errorf("archiving log: %w", err)
	}
	if done.LogBegins = done.Begin; prune {
		if done.LogBegins, err = h.pruneLog(ctx, by, done.End); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (h *House) archiveLog(ctx context.Context, by privacy.Principal, dir string, progress func(what string, done, total uint64)) (LogArchive, error) {
	policy, _, err := h.Log.Retention(ctx)
	if err != nil {
		return LogArchive{}, err
	}
	var a LogArchive
	if a.Begin, err = h.Log.Begin(ctx); err != nil {
		return a, err
	}
	if a.End, err = h.Log.Prunable(ctx, policy, h.options.Now()); err != nil || a.End == a.Begin {
		return a, err
	}
	a.Directory = filepath.Join(dir, fmt.Sprintf("%d-%d", a.Begin, a.End))
	config, err := h.bundleConfig(true)
	if err != nil {
		return a, err
	}
	manifest, err := h.finishedArchive(ctx, &a)
	if err != nil {
		return a, err
	}
	if manifest == nil {
		// What would not be enough afterwards need not be written.
		newest, err := h.Log.LatestCheckpoint(ctx)
		if err != nil {
			return a, err
		}
		if err := h.enoughWitnesses(&policy, newest); err != nil {
			return a, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return a, err
		}
		config.Begin, config.End = a.Begin, a.End
		config.Progress = func(n, total uint64) { progress("archiving", n, total) }
		exported, err := bundle.Export(ctx, a.Directory, postgres.NewBundleSource(h.Log), config)
		if err != nil {
			return a, err
		}
		manifest = &exported
	}
	report, err := bundle.Verify(ctx, bundle.Dir(a.Directory), bundle.VerifyConfig{
		Keys:     []string{config.LogKey, config.ManifestKey},
		Progress: func(n, total uint64) { progress("verifying", n, total) },
	})
	if err != nil {
		return a, err
	}
	if bad, found := report.FirstBad(); found || !report.Manifest {
		return a, fmt.Errorf("the archive %s is not whole, and nothing was dropped: %v: %w", a.Directory, bad, privacy.ErrDamaged)
	}
	checkpoint, err := os.ReadFile(filepath.Join(a.Directory, bundle.CheckpointPath))
	if err != nil {
		return a, err
	}
	if err := h.enoughWitnesses(&policy, checkpoint); err != nil {
		return a, fmt.Errorf("%s was not logged, and nothing was dropped; remove it once there is a checkpoint with a quorum, and archive again: %w", a.Directory, err)
	}
	signed, err := os.ReadFile(filepath.Join(a.Directory, bundle.ManifestPath))
	if err != nil {
		return a, err
	}
	a.Manifest = sha256.Sum256(signed)
	a.Archived, err = h.Log.RecordArchived(ctx, audit.Event{Principal: by},
		postgres.Archived{End: a.End, Manifest: a.Manifest, Size: manifest.Size})
	return a, err
}

// enoughWitnesses refuses a checkpoint that too few witnesses have signed, for the policy of
// witnesses or for that on old entries. It believes no line that does not verify, whatever
// stands in the database, and nobody whom the policy of witnesses does not name.
func (h *House) enoughWitnesses(written *audit.RetentionPolicy, signed []byte) error {
	named := h.signing.witnesses
	if named == nil {
		if written.Cosignatures > 0 {
			return fmt.Errorf("the policy on old entries wants %d cosignatures, and the setting witnesses names nobody who could give one: %w",
				written.Cosignatures, postgres.ErrMayNotPrune)
		}
		return nil
	}
	var logs []note.Verifier
	for _, key := range h.signing.keys() {
		verifier, err := audit.NewVerifier(h.Settings.Origin, key)
		if err != nil {
			return err
		}
		logs = append(logs, verifier)
	}
	cosigned, err := named.Check(signed, logs...)
	switch {
	case err != nil:
		return fmt.Errorf("checking cosignatures: %w", err)
	case !cosigned.Quorum:
		return fmt.Errorf("the checkpoint of %d entries has valid cosignatures of %d witnesses, which is no quorum: %w",
			cosigned.Checkpoint.Size, len(cosigned.Cosignatures), postgres.ErrMayNotPrune)
	case len(cosigned.Cosignatures) < written.Cosignatures:
		return fmt.Errorf("the checkpoint of %d entries has valid cosignatures of %d witnesses, and the policy on old entries wants %d: %w",
			cosigned.Checkpoint.Size, len(cosigned.Cosignatures), written.Cosignatures, postgres.ErrMayNotPrune)
	}
	return nil
}

// finishedArchive is the bundle that an archiving left that was broken off behind it; nil if
// it is still to be written.
func (h *House) finishedArchive(ctx context.Context, a *LogArchive) (*bundle.Manifest, error) {
	b, err := bundle.Open(ctx, bundle.Dir(a.Directory), nil)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, bundle.ErrUnfinished) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	manifest := b.Manifest()
	if manifest.Origin != h.Settings.Origin || manifest.Begin != a.Begin || manifest.End != a.End {
		return nil, fmt.Errorf("%s holds something else: %w", a.Directory, privacy.ErrInvalid)
	}
	return &manifest, nil
}

// pruneWithin is how long a partition waits for those who read the log to be done.
const pruneWithin = 2 * time.Minute

// pruneLog drops partitions up to an index.
func (h *House) pruneLog(ctx context.Context, by privacy.Principal, end uint64) (begin uint64, err error) {
	if begin, err = h.Log.Begin(ctx); err != nil {
		return 0, err
	}
	for until := time.Now().Add(pruneWithin); begin < end; {
		at, _, err := h.Log.Prune(ctx, audit.Event{Principal: by})
		if errors.Is(err, privacy.ErrUnavailable) && time.Now().Before(until) {
			select {
			case <-ctx.Done():
				return begin, fmt.Errorf("waiting for readers of the log: %w: %w", privacy.ErrUnavailable, ctx.Err())
			case <-time.After(time.Second):
				continue
			}
		}
		if err != nil {
			return begin, err
		}
		begin, until = at, time.Now().Add(pruneWithin)
	}
	return begin, nil
}

// SayWhere adds to an error which wraps [audit.ErrArchived] which archive has the entry.
// Others it returns as they are.
func (h *House) SayWhere(ctx context.Context, index uint64, err error) error {
	if !errors.Is(err, audit.ErrArchived) {
		return err
	}
	archives, readErr := h.Log.Archives(ctx)
	if readErr != nil {
		return err
	}
	for i := range archives {
		if a := &archives[i]; index < a.End {
			return fmt.Errorf("%w; entry %d is in the archive of %s, whose manifest has the SHA-256 %x",
				err, index, a.At.UTC().Format(time.DateOnly), a.Manifest[:])
		}
	}
	return err
}

// exportBegin is the first entry of a bundle in a directory: that of the bundle that is there,
// or of the log.
func (h *House) exportBegin(ctx context.Context, dir string) (uint64, error) {
	if b, err := bundle.Open(ctx, bundle.Dir(dir), nil); err == nil {
		return b.Range().Begin, nil
	}
	return h.Log.Begin(ctx)
}
