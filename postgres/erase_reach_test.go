package postgres

import (
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
)

// TestEraseReachesEveryTable: a table that has rows of people, is not named in
// vault.shred or vault.sweep and does not go with the person's own row fails here.
func TestEraseReachesEveryTable(t *testing.T) {
	t.Parallel()
	_, database := newDB(t)
	pool := database.OwnerPool(t)
	var source string
	if err := pool.QueryRow(t.Context(), `select string_agg(prosrc, ' ') from pg_proc where oid in
		('vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint)'::regprocedure, 'vault.sweep(integer, uuid)'::regprocedure)`).Scan(&source); err != nil {
		t.Fatal(err)
	}
	for _, table := range personTables(t, database) {
		var cascades bool
		if err := pool.QueryRow(t.Context(), `select exists (select from pg_constraint
			where conrelid = $1::regclass and confrelid = 'vault.data_subject'::regclass and contype = 'f' and confdeltype = 'c')`, table).Scan(&cascades); err != nil {
			t.Fatal(err)
		}
		if !cascades && !strings.Contains(source, "delete from "+table+" ") {
			t.Errorf("neither vault.shred nor vault.sweep deletes from %s", table)
		}
	}
}

func TestEraseLeavesNoRow(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	e.db.FindInRooms(testSeats)
	pool := e.database.OwnerPool(t)
	count := func(table string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select count(*) from `+table+` where data_subject_id = $1`, [16]byte(p.id)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, sql := range []string{
		`insert into consent.iys_standing (data_subject_id, brand, address, type, recipient_type, status, said_at)
			values ($1, 1, '\x000102030405060708090a0b0c0d0e0f', 'MESAJ', 'BIREYSEL', 'RET', now())`,
		`insert into consent.iys_sent (data_subject_id, brand, request, position, address, type, status, said_at)
			values ($1, 1, 'r1', 0, '\x000102030405060708090a0b0c0d0e0f', 'MESAJ', 'ONAY', now())`,
		roomSnapshot + `insert into cleanroom.presence (data_subject_id, snapshot_id, purpose)
			select $1, snapshot_id, 'campaign_measurement' from snapshot`,
		`insert into cleanroom.stay (data_subject_id, room_id, owner, dataset, purpose, first_at, last_at)
			values ($1, 'campaign', 'retailer', 'purchases', 'campaign_measurement', now(), now())`,
	} {
		if _, err := pool.Exec(t.Context(), sql, [16]byte(p.id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range personTables(t, e.database) {
		if count(table) == 0 {
			t.Errorf("addPerson puts nothing into %s, so erasing it is not tested", table)
		}
	}
	e.erase(t, p)
	for _, table := range personTables(t, e.database) {
		if n := count(table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if strings.Contains(e.database.Dump(t), p.id.Reveal()) {
		t.Error("a dump still names the person")
	}
}

// TestSweepIsBounded: many small steps come to the same end, and count what they delete.
func TestSweepIsBounded(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	record, err := e.Erase(t.Context(), dpo, e.approved(t, e.person(t, "ayşe")))
	if err != nil {
		t.Fatal(err)
	}
	var rows, people int64
	for range 20 {
		swept, err := e.store.Sweep(t.Context(), 2, dsar.ErasureID{})
		if err != nil {
			t.Fatal(err)
		}
		if swept.Rows > 4 { // two, and the last few of the person
			t.Errorf("a step of two deleted %d rows", swept.Rows)
		}
		rows, people = rows+swept.Rows, people+swept.People
	}
	if rows != 3+3+1+1 || people != 1 {
		t.Errorf("%d rows of %d people were deleted", rows, people)
	}
	record, err = e.Erasure(t.Context(), record.ID)
	if err != nil || record.Counts.Chunks != 3 || record.Counts.Fingerprints != 3 || record.Counts.Records != 1 || record.SweptAt.IsZero() {
		t.Errorf("%+v, %v", record.Counts, err)
	}
}

// TestEraseOfBrokenKey: a key that does not open, or is lost, keeps nobody from being
// erased.
func TestEraseOfBrokenKey(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"damaged": `update keyring.person_key set wrapped = set_byte(wrapped, 40, 255 - get_byte(wrapped, 40))`,
		"lost":    `delete from keyring.person_key`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newErasing(t, dsar.EraseConfig{})
			p := e.person(t, "ayşe")
			if _, err := e.database.OwnerPool(t).Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if name == "lost" {
				// Nobody can be found any more by whom the request would be of.
				held, err := e.store.Holdings(t.Context(), p.id)
				if err != nil || held.Wrapped != nil {
					t.Fatalf("%x, %v", held.Wrapped, err)
				}
				line := dsar.LedgerRecord{Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{1}, Person: e.vault.LedgerTag(p.id), Plan: audit.Digest{1}}
				if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1)); err != nil || !erased {
					t.Errorf("erased: %t, %v", erased, err)
				}
				return
			}
			record := e.erase(t, p)
			if record, err := e.Erasure(t.Context(), record.ID); err != nil || record.Counts.Records != 1 {
				t.Errorf("erased %+v, %v", record.Counts, err)
			}
		})
	}
}
