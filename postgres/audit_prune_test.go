package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// fill appends n entries for the event in one commit, past the queue: a million of them
// should not take longer than need be.
func fill(t testing.TB, l *AuditLog, n int, event audit.Event) {
	t.Helper()
	if !l.takeTurn(time.Now().Add(time.Minute)) {
		t.Fatal("no turn")
	}
	defer l.giveTurn()
	entries := make([]*pendingEntry, n)
	for i := range entries {
		entries[i] = &pendingEntry{}
		if err := l.encode(entries[i], &event); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := l.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if err := prepareAuditWrites(t.Context(), conn.Conn()); err != nil {
		t.Fatal(err)
	}
	w := &logWrite{}
	w.build(&l.head.edge, entries)
	if err := w.commitClaimed(t.Context(), conn.Conn(), &l.head); err != nil {
		t.Fatal(err)
	}
	l.head.moveTo(w.edge, w.root)
}

const keepPolicy = "mahrem.log-retention/v1\nkeep 400 days\ncosignatures 0\n\nFor a test.\n"

func retentionPolicy(t testing.TB, text string) audit.RetentionPolicy {
	t.Helper()
	policy, err := audit.ParseRetentionPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// TestPrune drops a partition of a log of more than a million entries: what is left proves
// itself, goes on, and proves that it extends every checkpoint that was ever signed.
func TestPrune(t *testing.T) {
	if testing.Short() {
		t.Skip("appends more than a million entries")
	}
	t.Parallel()
	db, database := newDB(t)
	config := auditConfig()
	var ago atomic.Int64
	ago.Store(int64(500 * 24 * time.Hour))
	config.Now = func() time.Time { return time.Now().Add(-time.Duration(ago.Load())) }
	log := newAuditLog(t, db, config)
	dpo := audit.Event{Principal: privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}}
	random := rand.New(rand.NewPCG(7, 7))
	var signed []audit.Checkpoint
	sign := func() {
		t.Helper()
		if err := log.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		note, err := log.LatestCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.OpenCheckpoint(note, log.verifier)
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, c)
	}
	began := time.Now()
	erased := audit.Subject{ID: privacy.DataSubjectID{9}, Blinding: audit.BlindingKey{8}}
	fill(t, log, 1, audit.Event{Kind: audit.PersonErased, Outcome: audit.Done, Subject: erased})
	for log.head.edge.Size() < audit.PartitionSize {
		fill(t, log, min(3000+random.IntN(1000), audit.PartitionSize-int(log.head.edge.Size())+random.IntN(500)), denied())
		sign()
	}
	t.Logf("%d entries with %d checkpoints in %v", log.head.edge.Size(), len(signed), time.Since(began))
	// Old as well, but in a partition that has some that are not.
	fill(t, log, 500, denied())
	sign()
	ago.Store(0)
	fill(t, log, 3000, denied())
	sign()

	verifier := log.verifier
	var indexes []uint64
	for range 300 {
		indexes = append(indexes, audit.PartitionSize+random.Uint64N(signed[len(signed)-1].Size-audit.PartitionSize))
	}
	proofs := func() {
		t.Helper()
		for _, index := range indexes {
			proof, err := log.Prove(t.Context(), index)
			if err != nil {
				t.Fatalf("inclusion of %d: %v", index, err)
			}
			if _, err := proof.Verify(verifier); err != nil {
				t.Fatalf("inclusion of %d: %v", index, err)
			}
		}
		last := signed[len(signed)-1]
		for _, c := range signed[:len(signed)-1] {
			if err := checkGrowth(t.Context(), db.pool, c, last); err != nil {
				t.Fatalf("consistency of %d with %d: %v", c.Size, last.Size, err)
			}
		}
	}
	proofs()
	t.Logf("%d inclusion and %d consistency proofs before", len(indexes), len(signed)-1)

	refused := func(reason string) {
		t.Helper()
		if _, _, err := log.Prune(t.Context(), dpo); !errors.Is(err, ErrMayNotPrune) || !strings.Contains(err.Error(), reason) {
			t.Errorf("got %v, want a refusal: %s", err, reason)
		}
		if begin, err := log.Begin(t.Context()); err != nil || begin != 0 {
			t.Fatalf("the log begins with %d, %v", begin, err)
		}
	}
	refused("no written policy")
	set := func(change ...string) audit.RetentionPolicy {
		t.Helper()
		policy := retentionPolicy(t, strings.NewReplacer(change...).Replace(keepPolicy))
		receipt, err := log.SetRetention(t.Context(), dpo, policy)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := log.EntriesAt(t.Context(), []uint64{receipt.Index()})
		if err != nil || len(entries) != 1 {
			t.Fatal(entries, err)
		}
		if entry, err := audit.ParseEntry(entries[0].Leaf); err != nil || entry.Kind != audit.LogRetentionSet || entry.List != policy.Digest() {
			t.Errorf("got entry %+v, %v", entry, err)
		}
		return policy
	}
	policy := set("400 days", "3 years", "cosignatures 0", "cosignatures 1")
	if end, err := log.Prunable(t.Context(), policy, time.Now()); err != nil || end != 0 {
		t.Errorf("prunable up to %d, %v, want nothing", end, err)
	}
	refused("were not archived")
	archive := Archived{End: audit.PartitionSize, Manifest: audit.Digest{5}, Size: signed[len(signed)-1].Size}
	for _, wrong := range []uint64{0, 1, audit.PartitionSize + 1} {
		if _, err := log.RecordArchived(t.Context(), dpo, Archived{End: wrong, Manifest: audit.Digest{5}, Size: archive.Size}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("archive that ends with %d: %v", wrong, err)
		}
	}
	if _, err := log.RecordArchived(t.Context(), dpo, archive); err != nil {
		t.Fatal(err)
	}
	refused("no checkpoint with 1 cosignatures")
	set("400 days", "3 years")
	refused("younger than the policy")
	policy = set()
	if end, err := log.Prunable(t.Context(), policy, time.Now()); err != nil || end != audit.PartitionSize {
		t.Errorf("prunable up to %d, %v", end, err)
	}
	if stored, _, err := log.Retention(t.Context()); err != nil || stored != policy {
		t.Errorf("got %+v, %v", stored, err)
	}
	// Evidence is not optional, whoever asks.
	for name, sql := range map[string]string{
		"prune":    `select audit.prune()`,
		"archived": `insert into audit.archived (end_index, manifest, checkpoint_size) select 2097152, manifest, checkpoint_size from audit.archived limit 0`,
		"policy":   `insert into audit.retention (digest, number, keep, cosignatures, policy) values (sha256('x'), 9, interval '90 days', 0, 'x')`,
	} {
		if name == "archived" {
			continue
		}
		if got := refusal(db.pool.Exec(t.Context(), sql)); got != "23000" {
			t.Errorf("%s without its entry: %q", name, got)
		}
	}
	// A reader that is at it keeps the partition, and is not waited for long.
	reader, err := db.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readEntries(t.Context(), reader, 0, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := log.Prune(t.Context(), dpo); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("while somebody reads: %v", err)
	}
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	proofs()

	began = time.Now()
	begin, receipt, err := log.Prune(t.Context(), dpo)
	if err != nil || begin != audit.PartitionSize {
		t.Fatalf("got %d, %v", begin, err)
	}
	t.Logf("dropped in %v", time.Since(began))
	sign()
	proof, err := log.Prove(t.Context(), receipt.Index())
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := proof.Verify(verifier); err != nil || entry.Kind != audit.LogPruned || entry.List != archive.Manifest {
		t.Errorf("got entry %+v, %v", entry, err)
	}
	proofs()
	t.Logf("%d inclusion and %d consistency proofs after", len(indexes), len(signed)-1)

	for _, index := range []uint64{0, 70_000, audit.PartitionSize - 1} {
		if _, err := log.Prove(t.Context(), index); !errors.Is(err, audit.ErrArchived) {
			t.Errorf("proof of %d: %v, want that it is archived", index, err)
		}
	}
	tiles := NewLogTiles(log)
	for _, name := range []audit.TileName{{N: 7, Entries: true, Width: 256}, {N: signed[1].Size/256 + 1, Width: 256}} {
		if _, err := tiles.Tile(t.Context(), name); !errors.Is(err, audit.ErrArchived) {
			t.Errorf("%s: %v, want that it is archived", name.Path(), err)
		}
	}
	for _, name := range []audit.TileName{{N: signed[1].Size / 256, Width: 256}, {Level: 1, N: 2, Width: 256}, {N: audit.PartitionSize / 256, Entries: true, Width: 256}} {
		if tile, err := tiles.Tile(t.Context(), name); err != nil || len(tile) < audit.TileBytes {
			t.Errorf("%s: %d bytes, %v", name.Path(), len(tile), err)
		}
	}
	// Sizes that were never signed have no tile left, and are said to be archived.
	err = checkGrowth(t.Context(), db.pool, audit.Checkpoint{Size: 4242, Root: tlog.Hash{1}}, signed[len(signed)-1])
	if !errors.Is(err, audit.ErrArchived) {
		t.Errorf("consistency with a size that was never signed: %v", err)
	}
	if got := refusal(db.pool.Exec(t.Context(), sqlAuditAddPartition, 0)); got != "22023" {
		t.Errorf("room for dropped entries: %q", got)
	}
	var tags, kept int
	if err := db.pool.QueryRow(t.Context(), `select (select count(*) from audit.erase_tag), (select count(*) from audit.kept_tile)`).Scan(&tags, &kept); err != nil || tags != 1 || kept == 0 || kept > len(signed) {
		t.Errorf("%d tags of erased people and %d tiles were kept, %v", tags, kept, err)
	}
	t.Logf("%d tiles kept for checkpoints", kept)
	var tag []byte
	if err := db.pool.QueryRow(t.Context(), `select tag from audit.erase_tag`).Scan(&tag); err != nil {
		t.Fatal(err)
	}
	if want := erased.Blinding.ErasedTag(); hex.EncodeToString(tag) != hex.EncodeToString(want[:]) {
		t.Errorf("kept tag %x, want %x", tag, want)
	}

	// The log goes on, in this process and in the next, which is told what was kept.
	fill(t, log, 700, denied())
	if _, err := log.Append(t.Context(), denied()); err != nil {
		t.Fatal(err)
	}
	sign()
	proofs()
	for _, c := range []audit.Checkpoint{signed[3], signed[len(signed)-4]} {
		again := auditConfig()
		signer, err := audit.NewSigner(config.Origin, config.PublicKey, config.Sign)
		if err != nil {
			t.Fatal(err)
		}
		note, err := audit.SignCheckpoint(c, signer)
		if err != nil {
			t.Fatal(err)
		}
		again.Memory = &memoryOf{note}
		next, err := OpenAuditLog(t.Context(), db, again)
		if err != nil {
			t.Fatalf("opening with a kept checkpoint of %d: %v", c.Size, err)
		}
		if _, err := next.Append(t.Context(), denied()); err != nil {
			t.Error(err)
		}
		if err := next.Close(context.Background()); err != nil {
			t.Error(err)
		}
		report, err := VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil, note)
		if err != nil || !report.Whole() || report.Begin != audit.PartitionSize || report.Kept != c {
			t.Errorf("verified against size %d: %+v, %v", c.Size, report, err)
		}
	}
	if tail, err := log.Tail(t.Context(), 5000); err != nil || tail[0].Index < audit.PartitionSize || len(tail) < 3000 {
		t.Errorf("tail has %d entries, %v", len(tail), err)
	}
	trail, err := audit.NewTrail([]audit.Subject{denied().Subject})
	if err != nil {
		t.Fatal(err)
	}
	size, err := log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	walked, err := trail.Scan(t.Context(), log, audit.TrailConfig{Size: size}, func(int, uint64) error { found++; return nil })
	if err != nil || walked.First != audit.PartitionSize || found < 3700 {
		t.Errorf("the trail begins with %d and finds %d, %v", walked.First, found, err)
	}
	// A change among what was kept shows.
	owner := database.OwnerPool(t)
	for _, sql := range []string{
		`alter table audit.kept_tile disable trigger all`,
		`update audit.kept_tile set hashes = set_byte(hashes, 5000, get_byte(hashes, 5000) # 1) where n = (select min(n) from audit.kept_tile)`,
	} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	report, err := VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil)
	if bad, _ := report.FirstBad(); err != nil || bad.Kind != audit.TileAltered {
		t.Errorf("a kept tile was altered: %v, %v", report.Damages, err)
	}
	// The shape of a log that was shortened is what was shipped. (A cluster for tests does
	// not wait for the disk, and says so.)
	differences, err := db.AuditSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		if d.Object != "table audit.kept_tile" && d.Object != "settings" {
			t.Errorf("doctor: %v", d)
		}
	}
}

// memoryOf keeps one checkpoint and forgets the others.
type memoryOf struct{ note []byte }

func (m *memoryOf) Load() ([]byte, error) { return m.note, nil }
func (m *memoryOf) Keep([]byte) error     { return nil }
func (m *memoryOf) String() string        { return "memory of a test" }

var _ CheckpointMemory = (*memoryOf)(nil)
