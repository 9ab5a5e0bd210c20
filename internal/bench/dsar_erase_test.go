package bench

import (
	"context"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// timedStore tells how long each transaction took.
type timedStore struct {
	dsar.EraseStore
	watch func(time.Duration)
}

func (s timedStore) Shred(ctx context.Context, order dsar.ShredOrder) (dsar.Shredded, audit.Receipt, error) {
	began := time.Now()
	defer func() { s.watch(time.Since(began)) }()
	return s.EraseStore.Shred(ctx, order)
}

// TestErase measures erasures in small: everybody who was brought in is erased and swept
// up, and each figure stands beside its limit.
func TestErase(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	dir := t.TempDir()
	if err := keydir.Create(dir+"/keys", keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir+"/keys", keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: database.URL(), MaxConns: 8, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log, err := postgres.OpenAuditLog(t.Context(), db, postgres.AuditConfig{
		Origin: "example.com/bench", PublicKey: keys.LogPublicKey(), Sign: keys.SignLog, SignEvery: -1, Actor: keys.ActorTag,
		Deadline: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close(context.WithoutCancel(t.Context())) })
	seal := ledger.Config{Seal: func(hash ledger.Hash) ledger.Tag { return keys.Vault().LedgerSeal(hash) }}
	if err := ledger.Create(dir+"/erasures", seal); err != nil {
		t.Fatal(err)
	}
	erasures, err := ledger.Open(dir+"/erasures", seal)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = erasures.Close() })
	people := postgres.NewVaultStore(db, keys.Vault())
	desk, err := dsar.NewService(postgres.NewRequestStore(db, log), people, keys.Vault(), log, dsar.ServiceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	store := postgres.NewEraseStore(people, log, postgres.EraseStoreConfig{})
	config := DSARConfig{
		OwnerURL: database.URL(), Desk: desk, Vault: keys.Vault(), Erasures: 5, EraseRounds: 3, ManyEvents: 200, Only: []string{"erase"},
		Eraser: func(watch func(time.Duration)) (Eraser, error) {
			rooms := dsar.EraseRooms{
				Store: store, Requests: desk, Ledger: erasures, Vault: keys.Vault(), Log: log,
				Categories: func() []privacy.DataCategory { return []privacy.DataCategory{"core", "views", "purchases"} },
			}
			if watch != nil {
				rooms.Store = timedStore{store, watch}
			}
			return dsar.NewEraser(rooms, dsar.EraseConfig{})
		},
	}
	report, err := DSAR(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	limits := []string{"", "", "0.8 to 1.2", ">= 500", ""}
	if len(report.Rows) != len(limits) {
		t.Fatalf("%d rows, want %d", len(report.Rows), len(limits))
	}
	for i, row := range report.Rows {
		if row.Figure <= 0 || row.Limit != limits[i] {
			t.Errorf("%+v, want the limit %q", row, limits[i])
		}
	}
	var left, erased int
	if err := database.OwnerPool(t).QueryRow(t.Context(), `select (select count(*) from vault.data_subject), (select count(*) from dsar.erasure where swept_at is not null)`).
		Scan(&left, &erased); err != nil {
		t.Fatal(err)
	}
	if left != 0 || erased != 2*3+2*5 {
		t.Errorf("%d people are left and %d were erased, want 0 and 16", left, erased)
	}
}

// TestEraseNeedsItsParts: a house without the rooms is not measured as if it had them.
func TestEraseNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := DSAR(t.Context(), DSARConfig{Only: []string{"erase"}}); err == nil {
		t.Error("nothing was measured without an error")
	}
}
