package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// newSubscriber adds one that is told about the newsletter.
func newSubscriber(t testing.TB, db *DB, log *AuditLog, keys *keydir.Keys, id string) *SubscriberStore {
	t.Helper()
	store := NewSubscriberStore(db, log)
	sealed, err := keys.Vault().SealHouse(subscriber.SecretLabel(id), []byte("whsec_secret"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Add(t.Context(), subscriber.Subscriber{
		ID: id, Recipient: "newsletter_service", URL: "https://mailer.example/hook", Purposes: []privacy.Purpose{"marketing", "newsletter"},
		SealedSecret: sealed, AddedBy: [16]byte{7},
	}, audit.Event{Kind: audit.SubscriberAdded, Outcome: audit.Done})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func announcer(keys *keydir.Keys) Announcer {
	return func(records []consent.Record, to []subscriber.Subscriber) ([]outbox.Delivery, error) {
		return subscriber.Deliveries(keys.Vault(), rand.Reader, records, to)
	}
}

func pendingFor(t testing.TB, db *DB, destination string) int {
	t.Helper()
	var n int
	if err := db.pool.QueryRow(context.Background(), `select count(*) from dsar.delivery d join keyring.delivery_key k using (delivery_id)
		where d.destination = $1 and d.kind = 'consent' and d.state = 'pending' and d.request_id is null`, destination).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSubscribersComeBack(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, keys := newAuditLog(t, db, auditConfig()), newKeys(t)
	store := newSubscriber(t, db, log, keys, "mailer")
	got, err := store.Find(t.Context(), "mailer")
	if err != nil || got.Recipient != "newsletter_service" || len(got.Purposes) != 2 || got.AddedBy != [16]byte{7} || !got.Active() {
		t.Fatalf("%+v, %v", got, err)
	}
	again := got
	if _, err := store.Add(t.Context(), again, audit.Event{Kind: audit.SubscriberAdded, Outcome: audit.Done}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	if _, err := store.Remove(t.Context(), "mailer", audit.Event{Kind: audit.SubscriberRemoved, Outcome: audit.Done}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Remove(t.Context(), "mailer", audit.Event{Kind: audit.SubscriberRemoved, Outcome: audit.Done}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for all, want := range map[bool]int{true: 1, false: 0} {
		if list, err := store.List(t.Context(), all); err != nil || len(list) != want {
			t.Errorf("all %v: %v, %v", all, list, err)
		}
	}
	if got, err := store.Find(t.Context(), "mailer"); err != nil || got.Active() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := store.Find(t.Context(), "nobody"); !errors.Is(err, privacy.ErrNotFound) {
		t.Error(err)
	}
}

// TestChangesAreAnnounced: to those whom they concern, by every way in, and once if a change
// comes again; not to those who were removed.
func TestChangesAreAnnounced(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, keys := newAuditLog(t, db, auditConfig()), newKeys(t)
	store := newSubscriber(t, db, log, keys, "mailer")
	ledger := NewConsentStore(db, log)
	id := privacy.DataSubjectID{1, 2, 3}
	newPerson(t, db, id)
	silent, event := granted(id, 1)
	if _, err := ledger.Add(t.Context(), silent, event); err != nil || pendingFor(t, db, "mailer") != 0 {
		t.Fatalf("without an announcer: %v", err)
	}
	db.Announce(announcer(keys))
	record, event := granted(id, 2)
	for range 2 {
		if _, err := ledger.Add(t.Context(), record, event); err != nil || pendingFor(t, db, "mailer") != 1 {
			t.Fatalf("%d told, %v", pendingFor(t, db, "mailer"), err)
		}
	}
	other, event := granted(id, 3)
	other.Purpose, event.Purpose = "loyalty", "loyalty"
	if _, err := ledger.Add(t.Context(), other, event); err != nil || pendingFor(t, db, "mailer") != 1 {
		t.Fatalf("of another's purpose: %v", err)
	}
	first, event := granted(id, 4)
	second, _ := granted(id, 5)
	second.Channel = "sms"
	if _, err := ledger.AddAll(t.Context(), []consent.Record{first, second}, []audit.Event{event, event}); err != nil || pendingFor(t, db, "mailer") != 3 {
		t.Fatalf("several at once: %d told, %v", pendingFor(t, db, "mailer"), err)
	}
	imported, event := granted(id, 6)
	imported.Channel = "call"
	if _, err := ledger.AddBatch(t.Context(), []consent.Record{imported}, event); err != nil || pendingFor(t, db, "mailer") != 4 {
		t.Fatalf("imported: %d told, %v", pendingFor(t, db, "mailer"), err)
	}
	if _, err := store.Remove(t.Context(), "mailer", audit.Event{Kind: audit.SubscriberRemoved, Outcome: audit.Done}); err != nil {
		t.Fatal(err)
	}
	last, event := granted(id, 7)
	if _, err := ledger.Add(t.Context(), last, event); err != nil || pendingFor(t, db, "mailer") != 4 {
		t.Fatalf("after it was removed: %d told, %v", pendingFor(t, db, "mailer"), err)
	}
}

// TestNoChangeWithoutItsDelivery: where what is to be told cannot be written, nothing is
// recorded either; and what nobody could add is told to nobody.
func TestNoChangeWithoutItsDelivery(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, keys := newAuditLog(t, db, auditConfig()), newKeys(t)
	newSubscriber(t, db, log, keys, "mailer")
	ledger := NewConsentStore(db, log)
	id := privacy.DataSubjectID{1, 2, 3}
	newPerson(t, db, id)
	broken := errors.New("no key")
	db.Announce(func([]consent.Record, []subscriber.Subscriber) ([]outbox.Delivery, error) { return nil, broken })
	record, event := granted(id, 1)
	before := countEntries(t, db)
	if _, err := ledger.Add(t.Context(), record, event); !errors.Is(err, broken) {
		t.Fatalf("added: %v", err)
	}
	if list, err := ledger.List(t.Context(), id); err != nil || len(list) != 0 || countEntries(t, db) != before {
		t.Errorf("%d records, %v", len(list), err)
	}
	db.Announce(announcer(keys))
	stranger, event := granted(privacy.DataSubjectID{9}, 2)
	if _, err := ledger.Add(t.Context(), stranger, event); !errors.Is(err, privacy.ErrNotFound) || pendingFor(t, db, "mailer") != 0 {
		t.Errorf("of nobody: %v, %d told", err, pendingFor(t, db, "mailer"))
	}
}

// The environment that makes the test binary a process that changes consents until it is
// killed.
const (
	childAnnounceDatabase = "MAHREM_TEST_ANNOUNCE_DATABASE"
	childAnnounceKeys     = "MAHREM_TEST_ANNOUNCE_KEYS"
)

// announcePeople are those whose choices the child changes.
const announcePeople = 16

func announcePerson(n int) privacy.DataSubjectID { return privacy.DataSubjectID{0xaa, byte(n)} }

// TestAnnounceChild is the process that is killed. Run by itself it has nothing to do.
func TestAnnounceChild(t *testing.T) {
	if os.Getenv(childAnnounceDatabase) == "" {
		t.Skip("only as a process of TestKilledChanges")
	}
	db, err := Open(t.Context(), Config{URL: os.Getenv(childAnnounceDatabase), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(os.Getenv(childAnnounceKeys), keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log, err := OpenAuditLog(t.Context(), db, auditConfig())
	if err != nil {
		t.Fatal(err)
	}
	db.Announce(announcer(keys))
	ledger := NewConsentStore(db, log)
	var writers sync.WaitGroup
	// One person each: of two changes of a person in one transaction there is one delivery.
	for n := range announcePeople {
		writers.Go(func() {
			for {
				record, event := granted(announcePerson(n), 0)
				_, _ = rand.Read(record.ID[:])
				if _, err := ledger.Add(t.Context(), record, event); err != nil {
					t.Errorf("adding: %v", err)
					return
				}
				fmt.Println("outbox: added")
			}
		})
	}
	writers.Wait()
}

// TestKilledChanges: whenever a process is killed, what was acknowledged is there, and each
// record has its entry and its delivery, with its key, or all three are missing.
func TestKilledChanges(t *testing.T) {
	t.Parallel()
	rounds := 50
	if testing.Short() {
		rounds = 4
	}
	db, database := newDB(t)
	log, keys := newAuditLog(t, db, auditConfig()), newKeys(t)
	newSubscriber(t, db, log, keys, "mailer")
	for n := range announcePeople {
		newPerson(t, db, announcePerson(n))
	}
	acknowledged := 0
	for range rounds {
		lines := 1 + mathrand.IntN(60)
		runAnnouncerUntilKilled(t, lines, childAnnounceDatabase+"="+database.KilledURL(), childAnnounceKeys+"="+keys.Dir())
		acknowledged += lines
	}
	database.AwaitKilled(t)
	var records, deliveries, keysLeft int
	if err := db.pool.QueryRow(t.Context(), `select (select count(*) from consent.record), (select count(*) from dsar.delivery where kind = 'consent'),
		(select count(*) from keyring.delivery_key)`).Scan(&records, &deliveries, &keysLeft); err != nil {
		t.Fatal(err)
	}
	entries := 0
	for index := range countEntries(t, db) {
		if readEntry(t, db, index).Kind == audit.ConsentGranted {
			entries++
		}
	}
	t.Logf("%d kills: %d acknowledged, %d records", rounds, acknowledged, records)
	if records < acknowledged || deliveries != records || keysLeft != records || entries != records || pendingFor(t, db, "mailer") != records {
		t.Errorf("%d were acknowledged; %d records, %d entries, %d deliveries, %d keys", acknowledged, records, entries, deliveries, keysLeft)
	}
}

// runAnnouncerUntilKilled starts a child and kills it after so many lines.
func runAnnouncerUntilKilled(t *testing.T, lines int, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAnnounceChild$", "-test.timeout=10m")
	killAfterLines(t, cmd, lines, env...)
}

// BenchmarkAnnounced measures changes with one subscriber, by many at the same time.
func BenchmarkAnnounced(b *testing.B) {
	db, _ := newDB(b)
	log, keys := newAuditLog(b, db, auditConfig()), newKeys(b)
	newSubscriber(b, db, log, keys, "mailer")
	db.Announce(announcer(keys))
	ledger := NewConsentStore(db, log)
	for n := range 256 {
		newPerson(b, db, privacy.DataSubjectID{0xbb, byte(n)})
	}
	b.SetParallelism(64)
	begun := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			record, event := granted(privacy.DataSubjectID{0xbb, byte(mathrand.IntN(256))}, 0)
			_, _ = rand.Read(record.ID[:])
			if _, err := ledger.Add(context.Background(), record, event); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "changes/s")
}
