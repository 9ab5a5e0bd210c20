package postgres

import (
	"errors"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func TestProve(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	if _, err := log.Prove(t.Context(), 0); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("proof in an empty log: %v, want ErrNotFound", err)
	}
	verifier, err := audit.NewVerifier(auditConfig().Origin, auditConfig().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	// Over the edge of a tile, so that a path goes through stored and unfinished ones.
	const entries = audit.TileWidth + 5
	for i := range entries {
		if _, err := log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done, List: audit.Digest{byte(i), byte(i >> 8), 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, index := range []uint64{0, 1, 254, 255, 256, entries - 1} {
		proof, err := log.Prove(t.Context(), index)
		if err != nil {
			t.Fatalf("entry %d: %v", index, err)
		}
		entry, err := proof.Verify(verifier)
		if err != nil || proof.Index != index || entry.List != (audit.Digest{byte(index), byte(index >> 8), 1}) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	if _, err := log.Prove(t.Context(), entries); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("proof of the entry behind the last: %v, want ErrNotFound", err)
	}
	// An entry that came later is proved under a checkpoint of its own.
	receipt, err := log.Append(t.Context(), audit.Event{Kind: audit.ServerStopped, Outcome: audit.Done})
	if err != nil {
		t.Fatal(err)
	}
	if proof, err := log.Prove(t.Context(), receipt.Index()); err != nil || audit.LeafHash(proof.Leaf) != receipt.LeafHash() {
		t.Errorf("the later entry: %v", err)
	}
	// What was altered is not proved.
	pool := database.OwnerPool(t)
	for _, sql := range []string{
		`alter table audit.entry_p0 disable trigger all`,
		`update audit.entry set leaf = leaf || ' ' where seq = 7`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := log.Prove(t.Context(), 7); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("proof of an altered entry: %v, want ErrDamaged", err)
	}
}
