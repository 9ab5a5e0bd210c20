package postgres

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

func TestGateAnswersByPseudonymAndByIdentifier(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse")
	greeting := gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name", "last_name"},
	}
	first := b.mustAsk(t, service("web_shop"), greeting)
	if diff := cmp.Diff(map[privacy.AttributeName]any{"first_name": "ayse"}, revealed(first)); diff != "" {
		t.Error(diff)
	}
	if first.DecisionID != first.Receipt.DecisionID().String() || first.Pseudonym != greeting.DataSubject.Pseudonym {
		t.Errorf("decision %q, pseudonym echoed: %t", first.DecisionID, first.Pseudonym == greeting.DataSubject.Pseudonym)
	}
	entry := readEntry(t, b.db, first.Receipt.Index())
	if !reflect.DeepEqual(entry.Attributes, []privacy.AttributeName{"first_name"}) || entry.Purpose != "greeting" {
		t.Errorf("the entry holds %v for %s", entry.Attributes, entry.Purpose)
	}

	greeting.DataSubject = gate.Ref{Identifier: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(" Ayse@Example.com ")}}
	second := b.mustAsk(t, service("web_shop"), greeting)
	if !reflect.DeepEqual(apart(first), apart(second)) || second.Pseudonym != first.Pseudonym {
		t.Error("pseudonym and identifier give different answers")
	}
	greeting.DataSubject.Identifier.Value = privacy.NewPlain("not an address")
	if _, err := b.Ask(t.Context(), service("web_shop"), greeting); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("malformed identifier: %v, want ErrInvalid", err)
	}
}

func TestWithdrawalBindsTheVeryNextQuery(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "jana", "grocery.dairy")
	query := b.groups(t, key)
	for range 20 {
		query.ConsentToken = b.choose(t, key, consent.Granted, "recommendations").String()
		if answer := b.mustAsk(t, service("recommender"), query); answer.Decision != gate.Allow {
			t.Fatalf("after a grant: %s, %v", answer.Decision, answer.Reasons)
		}
		query.ConsentToken = b.choose(t, key, consent.Withdrawn, "recommendations").String()
		if answer := b.mustAsk(t, service("recommender"), query); answer.Decision != gate.Deny || len(answer.Attributes) > 0 {
			t.Fatalf("after a withdrawal: %s", answer.Decision)
		}
	}
}

// TestNoBindsAlthoughTheClockWasSetBack: a withdrawal dated by a clock that was an hour
// ahead is not put off until the clock is there again; a grant is.
func TestNoBindsAlthoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	for _, action := range []consent.Action{consent.Withdrawn, consent.Refused, consent.Objected} {
		key := b.person(t, string(action), "grocery.dairy")
		b.choose(t, key, consent.Granted, "recommendations")
		if answer := b.mustAsk(t, service("recommender"), b.groups(t, key)); answer.Decision != gate.Allow {
			t.Fatalf("after a grant: %s, %v", answer.Decision, answer.Reasons)
		}
		for n, said := range []consent.Action{action, consent.Granted} {
			b.exec(t, `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
				values ($1, gen_random_uuid(), 'recommendations', '*', $2, 'consent', $3, 'v1', 'test', clock_timestamp() + make_interval(hours => $4))`,
				[16]byte(key.DataSubject()), string(said), said == consent.Granted, n+1)
			if answer := b.mustAsk(t, service("recommender"), b.groups(t, key)); answer.Decision != gate.Deny {
				t.Errorf("%s of an hour ahead, then %s: %s", action, said, answer.Decision)
			}
		}
	}
}

// TestIdentifierOfTwoPeopleIsNobodys: while blind indexes are rotated, two people may
// have one identifier under different keys.
func TestIdentifierOfTwoPeopleIsNobodys(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	indexes := make([][]byte, 2)
	for i, name := range []string{"jana", "hana"} {
		key := b.person(t, name, "grocery.dairy")
		indexes[i] = append([]byte{byte(i + 2)}, make([]byte, 32)...)
		b.exec(t, `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'phone', $2)`, [16]byte(key.DataSubject()), indexes[i])
	}
	for _, index := range indexes {
		if id, err := b.store.Resolve(t.Context(), privacy.Phone, [][]byte{index}); err != nil || id.IsZero() {
			t.Errorf("one index: %v", err)
		}
	}
	if id, err := b.store.Resolve(t.Context(), privacy.Phone, indexes); !errors.Is(err, privacy.ErrNotFound) || !id.IsZero() {
		t.Errorf("indexes of two people: %v, want ErrNotFound", err)
	}
}

func TestConsentTokenOfTheFutureIsNotAnswered(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "jana", "grocery.dairy")
	token := b.choose(t, key, consent.Granted, "recommendations")
	query := b.groups(t, key)
	query.ConsentToken = consent.NewToken(audit.Committed([16]byte{}, [32]byte{}, token.Index()+1)).String()
	before := countEntries(t, b.db)
	if _, err := b.Ask(t.Context(), service("recommender"), query); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("a state older than the token: %v, want ErrUnavailable", err)
	}
	if after := countEntries(t, b.db); after != before {
		t.Errorf("%d entries were written", after-before)
	}
}

func TestUnknownPeopleLookNeverAsked(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	neverAsked, erased := b.person(t, "never", "grocery.dairy"), b.person(t, "erased", "grocery.dairy")
	b.choose(t, erased, consent.Granted, "recommendations")
	if answer := b.mustAsk(t, service("recommender"), b.groups(t, erased)); answer.Decision != gate.Allow {
		t.Fatal("the person to be erased has consented")
	}
	eraseAtOnce(t, NewVaultStore(b.db, b.keys.Vault()), b.log, erased.DataSubject())
	want := b.mustAsk(t, service("recommender"), b.groups(t, neverAsked))
	if want.Decision != gate.Deny {
		t.Fatalf("never asked: %s", want.Decision)
	}
	others := map[string]gate.Query{"erased": b.groups(t, erased), "another recipient's pseudonym": b.groups(t, neverAsked), "nonsense": b.groups(t, neverAsked)}
	for name, query := range others {
		switch name {
		case "another recipient's pseudonym":
			query.DataSubject.Pseudonym = b.pseudonym(t, "web_shop", neverAsked)
		case "nonsense":
			query.DataSubject.Pseudonym = "nobody"
		}
		if got := b.mustAsk(t, service("recommender"), query); !reflect.DeepEqual(apart(got), apart(want)) {
			t.Errorf("%s: %+v, want %+v", name, apart(got), apart(want))
		}
	}
	query := b.groups(t, erased)
	query.DataSubject = gate.Ref{Identifier: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("erased@example.com")}}
	if _, err := b.Ask(t.Context(), dpo, query); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an officer asks about an erased person: %v, want ErrNotFound", err)
	}
}

func TestNothingIsAnsweredWithoutTheLog(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "petr", "beauty.cotton", "grocery.dairy")
	b.choose(t, key, consent.Granted, "recommendations")
	greeting := gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"},
	}
	owner := b.database.OwnerPool(t)
	if _, err := owner.Exec(t.Context(), `revoke insert on audit.entry, audit.batch from mahrem_app`); err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]gate.Query{"append": greeting, "with an exposure": b.groups(t, key)} {
		recipient := privacy.RecipientID("web_shop")
		if name != "append" {
			recipient = "recommender"
		}
		answer, err := b.Ask(t.Context(), service(recipient), query)
		if err == nil || !reflect.DeepEqual(answer, gate.Answer{}) {
			t.Errorf("%s: %v, and an answer: %t", name, err, !reflect.DeepEqual(answer, gate.Answer{}))
		}
		if !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
	var rows int
	if err := owner.QueryRow(t.Context(), `select count(*) from gate.exposure`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d exposures were recorded for answers that nobody got (%v)", rows, err)
	}
}

func TestNothingIsAnsweredWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	query := b.groups(t, b.person(t, "petr"))
	b.db.pool.Close()
	answer, err := b.Ask(t.Context(), service("recommender"), query)
	if !errors.Is(err, privacy.ErrUnavailable) || !reflect.DeepEqual(answer, gate.Answer{}) {
		t.Errorf("got %v, want ErrUnavailable and no answer", err)
	}
}

func TestDamagedDataIsDeniedByName(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	nobody := b.person(t, "nobody", "grocery.dairy")
	if _, err := b.database.OwnerPool(t).Exec(t.Context(), `select vault.shred($1, gen_random_uuid(), null, sha256(''), '', 0, 0)`, [16]byte(nobody.DataSubject())); err != nil {
		t.Fatal(err)
	}
	unknown := b.mustAsk(t, service("recommender"), b.groups(t, nobody))
	for name, damage := range map[string]string{
		"key":      `update keyring.person_key set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) where data_subject_id = $1`,
		"core":     `update vault.sealed_record set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where data_subject_id = $1`,
		"events":   `update vault.event_chunk set sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) where data_subject_id = $1`,
		"exposure": `insert into gate.exposure values ($1, 'recommender', 1, 'not sealed', now())`,
	} {
		key := b.person(t, "damaged"+name, "grocery.dairy")
		b.choose(t, key, consent.Granted, "recommendations")
		if _, err := b.database.OwnerPool(t).Exec(t.Context(), damage, [16]byte(key.DataSubject())); err != nil {
			t.Fatal(err)
		}
		answer := b.mustAsk(t, service("recommender"), b.groups(t, key))
		if answer.Decision != gate.Deny || len(answer.Attributes) > 0 || !reflect.DeepEqual(answer.Reasons, unknown.Reasons) || answer.Reasons[0].Check != gate.CheckPerson {
			t.Errorf("%s: %s, %v", name, answer.Decision, answer.Reasons)
		}
		if entry := readEntry(t, b.db, answer.Receipt.Index()); !reflect.DeepEqual(entry.Checks, []string{gate.CheckDamaged}) {
			t.Errorf("%s: the log says %v", name, entry.Checks)
		}
	}
}

// What the recipient was told adds up over queries, in memory of nobody but the ledger.
func TestExposureLedgerRemembers(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "eva", "beauty.unscented_lotion", "beauty.cotton", "grocery.dairy")
	b.choose(t, key, consent.Granted, "recommendations")
	b.choose(t, key, consent.Granted, "newsletter")
	ask := func() any {
		return revealed(b.mustAsk(t, service("recommender"), b.groups(t, key)))["purchases.product_groups"]
	}
	want := []string{"beauty.unscented_lotion", "beauty.cotton", "grocery.dairy"}
	if diff := cmp.Diff(any(want), ask()); diff != "" {
		t.Fatal(diff)
	}
	entries := countEntries(t, b.db)
	b.purchases(t, key, 1, "health.minerals", "bakery")
	// The third signal stays out, whatever it would have stood beside.
	if diff := cmp.Diff(any([]string{"beauty.unscented_lotion", "bakery", "beauty.cotton"}), ask()); diff != "" {
		t.Error(diff)
	}
	var rows int
	if err := b.db.pool.QueryRow(t.Context(), `select count(*) from gate.exposure`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows in the ledger, want 1: nothing new was told (%v)", rows, err)
	}
	if got := countEntries(t, b.db); got != entries+1 {
		t.Errorf("%d entries for one query", got-entries)
	}
	if c := b.Counters(); c.Exposures != 1 || c.Suppressed != 1 {
		t.Errorf("counters %+v", c)
	}
	if dump := b.database.Dump(t); strings.Contains(dump, "lotion") || strings.Contains(dump, "cotton") {
		t.Error("the dump names a product group")
	}
}

// Two queries at once, each harmless, must not get away with half of a whole each.
func TestConcurrentQueriesCannotSplitAComposition(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	for n := range 6 {
		name := string(rune('a' + n))
		// Purchases and views each hold one half: lotion 45 and cotton 35, minerals 30.
		key := b.person(t, "split"+name, "beauty.unscented_lotion", "beauty.cotton", "grocery.dairy", "bakery")
		b.views(t, key, "health.minerals", "grocery.dairy", "pets")
		b.choose(t, key, consent.Granted, "recommendations")
		told := map[string]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 8 {
			query := b.groups(t, key)
			if i%2 == 0 {
				query.Attributes = []privacy.AttributeName{"views.product_groups"}
			}
			wg.Go(func() {
				answer, err := b.Ask(t.Context(), service("recommender"), query)
				if err != nil {
					if !errors.Is(err, privacy.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range answer.Attributes {
					for _, value := range r.Values {
						told[value.RevealPersonalData()] = true
					}
				}
			})
		}
		wg.Wait()
		if told["beauty.unscented_lotion"] && told["beauty.cotton"] && told["health.minerals"] {
			t.Errorf("person %s: the recipient knows all three", name)
		}
	}
}

func TestReidentifyIsForOfficersOnOrder(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "petr")
	request := gate.Reidentification{Recipient: "crm", Pseudonym: b.pseudonym(t, "crm", key), Purpose: "data_subject_request"}
	got, err := b.Reidentify(t.Context(), dpo, request)
	if err != nil || got.DataSubject != key.DataSubject() {
		t.Fatalf("the officer's order: %v", err)
	}
	if entry := readEntry(t, b.db, got.Receipt.Index()); entry.Kind != audit.PersonReidentified || entry.Concerning != "crm" {
		t.Errorf("the log says %s for %s", entry.Kind, entry.Concerning)
	}
	before := countEntries(t, b.db)
	for name, attempt := range map[string]struct {
		principal privacy.Principal
		change    func(*gate.Reidentification)
	}{
		"a service":     {service("crm"), func(*gate.Reidentification) {}},
		"an auditor":    {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, func(*gate.Reidentification) {}},
		"out of wonder": {dpo, func(r *gate.Reidentification) { r.Purpose = "analytics" }},
	} {
		r := request
		attempt.change(&r)
		if _, err := b.Reidentify(t.Context(), attempt.principal, r); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%s: %v, want ErrForbidden", name, err)
		}
	}
	wrong := request
	wrong.Pseudonym = b.pseudonym(t, "web_shop", key)
	if _, err := b.Reidentify(t.Context(), dpo, wrong); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("another recipient's pseudonym: %v, want ErrInvalid", err)
	}
	if after := countEntries(t, b.db); after != before+4 {
		t.Errorf("%d of 4 refusals are in the log", after-before)
	}
	for pointer, change := range map[string]func(*gate.Reidentification){
		"/purpose":   func(r *gate.Reidentification) { r.Purpose = "curiosity" },
		"/recipient": func(r *gate.Reidentification) { r.Recipient = "stranger" },
	} {
		r := request
		change(&r)
		_, err := b.Reidentify(t.Context(), dpo, r)
		if field, ok := errors.AsType[*privacy.FieldError](err); !ok || field.Pointer != pointer {
			t.Errorf("%s: %v", pointer, err)
		}
	}
}

// The statement that every query waits for must not be planned anew each time: that
// takes several times as long as running it.
func TestGateLoadIsPlannedOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	db, err := Open(t.Context(), Config{URL: database.URL(), MaxConns: 1, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	store := NewGateStore(db, nil)
	for range 30 {
		if _, err := store.Load(t.Context(), gate.LoadQuery{
			DataSubject: privacy.DataSubjectID{1}, Purposes: []privacy.Purpose{"newsletter"}, Channel: "email", Recipient: "crm",
			Records: []gate.Slot{{1}, {2}}, Streams: []gate.Slot{{3}}, Chunks: 4,
		}); err != nil {
			t.Fatal(err)
		}
	}
	var general, custom int
	if err := db.pool.QueryRow(t.Context(), `select generic_plans, custom_plans from pg_prepared_statements where statement like $1`, "%gate.exposure%").
		Scan(&general, &custom); err != nil {
		t.Fatal(err)
	}
	if general < 20 {
		t.Errorf("%d general plans, %d of its own", general, custom)
	}
}
