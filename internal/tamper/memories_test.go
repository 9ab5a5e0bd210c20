package tamper

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/internal/witnesstest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// target is a copy of the world that somebody attacks, with those who remember it.
type target struct {
	world    *world
	database *pgtest.Database
	signer   *memory
	kept     []byte // the auditor's checkpoint
	witness  *witnesstest.Witness
	policy   *witness.Policy
	refusals []error // by the witness
	// resisted is whether the database itself refused all that was tried.
	resisted bool
}

func newTarget(t *testing.T, w *world) *target {
	t.Helper()
	g := &target{
		world: w, database: w.database.Clone(t), signer: &memory{w.kept}, kept: w.kept,
		witness: witnesstest.New(t, "witness.example", logVerifier(t)),
	}
	var err error
	if g.policy, err = witness.ParsePolicy([]byte(g.witness.Policy("w"))); err != nil {
		t.Fatal(err)
	}
	g.submit(t, w.kept, nil) // the first one needs no proof
	if len(g.refusals) > 0 {
		t.Fatal(g.refusals)
	}
	return g
}

// open opens the database as a server does. It is opened anew after an attack.
func (g *target) open(t *testing.T) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: g.database.URL(), MaxConns: 6, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// submit asks the witness to cosign a checkpoint of the tree, as the protocol has it.
func (g *target) submit(t *testing.T, signed []byte, tree tlog.HashReader) {
	t.Helper()
	checkpoint, err := audit.OpenCheckpoint(signed, logVerifier(t))
	if err != nil {
		t.Fatal(err)
	}
	collector, err := witness.NewCollector(g.policy, func(_ context.Context, old, size uint64) ([]tlog.Hash, error) {
		return tlog.ProveTree(int64(size), int64(old), tree)
	}, witness.ClientConfig{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range collector.Collect(t.Context(), signed, checkpoint) {
		if answer.Err != nil {
			g.refusals = append(g.refusals, answer.Err)
		}
	}
}

// compared is what an auditor does who has a bundle: to ask for another one, check it, and
// look whether it goes on from the old one.
func (g *target) compared(t *testing.T, db *postgres.DB) error {
	t.Helper()
	l, err := postgres.OpenAuditLog(t.Context(), db, logConfig(nil))
	if err != nil {
		return err
	}
	defer func() { _ = l.Close(context.WithoutCancel(t.Context())) }()
	fresh := t.TempDir()
	if err := export(t, fresh, l); err != nil {
		return err
	}
	difference, err := bundle.Diff(t.Context(), state(t, g.world.bundle), state(t, fresh))
	if err != nil {
		t.Fatal(err)
	}
	if !difference.Whole() {
		return fmt.Errorf("%s, first at %d", difference.Relation, difference.First)
	}
	return nil
}

func state(t *testing.T, dir string) bundle.State {
	t.Helper()
	b, err := bundle.Open(t.Context(), bundle.Dir(dir), logVerifier(t))
	if err != nil {
		t.Fatal(err)
	}
	return bundle.StateOf(b)
}

// export writes a bundle and checks it.
func export(t *testing.T, dir string, l *postgres.AuditLog) error {
	t.Helper()
	name := bundle.SignerName(origin)
	logKeyText, err := audit.FormatKey(origin, publicKey())
	if err != nil {
		t.Fatal(err)
	}
	manifestKey, err := audit.FormatKey(name, publicKey())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(name, publicKey(), func(m []byte) ([]byte, error) { return ed25519.Sign(logKey, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Export(t.Context(), dir, postgres.NewBundleSource(l), bundle.ExportConfig{
		Verifier: logVerifier(t), LogKey: logKeyText, ManifestKey: manifestKey, Signer: signer,
	}); err != nil {
		return err
	}
	report, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{Keys: []string{logKeyText, manifestKey}})
	if err == nil && len(report.Damages) > 0 {
		err = fmt.Errorf("bundle: %v", report.Damages[0])
	}
	return err
}

// A memory is somebody who might notice.
type remembers struct {
	name, title string
	// noticed reports whether something is found. An error of the test's own ends it.
	noticed func(t *testing.T, g *target, db *postgres.DB) (bool, error)
}

// memories are asked in this order. Those behind the signer see what it signs.
var memories = []remembers{
	{"refused", "refused by the database", func(_ *testing.T, g *target, _ *postgres.DB) (bool, error) { return g.resisted, nil }},
	{"doctor", "`audit doctor`", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		differences, err := db.AuditSchema(t.Context())
		for _, d := range differences {
			if d.Object != "settings" { // those of the server that tests use
				t.Logf("doctor: %v", d)
				return true, err
			}
		}
		return false, err
	}},
	{"start", "next start", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		l, err := postgres.OpenAuditLog(t.Context(), db, logConfig(nil))
		if err == nil {
			return false, l.Close(context.WithoutCancel(t.Context()))
		}
		return damaged(t, "start", err)
	}},
	{"verify", "`audit verify`", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		report, err := postgres.VerifyAuditLog(t.Context(), db, origin, publicKey(), nil)
		if first, bad := report.FirstBad(); bad {
			t.Logf("verify: %v", first)
		}
		return !report.Whole(), err
	}},
	{"kept", "kept checkpoint", func(t *testing.T, g *target, db *postgres.DB) (bool, error) {
		report, err := postgres.VerifyAuditLog(t.Context(), db, origin, publicKey(), nil, g.kept)
		if err == nil && !report.Whole() {
			t.Logf("with the kept checkpoint: begins with %d of it; %v", report.Kept.Size, report.Damages[0])
		}
		return report.Kept.Size == 0, err
	}},
	{"receipts", "callers' receipts", func(t *testing.T, g *target, _ *postgres.DB) (bool, error) {
		wrong, err := wrongReceipts(t, g)
		if len(wrong) > 0 {
			t.Logf("receipts: %d do not fit, the first is for %d", len(wrong), wrong[0])
		}
		return len(wrong) > 0, err
	}},
	{"bundle", "auditor's bundle", func(t *testing.T, g *target, db *postgres.DB) (bool, error) {
		err := g.compared(t, db)
		if err != nil {
			t.Logf("auditor: %v", err)
		}
		return err != nil, nil
	}},
	{"signer", "signer", func(t *testing.T, g *target, db *postgres.DB) (bool, error) {
		signer, err := postgres.NewSigner(db, postgres.SignerConfig{
			Origin: origin, PublicKey: publicKey(), Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(logKey, m), nil },
			Memory: g.signer, Witnesses: g.policy, WitnessTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return false, err
		}
		noticed, err := damaged(t, "signer", signer.Sign(t.Context()))
		// Whether it has signed or not, it shows witnesses the newest that is stored.
		if asked := signer.Cosign(t.Context()); asked != nil {
			t.Logf("witnesses: %v", asked)
		}
		if alarms := signer.Alarms(); alarms != nil {
			g.refusals = append(g.refusals, alarms)
		}
		return noticed, err
	}},
	{"witness", "witness", func(t *testing.T, g *target, _ *postgres.DB) (bool, error) {
		for _, err := range g.refusals {
			t.Logf("witness: %v", err)
		}
		return len(g.refusals) > 0, nil
	}},
}

// damaged tells a finding from something that went wrong otherwise.
func damaged(t *testing.T, who string, err error) (bool, error) {
	t.Helper()
	if errors.Is(err, privacy.ErrDamaged) {
		t.Logf("%s: %v", who, err)
		return true, nil
	}
	return false, err
}

// wrongReceipts returns the indexes whose entry is not the one that was acknowledged.
func wrongReceipts(t *testing.T, g *target) ([]uint64, error) {
	t.Helper()
	rows, err := g.database.Pool(t).Query(t.Context(), `select seq, leaf from audit.entry order by seq`)
	if err != nil {
		return nil, err
	}
	there := map[uint64][32]byte{}
	var index uint64
	var leaf []byte
	if _, err := pgx.ForEachRow(rows, []any{&index, &leaf}, func() error {
		there[index] = audit.LeafHash(leaf)
		return nil
	}); err != nil {
		return nil, err
	}
	var wrong []uint64
	for _, r := range g.world.receipts {
		if hash, ok := there[r.Index()]; !ok || hash != r.LeafHash() {
			wrong = append(wrong, r.Index())
		}
	}
	return wrong, nil
}
