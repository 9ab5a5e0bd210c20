package postgres

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/internal/pgtest"
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
