package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func newKeys(t testing.TB) *keydir.Keys {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{Vault: vault.Config{PhoneRegion: "TR"}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// heldPerson is somebody about whom a test database holds everything it can.
type heldPerson struct {
	id          privacy.DataSubjectID
	key         *vault.PersonKey
	wrapped     []byte
	identifiers []privacy.Identifier
	sealed      []byte // the record of category contact, version 1
	record      vault.Record
	events      [][]vault.Event // by chunk
}

// plains compares personal values by what they hold.
var plains = cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })

// addPerson writes a person as the application role does, through pool.
func addPerson(t testing.TB, database *pgtest.Database, v *vault.Vault, name string) heldPerson {
	t.Helper()
	return addPersonWith(t, database.Pool(t), v, name)
}

// addPersonWith is [addPerson] for tests with so many people that they share a pool.
func addPersonWith(t testing.TB, pool *pgxpool.Pool, v *vault.Vault, name string) heldPerson {
	t.Helper()
	exec := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatalf("%s: %v", strings.TrimSpace(statement), err)
		}
	}
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := heldPerson{id: id, identifiers: []privacy.Identifier{
		{Kind: privacy.Email, Value: privacy.NewPlain(name + "@example.com")},
		{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("C-" + name)},
		{Kind: privacy.CookieID, Value: privacy.NewPlain("cookie-" + name)},
	}}
	if p.key, p.wrapped, err = v.NewPersonKey(id); err != nil {
		t.Fatal(err)
	}
	exec(`insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'TR')`, [16]byte(id))
	exec(`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, [16]byte(id), p.wrapped)
	for _, identifier := range p.identifiers {
		index, err := v.BlindIndex(identifier)
		if err != nil {
			t.Fatal(err)
		}
		exec(`insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, $2, $3)`, [16]byte(id), string(identifier.Kind), index)
	}
	p.record = vault.Record{"first_name": {
		Values: []privacy.Plain{privacy.NewPlain(name)}, Source: vault.Declared, Quality: vault.Verified,
		ObservedAt: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
	}}
	if p.sealed, err = p.key.SealRecord("contact", 1, p.record); err != nil {
		t.Fatal(err)
	}
	slot := v.Slot(id, "contact")
	exec(`insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`, [16]byte(id), slot[:], p.sealed)
	slot = v.Slot(id, "purchases")
	for chunk := range int64(3) {
		events := []vault.Event{{
			Type: "purchase", At: time.Date(2026, 3, 4+int(chunk), 5, 6, 7, 0, time.UTC),
			Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("grocery.dairy")},
		}}
		sealed, err := p.key.SealChunk("purchases", chunk, 1, events)
		if err != nil {
			t.Fatal(err)
		}
		p.events = append(p.events, events)
		exec(`insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, $2, $3, 1, 1, $4)`,
			[16]byte(id), slot[:], chunk, sealed)
		fingerprint := v.Fingerprint(id, "test", string(rune('a'+chunk)))
		exec(`insert into vault.event_fingerprint (data_subject_id, fingerprint) values ($1, $2)`, [16]byte(id), fingerprint[:])
	}
	consent, _ := privacy.NewDataSubjectID(rand.Reader)
	exec(`insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
		values ($1, $2, 'newsletter', 'email', 'granted', 'consent', false, 'v1', 'test', now())`, [16]byte(id), [16]byte(consent))
	exposure, err := p.key.SealBytes("exposure/shop", 1, []byte("whispered"))
	if err != nil {
		t.Fatal(err)
	}
	exec(`insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at) values ($1, 'shop', 1, $2, now())`, [16]byte(id), exposure)
	exec(`insert into gate.case_file (data_subject_id, case_id, recipient, kind, opened_at, ends_at)
		values ($1, $2, 'desk', 'complaint', now(), now() + interval '30 days')`, [16]byte(id), [16]byte(consent))
	return p
}

func TestVaultStore(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	store := NewVaultStore(db, keys.Vault())
	ayse, jana := addPerson(t, database, keys.Vault(), "ayşe"), addPerson(t, database, keys.Vault(), "jana")

	for _, identifier := range ayse.identifiers {
		id, err := store.ResolveIdentifier(t.Context(), identifier)
		if err != nil || id != ayse.id {
			t.Errorf("resolving %s: %v", identifier.Kind, err)
		}
	}
	id, err := store.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("  JANA@EXAMPLE.com")})
	if err != nil || id != jana.id {
		t.Errorf("resolving another spelling: %v", err)
	}
	if _, err := store.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("nobody@example.com")}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("resolving nobody: %v, want ErrNotFound", err)
	}
	a, _ := keys.Vault().BlindIndex(ayse.identifiers[0])
	b, _ := keys.Vault().BlindIndex(jana.identifiers[0])
	if _, err := store.Resolve(t.Context(), privacy.Email, [][]byte{a, b}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("resolving two people: %v, want ErrConflict", err)
	}

	person, err := store.Person(t.Context(), ayse.id)
	if err != nil || person.Jurisdiction != "TR" || person.Restricted {
		t.Errorf("person: %+v, %v", person, err)
	}
	key, err := store.PersonKey(t.Context(), ayse.id, vault.UseShow)
	if err != nil {
		t.Fatal(err)
	}
	records, err := store.Records(t.Context(), key, []privacy.DataCategory{"contact", "health"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[privacy.DataCategory]SealedRecord{"contact": {Version: 1, Record: ayse.record}}
	if diff := cmp.Diff(want, records, plains); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	chunks, err := store.Chunks(t.Context(), key, "purchases", 2)
	if err != nil {
		t.Fatal(err)
	}
	wantChunks := []Chunk{{Number: 2, Version: 1, Events: ayse.events[2]}, {Number: 1, Version: 1, Events: ayse.events[1]}}
	if diff := cmp.Diff(wantChunks, chunks, plains); diff != "" {
		t.Errorf("the two newest chunks (-want +got):\n%s", diff)
	}
	if none, err := store.Chunks(t.Context(), key, "views", 2); err != nil || len(none) != 0 {
		t.Errorf("a stream that is not there: %d chunks, %v", len(none), err)
	}
}

// TestVaultStoreSeesTampering: somebody with the database but without the keys cannot
// move, copy or age anything without being seen.
func TestVaultStoreSeesTampering(t *testing.T) {
	t.Parallel()
	tamper := map[string]string{
		"another person's blob": `update vault.sealed_record r set sealed = o.sealed
			from vault.sealed_record o where o.data_subject_id <> r.data_subject_id`,
		"another version":  `update vault.sealed_record set record_version = record_version + 1`,
		"flipped bit":      `update vault.sealed_record set sealed = set_bit(sealed, 100, 1 - get_bit(sealed, 100))`,
		"truncated blob":   `update vault.sealed_record set sealed = substr(sealed, 1, octet_length(sealed) - 1)`,
		"empty blob":       `update vault.sealed_record set sealed = ''`,
		"another's key":    `update keyring.person_key k set wrapped = o.wrapped from keyring.person_key o where o.data_subject_id <> k.data_subject_id`,
		"swapped chunks":   `update vault.event_chunk c set sealed = o.sealed from vault.event_chunk o where o.data_subject_id = c.data_subject_id and o.slot = c.slot and o.chunk = 3 - c.chunk`,
		"chunk as record":  `update vault.sealed_record r set sealed = c.sealed from vault.event_chunk c where c.data_subject_id = r.data_subject_id and c.chunk = 0`,
		"moved to a slot":  `update vault.sealed_record r set sealed = o.sealed, slot = r.slot from vault.sealed_record o where o.data_subject_id <> r.data_subject_id`,
		"renumbered chunk": `update vault.event_chunk set chunk = chunk + 10`,
	}
	for name, statement := range tamper {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			keys := newKeys(t)
			store := NewVaultStore(db, keys.Vault())
			p := addPerson(t, database, keys.Vault(), "ayşe")
			addPerson(t, database, keys.Vault(), "jana")
			tag, err := database.OwnerPool(t).Exec(t.Context(), statement)
			if err != nil || tag.RowsAffected() == 0 {
				t.Fatalf("tampering: %v, %v", tag, err)
			}
			if err := readAll(t.Context(), store, p.id); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}

func readAll(ctx context.Context, store *VaultStore, id privacy.DataSubjectID) error {
	key, err := store.PersonKey(ctx, id, vault.UseShow)
	if err != nil {
		return err
	}
	if _, err := store.Records(ctx, key, []privacy.DataCategory{"contact"}); err != nil {
		return err
	}
	_, err = store.Chunks(ctx, key, "purchases", 10)
	return err
}

func TestCheckKEK(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	own, other := newKeys(t), newKeys(t)
	for range 2 { // the first call stores the value, the second one finds it
		if err := db.CheckKEK(t.Context(), own); err != nil {
			t.Fatal(err)
		}
	}
	err := db.CheckKEK(t.Context(), other)
	if !errors.Is(err, privacy.ErrDamaged) || !strings.Contains(err.Error(), "kek.json") {
		t.Errorf("another KEK: %v, want ErrDamaged naming kek.json", err)
	}
	addPerson(t, database, own.Vault(), "ayşe")
	if _, err := database.OwnerPool(t).Exec(t.Context(), `delete from keyring.kek_check`); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*keydir.Keys{own, other} {
		if err := db.CheckKEK(t.Context(), keys); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("people without a check value: %v, want ErrDamaged", err)
		}
	}
}

// TestDumpWithoutKeysHasNoPersonalData: none of a person's values, nor what data they
// have, is in a dump of the whole database.
func TestDumpWithoutKeysHasNoPersonalData(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	addPerson(t, database, newKeys(t).Vault(), "zerdaliye")
	dump := strings.ToLower(database.Dump(t))
	for _, canary := range []string{"zerdaliye", "first_name", "contact", "purchase", "grocery", "dairy", "whispered"} {
		if strings.Contains(dump, canary) || strings.Contains(dump, hex.EncodeToString([]byte(canary))) {
			t.Errorf("the dump has %q", canary)
		}
	}
	if !strings.Contains(dump, "newsletter") {
		t.Error("the dump lacks what it should have: the test looks at nothing")
	}
}
