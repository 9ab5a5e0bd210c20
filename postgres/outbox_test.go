package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func noted() audit.Event {
	return audit.Event{Kind: audit.RequestNoted, Outcome: audit.Done, Principal: privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}}
}

func newDelivery(t testing.TB, v *vault.Vault, change func(*outbox.Message)) outbox.Delivery {
	t.Helper()
	m := outbox.Message{Kind: outbox.Webhook, Destination: "code", Topic: "note", Request: [16]byte{3}, Payload: []byte("to whom and what")}
	if change != nil {
		change(&m)
	}
	d, err := outbox.New(v, rand.Reader, m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func enqueue(t testing.TB, log *AuditLog, d outbox.Delivery) {
	t.Helper()
	_, err := log.AppendTx(t.Context(), noted(), func(ctx context.Context, tx pgx.Tx) error { return EnqueueTx(ctx, tx, d) })
	if err != nil {
		t.Fatal(err)
	}
}

func claimOne(t testing.TB, s *OutboxStore, lease time.Duration) outbox.Delivery {
	t.Helper()
	claimed, at, err := s.Claim(t.Context(), outbox.Webhook, 10, lease)
	if err != nil || len(claimed) != 1 || at.IsZero() {
		t.Fatalf("claimed %d, %v", len(claimed), err)
	}
	return claimed[0]
}

func arrived(d outbox.Delivery) audit.Event {
	return audit.Event{Kind: audit.RequestNotified, Outcome: audit.Done, List: d.Digest()}
}

func keysLeft(t testing.TB, db *DB) (keys, payloads int) {
	t.Helper()
	err := db.pool.QueryRow(t.Context(), `select (select count(*) from keyring.delivery_key), (select count(*) from dsar.delivery where sealed is not null)`).Scan(&keys, &payloads)
	if err != nil {
		t.Fatal(err)
	}
	return keys, payloads
}

// TestDeliveryIsThereIfTheChangeIs: of a change that is undone, nothing is sent.
func TestDeliveryIsThereIfTheChangeIs(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	s := NewOutboxStore(db, log)
	d := newDelivery(t, v, nil)
	undone := errors.New("undone")
	_, err := log.AppendTx(t.Context(), noted(), func(ctx context.Context, tx pgx.Tx) error {
		if err := EnqueueTx(ctx, tx, d); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if keys, payloads := keysLeft(t, db); keys != 0 || payloads != 0 {
		t.Fatalf("of a change that was undone %d keys and %d payloads stayed", keys, payloads)
	}
	enqueue(t, log, d)
	got := claimOne(t, s, time.Hour)
	if payload, err := got.Payload(v); err != nil || string(payload) != "to whom and what" {
		t.Errorf("claimed %q, %v", payload, err)
	}
	if got.ID != d.ID || got.Request != d.Request || got.Attempts != 1 || got.GivesUpAt.Sub(got.EnqueuedAt) != outbox.DefaultPatience {
		t.Errorf("claimed %+v", got)
	}
	_, err = log.AppendTx(t.Context(), noted(), func(ctx context.Context, tx pgx.Tx) error { return EnqueueTx(ctx, tx, d) })
	if !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the same delivery again: %v", err)
	}
	bad := newDelivery(t, v, nil)
	bad.Destination = "Ayse@example.com"
	_, err = log.AppendTx(t.Context(), noted(), func(ctx context.Context, tx pgx.Tx) error { return EnqueueTx(ctx, tx, bad) })
	if !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("an address as destination: %v", err)
	}
}

func TestDeliveryArrives(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	s := NewOutboxStore(db, log)
	d := newDelivery(t, v, nil)
	enqueue(t, log, d)
	enqueue(t, log, newDelivery(t, v, func(m *outbox.Message) { m.Delay = time.Hour }))
	enqueue(t, log, newDelivery(t, v, func(m *outbox.Message) { m.Void = true }))
	enqueue(t, log, newDelivery(t, v, func(m *outbox.Message) { m.Kind = outbox.SMTP }))
	first := claimOne(t, s, time.Millisecond) // this worker is slow
	time.Sleep(20 * time.Millisecond)
	second := claimOne(t, s, time.Hour)
	if claimed, _, err := s.Claim(t.Context(), outbox.Webhook, 10, time.Hour); err != nil || len(claimed) != 0 {
		t.Fatalf("what another worker has was claimed: %d, %v", len(claimed), err)
	}
	var told []string
	s.OnEnd(outbox.Webhook, func(ctx context.Context, tx pgx.Tx, d outbox.Delivery, state outbox.State, answer []byte) error {
		told = append(told, d.ID.String()+" "+string(state)+" "+string(answer))
		var one int
		return tx.QueryRow(ctx, `select 1`).Scan(&one)
	})
	before := countEntries(t, db)
	if err := s.Close(t.Context(), first, nil, arrived(d)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the slow worker noted it as well: %v", err)
	}
	if err := s.Bury(t.Context(), first, "timeout", arrived(d)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the slow worker buried it: %v", err)
	}
	if err := s.Close(t.Context(), second, []byte("yes"), arrived(d)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context(), second, []byte("yes"), arrived(d)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("noted twice: %v", err)
	}
	if after := countEntries(t, db); after != before+1 {
		t.Errorf("one delivery made %d entries", after-before)
	}
	if !slices.Equal(told, []string{d.ID.String() + " delivered yes"}) {
		t.Errorf("told %q", told)
	}
	if keys, payloads := keysLeft(t, db); keys != 3 || payloads != 3 {
		t.Errorf("%d keys and %d payloads are left of three", keys, payloads)
	}
	list, err := s.List(t.Context(), outbox.Filter{State: outbox.Delivered}, 10)
	if err != nil || len(list) != 1 || list[0].ID != d.ID || list[0].SettledAt.IsZero() {
		t.Errorf("listed %+v, %v", list, err)
	}
}

// TestDeliveryEndsWithItsHook: what is told of the end can undo it.
func TestDeliveryEndsWithItsHook(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	s := NewOutboxStore(db, log)
	enqueue(t, log, newDelivery(t, v, nil))
	d := claimOne(t, s, time.Hour)
	s.OnEnd(outbox.Webhook, func(context.Context, pgx.Tx, outbox.Delivery, outbox.State, []byte) error {
		return privacy.ErrUnavailable
	})
	before := countEntries(t, db)
	if err := s.Close(t.Context(), d, nil, arrived(d)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatal(err)
	}
	if keys, payloads := keysLeft(t, db); keys != 1 || payloads != 1 || countEntries(t, db) != before {
		t.Errorf("%d keys, %d payloads", keys, payloads)
	}
}

func TestDeliveryIsGivenUpAndRevived(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	s := NewOutboxStore(db, log)
	enqueue(t, log, newDelivery(t, v, nil))
	enqueue(t, log, newDelivery(t, v, func(m *outbox.Message) { m.Void = true }))
	d := claimOne(t, s, time.Hour)
	if err := s.Postpone(t.Context(), d, "status_503", 0); err != nil {
		t.Fatal(err)
	}
	d = claimOne(t, s, time.Hour)
	if d.Attempts != 2 || d.Failure != "status_503" {
		t.Errorf("claimed again %+v", d)
	}
	if err := s.Bury(t.Context(), d, "status_410", arrived(d)); err != nil {
		t.Fatal(err)
	}
	if pending, dead, err := s.Count(t.Context()); err != nil || pending != 0 || dead != 1 {
		t.Errorf("%d pending, %d dead, %v", pending, dead, err)
	}
	// The payload waits for somebody to look.
	if n, err := s.Forget(t.Context(), 0, 10); err != nil || n != 0 {
		t.Fatalf("forgot %d at once, %v", n, err)
	}
	if _, err := s.Revive(t.Context(), d.ID, time.Hour, noted()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revive(t.Context(), d.ID, time.Hour, noted()); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("revived what lives: %v", err)
	}
	d = claimOne(t, s, time.Hour)
	if err := s.Bury(t.Context(), d, "status_410", arrived(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update dsar.delivery set enqueued_at = enqueued_at - interval '40 days', settled_at = settled_at - interval '40 days'`); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Forget(t.Context(), 30*24*time.Hour, 10); err != nil || n != 2 {
		t.Fatalf("forgot %d of two, %v", n, err)
	}
	if keys, payloads := keysLeft(t, db); keys != 0 || payloads != 0 {
		t.Errorf("%d keys and %d payloads are left", keys, payloads)
	}
	if _, err := s.Revive(t.Context(), d.ID, time.Hour, noted()); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("revived what has no payload: %v", err)
	}
}

// TestWorkersShareDeliveries: however many workers there are, each delivery has one end.
func TestWorkersShareDeliveries(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	s := NewOutboxStore(db, log)
	const n = 40
	for range n {
		enqueue(t, log, newDelivery(t, v, nil))
	}
	var mu sync.Mutex
	sent, ends := map[outbox.ID]int{}, map[outbox.ID]int{}
	s.OnEnd(outbox.Webhook, func(_ context.Context, _ pgx.Tx, d outbox.Delivery, _ outbox.State, _ []byte) error {
		mu.Lock()
		defer mu.Unlock()
		ends[d.ID]++
		return nil
	})
	before := countEntries(t, db)
	var workers sync.WaitGroup
	for range 4 {
		worker, err := outbox.NewWorker(s, v, map[outbox.Kind]outbox.Sender{outbox.Webhook: sendFunc(func(d outbox.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			sent[d.ID]++
			return nil
		})}, outbox.Config{Batch: 3, SendTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		workers.Go(func() {
			if _, failed, err := worker.Once(t.Context()); err != nil || failed != 0 {
				t.Errorf("%d failed, %v", failed, err)
			}
		})
	}
	workers.Wait()
	for id, times := range sent {
		if times != 1 || ends[id] != 1 {
			t.Errorf("%s was sent %d times and ended %d times", id, times, ends[id])
		}
	}
	if len(sent) != n || countEntries(t, db) != before+n {
		t.Errorf("%d sent, %d entries", len(sent), countEntries(t, db)-before)
	}
}

type sendFunc func(d outbox.Delivery) error

func (f sendFunc) Send(_ context.Context, d outbox.Delivery, _ []byte) (outbox.Result, error) {
	return outbox.Result{}, f(d)
}
