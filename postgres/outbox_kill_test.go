package postgres

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/vault/keydir"
)

// The environment that makes the test binary a process that delivers until it is killed.
const (
	childDatabase = "MAHREM_TEST_OUTBOX_DATABASE"
	childKeys     = "MAHREM_TEST_OUTBOX_KEYS"
	childReceiver = "MAHREM_TEST_OUTBOX_RECEIVER"
)

// posting is a sender that posts the id, and says what it does on the way.
type posting struct {
	receiver string
	say      func(string)
}

func (p posting) Send(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error) {
	p.say("sending")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.receiver, strings.NewReader(d.ID.String()))
	if err != nil {
		return outbox.Result{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return outbox.Result{}, err
	}
	_ = response.Body.Close()
	p.say("sent")
	return outbox.Result{Answer: payload}, nil
}

// onEndCount notes each end in a table of the test, in the transaction of the end.
func onEndCount(say func(string)) DeliveryHook {
	return func(ctx context.Context, tx pgx.Tx, d outbox.Delivery, _ outbox.State, _ []byte) error {
		say("ending")
		_, err := tx.Exec(ctx, `insert into dsar.test_end (delivery_id) values ($1)`, [16]byte(d.ID))
		say("noted")
		return err
	}
}

// TestOutboxChild is the process that is killed. Run by itself it has nothing to do.
func TestOutboxChild(t *testing.T) {
	if os.Getenv(childDatabase) == "" {
		t.Skip("only as a process of TestKilledWorkers")
	}
	db, err := Open(t.Context(), Config{URL: os.Getenv(childDatabase), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(os.Getenv(childKeys), keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log, err := OpenAuditLog(t.Context(), db, auditConfig())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	say := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println("outbox: " + text)
	}
	store := NewOutboxStore(db, log)
	store.OnEnd(outbox.Webhook, onEndCount(say))
	worker, err := outbox.NewWorker(store, keys.Vault(), map[outbox.Kind]outbox.Sender{
		outbox.Webhook: posting{os.Getenv(childReceiver), say},
	}, outbox.Config{SendTimeout: time.Second, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for {
		for range 3 {
			d, err := outbox.New(keys.Vault(), rand.Reader, outbox.Message{Kind: outbox.Webhook, Destination: "person", Topic: "letter", Payload: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			_, err = log.AppendTx(t.Context(), noted(), func(ctx context.Context, tx pgx.Tx) error {
				say("enqueuing")
				return EnqueueTx(ctx, tx, d)
			})
			if err != nil {
				t.Fatal(err)
			}
			say("enqueued")
		}
		if _, _, err := worker.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledWorkers: whenever a process is killed, between the commit and the sending,
// between the sending and the note, or anywhere else, each delivery that was committed
// arrives, with the same id each time, and ends exactly once.
func TestKilledWorkers(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	db, database := newDB(t)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		create table dsar.test_end (delivery_id uuid not null);
		grant select, insert on dsar.test_end to mahrem_app`); err != nil {
		t.Fatal(err)
	}
	keys := newKeys(t)
	var mu sync.Mutex
	received := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		received[string(id)]++
	}))
	defer receiver.Close()
	for range rounds {
		runUntilKilled(t, 1+mathrand.IntN(40), childDatabase+"="+database.KilledURL(), childKeys+"="+keys.Dir(), childReceiver+"="+receiver.URL)
	}
	database.AwaitKilled(t)
	finishDeliveries(t, db, keys, receiver.URL)

	var committed, delivered, ends, ended, withKey int
	if err := db.pool.QueryRow(t.Context(), `
		select count(*), count(*) filter (where state = 'delivered'), (select count(*) from dsar.test_end),
			(select count(distinct delivery_id) from dsar.test_end), (select count(*) from keyring.delivery_key)
		from dsar.delivery`).Scan(&committed, &delivered, &ends, &ended, &withKey); err != nil {
		t.Fatal(err)
	}
	notified := 0
	for index := range countEntries(t, db) {
		if readEntry(t, db, index).Kind == audit.RequestNotified {
			notified++
		}
	}
	mu.Lock()
	defer mu.Unlock()
	again := 0
	for _, times := range received {
		again += times - 1
	}
	t.Logf("%d kills: %d deliveries, %d of them sent again", rounds, committed, again)
	if committed == 0 || delivered != committed || ends != committed || ended != committed || notified != committed || withKey != 0 {
		t.Errorf("of %d deliveries %d arrived, ended %d times (%d of them), are %d times in the log, and %d keys are left", committed, delivered, ends, ended, notified, withKey)
	}
	if len(received) != committed {
		t.Errorf("%d ids were received of %d deliveries that were committed", len(received), committed)
	}
}

// runUntilKilled starts a child and kills it after so many lines.
func runUntilKilled(t *testing.T, lines int, env ...string) {
	t.Helper()
	killAfterLines(t, exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOutboxChild$", "-test.timeout=10m"), lines, env...)
}

// killAfterLines starts a child of these tests and kills it after so many of its lines.
func killAfterLines(t *testing.T, cmd *exec.Cmd, lines int, env ...string) {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for scanner := bufio.NewScanner(out); said < lines && scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), "outbox: ") {
			said++
		} else if strings.Contains(scanner.Text(), "FAIL") {
			t.Errorf("the child failed: %s", scanner.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if said < lines {
		t.Errorf("the child ended after %d of %d lines", said, lines)
	}
}

// finishDeliveries delivers what is left.
func finishDeliveries(t *testing.T, db *DB, keys *keydir.Keys, receiver string) {
	t.Helper()
	store := NewOutboxStore(db, newAuditLog(t, db, auditConfig()))
	store.OnEnd(outbox.Webhook, onEndCount(func(string) {}))
	worker, err := outbox.NewWorker(store, keys.Vault(), map[outbox.Kind]outbox.Sender{
		outbox.Webhook: posting{receiver, func(string) {}},
	}, outbox.Config{SendTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if _, _, err := worker.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		pending, dead, err := store.Count(t.Context())
		if err != nil || dead != 0 {
			t.Fatalf("%d dead, %v", dead, err)
		}
		if pending == 0 {
			return
		}
	}
	t.Fatal("deliveries are left after minutes")
}
