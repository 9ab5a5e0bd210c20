package postgres

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func newRetention(t testing.TB, store retention.Store, keys *keydir.Keys, config retention.Config) *retention.Runner {
	t.Helper()
	catalogue := testCatalogue(t)
	config.Policy = func() retention.Policy { return retention.Policy{Catalogue: catalogue(), Digest: audit.Digest{1}} }
	signer, err := audit.NewSigner(retention.SignerName("shop.example/audit"), auditKey.Public().(ed25519.PublicKey),
		func(m []byte) ([]byte, error) { return ed25519.Sign(auditKey, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	config.Origin, config.Signer = "shop.example/audit", signer
	runner, err := retention.New(store, keys.Vault(), config)
	if err != nil {
		t.Fatal(err)
	}
	return runner
}

// oldPerson is somebody with old and new data in one chunk, in chunks of their own, and in
// records.
func oldPerson(t testing.TB, database *pgtest.Database, v *vault.Vault, name string) heldPerson {
	t.Helper()
	p := addPerson(t, database, v, name)
	now := time.Now().UTC()
	exec := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := database.Pool(t).Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	chunk := func(stream privacy.DataCategory, number int64, ages ...int) {
		t.Helper()
		events := make([]vault.Event, len(ages))
		for i, years := range ages {
			events[i] = vault.Event{Type: "purchase", At: now.AddDate(-years, 0, -2), Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("grocery.dairy")}}
		}
		sealed, err := p.key.SealChunk(stream, number, 1, events)
		if err != nil {
			t.Fatal(err)
		}
		slot := v.Slot(p.id, stream)
		exec(`insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, $2, $3, 1, $4, $5)
			on conflict (data_subject_id, slot, chunk) do update set event_count = $4, sealed = $5`, [16]byte(p.id), slot[:], number, len(ages), sealed)
	}
	chunk("purchases", 0, 9, 8) // goes as a whole
	chunk("purchases", 1, 5, 1) // the first of two goes
	chunk("purchases", 2, 1)    // stays
	chunk("views", 0, 3, 2)     // goes as a whole
	record := vault.Record{
		"finances.income_band":  {Values: []privacy.Plain{privacy.NewPlain("50-74K")}, Source: vault.Imported, Quality: vault.Verified, ObservedAt: now.AddDate(-2, 0, 0).Truncate(24 * time.Hour)},
		"finances.credit_score": {Values: []privacy.Plain{privacy.NewPlain("700")}, Source: vault.Imported, Quality: vault.Verified, ObservedAt: now.AddDate(0, -1, 0).Truncate(24 * time.Hour)},
	}
	sealed, err := p.key.SealRecord("finances", 1, record)
	if err != nil {
		t.Fatal(err)
	}
	slot := v.Slot(p.id, "finances")
	exec(`insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`, [16]byte(p.id), slot[:], sealed)
	social := vault.Record{"social.last_post": {Values: []privacy.Plain{privacy.NewPlain("hello")}, Source: vault.Social, Quality: vault.Unverified, ObservedAt: now.AddDate(-1, 0, 0).Truncate(24 * time.Hour)}}
	if sealed, err = p.key.SealRecord("social", 1, social); err != nil {
		t.Fatal(err)
	}
	slot = v.Slot(p.id, "social")
	exec(`insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`, [16]byte(p.id), slot[:], sealed)
	return p
}

// holdings counts what opens of a person: events by stream, attributes by category.
func holdings(t testing.TB, store *VaultStore, p heldPerson) map[string]int {
	t.Helper()
	found := map[string]int{}
	categories := testCatalogue(t)().Categories()
	records, err := store.Records(t.Context(), p.key, categories)
	if err != nil {
		t.Fatal(err)
	}
	for category, record := range records {
		found[string(category)] += len(record.Record)
	}
	for _, category := range categories {
		chunks, err := store.Chunks(t.Context(), p.key, category, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range chunks {
			found[string(category)+" events"] += len(chunk.Events)
		}
	}
	return found
}

var (
	allOfThem = map[string]int{"contact": 1, "finances": 2, "social": 1, "purchases events": 5, "views events": 2}
	whatStays = map[string]int{"contact": 1, "finances": 1, "purchases events": 2}
)

func TestRetention(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	people := NewVaultStore(db, keys.Vault())
	runner := newRetention(t, NewRetentionStore(db, log), keys, retention.Config{BatchSize: 2})
	free, bound, partly, restricted := oldPerson(t, database, keys.Vault(), "free"), oldPerson(t, database, keys.Vault(), "bound"),
		oldPerson(t, database, keys.Vault(), "partly"), oldPerson(t, database, keys.Vault(), "restricted")
	fresh := addPerson(t, database, keys.Vault(), "fresh")
	if _, err := database.Pool(t).Exec(t.Context(), `update vault.data_subject set restricted = true where data_subject_id = $1`, [16]byte(restricted.id)); err != nil {
		t.Fatal(err)
	}
	holds := newHolds(t, db, keys, log, dsar.HoldConfig{})
	whole, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: bound.identifiers[2:], Reason: dsar.HoldLitigation, Authority: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: partly.identifiers[:1], Reason: dsar.HoldTaxAudit, Authority: "x", Scope: dsar.HoldScope{Category: "purchases"}}); err != nil {
		t.Fatal(err)
	}

	// A plan changes nothing and logs nothing.
	before := countEntries(t, db)
	plan, err := runner.Plan(t.Context(), dpo, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []retention.Count{
		{What: "events", Category: "purchases", Destroyed: 3, Held: 9},
		{What: "events", Category: "views", Destroyed: 4, Held: 4},
		{What: "values", Category: "finances", Destroyed: 2, Held: 2},
		{What: "values", Category: "social", Destroyed: 2, Held: 2},
	}
	if diff := cmp.Diff(want, plan.Counts); diff != "" || plan.People != 5 || plan.Changed != 2 {
		t.Errorf("plan of %d people, %d change (-want +got):\n%s", plan.People, plan.Changed, diff)
	}
	if countEntries(t, db) != before {
		t.Error("a plan is in the log")
	}
	for _, p := range []heldPerson{free, bound, partly, restricted} {
		if diff := cmp.Diff(allOfThem, holdings(t, people, p)); diff != "" {
			t.Errorf("a plan destroys (-want +got):\n%s", diff)
		}
	}

	// A run does what the plan says, with entries, and holds stand.
	var seen int64
	run, err := runner.Run(t.Context(), dpo, func(done, total int64) { seen = done })
	if err != nil || seen != 5 {
		t.Fatalf("%d people seen, %v", seen, err)
	}
	if diff := cmp.Diff(want, run.Counts); diff != "" || run.Changed != 2 || run.Skipped+run.Unreadable != 0 {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	some := map[string]int{"contact": 1, "finances": 1, "purchases events": 5}
	for _, test := range []struct {
		who  heldPerson
		want map[string]int
	}{{free, whatStays}, {bound, allOfThem}, {partly, some}, {restricted, allOfThem}, {fresh, map[string]int{"contact": 1, "purchases events": 3}}} {
		if diff := cmp.Diff(test.want, holdings(t, people, test.who)); diff != "" {
			t.Errorf("after a run (-want +got):\n%s", diff)
		}
	}
	applied := 0
	for i := before; i < countEntries(t, db); i++ {
		if entry := readEntry(t, db, i); entry.Kind == audit.RetentionApplied && entry.Outcome == audit.Done && entry.List != (audit.Digest{}) && entry.Policy == (audit.Digest{1}) {
			applied++
		}
	}
	if applied == 0 || applied != int(countEntries(t, db)-before) {
		t.Errorf("%d entries say what was destroyed", applied)
	}

	// Nobody is due again, until somebody looks by hand; and a released hold keeps nothing.
	if again, err := runner.Run(t.Context(), dpo, nil); err != nil || again.People != 0 || len(again.Counts) != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, _, err := holds.Release(t.Context(), dpo, whole.ID, dsar.HoldConcluded); err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update dsar.retention_mark set due_at = now()`); err != nil {
		t.Fatal(err)
	}
	if _, err := runner.Run(t.Context(), privacy.Principal{}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whatStays, holdings(t, people, bound)); diff != "" {
		t.Errorf("after the release (-want +got):\n%s", diff)
	}
	for _, by := range []privacy.Principal{{ID: "a", Role: privacy.RoleAuditor}, {ID: "s", Role: privacy.RoleService, Recipient: "shop"}, {Role: privacy.RoleDPO}} {
		if _, err := runner.Run(t.Context(), by, nil); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%q runs it: %v", by.Role, err)
		}
	}
}

// What only refused purposes need goes earlier, and an objection to marketing refuses all
// of them.
func TestRetentionFollowsRefusals(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	people := NewVaultStore(db, keys.Vault())
	runner := newRetention(t, NewRetentionStore(db, newAuditLog(t, db, auditConfig())), keys, retention.Config{})
	v := keys.Vault()
	viewer := func(name string) heldPerson {
		p := addPerson(t, database, v, name)
		events := []vault.Event{{Type: "view", At: time.Now().AddDate(0, -8, 0)}, {Type: "view", At: time.Now().AddDate(0, -2, 0)}}
		sealed, err := p.key.SealChunk("views", 0, 1, events)
		if err != nil {
			t.Fatal(err)
		}
		slot := v.Slot(p.id, "views")
		if _, err := database.Pool(t).Exec(t.Context(), `insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed)
			values ($1, $2, 0, 1, 2, $3)`, [16]byte(p.id), slot[:], sealed); err != nil {
			t.Fatal(err)
		}
		return p
	}
	say := func(p heldPerson, purpose, channel, action string, daysAgo int) {
		id, _ := privacy.NewDataSubjectID(rand.Reader)
		if _, err := database.Pool(t).Exec(t.Context(), `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
			values ($1, $2, $3, $4, $5, 'consent', false, 'v1', 'test', now() - make_interval(days => $6))`,
			[16]byte(p.id), [16]byte(id), purpose, channel, action, daysAgo); err != nil {
			t.Fatal(err)
		}
	}
	silent, refuses, objects, back := viewer("silent"), viewer("refuses"), viewer("objects"), viewer("back")
	for _, purpose := range []string{"recommendations", "analytics"} {
		say(refuses, purpose, "web", "granted", 20)
		say(refuses, purpose, "*", "withdrawn", 10)
	}
	say(objects, "marketing", "*", "objected", 10)
	say(objects, "analytics", "*", "refused", 10)
	say(back, "marketing", "*", "objected", 10)
	say(back, "analytics", "*", "refused", 10)
	say(back, "analytics", "web", "granted", 5)
	if _, err := runner.Run(t.Context(), dpo, nil); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		who  heldPerson
		want int
	}{"nothing said": {silent, 2}, "two of three purposes withdrawn": {refuses, 1}, "all refused": {objects, 0}, "one granted again": {back, 2}} {
		if got := holdings(t, people, test.who)["views events"]; got != test.want {
			t.Errorf("%s: %d views are left, want %d", name, got, test.want)
		}
	}
}

// TestRetentionBesideHoldsAndWriters: a hold that comes between looking and deleting
// stops the deletion, and what a loader writes meanwhile is not lost.
func TestRetentionBesideHoldsAndWriters(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(t *testing.T, database *pgtest.Database, holds *dsar.Holds, p heldPerson){
		"a hold": func(t *testing.T, _ *pgtest.Database, holds *dsar.Holds, p heldPerson) {
			if _, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: p.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "x"}); err != nil {
				t.Fatal(err)
			}
		},
		"a loader": func(t *testing.T, database *pgtest.Database, _ *dsar.Holds, p heldPerson) {
			if _, err := database.Pool(t).Exec(t.Context(), `update vault.event_chunk set record_version = record_version + 1 where data_subject_id = $1`, [16]byte(p.id)); err != nil {
				t.Fatal(err)
			}
		},
		"an erasure": func(t *testing.T, database *pgtest.Database, _ *dsar.Holds, p heldPerson) {
			if gone, err := eraseUnlessHeld(t.Context(), database.OwnerPool(t), p.id); err != nil || !gone {
				t.Fatal(gone, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			keys := newKeys(t)
			log := newAuditLog(t, db, auditConfig())
			p := oldPerson(t, database, keys.Vault(), "ayşe")
			holds := newHolds(t, db, keys, log, dsar.HoldConfig{})
			var happened atomic.Bool
			store := between{NewRetentionStore(db, log), func() {
				if happened.CompareAndSwap(false, true) {
					meanwhile(t, database, holds, p)
				}
			}}
			before := countEntries(t, db)
			outcome, err := newRetention(t, store, keys, retention.Config{}).Run(t.Context(), dpo, nil)
			if err != nil || !happened.Load() {
				t.Fatalf("%+v, %v", outcome, err)
			}
			var chunks int
			if err := database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from vault.event_chunk where data_subject_id = $1`, [16]byte(p.id)).Scan(&chunks); err != nil {
				t.Fatal(err)
			}
			switch name {
			case "a hold":
				if chunks != 4 || outcome.Changed != 0 || countEntries(t, db) != before+1 { // the hold's
					t.Errorf("%d chunks are left, %d people changed", chunks, outcome.Changed)
				}
			case "a loader":
				// The chunks do not open any more under their new version: they stay.
				if chunks != 4 || outcome.Unreadable != 4 {
					t.Errorf("%d chunks are left, %d do not open", chunks, outcome.Unreadable)
				}
			case "an erasure":
				if chunks != 4 || outcome.Changed != 0 {
					t.Errorf("%d chunks are left, %d people changed", chunks, outcome.Changed)
				}
			}
		})
	}
}

// between does something after people were read and before anything is deleted.
type between struct {
	*RetentionStore
	do func()
}

func (b between) Apply(ctx context.Context, batch retention.Batch, event audit.Event) (audit.Receipt, error) {
	b.do()
	return b.RetentionStore.Apply(ctx, batch, event)
}

// The functions that delete refuse what they must, whoever calls them.
func TestRetentionFunctionsGuardThemselves(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	p := oldPerson(t, database, keys.Vault(), "ayşe")
	pool := database.Pool(t)
	slot := keys.Vault().Slot(p.id, "social")
	drop := func() error {
		_, err := pool.Exec(t.Context(), `select vault.drop_expired(array[$1::uuid], array[$2::bytea], array[1::bigint], '{}', '{}', '{}', '{}')`, [16]byte(p.id), slot[:])
		return err
	}
	if _, _, err := newHolds(t, db, keys, newAuditLog(t, db, auditConfig()), dsar.HoldConfig{}).Set(t.Context(), dpo,
		dsar.HoldRequest{Identifiers: p.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := drop(); err == nil {
		t.Error("somebody under a hold lost a record")
	}
	for _, statement := range []string{
		`select dsar.drop_old_rows('ended_case', now() - interval '27 days', 10)`,
		`select dsar.drop_old_rows('ended_case', now() + interval '1 day', 10)`,
		`select dsar.drop_old_rows('person', now() - interval '90 days', 10)`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}

func TestRetentionOfRows(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	runner := newRetention(t, NewRetentionStore(db, log), keys, retention.Config{RowLimit: 2})
	free, bound := addPerson(t, database, keys.Vault(), "free"), addPerson(t, database, keys.Vault(), "bound")
	holds := newHolds(t, db, keys, log, dsar.HoldConfig{})
	if _, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: bound.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "x"}); err != nil {
		t.Fatal(err)
	}
	owner := database.OwnerPool(t)
	exec := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), statement, arguments...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	const request = `insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, received_via, received_at, closed_at, opened_by, data_subject_id)
		values ($1, 'access', 'fulfilled', 'gdpr_eu', 'EU', 'en', 'cli', now() - make_interval(years => $2), now() - make_interval(years => $2), sha256('x')::bytea, $3)`
	for i, years := range []int{4, 4, 4, 2, 0} {
		id := [16]byte{byte(i + 1), 0xaa}
		var about any
		if i == 1 {
			about = [16]byte(bound.id)
		}
		exec(strings.Replace(request, "sha256('x')::bytea", "substring(sha256('x') for 16)", 1), id, years, about)
		exec(`insert into dsar.request_step (request_id, step, action, from_state, to_state, at, by_actor) values ($1, 1, 'open', 'received', 'received', now(), substring(sha256('x') for 16))`, id)
		exec(`insert into keyring.request_key (request_id, wrapped) values ($1, sha256('a') || sha256('b'))`, id)
	}
	for i, p := range []heldPerson{free, free, free, bound} {
		exec(`insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at) values ($1, 'old', $2, 'x', now() - interval '2 years')`, [16]byte(p.id), i+1)
		exec(`insert into gate.case_file (data_subject_id, case_id, recipient, kind, opened_at, ends_at) values ($1, $2, 'desk', 'support', now() - interval '3 years', now() - interval '2 years')`, [16]byte(p.id), [16]byte{byte(i), 9})
		exec(`insert into archive.people (policy, facts, day, part, sealed) values (sha256('p'), sha256('f'), current_date - 1200 - $1::integer, substring(sha256('q') for 16), sha256('x'))`, i)
	}
	exec(`insert into archive.people (policy, facts, day, part, sealed) values (sha256('p'), sha256('f'), current_date, substring(sha256('q') for 16), sha256('x'))`)
	released := [16]byte{7}
	exec(`insert into dsar.hold (hold_id, reason, authority, set_by, set_at, released_at, released_by, release_reason)
		values ($1, 'regulator', 'x', substring(sha256('x') for 16), now() - interval '1 day', now(), substring(sha256('x') for 16), 'concluded')`, released)
	withheld := func(n byte, until any, hold any) {
		id := [16]byte{n, 0xbb}
		exec(`insert into dsar.withheld (withheld_id, erasure_id, until, hold_id, sealed) values ($1, $1, $2, $3, 'x')`, id, until, hold)
		exec(`insert into dsar.withheld_part (withheld_id, part, sealed) values ($1, 0, 'x')`, id)
		exec(`insert into keyring.withheld_key (withheld_id, wrapped) values ($1, sha256('a') || sha256('b'))`, id)
	}
	withheld(1, time.Now().AddDate(0, 0, -1), nil)
	withheld(2, time.Now().AddDate(1, 0, 0), nil)
	withheld(3, nil, released)
	withheld(4, time.Now().AddDate(1, 0, 0), released)

	plan, err := runner.Plan(t.Context(), dpo, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]retention.Count{
		{What: "closed_request", Destroyed: 3},
		{What: "ended_case", Destroyed: 4},
		{What: "exposure", Destroyed: 4},
		{What: "people_count", Destroyed: 4},
		{What: "request_contents", Destroyed: 4},
		{What: "withheld", Destroyed: 2},
	}, plan.Counts); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	before := countEntries(t, db)
	run, err := runner.Run(t.Context(), dpo, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]retention.Count{
		{What: "closed_request", Destroyed: 2, Held: 1},
		{What: "ended_case", Destroyed: 3, Held: 1},
		{What: "exposure", Destroyed: 3, Held: 1},
		{What: "people_count", Destroyed: 4},
		{What: "request_contents", Destroyed: 1, Held: 1},
		{What: "withheld", Destroyed: 2},
	}, run.Counts); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	for table, want := range map[string]int{
		"dsar.request": 3, "dsar.request_step": 3, "keyring.request_key": 2, "gate.exposure": 3, "gate.case_file": 3, "archive.people": 1,
		"dsar.withheld": 2, "dsar.withheld_part": 2, "keyring.withheld_key": 2,
	} {
		var got int
		if err := owner.QueryRow(t.Context(), `select count(*) from `+table).Scan(&got); err != nil || got != want {
			t.Errorf("%s has %d rows, want %d, %v", table, got, want, err)
		}
	}
	kinds := map[audit.Kind]int{}
	for i := before; i < countEntries(t, db); i++ {
		kinds[readEntry(t, db, i).Kind]++
	}
	if kinds[audit.WithheldErased] != 1 || kinds[audit.RetentionApplied] == 0 || len(kinds) != 2 {
		t.Errorf("logged %v", kinds)
	}
}

func TestRetentionReport(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	runner := newRetention(t, NewRetentionStore(db, log), keys, retention.Config{})
	if _, _, _, err := runner.Report(t.Context(), dpo, "en"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a report without a run: %v", err)
	}
	if status, err := runner.Status(t.Context()); err != nil || status.Overdue || status.Every != (policies.Period{Months: 6}) {
		t.Errorf("status without a run: %+v, %v", status, err)
	}
	oldPerson(t, database, keys.Vault(), "ayşe")
	if _, err := runner.Run(t.Context(), dpo, nil); err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(retention.SignerName("shop.example/audit"), auditKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for language, words := range map[string][]string{
		"en": {"Report of the periodic destruction", "Purchases (purchases), events: destroyed 3", "All runs and this report are in time."},
		"tr": {"periyodik imhası", "Satın almalar (purchases), olay: imha edilen", "süresindedir"},
		"cs": {"Protokol", "(purchases), události: zlikvidováno", "jsou včas"},
	} {
		if _, err := database.OwnerPool(t).Exec(t.Context(), `delete from dsar.retention_report`); err != nil {
			t.Fatal(err)
		}
		report, signed, receipt, err := runner.Report(t.Context(), dpo, language)
		if err != nil {
			t.Fatal(err)
		}
		if entry := readEntry(t, db, receipt.Index()); entry.Kind != audit.RetentionApplied {
			t.Errorf("the entry says %s", entry.Kind)
		}
		for _, word := range words {
			if !strings.Contains(string(signed), word) {
				t.Errorf("%s: the report does not say %q:\n%s", language, word, signed)
			}
		}
		read, err := retention.ParseReport(signed, verifier)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(report, read); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
		if strings.Contains(string(signed), "ayşe") || report.Overdue || report.Destruction.Runs != 1 {
			t.Errorf("the report: %+v", report)
		}
		for i := range signed {
			changed := bytes.Clone(signed)
			changed[i] ^= 1
			if _, err := retention.ParseReport(changed, verifier); !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("%s: byte %d changed: %v", language, i, err)
			}
		}
	}
	// Half a year without a run is too long, and the report says so.
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update dsar.retention_run set started_at = now() - interval '7 months', finished_at = now() - interval '7 months';
		delete from dsar.retention_report`); err != nil {
		t.Fatal(err)
	}
	if status, err := runner.Status(t.Context()); err != nil || !status.Overdue {
		t.Errorf("after seven months: %+v, %v", status, err)
	}
	if outcome, err := runner.Plan(t.Context(), dpo, nil); err != nil || !outcome.Overdue {
		t.Errorf("a plan after seven months: %t, %v", outcome.Overdue, err)
	}
	report, signed, _, err := runner.Report(t.Context(), dpo, "en")
	if err != nil || !report.Overdue || !strings.Contains(string(signed), "LATE") || report.Destruction.LongestGap < 200 {
		t.Errorf("a late report: %+v, %v", report, err)
	}
	if _, _, _, err := runner.Report(t.Context(), privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, "en"); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("an auditor: %v", err)
	}
	if _, _, _, err := runner.Report(t.Context(), dpo, "de"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("German: %v", err)
	}
}

// A run that breaks off has done what it logged, and the next one goes on.
func TestRetentionGoesOn(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	people := NewVaultStore(db, keys.Vault())
	var all []heldPerson
	for i := range 5 {
		all = append(all, oldPerson(t, database, keys.Vault(), fmt.Sprintf("p%d", i)))
	}
	slices.SortFunc(all, func(a, b heldPerson) int { return slices.Compare(a.id[:], b.id[:]) })
	batches := 0
	store := brokenOff{NewRetentionStore(db, log), func() error {
		if batches++; batches == 3 {
			return privacy.ErrUnavailable
		}
		return nil
	}}
	runner := newRetention(t, store, keys, retention.Config{BatchSize: 1})
	if outcome, err := runner.Run(t.Context(), dpo, nil); !errors.Is(err, privacy.ErrUnavailable) || outcome.Changed != 2 {
		t.Fatalf("%+v, %v", outcome, err)
	}
	for i, p := range all {
		want := allOfThem
		if i < 2 {
			want = whatStays
		}
		if diff := cmp.Diff(want, holdings(t, people, p)); diff != "" {
			t.Errorf("person %d (-want +got):\n%s", i, diff)
		}
	}
	outcome, err := runner.Run(t.Context(), dpo, nil)
	if err != nil || outcome.Changed != 3 || outcome.People != 3 {
		t.Errorf("gone on with: %+v, %v", outcome, err)
	}
	report, _, _, err := runner.Report(t.Context(), dpo, "en")
	if err != nil || report.Destruction.Runs != 1 || report.Destruction.Broken != 1 || report.Destruction.People != 5 {
		t.Fatalf("report %+v, %v", report, err)
	}
	for _, c := range report.Destruction.Counts {
		if c.Category == "purchases" && c.Destroyed != 15 {
			t.Errorf("both runs destroyed %d purchases", c.Destroyed)
		}
	}
}

type brokenOff struct {
	*RetentionStore
	fail func() error
}

func (f brokenOff) Apply(ctx context.Context, batch retention.Batch, event audit.Event) (audit.Receipt, error) {
	if err := f.fail(); err != nil {
		return audit.Receipt{}, err
	}
	return f.RetentionStore.Apply(ctx, batch, event)
}
