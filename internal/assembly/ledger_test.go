package assembly

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// erased is a record of somebody who is not in the database, and of no request.
func erased(n byte) ledger.Record {
	return ledger.Record{
		Time: time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), Kind: ledger.Erased, Erasure: [16]byte{n}, Person: ledger.Tag{n},
		Suppressed: []ledger.Tag{{n, 1}, {n, 2}},
	}
}

func TestDatabaseOlderThanTheLedgerDoesNotOpen(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	settings := settingsFor(t, database)
	mustInit(t, settings)
	house, err := Open(t.Context(), settings, Options{})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(ctx context.Context) error {
		_, _, err := house.Holds.Set(ctx, operator, dsar.HoldRequest{
			Reason: "litigation", Authority: "8C-12/2026",
			Identifiers: []privacy.Identifier{{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("K-1")}},
		})
		return err
	}
	if err := hold(t.Context()); err != nil {
		t.Errorf("nothing was erased yet: %v", err)
	}
	for n := range byte(3) {
		if _, err := house.Ledger.Append(t.Context(), erased(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	lifted := ledger.Record{Time: erased(1).Time, Kind: ledger.Readmitted, Suppressed: []ledger.Tag{{2, 1}}}
	if _, err := house.Ledger.Append(t.Context(), lifted); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := hold(ctx); err == nil {
		t.Error("a hold could be set between an erasure and its commit")
	}
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	_, err = Open(t.Context(), settings, Options{})
	if !errors.Is(err, privacy.ErrConflict) || !strings.Contains(err.Error(), "mahrem erasure replay") || !strings.Contains(err.Error(), "lacks 4 of 4") {
		t.Errorf("Open: %v, want a refusal that names the command", err)
	}
	base, err := Open(t.Context(), settings, Options{Base: true})
	if err != nil {
		t.Errorf("for audit verify: %v", err)
	}
	if err := base.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	house, err = Open(t.Context(), settings, Options{Replay: true})
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := house.Replay(t.Context(), operator, nil)
	if err != nil || replayed != (ledger.Replayed{Records: 4, Missing: 4}) {
		t.Errorf("Replay: %+v, %v", replayed, err)
	}
	if err := hold(t.Context()); err != nil {
		t.Error(err)
	}
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	house, err = Open(t.Context(), settings, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var suppressed, inForce int
	row := database.OwnerPool(t).QueryRow(t.Context(), `select count(*), count(*) filter (where lifted_at is null) from dsar.suppression`)
	if err := row.Scan(&suppressed, &inForce); err != nil || suppressed != 6 || inForce != 5 {
		t.Errorf("%d identifiers suppressed, %d in force, %v; want 6 and 5", suppressed, inForce, err)
	}

	// The file is gone, cut, or another one, and the database knows more.
	content, err := os.ReadFile(settings.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	other := filepath.Join(t.TempDir(), "other")
	for name, change := range map[string]func() error{
		"gone": func() error { return os.Remove(settings.Ledger) },
		"cut": func() error {
			return os.WriteFile(settings.Ledger, []byte(strings.Join(lines[:len(lines)-2], "")), 0o600)
		},
		"new": func() error {
			if err := ledger.Create(other, ledger.Config{Seal: func(h ledger.Hash) ledger.Tag { return house.Keys.Vault().LedgerSeal(h) }}); err != nil {
				return err
			}
			return os.Rename(other, settings.Ledger)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		for _, options := range []Options{{}, {Replay: true}} {
			h, err := Open(t.Context(), settings, options)
			if err == nil && options.Replay {
				_, err = h.Replay(t.Context(), operator, nil)
				err = errors.Join(err, h.Close(t.Context()))
			}
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%s, %+v: %v, want ErrDamaged", name, options, err)
			}
		}
		if err := os.WriteFile(settings.Ledger, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
