package assembly

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/tally"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/internal/witnesstest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// TestArchiveLog takes a log of more than a million entries, of which a partition is old,
// through the whole of mahrem audit archive --prune, and then does everything with it that
// is ever done with a log: each works, or says "archived".
func TestArchiveLog(t *testing.T) {
	if testing.Short() {
		t.Skip("writes more than a million entries")
	}
	t.Parallel()
	var ago atomic.Int64
	ago.Store(int64(500 * 24 * time.Hour))
	house, database := newHouseAt(t, &ago)
	by, second := Operator("tester"), privacy.Principal{ID: "second", Role: privacy.RoleDPO}
	auditor := privacy.Principal{ID: "auditor", Role: privacy.RoleAuditor}
	pool := database.OwnerPool(t)
	var signed [][]byte
	sign := func() {
		t.Helper()
		if err := house.Log.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		note, err := house.Log.LatestCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, note)
	}
	// Long ago.
	ids := loadPeople(t, house, 4)
	old := askAbout(t, house, 0)
	if _, err := house.EraseAtOnce(t.Context(), by, second, customer(3), "CZ"); err != nil {
		t.Fatal(err)
	}
	if err := house.flushKeyUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	sign()
	began := time.Now()
	var edge audit.Edge
	for _, size := range []uint64{300_001, 900_100, audit.PartitionSize + 300} {
		lengthen(t, pool, &edge, size, house.options.Now)
		sign()
	}
	mustExec(t, pool, `select audit.add_partition(1), audit.add_partition(2)`)
	t.Logf("%d entries in %v", edge.Size(), time.Since(began))
	// And now.
	ago.Store(0)
	recent := askAbout(t, house, 0)
	sign()
	before := filepath.Join(t.TempDir(), "before")
	if _, _, err := house.ExportLog(t.Context(), by, before, true, func(_, _ uint64) {}); err != nil {
		t.Fatal(err)
	}

	archiveDir := filepath.Join(t.TempDir(), "archive")
	shown := map[string]bool{}
	progress := func(what string, _, _ uint64) { shown[what] = true }
	if _, err := house.ArchiveLog(t.Context(), auditor, archiveDir, true, progress); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("an auditor archives: %v", err)
	}
	if _, err := house.ArchiveLog(t.Context(), by, archiveDir, true, progress); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("without a policy: %v", err)
	}
	setOldEntries(t, house, oldEntries)
	began = time.Now()
	done, err := house.ArchiveLog(t.Context(), by, archiveDir, false, progress)
	if err != nil || done.End != audit.PartitionSize || done.LogBegins != 0 || !shown["archiving"] || !shown["verifying"] {
		t.Fatalf("archived %+v, %v, shown %v", done, err, shown)
	}
	t.Logf("archived and verified in %v", time.Since(began))
	// A byte of what was archived is another one: nothing is dropped.
	entries := filepath.Join(done.Directory, "tile", "entries", "x001", "000")
	content, err := os.ReadFile(entries)
	if err != nil {
		t.Fatal(err)
	}
	content[100] ^= 1
	if err := os.WriteFile(entries, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := house.ArchiveLog(t.Context(), by, archiveDir, true, progress); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("pruning with an archive that was altered: %v", err)
	}
	content[100] ^= 1
	if err := os.WriteFile(entries, content, 0o600); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if done, err = house.ArchiveLog(t.Context(), by, archiveDir, true, progress); err != nil || done.LogBegins != audit.PartitionSize {
		t.Fatalf("pruned: %+v, %v", done, err)
	}
	t.Logf("verified again and dropped in %v", time.Since(began))

	// Appending goes on, and the next process opens the log.
	if _, err := house.Log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done, List: audit.Digest{1}}); err != nil {
		t.Fatal(err)
	}
	after := askAbout(t, house, 1)
	sign()
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if house, err = Open(t.Context(), house.Settings, Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	sign()

	t.Run("verify the database", func(t *testing.T) {
		report, err := house.VerifyLog(t.Context(), nil, signed...)
		if err != nil || !report.Whole() || report.Begin != audit.PartitionSize {
			t.Errorf("begins with %d, %v, %v", report.Begin, report.Damages, err)
		}
	})

	logKey, err := house.LogKey()
	if err != nil {
		t.Fatal(err)
	}
	manifestKey, err := audit.FormatKey(bundle.SignerName(house.Settings.Origin), house.Keys.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{logKey, manifestKey}
	rest := filepath.Join(t.TempDir(), "rest")
	manifest, _, err := house.ExportLog(t.Context(), by, rest, true, func(_, _ uint64) {})
	if err != nil || manifest.Begin != audit.PartitionSize {
		t.Fatalf("exported %+v, %v", manifest.Range, err)
	}
	note, err := os.ReadFile(filepath.Join(done.Directory, bundle.CheckpointPath))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("verify the files", func(t *testing.T) {
		v, err := verdict.Of(t.Context(), done.Directory, verdict.Options{Keys: keys, Kept: signed[:2], Part: true})
		if err != nil || !v.Whole || v.Begin != 0 || v.Entries != audit.PartitionSize {
			t.Errorf("the archive: %+v, %v", v, err)
		}
		v, err = verdict.Of(t.Context(), rest, verdict.Options{Keys: keys, Kept: [][]byte{note}, Part: true})
		if err != nil || !v.Whole || v.Begin != audit.PartitionSize || v.Kept <= audit.PartitionSize {
			t.Errorf("the rest with the checkpoint of the archive: %+v, %v", v, err)
		}
		parts, err := verdict.OfAll(t.Context(), []string{rest, done.Directory}, verdict.Options{Keys: keys, Kept: signed})
		if err != nil || len(parts) != 2 || !parts[0].Whole || !parts[1].Whole || parts[0].Place != done.Directory {
			t.Errorf("archive and rest: %+v, %v", parts, err)
		}
		// What was exported before begins earlier, and repeats what the archive has.
		parts, err = verdict.OfAll(t.Context(), []string{done.Directory, before}, verdict.Options{Keys: keys})
		if err != nil || len(parts) != 2 || parts[0].Whole && parts[1].Whole {
			t.Errorf("archive and a bundle that repeats it: %+v, %v", parts, err)
		}
		// The rest alone says where it begins, and a part that is missing is named.
		if parts, err := verdict.OfAll(t.Context(), []string{rest, rest}, verdict.Options{Keys: keys, Part: true}); err != nil || parts[1].Whole {
			t.Errorf("the same twice: %+v, %v", parts, err)
		}
		before, err := bundle.Open(t.Context(), bundle.Dir(before), nil)
		if err != nil {
			t.Fatal(err)
		}
		later, err := bundle.Open(t.Context(), bundle.Dir(rest), nil)
		if err != nil {
			t.Fatal(err)
		}
		difference, err := bundle.Diff(t.Context(), bundle.StateOf(before), bundle.StateOf(later))
		if err != nil || difference.Relation != bundle.Extended {
			t.Errorf("from before to after: %+v, %v", difference, err)
		}
	})
	isArchived := func(t *testing.T, what string, err error) {
		t.Helper()
		if !errors.Is(err, audit.ErrArchived) || !strings.Contains(err.Error(), "archived") {
			t.Errorf("%s: %v, want that it was archived", what, err)
		}
	}
	t.Run("prove", func(t *testing.T) {
		verifier, err := audit.NewVerifier(house.Settings.Origin, house.Keys.LogPublicKey())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []audit.DecisionID{recent, after} {
			proof, err := house.Log.Prove(t.Context(), id.Index)
			if err != nil {
				t.Fatal(err)
			}
			if entry, err := proof.Verify(verifier); err != nil || entry.ID != id.EntryID {
				t.Errorf("proof of %d: %v", id.Index, err)
			}
		}
		for _, index := range []uint64{0, old.Index, audit.PartitionSize - 1} {
			_, err := house.Log.Prove(t.Context(), index)
			isArchived(t, "proof", err)
			if err := house.SayWhere(t.Context(), index, err); !errors.Is(err, audit.ErrArchived) || !strings.Contains(err.Error(), hex.EncodeToString(done.Manifest[:])) {
				t.Errorf("it is not said where: %v", err)
			}
		}
		_, err = house.Log.FindEntry(t.Context(), old.EntryID, nil)
		isArchived(t, "finding an entry by its id", err)
		// The archive has it, with its proof.
		b, err := bundle.Open(t.Context(), bundle.Dir(done.Directory), nil)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := b.Prove(t.Context(), old.Index)
		if err != nil {
			t.Fatal(err)
		}
		if entry, err := proof.Verify(verifier); err != nil || entry.ID != old.EntryID {
			t.Errorf("proof out of the archive: %v", err)
		}
	})
	t.Run("decisions", func(t *testing.T) {
		_, err := house.Archive.Show(t.Context(), by, old)
		isArchived(t, "an old decision", err)
		for _, id := range []audit.DecisionID{recent, after} {
			if shown, err := house.Archive.Show(t.Context(), by, id); err != nil || !shown.Kept || shown.ID != id {
				t.Errorf("decision %v: %v", id, err)
			}
		}
		never := audit.DecisionID{Index: 1 << 40, EntryID: old.EntryID}
		if _, err := house.Archive.Show(t.Context(), by, never); !errors.Is(err, privacy.ErrNotFound) || errors.Is(err, audit.ErrArchived) {
			t.Errorf("a decision that never was: %v", err)
		}
	})
	t.Run("report", func(t *testing.T) {
		_, proof, err := house.ReportLog(t.Context(), auditor, tally.Config{})
		if err != nil || proof.Begin != audit.PartitionSize {
			t.Errorf("from the database: %+v, %v", proof, err)
		}
		for dir, begin := range map[string]uint64{rest: audit.PartitionSize, done.Directory: 0} {
			b, err := bundle.Open(t.Context(), bundle.Dir(dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			config := tally.Config{Begin: b.Range().Begin}
			if b.Range().End >= b.Checkpoint().Size {
				config.Checkpoint = b.Checkpoint()
			}
			if report, proof, err := tally.Read(t.Context(), b, config); err != nil || proof.Begin != begin {
				t.Errorf("from %s: %+v, %+v, %v", dir, report, proof, err)
			}
		}
	})
	t.Run("tail", func(t *testing.T) {
		tail, err := house.Log.Tail(t.Context(), 5000)
		if err != nil || len(tail) == 0 || tail[0].Index != audit.PartitionSize {
			t.Errorf("%d entries, %v", len(tail), err)
		}
	})
	t.Run("reconcile", func(t *testing.T) {
		result, counted, err := house.Reconcile(t.Context(), time.Time{}, time.Now().Add(time.Hour), func(_, _ int64) {})
		if err != nil || !result.Whole() || result.Opened == 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if counted != nil && counted.Begins.Before(time.Now().AddDate(0, 0, -501)) {
			t.Errorf("the log begins in %v", counted.Begins)
		}
	})
	t.Run("trail of a person", func(t *testing.T) {
		told, err := house.ToldOf(t.Context(), ids[0], nil, func(_, _ uint64) {})
		if err != nil || len(told) != 1 || told[0] != "web_shop" {
			t.Errorf("told of the first person: %v, %v", told, err)
		}
		lock, err := export.WithPassphrase(privacy.NewPlain("correct horse battery staple of a test"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := house.Exporter.ExportMany(t.Context(), by, []export.Job{{
			Person: ids[0], Request: dsar.RequestID{1}, Kind: dsar.Access, Language: "en", Lock: lock, Create: func() (export.File, error) { return discarded{io.Discard}, nil },
		}}, nil)
		if err != nil || results[0].Err != nil || results[0].Entries == 0 {
			t.Errorf("export: %+v, %v", results, err)
		}
	})
	t.Run("people who are back", func(t *testing.T) {
		// The entry of the erasure is gone, its tag is not.
		if found, err := house.EraseReturned(t.Context(), by, nil); err != nil || found.People != 3 || found.Erased != 0 {
			t.Errorf("%+v, %v", found, err)
		}
	})
	t.Run("archive again", func(t *testing.T) {
		again, err := house.ArchiveLog(t.Context(), by, archiveDir, true, progress)
		if err != nil || again.Directory != "" || again.LogBegins != audit.PartitionSize {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// TestArchiveNeedsAQuorum: cosignatures count if they verify and the policy of witnesses
// names who gave them, whatever rows the database has.
func TestArchiveNeedsAQuorum(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	if err := house.Log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare, err := house.Log.LatestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(house.Settings.Origin, house.Keys.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	w, stranger := witnesstest.New(t, "witness.example", verifier), witnesstest.New(t, "witness.example", verifier)
	named := func(w *witnesstest.Witness) {
		t.Helper()
		policy, err := witness.ParsePolicy([]byte(w.Policy("w")))
		if err != nil {
			t.Fatal(err)
		}
		house.signing.witnesses = policy
	}
	named(w)
	one := &audit.RetentionPolicy{Cosignatures: 1}
	refused := func(what string, policy *audit.RetentionPolicy, note []byte, want error) {
		t.Helper()
		if err := house.enoughWitnesses(policy, note); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	refused("nobody cosigned", &audit.RetentionPolicy{}, bare, postgres.ErrMayNotPrune)
	answer, err := http.Post(w.URL()+"/add-checkpoint", "text/plain", strings.NewReader("old 0\n\n"+string(bare)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	line, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the witness answers %d: %s, %v", answer.StatusCode, line, err)
	}
	note := slices.Concat(bare, line)
	if err := house.enoughWitnesses(one, note); err != nil {
		t.Errorf("with a cosignature: %v", err)
	}
	refused("one of two that the policy on old entries wants", &audit.RetentionPolicy{Cosignatures: 2}, note, postgres.ErrMayNotPrune)
	// The line as a row of the database may have it: of the right name and key, and forged.
	forged := slices.Clone(note)
	last := len(forged) - 12
	if forged[last] == 'A' {
		forged[last] = 'B'
	} else {
		forged[last] = 'A'
	}
	refused("a forged cosignature", one, forged, privacy.ErrDamaged)
	named(stranger)
	refused("a witness of the same name and another key", one, note, postgres.ErrMayNotPrune)
	house.signing.witnesses = nil
	refused("cosignatures are wanted, and nobody is named", one, note, postgres.ErrMayNotPrune)
	if err := house.enoughWitnesses(&audit.RetentionPolicy{}, note); err != nil {
		t.Errorf("none are wanted: %v", err)
	}
}
