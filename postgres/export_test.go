package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// exportRoom is an exporter over a database of the test's own.
type exportRoom struct {
	db       *DB
	log      *AuditLog
	keys     *keydir.Keys
	store    *ExportStore
	exporter *export.Exporter
	links    *export.Links
	person   heldPerson
	request  dsar.RequestID
	identity *age.X25519Identity
	lock     export.Lock
}

// nothingExplained is an archive that kept nothing.
type nothingExplained struct{}

func (nothingExplained) Explain(context.Context, []archive.Pair) (map[archive.Pair]archive.Explained, error) {
	return nil, nil
}

func newExportRoom(t testing.TB) *exportRoom {
	t.Helper()
	db, database := newDB(t)
	r := &exportRoom{db: db, keys: newKeys(t)}
	config := auditConfig()
	r.log = newAuditLog(t, db, config)
	r.person = addPerson(t, database, r.keys.Vault(), "ayse")
	// What addPerson keeps there is no ledger; this is one of which nothing is told yet.
	sealed, err := r.person.key.SealBytes("exposure/shop", 1, []byte{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update gate.exposure set sealed = $1`, sealed); err != nil {
		t.Fatal(err)
	}
	r.store = NewExportStore(NewVaultStore(db, r.keys.Vault()), r.log)
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	r.exporter, err = export.New(r.store, r.log, nothingExplained{}, export.Config{
		Origin: config.Origin, Key: config.PublicKey, Sign: config.Sign, Catalogue: func() *policies.Catalogue { return catalogue },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.links, err = export.NewLinks(r.store, r.keys.Vault(), export.Dir(t.TempDir()), nil); err != nil {
		t.Fatal(err)
	}
	r.request = dsar.RequestID{1}
	if _, err := database.Pool(t).Exec(t.Context(), `
		insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, data_subject_id, received_via, received_at, opened_by)
		values ($1, 'access', 'in_progress', 'kvkk', 'TR', 'tr', $2, 'cli', now(), decode(repeat('ab', 16), 'hex'))`, [16]byte(r.request), [16]byte(r.person.id)); err != nil {
		t.Fatal(err)
	}
	if r.identity, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	if r.lock, err = export.ForRecipient(r.identity.Recipient().String()); err != nil {
		t.Fatal(err)
	}
	return r
}

// waiting exports the person and makes a link.
func (r *exportRoom) waiting(t testing.TB, life time.Duration) (export.Link, export.Result) {
	t.Helper()
	id, create, err := r.links.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	job := export.Job{Person: r.person.id, Request: r.request, Kind: dsar.Access, Language: "tr", Lock: r.lock, Create: create}
	result, err := r.exporter.Export(t.Context(), officer, job)
	if err != nil {
		t.Fatal(err)
	}
	link, err := r.links.Create(t.Context(), officer, id, &job, &result, life)
	if err != nil {
		t.Fatal(err)
	}
	return link, result
}

// lastKinds are the kinds of the last n entries.
func (r *exportRoom) lastKinds(t testing.TB, n int) []audit.Kind {
	t.Helper()
	stored, err := r.log.Tail(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []audit.Kind
	for _, s := range stored {
		entry, err := audit.ParseEntry(s.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, entry.Kind)
	}
	return kinds
}

func TestExportFromTheDatabase(t *testing.T) {
	t.Parallel()
	r := newExportRoom(t)
	if _, err := r.log.Append(t.Context(), audit.Event{Kind: audit.PersonShown, Outcome: audit.Done, Principal: officer, Subject: r.person.key.Subject()}); err != nil {
		t.Fatal(err)
	}
	if err := r.log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	link, result := r.waiting(t, 0)
	if result.Events != 3 || result.Entries != 1 {
		t.Errorf("%d events, %d entries", result.Events, result.Entries)
	}
	if left := time.Until(link.ExpiresAt); left < 6*24*time.Hour || left > 8*24*time.Hour {
		t.Errorf("the link works until %s", link.ExpiresAt)
	}
	download, err := r.links.Fetch(t.Context(), link.Token.RevealPersonalData())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := io.ReadAll(download.Content)
	if err != nil || int64(len(sealed)) != download.Size || download.Content.Close() != nil {
		t.Fatalf("read %d bytes of %d, %v", len(sealed), download.Size, err)
	}
	if diff := cmp.Diff([]audit.Kind{audit.PersonExported, audit.RequestNotified, audit.ExportFetched}, r.lastKinds(t, 3)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	key, err := export.IdentityKey(strings.NewReader(r.identity.String()))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := key.Open(bytes.NewReader(sealed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(opened)
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		Attributes []struct{ Values []string }
		Streams    []struct{ Events []json.RawMessage }
		Log        struct{ Checkpoint string }
	}
	config := auditConfig()
	_, err = export.Verify(bytes.NewReader(plain), int64(len(plain)), config.Origin, config.PublicKey, func(name string, content io.Reader) error {
		if name != export.DataName {
			return nil
		}
		return json.NewDecoder(content).Decode(&data)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Attributes) != 1 || data.Attributes[0].Values[0] != "ayse" || len(data.Streams) != 1 || len(data.Streams[0].Events) != 3 || data.Log.Checkpoint == "" {
		t.Errorf("%+v", data)
	}
}

// TestNoLinkForAClosedRequest: it was taken back while its export was written.
func TestNoLinkForAClosedRequest(t *testing.T) {
	t.Parallel()
	r := newExportRoom(t)
	id, create, err := r.links.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	job := export.Job{Person: r.person.id, Request: r.request, Kind: dsar.Access, Language: "tr", Lock: r.lock, Create: create}
	result, err := r.exporter.Export(t.Context(), officer, job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.pool.Exec(t.Context(), `update dsar.request set state = 'withdrawn', closed_at = clock_timestamp() where request_id = $1`, [16]byte(r.request)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.links.Create(t.Context(), officer, id, &job, &result, time.Hour); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]audit.Kind{audit.PersonExported}, r.lastKinds(t, 1)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestLinkWorksOnce: of twenty who come at once one gets the file, and the log has it once.
func TestLinkWorksOnce(t *testing.T) {
	t.Parallel()
	r := newExportRoom(t)
	link, _ := r.waiting(t, time.Hour)
	var got, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			download, err := r.links.Fetch(t.Context(), link.Token.RevealPersonalData())
			if err == nil {
				err = download.Content.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got++
			case errors.Is(err, privacy.ErrNotFound):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got != 1 || refused != 19 {
		t.Errorf("%d got it, %d were refused", got, refused)
	}
	if kinds := r.lastKinds(t, 2); kinds[0] == audit.ExportFetched || kinds[1] != audit.ExportFetched {
		t.Errorf("the log ends with %v", kinds)
	}
}

func TestLinksThatAreDead(t *testing.T) {
	t.Parallel()
	r := newExportRoom(t)
	expired, _ := r.waiting(t, time.Microsecond)
	alive, result := r.waiting(t, time.Hour)
	fetch := func(token string) error {
		download, err := r.links.Fetch(t.Context(), token)
		if err == nil {
			_ = download.Content.Close()
		}
		return err
	}
	token := alive.Token.RevealPersonalData()
	other := []byte(token)
	other[0] ^= 1
	for name, token := range map[string]string{
		"expired": expired.Token.RevealPersonalData(), "empty": "", "short": token[1:], "long": token + "A", "another": string(other), "padded": token + "=",
	} {
		if err := fetch(token); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What no living link leads to goes, but not what may be just being written.
	now := time.Now()
	if n, err := r.links.Sweep(t.Context(), now); err != nil || n != 0 {
		t.Errorf("swept %d young files, %v", n, err)
	}
	if n, err := r.links.Sweep(t.Context(), now.Add(2*time.Hour)); err != nil || n != 1 {
		t.Errorf("swept %d files, %v", n, err)
	}
	// Whoever is erased takes their links and exports along.
	eraseAtOnce(t, r.store.VaultStore, r.log, r.person.id)
	if err := fetch(token); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("after the erasure: %v", err)
	}
	job := export.Job{Person: r.person.id, Request: r.request, Kind: dsar.Access, Lock: r.lock, Create: func() (export.File, error) { return nil, errors.New("made") }}
	if _, err := r.links.Create(t.Context(), officer, export.ID{1}, &job, &result, time.Hour); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a link after the erasure: %v", err)
	}
	if _, err := r.exporter.Export(t.Context(), officer, job); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an export after the erasure: %v", err)
	}
	if _, err := r.store.Record(t.Context(), r.person.id, audit.Event{Kind: audit.PersonExported, Outcome: audit.Done, Principal: officer, Subject: r.person.key.Subject()}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an export that an erasure has overtaken: %v", err)
	}
	if n, err := r.links.Sweep(t.Context(), now.Add(2*time.Hour)); err != nil || n != 1 {
		t.Errorf("swept %d files after the erasure, %v", n, err)
	}
}

func TestLinkIsRefused(t *testing.T) {
	t.Parallel()
	r := newExportRoom(t)
	_, result := r.waiting(t, time.Hour)
	job := export.Job{Person: r.person.id, Request: r.request}
	for name, test := range map[string]struct {
		by   privacy.Principal
		life time.Duration
		want error
	}{
		"auditor":  {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, time.Hour, privacy.ErrForbidden},
		"service":  {portal, time.Hour, privacy.ErrForbidden},
		"too long": {officer, export.MaxLife + 1, privacy.ErrInvalid},
		"negative": {officer, -1, privacy.ErrInvalid},
	} {
		if _, err := r.links.Create(t.Context(), test.by, export.ID{1}, &job, &result, test.life); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRecordNeedsTheKey: the row of somebody whose key was destroyed stays a while.
func TestRecordNeedsTheKey(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	v := newKeys(t).Vault()
	person := addPerson(t, database, v, "ayse")
	log := newAuditLog(t, db, auditConfig())
	store := NewExportStore(NewVaultStore(db, v), log)
	event := audit.Event{Kind: audit.PersonExported, Outcome: audit.Done, Principal: officer, Subject: person.key.Subject()}
	if _, err := store.Record(t.Context(), person.id, event); err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `delete from keyring.person_key`); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Record(t.Context(), person.id, event); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("recorded without a key: %v", err)
	}
	if size, err := log.Size(t.Context()); err != nil || size != 1 {
		t.Errorf("the log has %d entries, %v", size, err)
	}
}
