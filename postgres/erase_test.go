package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

var (
	dpo    = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	second = privacy.Principal{ID: "second@example", Role: privacy.RoleDPO}
)

// memoryLedger is an erasure ledger that a test can look into and break.
type memoryLedger struct {
	mu    sync.Mutex
	lines []dsar.LedgerRecord
	// broken, if set, is what Record fails with; wrote whether the line stands all the same.
	broken error
	wrote  bool
}

func (l *memoryLedger) Record(_ context.Context, record dsar.LedgerRecord) (dsar.LedgerPosition, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil || l.wrote {
		l.lines = append(l.lines, record)
	}
	return l.position(len(l.lines)), l.broken
}

func (l *memoryLedger) position(n int) dsar.LedgerPosition {
	return dsar.LedgerPosition{Sequence: uint64(n), LineHash: sha256.Sum256(binary.AppendUvarint(nil, uint64(n)))}
}

func (l *memoryLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// erasing is a room in which people are erased.
type erasing struct {
	*dsar.Eraser
	db       *DB
	database *pgtest.Database
	vault    *vault.Vault
	log      *AuditLog
	store    *EraseStore
	requests *dsar.Service
	ledger   *memoryLedger
	config   dsar.EraseConfig
}

func newErasing(t testing.TB, config dsar.EraseConfig) *erasing {
	t.Helper()
	db, database := newDB(t)
	v := newKeys(t).Vault()
	audits := auditConfig()
	audits.Actor = v.ActorTag
	log := newAuditLog(t, db, audits)
	people := NewVaultStore(db, v)
	e := &erasing{db: db, database: database, vault: v, log: log, ledger: &memoryLedger{}, config: config}
	e.store = NewEraseStore(people, log, EraseStoreConfig{})
	var err error
	if e.requests, err = dsar.NewService(NewRequestStore(db, log), people, v, log, dsar.ServiceConfig{}); err != nil {
		t.Fatal(err)
	}
	e.rebuild(t)
	return e
}

// rebuild makes the eraser of what the room has now.
func (e *erasing) rebuild(t testing.TB) {
	t.Helper()
	var err error
	e.Eraser, err = dsar.NewEraser(dsar.EraseRooms{
		Store: e.store, Requests: e.requests, Ledger: e.ledger, Vault: e.vault, Log: e.log,
		Categories: func() []privacy.DataCategory { return []privacy.DataCategory{"contact", "purchases", "health"} },
	}, e.config)
	if err != nil {
		t.Fatal(err)
	}
}

func (e *erasing) person(t testing.TB, name string) heldPerson {
	t.Helper()
	return addPersonWith(t, e.db.pool, e.vault, name)
}

// request opens a request for erasure and proves the identity.
func (e *erasing) request(t testing.TB, p heldPerson) dsar.RequestID {
	t.Helper()
	opened, err := e.requests.Open(t.Context(), dpo, dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: "TR", Language: "tr", Identifiers: p.identifiers[:1], Via: dsar.ViaCLI,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.requests.Verify(t.Context(), dpo, opened.Request.ID, dsar.ProofJudgement, privacy.NewPlain("")); err != nil {
		t.Fatal(err)
	}
	return opened.Request.ID
}

// approved opens a request and has its plan approved by two.
func (e *erasing) approved(t testing.TB, p heldPerson) dsar.RequestID {
	t.Helper()
	id := e.request(t, p)
	e.approve(t, id)
	return id
}

func (e *erasing) approve(t testing.TB, id dsar.RequestID) {
	t.Helper()
	planned, err := e.Plan(t.Context(), dpo, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []privacy.Principal{dpo, second}[:e.Approvers()] {
		if _, err := e.Approve(t.Context(), by, id, planned.Hash); err != nil {
			t.Fatal(err)
		}
	}
}

// erase erases somebody, from the request to the last row.
func (e *erasing) erase(t testing.TB, p heldPerson) dsar.ErasureRecord {
	t.Helper()
	record, err := e.Erase(t.Context(), dpo, e.approved(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Sweep(t.Context(), record.ID, nil); err != nil {
		t.Fatal(err)
	}
	return record
}

// eraseAtOnce erases somebody for a test that is about something else, without a request.
func eraseAtOnce(t testing.TB, people *VaultStore, log *AuditLog, id privacy.DataSubjectID) {
	t.Helper()
	list, err := people.vault.SealHouse(dsar.WithheldLabel, []byte("[]"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = NewEraseStore(people, log, EraseStoreConfig{}).Shred(t.Context(), dsar.ShredOrder{
		Erasure: dsar.ErasureID(id), Person: id, Forced: true, List: list,
		Event:    audit.Event{Kind: audit.PersonErased, Outcome: audit.Done, Principal: dpo, Subject: audit.Subject{Unknown: true}},
		Suppress: func(i dsar.HeldIdentifier) [16]byte { return people.vault.SuppressionTag(i.Kind, i.BlindIndex) },
		Record: func(context.Context, [][16]byte) (dsar.LedgerPosition, error) {
			return dsar.LedgerPosition{Sequence: uint64(id[0])<<8 | uint64(id[1])}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustBeRefused(t testing.TB, err error, check dsar.Check) {
	t.Helper()
	refusal, ok := errors.AsType[*dsar.Refusal](err)
	if !ok || refusal.Check != string(check) {
		t.Fatalf("got %v, want a refusal by %s", err, check)
	}
}

func (e *erasing) lastEntry(t testing.TB) audit.Entry {
	t.Helper()
	return readEntry(t, e.db, countEntries(t, e.db)-1)
}

func TestErase(t *testing.T) {
	t.Parallel()
	var forgotten []privacy.DataSubjectID
	e := newErasing(t, dsar.EraseConfig{Forget: func(id privacy.DataSubjectID) { forgotten = append(forgotten, id) }})
	gone, stays := e.person(t, "ayşe"), e.person(t, "jana")
	subject := gone.key.Subject()
	id := e.request(t, gone)
	planned, err := e.Plan(t.Context(), dpo, id)
	if err != nil {
		t.Fatal(err)
	}
	if entry := readEntry(t, e.db, planned.Receipt.Index()); entry.Kind != audit.ErasurePlanned || entry.List != planned.Hash {
		t.Errorf("the plan is logged as %s", entry.Kind)
	}
	wantPlan := &dsar.Plan{
		Version: 1, Request: id, Binding: planned.Plan.Binding, Held: planned.Plan.Held,
		Categories:  []dsar.PlannedCategory{{Category: "contact", Attributes: 1, Version: 1}},
		Streams:     []dsar.PlannedStream{{Category: "purchases", Events: 3, Chunks: 3, Versions: 3}},
		Identifiers: []dsar.PlannedIdentifier{{Kind: privacy.CookieID, Count: 1}, {Kind: privacy.CustomerNumber, Count: 1}, {Kind: privacy.Email, Count: 1}},
		Consents:    1, Withheld: []dsar.Withheld{},
	}
	if diff := cmp.Diff(wantPlan, planned.Plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if again, err := e.Plan(t.Context(), second, id); err != nil || again.Hash != planned.Hash || !again.Receipt.IsZero() {
		t.Errorf("the same plan again has another hash (%t) or is logged again, %v", again.Hash != planned.Hash, err)
	}
	stored, err := e.store.LastPlan(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := e.OpenPlan(t.Context(), &stored); err != nil || cmp.Diff(wantPlan.Streams, opened.Streams) != "" {
		t.Errorf("the plan that was kept: %+v, %v", opened, err)
	}
	for _, by := range []privacy.Principal{dpo, second} {
		approval, err := e.Approve(t.Context(), by, id, planned.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if entry := readEntry(t, e.db, approval.Receipt.Index()); entry.Kind != audit.ErasureApproved || entry.List != planned.Hash || entry.Actor != e.vault.ActorTag(by) {
			t.Errorf("the approval is logged as %s", entry.Kind)
		}
	}

	record, err := e.Erase(t.Context(), dpo, id)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing opens any more although the bytes are there still.
	if _, err := e.store.PersonKey(t.Context(), gone.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("key of an erased person: %v, want ErrNotFound", err)
	}
	if _, err := e.store.Person(t.Context(), gone.id); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an erased person: %v, want ErrNotFound", err)
	}
	digest := audit.Digest(sha256.Sum256(gone.wrapped))
	if !slices.Equal(record.KeyDigests, []audit.Digest{digest}) {
		t.Errorf("digests of keys: %x", record.KeyDigests)
	}
	if e.ledger.count() != 1 {
		t.Fatalf("the ledger has %d lines, want 1", e.ledger.count())
	}
	line := e.ledger.lines[0]
	if line.Person != e.vault.LedgerTag(gone.id) || line.Erasure != record.ID || line.Request != id || line.Plan != planned.Hash || len(line.Suppressed) != 3 {
		t.Errorf("the ledger says %+v", line)
	}
	if _, err := e.Sweep(t.Context(), record.ID, nil); err != nil {
		t.Fatal(err)
	}
	whole, err := e.Erasure(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := dsar.Counts{Keys: 1, Identifiers: 3, Records: 1, Chunks: 3, Fingerprints: 3, Consents: 1, Exposures: 1, Cases: 1}
	if diff := cmp.Diff(want, whole.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if whole.SweptAt.IsZero() || whole.Suppressed != 3 || whole.Request != id || whole.Plan != planned.Hash || whole.LogIndex != record.LogIndex || whole.LedgerSequence != 1 {
		t.Errorf("the record says %+v", whole)
	}
	if len(forgotten) != 1 || forgotten[0] != gone.id {
		t.Errorf("caches were told %d times", len(forgotten))
	}

	// The entry was tagged under the key that went with it: whoever kept the key could
	// still link it, and the database no longer can.
	entry := readEntry(t, e.db, record.LogIndex)
	if entry.Kind != audit.PersonErased || entry.Person != subject.Blinding.ErasedTag() || entry.List != planned.Hash {
		t.Errorf("the entry says %s, and is about the erased person: %t", entry.Kind, entry.Person == subject.Blinding.ErasedTag())
	}
	request, err := e.requests.Find(t.Context(), id)
	if err != nil || request.ErasedAt.IsZero() || !request.DataSubject.IsZero() || request.State.Closed() {
		t.Errorf("the request is %+v, %v", request, err)
	}

	// A copy of the sealed data, made before, opens under no key that is left.
	for _, identifier := range gone.identifiers {
		if _, err := e.store.ResolveIdentifier(t.Context(), identifier); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("resolving %s of an erased person: %v, want ErrNotFound", identifier.Kind, err)
		}
	}
	survivor, err := e.store.PersonKey(t.Context(), stays.id, vault.UseShow)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _, err := e.vault.NewPersonKey(gone.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*vault.PersonKey{survivor, fresh} {
		if _, err := key.OpenRecord("contact", 1, gone.sealed); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("another key opens the copy: %v", err)
		}
	}

	// Nobody else lost anything, and erasing again does and logs nothing.
	if err := readAll(t.Context(), e.store.VaultStore, stays.id); err != nil {
		t.Errorf("the other person: %v", err)
	}
	before := countEntries(t, e.db)
	if again, err := e.Erase(t.Context(), dpo, id); err != nil || again.ID != record.ID {
		t.Errorf("erasing twice: %v, %v", again.ID, err)
	}
	if after := countEntries(t, e.db); after != before || e.ledger.count() != 1 {
		t.Errorf("erasing twice wrote %d entries and %d lines", after-before, e.ledger.count())
	}
}

func TestEraseIsForDataProtectionOfficers(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	stored, err := e.store.LastPlan(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, principal := range []privacy.Principal{
		{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, {ID: "a", Role: privacy.RoleAuditor}, {ID: "i", Role: privacy.RoleIngest}, {Role: privacy.RoleDPO}, {},
	} {
		_, plan := e.Plan(t.Context(), principal, id)
		_, approve := e.Approve(t.Context(), principal, id, stored.Hash)
		_, erase := e.Erase(t.Context(), principal, id)
		_, readmit := e.Readmit(t.Context(), principal, p.identifiers[0], dsar.ReadmitOwnWish)
		for step, err := range map[string]error{"plans": plan, "approves": approve, "erases": erase, "readmits": readmit} {
			if !errors.Is(err, privacy.ErrForbidden) {
				t.Errorf("role %q %s: %v, want ErrForbidden", principal.Role, step, err)
			}
		}
	}
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err != nil {
		t.Error(err)
	}
}

func TestEraseNeedsTwo(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.request(t, p)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckPlanMade)
	planned, err := e.Plan(t.Context(), dpo, id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckApproved)
	if _, err := e.Approve(t.Context(), dpo, id, planned.Hash); err != nil {
		t.Fatal(err)
	}
	_, err = e.Approve(t.Context(), dpo, id, planned.Hash)
	mustBeRefused(t, err, dsar.CheckAnother)
	_, err = e.Erase(t.Context(), second, id)
	mustBeRefused(t, err, dsar.CheckApproved)
	if entry := e.lastEntry(t); entry.Kind != audit.ErasureDenied || entry.Outcome != audit.Denied || !slices.Equal(entry.Checks, []string{"plan.approved"}) || entry.List != planned.Hash {
		t.Errorf("the refusal is logged as %s by %v", entry.Kind, entry.Checks)
	}
	wrong := planned.Hash
	wrong[0] ^= 1
	_, err = e.Approve(t.Context(), second, id, wrong)
	mustBeRefused(t, err, dsar.CheckPlanMade)
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err != nil {
		t.Fatalf("somebody was erased without approval: %v", err)
	}
	if _, err := e.Approve(t.Context(), second, id, planned.Hash); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
}

func TestEraseWithOneApprover(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{OneApprover: true})
	if e.erase(t, e.person(t, "ayşe")).Counts.Keys != 1 {
		t.Error("nothing was erased")
	}
}

// TestErasePlanMustFit: whatever changes between plan and erasure makes a new plan
// necessary, and the approvals of the old one worthless.
func TestErasePlanMustFit(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"record":     `update vault.sealed_record set record_version = record_version + 1 where data_subject_id = $1`,
		"chunk":      `update vault.event_chunk set record_version = record_version + 1 where data_subject_id = $1 and chunk = 1`,
		"last chunk": `update vault.event_chunk set event_count = event_count + 1, record_version = record_version + 1 where data_subject_id = $1 and chunk = 2`,
		"identifier": `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'phone', decode(repeat('01', 33), 'hex'))`,
		"consent": `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
			values ($1, gen_random_uuid(), 'newsletter', 'email', 'withdrawn', 'consent', false, 'v1', 'test', now())`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newErasing(t, dsar.EraseConfig{})
			p := e.person(t, "ayşe")
			id := e.approved(t, p)
			if _, err := e.database.Pool(t).Exec(t.Context(), change, [16]byte(p.id)); err != nil {
				t.Fatal(err)
			}
			_, err := e.Erase(t.Context(), dpo, id)
			mustBeRefused(t, err, dsar.CheckPlanCurrent)
			if e.ledger.count() != 0 {
				t.Error("the ledger has a line of what was refused")
			}
			if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); err != nil {
				t.Errorf("the key is gone: %v", err)
			}
			old, err := e.store.LastPlan(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Approve(t.Context(), second, id, old.Hash)
			mustBeRefused(t, err, dsar.CheckPlanCurrent)
			planned, err := e.Plan(t.Context(), dpo, id)
			if err != nil || planned.Hash == old.Hash || planned.Approvals != 0 {
				t.Fatalf("the new plan has %d approvals, %v", planned.Approvals, err)
			}
			e.approve(t, id)
			if _, err := e.Erase(t.Context(), dpo, id); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestEraseComparesUnderTheLock: what changes after everything was looked at and before the
// row is locked is seen too.
func TestEraseComparesUnderTheLock(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	stored, err := e.store.LastPlan(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	held, err := e.store.Holdings(t.Context(), p.id)
	if err != nil {
		t.Fatal(err)
	}
	recorded := 0
	order := dsar.ShredOrder{
		Erasure: dsar.ErasureID{1}, Person: p.id, Request: id, Plan: stored.Hash, Held: held.Digest(), Approvals: 2,
		Event:    audit.Event{Kind: audit.PersonErased, Outcome: audit.Done, Principal: dpo, Subject: p.key.Subject(), List: stored.Hash},
		Suppress: func(dsar.HeldIdentifier) [16]byte { return [16]byte{1} },
		Record: func(context.Context, [][16]byte) (dsar.LedgerPosition, error) {
			recorded++
			return dsar.LedgerPosition{Sequence: 1}, nil
		},
	}
	for name, c := range map[string]struct {
		change func(*dsar.ShredOrder)
		want   error
	}{
		"another version": {func(o *dsar.ShredOrder) { o.Held[0] ^= 1 }, dsar.ErrChanged},
		"a hold less":     {func(o *dsar.ShredOrder) { o.Holds = []dsar.HoldOn{{Hold: [16]byte{1}, Scope: [16]byte{2}}} }, dsar.ErrChanged},
		"three approvers": {func(o *dsar.ShredOrder) { o.Approvals = 3 }, privacy.ErrForbidden},
		"another plan":    {func(o *dsar.ShredOrder) { o.Plan[0] ^= 1 }, privacy.ErrForbidden},
		"nobody":          {func(o *dsar.ShredOrder) { o.Person[15] ^= 1 }, privacy.ErrNotFound},
	} {
		spoiled := order
		c.change(&spoiled)
		if _, _, err := e.store.Shred(t.Context(), spoiled); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if recorded != 0 {
		t.Errorf("the ledger was written %d times", recorded)
	}
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err != nil {
		t.Error(err)
	}
}

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

// TestEraseIsInTheLedgerFirst: without the ledger nothing is erased.
func TestEraseIsInTheLedgerFirst(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	before := countEntries(t, e.db)
	e.ledger.broken = fmt.Errorf("disk full: %w", privacy.ErrUnavailable)
	if _, err := e.Erase(t.Context(), dpo, id); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("erasing without ledger: %v, want ErrUnavailable", err)
	}
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err != nil {
		t.Errorf("the person is gone although the ledger does not say so: %v", err)
	}
	if after := countEntries(t, e.db); after != before {
		t.Error("the log has an entry for what did not happen")
	}
	e.ledger.broken = nil
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
}

// TestEraseInTheLedgerHappens: once the line stands, a commit that fails is made again,
// whatever holds are set in between.
func TestEraseInTheLedgerHappens(t *testing.T) {
	t.Parallel()
	for _, fails := range []int{1, 3} {
		e := newErasing(t, dsar.EraseConfig{Finish: time.Minute})
		p := e.person(t, "ayşe")
		id := e.approved(t, p)
		e.store.log = &failingLog{log: e.log, fails: fails, between: func() { e.setHold(t, p, nil) }}
		record, err := e.Erase(t.Context(), dpo, id)
		if err != nil {
			t.Fatal(err)
		}
		if e.ledger.count() != 1 || record.LedgerSequence != 1 {
			t.Errorf("the ledger has %d lines", e.ledger.count())
		}
		if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("the key: %v, want ErrNotFound", err)
		}
		request, err := e.requests.Find(t.Context(), id)
		if err != nil || request.ErasedAt.IsZero() {
			t.Errorf("the request took no step: %v", err)
		}
		if entry := readEntry(t, e.db, record.LogIndex); entry.Kind != audit.PersonErased || entry.Person != p.key.Subject().Blinding.ErasedTag() {
			t.Errorf("it is logged as %s", entry.Kind)
		}
	}
}

// TestEraseInTheLedgerTellsProcessors: an erasure that is made again after its line tells
// those whom the first try, which was rolled back, did not reach, and happens if they cannot
// be told. One that a restore has undone tells nobody again.
func TestEraseInTheLedgerTellsProcessors(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		e := newErasing(t, dsar.EraseConfig{Finish: time.Minute})
		var told []dsar.RequestID
		again := false
		e.store.config.Tell = func(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID) (int, error) {
			told = append(told, request)
			if broken && again {
				_, err := tx.Exec(ctx, `select 1 / 0`)
				return 0, err
			}
			return 1, nil
		}
		p := e.person(t, "ayşe")
		id := e.approved(t, p)
		e.store.log = &failingLog{log: e.log, fails: 1, between: func() { told, again = nil, true }}
		if _, err := e.Erase(t.Context(), dpo, id); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, []dsar.RequestID{id}) {
			t.Errorf("broken %t: told of %v, want %s once", broken, told, id)
		}
		if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("broken %t: the key: %v, want ErrNotFound", broken, err)
		}
	}
	e := newErasing(t, dsar.EraseConfig{})
	told := 0
	e.store.config.Tell = func(context.Context, pgx.Tx, dsar.RequestID, privacy.DataSubjectID) (int, error) {
		told++
		return 1, nil
	}
	p := e.person(t, "ayşe")
	line := dsar.LedgerRecord{Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{1, 6: 0x40, 8: 0x80}, Person: e.vault.LedgerTag(p.id), At: time.Now()}
	if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1)); !erased || err != nil || told != 0 {
		t.Errorf("replayed %t and told %d, %v", erased, told, err)
	}
}

// failingLog fails after changes have been made, inside their transactions.
type failingLog struct {
	log     *AuditLog
	fails   int
	between func()
}

func (f *failingLog) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	if f.fails == 0 {
		return f.log.AppendTx(ctx, event, change)
	}
	f.fails--
	receipt, err := f.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return fmt.Errorf("appending entry: %w", privacy.ErrUnavailable)
	})
	f.between()
	return receipt, err
}

func (f *failingLog) AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error) {
	if f.fails == 0 {
		return f.log.AppendAllTx(ctx, change)
	}
	f.fails--
	receipts, err := f.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if _, err := change(ctx, tx); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("appending entry: %w", privacy.ErrUnavailable)
	})
	f.between()
	return receipts, err
}

// TestEraseFindsItsEntry: an erasure that was cut off right after its commit is found in
// the log when somebody asks for it.
func TestEraseFindsItsEntry(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	record := e.erase(t, e.person(t, "ayşe"))
	e.erase(t, e.person(t, "jana"))
	if _, err := e.database.OwnerPool(t).Exec(t.Context(), `update dsar.erasure set log_index = null, leaf_hash = null`); err != nil {
		t.Fatal(err)
	}
	found, err := e.ErasureOf(t.Context(), record.Request)
	if err != nil || found.LogIndex != record.LogIndex || found.LeafHash != record.LeafHash {
		t.Errorf("found entry %d, %v, want %d", found.LogIndex, err, record.LogIndex)
	}
}

func TestEraseAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	before := countEntries(t, e.db)
	var mu sync.Mutex
	found := map[dsar.ErasureID]int{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			record, err := e.Erase(t.Context(), dpo, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("erasing at once: %v", err)
			}
			found[record.ID]++
		})
	}
	group.Wait()
	entries := map[audit.Kind]int{}
	for index := before; index < countEntries(t, e.db); index++ {
		entries[readEntry(t, e.db, index).Kind]++
	}
	if len(found) != 1 || entries[audit.PersonErased] != 1 || e.ledger.count() != 1 {
		t.Errorf("%d erasures, %d entries, %d lines of the ledger, want one each", len(found), entries[audit.PersonErased], e.ledger.count())
	}
}

// TestEraseBesideAWriter: a writer that was about to add to the person loses, whatever
// the order, and leaves nothing behind.
func TestEraseBesideAWriter(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	writer, err := e.database.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const add = `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'email', $2)`
	index, _ := e.vault.BlindIndex(privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("second@example.com")})
	if _, err := writer.Exec(t.Context(), add, [16]byte(p.id), index); err != nil {
		t.Fatal(err)
	}
	erased := make(chan error, 1)
	go func() {
		_, err := e.Erase(t.Context(), dpo, id)
		erased <- err
	}()
	waitForLock(t, e.database)
	if err := writer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The plan did not have the second address: somebody must look again.
	mustBeRefused(t, <-erased, dsar.CheckPlanCurrent)
	e.approve(t, id)
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
	for name, statement := range map[string]string{
		"identifier":  `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'email', decode(repeat('02', 33), 'hex'))`,
		"record":      `insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, decode(repeat('02', 16), 'hex'), 1, 'x')`,
		"chunk":       `insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, decode(repeat('02', 16), 'hex'), 0, 1, 1, 'x')`,
		"fingerprint": `insert into vault.event_fingerprint (data_subject_id, fingerprint) values ($1, decode(repeat('02', 16), 'hex'))`,
		"key":         `insert into keyring.person_key (data_subject_id, wrapped) values ($1, decode(repeat('02', 98), 'hex'))`,
		"exposure":    `insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at) values ($1, 'shop', 9, 'x', now())`,
		"case":        `insert into gate.case_file (data_subject_id, case_id, recipient, kind, opened_at, ends_at) values ($1, gen_random_uuid(), 'desk', 'complaint', now(), now() + interval '1 day')`,
		"consent": `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
			values ($1, gen_random_uuid(), 'newsletter', 'email', 'granted', 'consent', false, 'v1', 'test', now())`,
	} {
		if _, err := e.database.Pool(t).Exec(t.Context(), statement, [16]byte(p.id)); err == nil {
			t.Errorf("a late writer adds a %s to somebody who is gone", name)
		}
	}
	if _, err := e.store.Resolve(t.Context(), privacy.Email, [][]byte{index}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the row that was written meanwhile: %v, want ErrNotFound", err)
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

// TestReplay: a restored person is erased again under the erasure's own id, whatever holds
// there are, and nobody else is.
func TestReplay(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p, other := e.person(t, "ayşe"), e.person(t, "jana")
	e.setHold(t, p, nil)
	line := dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{7}, Person: e.vault.LedgerTag(p.id), Request: dsar.RequestID{9}, Plan: audit.Digest{1},
	}
	if _, _, err := e.Replay(t.Context(), dpo, other.id, line, e.ledger.position(1)); !errors.Is(err, privacy.ErrInvalid) {
		t.Fatalf("somebody whom the ledger does not name: %v", err)
	}
	record, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1))
	if err != nil || !erased || record.ID != line.Erasure || record.Counts.Keys != 1 {
		t.Fatalf("%+v, %t, %v", record, erased, err)
	}
	if entry := readEntry(t, e.db, record.LogIndex); entry.Kind != audit.ErasureReplayed || entry.List != line.Plan {
		t.Errorf("it is logged as %s", entry.Kind)
	}
	if e.ledger.count() != 0 {
		t.Error("the ledger was written again")
	}
	before := countEntries(t, e.db)
	if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1)); err != nil || erased {
		t.Errorf("again: %t, %v", erased, err)
	}
	if _, erased, err := e.Replay(t.Context(), dpo, privacy.DataSubjectID{5}, dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{8}, Person: e.vault.LedgerTag(privacy.DataSubjectID{5}),
	}, e.ledger.position(2)); err != nil || erased {
		t.Errorf("nobody: %t, %v", erased, err)
	}
	if after := countEntries(t, e.db); after != before {
		t.Errorf("nothing was done and %d entries written", after-before)
	}
	if err := readAll(t.Context(), e.store.VaultStore, other.id); err != nil {
		t.Error(err)
	}
}

// setHold puts a hold on a person, on everything or on one scope, as somebody who comes
// from outside would: with the row locked.
func (e *erasing) setHold(t testing.TB, p heldPerson, scope *[16]byte) [16]byte {
	t.Helper()
	var id [16]byte
	_, _ = rand.Read(id[:])
	err := pgx.BeginFunc(t.Context(), e.db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select 1 from vault.data_subject where data_subject_id = $1 for update`, [16]byte(p.id)); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `insert into dsar.hold (hold_id, scope, reason, authority, set_by, set_at) values ($1, $2, 'litigation', 'test/1', $3, now())`,
			id, scope, make([]byte, 16)); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `insert into dsar.hold_person (hold_id, data_subject_id) values ($1, $2)`, id, [16]byte(p.id))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (e *erasing) releaseHold(t testing.TB, id [16]byte) {
	t.Helper()
	if _, err := e.db.pool.Exec(t.Context(), `update dsar.hold set released_at = now(), released_by = set_by, release_reason = 'concluded' where hold_id = $1`, id); err != nil {
		t.Fatal(err)
	}
}

func TestHoldDefersErasure(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	hold := e.setHold(t, p, nil)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if entry := e.lastEntry(t); entry.Kind != audit.ErasureDeferred {
		t.Errorf("it is logged as %s", entry.Kind)
	}
	person, err := e.store.Person(t.Context(), p.id)
	if err != nil || !person.Restricted {
		t.Errorf("restricted: %t, %v", person.Restricted, err)
	}
	before := countEntries(t, e.db)
	resumed, err := e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Held, []dsar.RequestID{id}) || len(resumed.Erased) != 0 {
		t.Errorf("%+v, %v", resumed, err)
	}
	if after := countEntries(t, e.db); after != before || e.ledger.count() != 0 {
		t.Errorf("a second try wrote %d entries and %d lines", after-before, e.ledger.count())
	}
	if planned, err := e.Plan(t.Context(), dpo, id); err != nil || !planned.Held || planned.Approvals != 2 || planned.DeferredAt.IsZero() {
		t.Errorf("the plan says held: %t, %d approvals, %v", planned.Held, planned.Approvals, err)
	}
	e.releaseHold(t, hold)
	resumed, err = e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Erased, []dsar.RequestID{id}) {
		t.Errorf("%+v, %v", resumed, err)
	}
	if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the key: %v", err)
	}
}

// TestReleaseReplans: what has changed while a hold was in force needs a new approval.
func TestReleaseReplans(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	hold := e.setHold(t, p, nil)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if _, err := e.db.pool.Exec(t.Context(), `update vault.sealed_record set record_version = 2 where data_subject_id = $1`, [16]byte(p.id)); err != nil {
		t.Fatal(err)
	}
	e.releaseHold(t, hold)
	resumed, err := e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Replanned, []dsar.RequestID{id}) {
		t.Fatalf("%+v, %v", resumed, err)
	}
	before := countEntries(t, e.db)
	if resumed, err = e.Resume(t.Context(), dpo); err != nil || countEntries(t, e.db) != before {
		t.Errorf("while the new plan waits for its approval %d entries come, %v", countEntries(t, e.db)-before, err)
	}
	e.approve(t, id)
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
}

// TestHoldOnWhatNobodyKnows: data of a category that the catalogue has lost may be what a
// hold on a part is about, so they are not destroyed while there is one.
func TestHoldOnWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	slot, scope := e.vault.Slot(p.id, "lost"), e.vault.WordTag("hold", "lost")
	if _, err := e.db.pool.Exec(t.Context(), `insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`,
		[16]byte(p.id), slot[:], make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	hold := e.setHold(t, p, &scope)
	id := e.approved(t, p)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); err != nil {
		t.Errorf("erased under a hold: %v", err)
	}
	e.releaseHold(t, hold)
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Error(err)
	}
}

// TestResumeGoesOnBehindOneThatFails: what stands in the way of one erasure stands in the way
// of no other.
func TestResumeGoesOnBehindOneThatFails(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	var ids []dsar.RequestID
	var holds [][16]byte
	for _, name := range []string{"ayşe", "jana", "petra"} {
		p := e.person(t, name)
		id := e.approved(t, p)
		holds = append(holds, e.setHold(t, p, nil))
		_, err := e.Erase(t.Context(), dpo, id)
		mustBeRefused(t, err, dsar.CheckNoHold)
		ids = append(ids, id)
	}
	for _, hold := range holds {
		e.releaseHold(t, hold)
	}
	e.store.log = &failingLog{log: e.log, fails: 1, between: func() {}}
	e.ledger.broken = nil
	e.config.Finish = time.Nanosecond
	e.rebuild(t)
	resumed, err := e.Resume(t.Context(), dpo)
	if !errors.Is(err, privacy.ErrUnavailable) || len(resumed.Erased) != 2 {
		t.Errorf("%d of %d were erased, %v", len(resumed.Erased), len(ids), err)
	}
}

// keepName withholds the first name while there is a partial hold, and all purchases for
// ten years.
type keepName struct{ until time.Time }

func (k keepName) Withhold(ctx context.Context, in dsar.WithholdInput) ([]dsar.Kept, error) {
	var kept []dsar.Kept
	for _, hold := range in.Holds {
		if record, held := in.Records["contact"]; held {
			kept = append(kept, dsar.Kept{
				Withheld: dsar.Withheld{Category: "contact", Attribute: "first_name", Ground: "legal_hold", Article: "GDPR 17(3)(e)", Items: 1},
				Hold:     hold.Hold, Record: vault.Record{"first_name": record["first_name"]},
			})
		}
	}
	var events []vault.Event
	if err := in.Events(ctx, "purchases", func(chunk []vault.Event) error {
		events = append(events, chunk...)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(events) > 0 {
		kept = append(kept, dsar.Kept{
			Withheld: dsar.Withheld{Category: "purchases", Ground: "tax_records", Article: "TR 213 253", Until: k.until, Items: int64(len(events))}, Events: events,
		})
	}
	return kept, nil
}

// TestWithheld: what must be kept is kept under keys of its own, and ends with its ground.
func TestWithheld(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(1000 * time.Hour).UTC().Truncate(time.Second)
	e := newErasing(t, dsar.EraseConfig{Withholder: keepName{until}})
	p := e.person(t, "ayşe")
	scope := e.vault.WordTag("hold", "contact", "first_name")
	hold := e.setHold(t, p, &scope)
	record := e.erase(t, p)
	want := []dsar.Withheld{
		{Category: "contact", Attribute: "first_name", Ground: "legal_hold", Article: "GDPR 17(3)(e)", Items: 1},
		{Category: "purchases", Ground: "tax_records", Article: "TR 213 253", Until: until, Items: 3},
	}
	record, err := e.Erasure(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, record.Withheld); diff != "" {
		t.Errorf("withheld (-want +got):\n%s", diff)
	}
	kept := e.withheld(t)
	for i := range kept {
		opened, err := dsar.OpenWithheld(e.vault, &kept[i])
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case opened.Category == "contact":
			if opened.Hold != hold || !slices.Equal(p.record["first_name"].Values, opened.Record["first_name"].Values) || len(opened.Events) != 0 {
				t.Errorf("the name is not what was kept: %+v", opened.Withheld)
			}
		case len(opened.Events) != 3 || opened.Record != nil || !opened.Until.Equal(until):
			t.Errorf("the purchases are not what was kept: %+v", opened.Withheld)
		}
		kept[i].ID[0] ^= 1
		if _, err := dsar.OpenWithheld(e.vault, &kept[i]); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("what was withheld opens under another id: %v", err)
		}
		kept[i].ID[0] ^= 1
	}
	// Nothing of it ends before its ground does.
	end := func() (n int64) {
		t.Helper()
		if err := e.db.pool.QueryRow(t.Context(), `select erased from dsar.erase_withheld(array(select withheld_id from dsar.withheld))`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := end(); n != 0 {
		t.Errorf("%d were erased although their grounds have not ended", n)
	}
	e.releaseHold(t, hold)
	if n, left := end(), len(e.withheld(t)); n != 1 || left != 1 {
		t.Errorf("%d were erased and %d left, want 1 and 1", n, left)
	}
	if _, err := e.database.OwnerPool(t).Exec(t.Context(), `update dsar.withheld set until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if n, left := end(), len(e.withheld(t)); n != 1 || left != 0 {
		t.Errorf("%d were erased and %d left, want 1 and 0", n, left)
	}
}

// withheld reads what is withheld.
func (e *erasing) withheld(t testing.TB) []dsar.SealedWithheld {
	t.Helper()
	rows, err := e.db.pool.Query(t.Context(), `select w.withheld_id, w.hold_id, w.sealed, k.wrapped,
		array(select p.sealed from dsar.withheld_part p where p.withheld_id = w.withheld_id order by p.part)
		from dsar.withheld w join keyring.withheld_key k on k.withheld_id = w.withheld_id`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.SealedWithheld, error) {
		var w dsar.SealedWithheld
		var hold *[16]byte
		err := row.Scan(&w.ID, &hold, &w.Head, &w.Wrapped, &w.Parts)
		if hold != nil {
			w.Hold = *hold
		}
		return w, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestHoldAgainstErasure: of a hold and an erasure that come at once one is first. Nobody is
// erased under a hold, and no hold is set on somebody who is gone.
func TestHoldAgainstErasure(t *testing.T) {
	t.Parallel()
	races := 1000
	if testing.Short() {
		races = 60
	}
	e := newErasing(t, dsar.EraseConfig{OneApprover: true})
	erasedFirst, heldFirst := 0, 0
	for i := range races {
		p := e.person(t, fmt.Sprintf("person-%d", i))
		id := e.approved(t, p)
		var group sync.WaitGroup
		var eraseErr error
		var held bool
		start := make(chan struct{})
		group.Go(func() {
			<-start
			_, eraseErr = e.Erase(t.Context(), dpo, id)
		})
		group.Go(func() {
			<-start
			// As the service of holds does: lock the row, see whether there is anybody.
			err := pgx.BeginFunc(t.Context(), e.db.pool, func(tx pgx.Tx) error {
				var one int
				if err := tx.QueryRow(t.Context(), sqlEraseLock, [16]byte(p.id)).Scan(&one); err != nil {
					return err
				}
				hold := [16]byte{byte(i), byte(i >> 8), 1}
				if _, err := tx.Exec(t.Context(), `insert into dsar.hold (hold_id, reason, authority, set_by, set_at) values ($1, 'litigation', 'test/1', $2, now())`, hold, make([]byte, 16)); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), `insert into dsar.hold_person (hold_id, data_subject_id) values ($1, $2)`, hold, [16]byte(p.id))
				return err
			})
			held = err == nil
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("setting hold: %v", err)
			}
		})
		close(start)
		group.Wait()
		_, keyErr := e.store.PersonKey(t.Context(), p.id, vault.UseShow)
		switch {
		case held && (eraseErr == nil || keyErr != nil):
			t.Fatalf("race %d: erased under a hold: %v, %v", i, eraseErr, keyErr)
		case held:
			mustBeRefused(t, eraseErr, dsar.CheckNoHold)
			heldFirst++
		case eraseErr != nil || !errors.Is(keyErr, privacy.ErrNotFound):
			t.Fatalf("race %d: neither held nor erased: %v, %v", i, eraseErr, keyErr)
		default:
			erasedFirst++
		}
	}
	if e.ledger.count() != erasedFirst {
		t.Errorf("the ledger has %d lines of %d erasures", e.ledger.count(), erasedFirst)
	}
	t.Logf("%d races: %d erased, %d held", races, erasedFirst, heldFirst)
}

func TestEraseMany(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{OneApprover: true})
	var requests []dsar.RequestID
	for i := range 30 {
		requests = append(requests, e.approved(t, e.person(t, fmt.Sprintf("person-%d", i))))
	}
	requests = append(requests, e.request(t, e.person(t, "unapproved")))
	erased, refused := 0, 0
	e.EraseMany(t.Context(), dpo, requests, 4, func(o dsar.Outcome) {
		if o.Err == nil {
			erased++
		} else {
			refused++
		}
	})
	if erased != 30 || refused != 1 || e.ledger.count() != 30 {
		t.Errorf("%d erased, %d refused, %d lines", erased, refused, e.ledger.count())
	}
	swept, err := e.Sweep(t.Context(), dsar.ErasureID{}, nil)
	if err != nil || swept.People != 30 {
		t.Errorf("%+v, %v", swept, err)
	}
}

// personTables lists the tables that have rows of people.
func personTables(t testing.TB, database *pgtest.Database) []string {
	t.Helper()
	rows, err := database.OwnerPool(t).Query(t.Context(), `
		select n.nspname || '.' || c.relname
		from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
		where a.attname = 'data_subject_id' and c.relkind in ('r', 'p') and not c.relispartition
		  and n.nspname <> 'dsar' -- requests and holds outlive a person
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 8 {
		t.Fatalf("found tables %v, %v", tables, err)
	}
	return tables
}

// waitForLock returns when some statement of the database waits for a lock.
func waitForLock(t testing.TB, database *pgtest.Database) {
	t.Helper()
	pool := database.OwnerPool(t)
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		var waiting bool
		err := pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%for update%')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
	t.Fatal("nothing waits for the lock")
}

func readEntry(t testing.TB, db *DB, index uint64) audit.Entry {
	t.Helper()
	stored, err := readEntries(t.Context(), db.pool, index, 1)
	if err != nil || len(stored) != 1 {
		t.Fatalf("reading entry %d: %d found, %v", index, len(stored), err)
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func countEntries(t testing.TB, db *DB) uint64 {
	t.Helper()
	size, _, err := readHead(t.Context(), db.pool)
	if err != nil {
		t.Fatal(err)
	}
	return size
}
