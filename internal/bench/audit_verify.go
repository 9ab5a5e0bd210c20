package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// verifyEntries is how many entries the bundle has that is verified.
const verifyEntries = 1_000_000

// measureVerify measures how fast a bundle is verified offline: every entry read from files,
// hashed and parsed, every tile and checkpoint compared. The bundle is exported from a log that
// is made up as it is read, so that nothing of it needs to fit into memory.
func measureVerify(ctx context.Context, config AuditConfig) ([]Row, error) {
	dir, err := os.MkdirTemp("", "mahrem-bench-bundle-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	entries := uint64(verifyEntries)
	if config.Entries != 0 {
		entries = min(entries, config.Entries)
	}
	place := filepath.Join(dir, "bundle")
	key, err := exportMadeUp(ctx, place, entries, config.Progress)
	if err != nil {
		return nil, err
	}
	return verifyBundle(ctx, place, key, entries, config.Rounds)
}

// exportMadeUp writes a bundle of made-up entries and returns the key of its log.
func exportMadeUp(ctx context.Context, place string, entries uint64, progress func(step string, done, total int)) (string, error) {
	const origin = "bench.example/audit"
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	text, err := audit.FormatKey(origin, public)
	if err != nil {
		return "", err
	}
	verifier, err := audit.NewVerifier(origin, public)
	if err != nil {
		return "", err
	}
	sign := func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil }
	signer, err := audit.NewSigner(origin, public, sign)
	if err != nil {
		return "", err
	}
	manifest, err := audit.NewSigner(bundle.SignerName(origin), public, sign)
	if err != nil {
		return "", err
	}
	log := &madeUpLog{size: entries}
	if err := log.sum(ctx); err != nil {
		return "", err
	}
	if log.note, err = audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: entries, Root: log.edge.Root()}, signer); err != nil {
		return "", err
	}
	_, err = bundle.Export(ctx, place, log, bundle.ExportConfig{
		Verifier: verifier, Signer: manifest, LogKey: text, ManifestKey: text,
		Progress: func(done, total uint64) {
			if progress != nil {
				progress("exporting a bundle to verify", int(done), int(total))
			}
		},
	})
	return text, err
}

// verifyBundle verifies a bundle a few times and tells the usual rate and the largest heap.
func verifyBundle(ctx context.Context, place, key string, entries uint64, rounds int) ([]Row, error) {
	if rounds == 0 {
		rounds = 3
	}
	var best, heap float64
	for range min(rounds, 3) {
		runtime.GC()
		begun := time.Now()
		report, err := bundle.Verify(ctx, bundle.Dir(place), bundle.VerifyConfig{
			Keys: []string{key},
			Progress: func(uint64, uint64) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap = max(heap, float64(m.HeapAlloc)/(1<<20))
			},
		})
		if err != nil {
			return nil, err
		}
		if !report.Whole() || report.Size != entries {
			return nil, fmt.Errorf("verifying a bundle of %d entries: it is not whole: %w", entries, privacy.ErrDamaged)
		}
		best = max(best, float64(entries)/time.Since(begun).Seconds())
	}
	note := fmt.Sprintf("%d entries from files, best of %d", entries, min(rounds, 3))
	return []Row{
		Row{Measurement: "verify", What: "offline verification of a bundle", Figure: best, Unit: "entries/s", Note: note}.atLeast(800_000),
		Row{Measurement: "verify", What: "largest heap meanwhile", Figure: heap, Unit: "MiB", Note: note}.atMost(64),
	}, nil
}

// madeUpLog makes the same entries up whenever they are read, in order.
type madeUpLog struct {
	size uint64
	note []byte
	edge audit.Edge
}

// Entries implements [bundle.Log].
func (l *madeUpLog) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	source := &madeUpBytes{n: from}
	at := time.UnixMilli(1_795_325_000_000 + int64(from))
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now: func() time.Time { at = at.Add(time.Millisecond); return at }, Random: source,
		Actor: func(privacy.Principal) [16]byte { return [16]byte{7} },
	})
	if err != nil {
		return nil, err
	}
	event := audit.Event{
		Kind: audit.QueryAnswered, Outcome: audit.Allowed, Subject: audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{1}},
		Principal: privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient}, Purpose: "greeting", Channel: "web",
		Attributes: []privacy.AttributeName{"first_name", "language"}, Policy: audit.Digest{1}, Facts: audit.Digest{2},
	}
	count := int(min(uint64(limit), l.size-from))
	page := make([]audit.StoredEntry, count)
	for i := range page {
		source.n = from + uint64(i)
		leaf, _, err := encoder.AppendLeaf(make([]byte, 0, 384), &event)
		if err != nil {
			return nil, err
		}
		page[i] = audit.StoredEntry{Index: from + uint64(i), Leaf: leaf, LeafHash: tlog.Hash(audit.LeafHash(leaf))}
	}
	return page, nil
}

// sum computes the root before anything is exported.
func (l *madeUpLog) sum(ctx context.Context) error {
	for l.edge.Size() < l.size {
		page, err := l.Entries(ctx, l.edge.Size(), 4096)
		if err != nil {
			return err
		}
		for i := range page {
			l.edge.Append(page[i].LeafHash, nil)
		}
	}
	return ctx.Err()
}

// Checkpoints implements [bundle.Log].
func (l *madeUpLog) Checkpoints(context.Context, uint64, int) ([]audit.StoredCheckpoint, error) {
	return nil, nil
}

// LatestCheckpoint implements [bundle.Log].
func (l *madeUpLog) LatestCheckpoint(context.Context) ([]byte, error) { return l.note, nil }

// Tile implements [bundle.Log]. Of a whole log nobody asks.
func (l *madeUpLog) Tile(context.Context, audit.TileName) ([]byte, error) {
	return nil, privacy.ErrNotFound
}

// madeUpBytes are random enough for ids: the number of the entry.
type madeUpBytes struct{ n uint64 }

func (b *madeUpBytes) Read(p []byte) (int, error) {
	clear(p)
	binary.BigEndian.PutUint64(p, b.n)
	return len(p), nil
}
