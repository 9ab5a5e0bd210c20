package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

// bundledPolicies activates the bundle. On a busy machine an evaluation may run into its
// time limit, which says nothing about the rules: then once more.
var bundledPolicies = sync.OnceValues(func() (engine *policies.Engine, err error) {
	for range 10 {
		engine, err = policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
		if !errors.Is(err, policies.ErrPolicy) {
			break
		}
	}
	return engine, err
})

// keyPseudonyms gives pseudonyms from a key directory.
type keyPseudonyms struct{ keys *keydir.Keys }

func (k keyPseudonyms) Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	primitive, err := k.keys.Recipient(recipient)
	if err != nil {
		return nil, err
	}
	return pseudonym.New(recipient, primitive)
}

// gateBench is a gate over a database of its own.
type gateBench struct {
	*gate.Gate
	db       *DB
	database *pgtest.Database
	keys     *keydir.Keys
	log      *AuditLog
	consents *ConsentStore
	store    *GateStore
	archive  *archive.Archive
}

func newGate(t testing.TB) *gateBench {
	t.Helper()
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	b := &gateBench{keys: newKeys(t)}
	b.db, b.database = newDB(t)
	for _, recipient := range []privacy.RecipientID{"web_shop", "recommender", "newsletter_service", "crm"} {
		if _, err := b.keys.EnsureRecipient(recipient); err != nil {
			t.Fatal(err)
		}
	}
	b.log = newAuditLog(t, b.db, auditConfig())
	b.consents = NewConsentStore(b.db, b.log)
	b.store = NewGateStore(b.db, b.log)
	b.archive = newArchive(t, b.db, b.log, b.keys)
	b.Gate = gate.New(b.store, engine, b.keys.Vault(), keyPseudonyms{b.keys}, b.log, gate.Config{Witness: b.archive})
	return b
}

func (b *gateBench) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	if _, err := b.db.pool.Exec(t.Context(), statement, arguments...); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(statement), err)
	}
}

// person is somebody with an adult's birth date, a name, an e-mail address, and a
// purchase of each of the groups, the first one today.
func (b *gateBench) person(t testing.TB, name string, groups ...string) *vault.PersonKey {
	t.Helper()
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v := b.keys.Vault()
	key, wrapped, err := v.NewPersonKey(id)
	if err != nil {
		t.Fatal(err)
	}
	b.exec(t, `insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'CZ')`, [16]byte(id))
	b.exec(t, `insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, [16]byte(id), wrapped)
	index, err := v.BlindIndex(privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(name + "@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	b.exec(t, `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'email', $2)`, [16]byte(id), index)
	b.record(t, key, "core", map[privacy.AttributeName]string{"birth_date": "1990-05-01", "household": "single"})
	b.record(t, key, "contact", map[privacy.AttributeName]string{"first_name": name, "email": name + "@example.com"})
	if len(groups) > 0 {
		b.purchases(t, key, 0, groups...)
	}
	return key
}

func (b *gateBench) record(t testing.TB, key *vault.PersonKey, category privacy.DataCategory, values map[privacy.AttributeName]string) {
	t.Helper()
	record := vault.Record{}
	for name, value := range values {
		record[name] = vault.Field{
			Values: []privacy.Plain{privacy.NewPlain(value)}, Source: vault.Declared, Quality: vault.Verified,
			ObservedAt: time.Now().UTC().Truncate(24 * time.Hour),
		}
	}
	sealed, err := key.SealRecord(category, 1, record)
	if err != nil {
		t.Fatal(err)
	}
	slot := b.keys.Vault().Slot(key.DataSubject(), category)
	b.exec(t, `insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`,
		[16]byte(key.DataSubject()), slot[:], sealed)
}

func (b *gateBench) purchases(t testing.TB, key *vault.PersonKey, chunk int64, groups ...string) {
	t.Helper()
	var events []vault.Event
	for i := len(groups) - 1; i >= 0; i-- {
		events = append(events, vault.Event{
			Type: "purchase", At: time.Now().Add(-time.Duration(i+1) * time.Hour),
			Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain(groups[i]), "amount": privacy.NewPlain("9.90")},
		})
	}
	sealed, err := key.SealChunk("purchases", chunk, 1, events)
	if err != nil {
		t.Fatal(err)
	}
	slot := b.keys.Vault().Slot(key.DataSubject(), "purchases")
	b.exec(t, `insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, $2, $3, 1, $4, $5)`,
		[16]byte(key.DataSubject()), slot[:], chunk, len(events), sealed)
}

// choose records a choice of the person and returns the consent token.
func (b *gateBench) choose(t testing.TB, key *vault.PersonKey, action consent.Action, purpose privacy.Purpose) consent.Token {
	t.Helper()
	var id [16]byte
	_, _ = rand.Read(id[:])
	receipt, err := b.consents.Add(t.Context(), consent.Record{
		ID: id, DataSubject: key.DataSubject(), Purpose: purpose, Channel: privacy.AnyChannel, Action: action,
		Basis: privacy.Consent, NoticeVersion: "v1", Source: "test",
	}, audit.Event{Kind: action.Kind(), Outcome: audit.Done, Principal: dpo, Subject: key.Subject(), Purpose: purpose, Channel: privacy.AnyChannel})
	if err != nil {
		t.Fatal(err)
	}
	return consent.NewToken(receipt.Receipt)
}

func service(recipient privacy.RecipientID) privacy.Principal {
	return privacy.Principal{ID: "svc-" + string(recipient), Role: privacy.RoleService, Recipient: recipient}
}

func (b *gateBench) pseudonym(t testing.TB, recipient privacy.RecipientID, key *vault.PersonKey) string {
	t.Helper()
	names, err := keyPseudonyms{b.keys}.Of(recipient)
	if err != nil {
		t.Fatal(err)
	}
	text, err := names.Of(key.DataSubject())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// groups asks what the recommender may know of the person's purchases.
func (b *gateBench) groups(t testing.TB, key *vault.PersonKey) gate.Query {
	return gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "recommender", key)},
		Purpose:     "recommendations", Channel: "web", Attributes: []privacy.AttributeName{"purchases.product_groups"},
	}
}

func (b *gateBench) mustAsk(t testing.TB, principal privacy.Principal, query gate.Query) gate.Answer {
	t.Helper()
	answer, err := b.Ask(t.Context(), principal, query)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Receipt.IsZero() || answer.DecisionID == "" {
		t.Fatal("an answer without evidence")
	}
	entry := readEntry(t, b.db, answer.Receipt.Index())
	want := audit.QueryDenied
	if answer.Decision == gate.Allow {
		want = audit.QueryAnswered
	}
	if entry.Kind != want {
		t.Fatalf("a decision %q stands in the log as %s", answer.Decision, entry.Kind)
	}
	return answer
}

func revealed(answer gate.Answer) map[privacy.AttributeName]any {
	values := map[privacy.AttributeName]any{}
	for name, r := range answer.Attributes {
		values[name] = r.RevealPersonalData()
	}
	return values
}

// apart takes away what differs from one answer to the next of the same content.
func apart(answer gate.Answer) gate.Answer {
	answer.DecisionID, answer.Receipt, answer.Pseudonym = "", audit.Receipt{}, ""
	return answer
}

func (b *gateBench) views(t testing.TB, key *vault.PersonKey, groups ...string) {
	t.Helper()
	var events []vault.Event
	for i := len(groups) - 1; i >= 0; i-- {
		events = append(events, vault.Event{
			Type: "view", At: time.Now().Add(-time.Duration(i+1) * time.Hour),
			Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain(groups[i])},
		})
	}
	sealed, err := key.SealChunk("views", 0, 1, events)
	if err != nil {
		t.Fatal(err)
	}
	slot := b.keys.Vault().Slot(key.DataSubject(), "views")
	b.exec(t, `insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, $2, 0, 1, $3, $4)`,
		[16]byte(key.DataSubject()), slot[:], len(events), sealed)
}
