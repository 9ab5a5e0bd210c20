package postgres

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/privacy"
)

func ledgerRecord(sequence uint64, kind ledger.Kind, tags ...byte) ledger.Record {
	r := ledger.Record{
		Sequence: sequence, Time: time.Date(2026, 3, 29, 0, 0, int(sequence), 0, time.UTC), Kind: kind, Hash: ledger.Hash{byte(sequence), 1},
	}
	if kind == ledger.Erased {
		r.Erasure, r.Person = [16]byte{byte(sequence)}, ledger.Tag{byte(sequence)}
	}
	for _, tag := range tags {
		r.Suppressed = append(r.Suppressed, ledger.Tag{tag})
	}
	return r
}

func TestLinesOfTheLedger(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	s := NewLedgerStore(db)
	if count, last, err := s.Extent(t.Context()); count != 0 || last != (ledger.Head{}) || err != nil {
		t.Fatalf("a new database knows %d records, %+v, %v", count, last, err)
	}
	if page, err := s.Lines(t.Context(), 0); len(page) != 0 || err != nil {
		t.Fatalf("%v, %v", page, err)
	}
	// In two batches, with a gap that is filled, and once more.
	batches := [][]ledger.Record{
		{ledgerRecord(1, ledger.Erased, 1, 2), ledgerRecord(3, ledger.Erased, 3), ledgerRecord(4, ledger.Erased)},
		{ledgerRecord(2, ledger.Readmitted, 2), ledgerRecord(5, ledger.Erased, 2), ledgerRecord(6, ledger.Readmitted, 3, 9)},
	}
	by := audit.Event{Principal: privacy.Principal{ID: "operator", Role: privacy.RoleDPO}}
	for _, batch := range [][]ledger.Record{batches[0], batches[1], batches[0], batches[1]} {
		if err := s.Apply(t.Context(), log, batch, [16]byte{7}, by); err != nil {
			t.Fatal(err)
		}
	}
	count, last, err := s.Extent(t.Context())
	if err != nil || count != 6 || last != (ledger.Head{Sequence: 6, Hash: ledger.Hash{6, 1}}) {
		t.Errorf("it knows %d records, the last is %+v, %v", count, last, err)
	}
	page, err := s.Lines(t.Context(), 4)
	if diff := cmp.Diff([]ledger.Head{{Sequence: 5, Hash: ledger.Hash{5, 1}}, {Sequence: 6, Hash: ledger.Hash{6, 1}}}, page); diff != "" || err != nil {
		t.Errorf("after 4: %v (-want +got):\n%s", err, diff)
	}
	entries, err := log.Tail(t.Context(), 4)
	if err != nil || len(entries) != 4 {
		t.Fatal(len(entries), err)
	}
	entry, err := audit.ParseEntry(entries[0].Leaf)
	if err != nil || entry.Kind != audit.ErasureReplayed || entry.List != (audit.Digest{4, 1}) {
		t.Errorf("the log says %s %x, %v", entry.Kind, entry.List[:2], err)
	}
	inForce := map[byte]int{}
	rows, err := database.OwnerPool(t).Query(t.Context(), `select get_byte(tag, 0), count(*) filter (where lifted_at is null) from dsar.suppression group by 1`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var tag, n int
		if err := rows.Scan(&tag, &n); err != nil {
			t.Fatal(err)
		}
		inForce[byte(tag)] = n
	}
	// What was readmitted stays so when the records before it come again, and what was
	// suppressed after a readmission stays so when that comes again.
	if diff := cmp.Diff(map[byte]int{1: 1, 2: 1, 3: 0}, inForce); diff != "" {
		t.Errorf("suppressed (-want +got):\n%s", diff)
	}
}

func TestPeopleWhoMayHaveToGo(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	s := NewLedgerStore(db)
	n := 200_000
	if testing.Short() {
		n = 25_000
	}
	pool := database.OwnerPool(t)
	if _, err := pool.Exec(t.Context(), `insert into vault.data_subject (data_subject_id, jurisdiction, erasing)
		select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 'DE', i % 10 = 0 from generate_series(1, $1) i`, n); err != nil {
		t.Fatal(err)
	}
	// A key without a person, and one of somebody who was erased: keys of an older dump.
	if _, err := pool.Exec(t.Context(), `alter table keyring.person_key disable trigger user;
		insert into keyring.person_key (data_subject_id, wrapped)
		select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, decode(repeat('00', 98), 'hex')
		from unnest(array[5, 10, 999999999]) i`); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var after privacy.DataSubjectID
	count, found := 0, map[byte]bool{}
	for {
		page, err := s.People(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, id := range page {
			if bytes.Compare(id[:], after[:]) <= 0 {
				t.Fatal("people do not come in order")
			}
			after = id
			if bytes.Equal(id[10:15], make([]byte, 5)) {
				found[id[15]] = true
			}
		}
		count += len(page)
	}
	t.Logf("%d people in %v", count, time.Since(begin))
	// Nine of ten are not erased; of two more there is a key.
	if want := n - n/10 + 2; count != want || !found[10] || found[20] || !found[21] {
		t.Errorf("%d people, want %d; found %v", count, want, found)
	}
	if about, err := s.CountPeople(t.Context()); err != nil || about != int64(n) {
		t.Errorf("about %d people, %v", about, err)
	}
}

func TestPlannedErasure(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	s := NewLedgerStore(db)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, received_via, received_at, opened_by)
		values ('00000000-0000-4000-8000-000000000001', 'erasure', 'in_progress', 'gdpr_eu', 'DE', 'en', 'cli', now(), decode(repeat('01', 16), 'hex'));
		insert into dsar.plan (request_id, plan_hash, held, sealed, planned_at, planned_by)
		values ('00000000-0000-4000-8000-000000000001', decode(repeat('02', 32), 'hex'), decode(repeat('03', 32), 'hex'), '\x00', now(), decode(repeat('01', 16), 'hex'))`); err != nil {
		t.Fatal(err)
	}
	request, err := dsar.ParseRequestID("00000000-0000-4000-8000-000000000001")
	if err != nil {
		t.Fatal(err)
	}
	plan := audit.Digest(bytes.Repeat([]byte{2}, 32))
	for _, test := range []struct {
		request dsar.RequestID
		plan    audit.Digest
		want    bool
	}{{request, plan, true}, {request, audit.Digest{2}, false}, {dsar.RequestID{1}, plan, false}, {want: false}} {
		if got, err := s.Planned(t.Context(), test.request, test.plan); err != nil || got != test.want {
			t.Errorf("%v: %t, %v", test, got, err)
		}
	}
}
