package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// fulfilRoom adds fulfilment to an identity room.
type fulfilRoom struct {
	*identityRoom
	fulfil *fulfil.Service
}

var shippedCatalogue = sync.OnceValue(func() *policies.Catalogue {
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		panic(err)
	}
	return catalogue
})

func newFulfilRoom(t testing.TB) *fulfilRoom {
	t.Helper()
	room := &fulfilRoom{identityRoom: newIdentityRoom(t)}
	log := newAuditLog(t, room.db, auditConfig())
	var err error
	room.fulfil, err = fulfil.New(NewFulfilStore(room.db, log), room.requests, room.vault, log, shippedCatalogue, bundledWords(t), fulfil.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// working returns a request of a kind on which work has begun.
func (room *fulfilRoom) working(t testing.TB, kind dsar.Kind, known bool) dsar.RequestID {
	t.Helper()
	identifier := room.person.identifiers[0]
	if !known {
		identifier.Value = privacy.NewPlain("nobody@example.com")
	}
	opened, err := room.requests.Open(t.Context(), officer, dsar.Opening{
		Kind: kind, Jurisdiction: "CZ", Language: "cs", Identifiers: []privacy.Identifier{identifier}, Via: dsar.ViaCLI,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.service.Judge(t.Context(), officer, opened.ID, "known_in_person"); err != nil {
		t.Fatal(err)
	}
	return opened.ID
}

func (room *fulfilRoom) contact(t testing.TB) (vault.Record, int64) {
	t.Helper()
	records, err := NewVaultStore(room.db, room.vault).Records(t.Context(), room.person.key, []privacy.DataCategory{"contact", "core"})
	if err != nil {
		t.Fatal(err)
	}
	return records["contact"].Record, records["contact"].Version
}

func corrections(pairs ...string) []fulfil.Correction {
	var list []fulfil.Correction
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fulfil.Correction{Attribute: privacy.AttributeName(pairs[i]), Values: []privacy.Plain{privacy.NewPlain(pairs[i+1])}})
	}
	return list
}

func TestRectify(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Rectification, true)
	before, version := room.contact(t)
	if len(before) == 0 {
		t.Fatal("the person has no contact data to correct")
	}
	entries := countEntries(t, room.db)
	// Contact exists, core does not.
	done, err := room.fulfil.Rectify(t.Context(), officer, id, corrections("first_name", "Zdeňka", "birth_date", "1985-01-31"))
	if err != nil {
		t.Fatal(err)
	}
	after, next := room.contact(t)
	field := after["first_name"]
	if next != version+1 || len(field.Values) != 1 || field.Values[0].RevealPersonalData() != "Zdeňka" ||
		field.Source != vault.Declared || field.Quality != vault.Verified || field.ObservedAt.IsZero() {
		t.Errorf("version %d, %+v", next, field)
	}
	for name, held := range before {
		if name != "first_name" && (after[name].Quality != held.Quality || len(after[name].Values) != len(held.Values)) {
			t.Errorf("%s was changed as well", name)
		}
	}
	records, err := NewVaultStore(room.db, room.vault).Records(t.Context(), room.person.key, []privacy.DataCategory{"core"})
	if err != nil || records["core"].Record["birth_date"].Values[0].RevealPersonalData() != "1985-01-31" {
		t.Errorf("a category that was not held: %v", err)
	}
	entry := readEntry(t, room.db, done.Receipt.Index())
	if entry.Kind != audit.PersonRectified || entry.Person.IsZero() || countEntries(t, room.db) != entries+1 {
		t.Errorf("the log says %s", entry.Kind)
	}
	if done.Request.State != dsar.InProgress || room.state(t, id) != dsar.InProgress {
		t.Errorf("the request is %s", room.state(t, id))
	}
	room.wantStatement(t, id, done, entry, field)
	fulfilled, _, err := room.requests.Fulfil(t.Context(), officer, id, dsar.Evidence{Digest: done.Evidence})
	if err != nil || fulfilled.State != dsar.Fulfilled {
		t.Errorf("fulfilled %s, %v", fulfilled.State, err)
	}
}

// wantStatement: the sealed step explains the digest in the log, without a value.
func (room *fulfilRoom) wantStatement(t *testing.T, id dsar.RequestID, done fulfil.Done, entry audit.Entry, field vault.Field) {
	t.Helper()
	shown, err := room.requests.Show(t.Context(), officer, id)
	if err != nil {
		t.Fatal(err)
	}
	step := shown.Steps[len(shown.Steps)-1]
	text := step.Detail.Note.RevealPersonalData()
	if step.Action != dsar.ActionRectify || step.Detail.Evidence != hex.EncodeToString(done.Evidence[:]) || entry.List != dsar.StepDigest(id, step.Number, step.Action, done.Evidence) {
		t.Errorf("the step is %s with %s", step.Action, step.Detail.Evidence)
	}
	var statement struct {
		Attributes []struct{ Category, Attribute, Before, After string }
	}
	if err := json.Unmarshal([]byte(text), &statement); err != nil || len(statement.Attributes) != 2 {
		t.Fatalf("statement %s, %v", text, err)
	}
	if a := statement.Attributes; a[0].Attribute != "first_name" || a[0].Before == "" || a[0].Before == a[0].After || a[1].Attribute != "birth_date" || a[1].Before != "" {
		t.Errorf("statement %s", text)
	}
	if strings.Contains(text, "Zde") || strings.Contains(text, "1985-") {
		t.Errorf("the statement holds a value: %s", text)
	}
}

func TestRectifyRefuses(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Rectification, true)
	for name, c := range map[string][]fulfil.Correction{
		"nothing":            nil,
		"no attribute":       corrections("shoe_size", "44"),
		"computed":           corrections("purchases.last_product", "tea"),
		"twice":              corrections("first_name", "A", "first_name", "B"),
		"no value":           {{Attribute: "first_name"}},
		"empty value":        corrections("first_name", ""),
		"two of one":         {{Attribute: "first_name", Values: []privacy.Plain{privacy.NewPlain("A"), privacy.NewPlain("B")}}},
		"no day":             corrections("birth_date", "31 January"),
		"no text":            corrections("first_name", "\xff"),
		"too long":           corrections("first_name", strings.Repeat("a", 5000)),
		"right beside wrong": corrections("last_name", "Nová", "birth_date", "soon"),
	} {
		before := countEntries(t, room.db)
		_, version := room.contact(t)
		if _, err := room.fulfil.Rectify(t.Context(), officer, id, c); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, after := room.contact(t); after != version || countEntries(t, room.db) != before {
			t.Errorf("%s: something was changed", name)
		}
	}
	right := corrections("first_name", "Zdeňka")
	if _, err := room.fulfil.Rectify(t.Context(), portal, id, right); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a service: %v", err)
	}
	unproved := room.open(t, officer, true)
	if _, err := room.fulfil.Rectify(t.Context(), officer, unproved, right); !refusedBy(err, string(dsar.CheckKind)) {
		t.Errorf("of another kind: %v", err)
	}
	unknown := room.working(t, dsar.Rectification, false)
	before := countEntries(t, room.db)
	if _, err := room.fulfil.Rectify(t.Context(), officer, unknown, right); !refusedBy(err, fulfil.CheckKnown) {
		t.Errorf("of nobody: %v", err)
	}
	if entry := readEntry(t, room.db, before); entry.Kind != audit.RequestRefused || !slices.Equal(entry.Checks, []string{fulfil.CheckKnown}) {
		t.Errorf("the log says %s %v", entry.Kind, entry.Checks)
	}
}

func TestDisputeStopsUse(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Rectification, true)
	if _, err := room.fulfil.Dispute(t.Context(), officer, id, []privacy.AttributeName{"first_name", "household"}); !refusedBy(err, fulfil.CheckHeld) {
		t.Fatalf("what is not held: %v", err)
	}
	if record, _ := room.contact(t); record["first_name"].Quality == vault.Disputed {
		t.Error("half of it was contested")
	}
	done, err := room.fulfil.Dispute(t.Context(), officer, id, []privacy.AttributeName{"first_name"})
	if err != nil || readEntry(t, room.db, done.Receipt.Index()).Kind != audit.PersonRestricted {
		t.Fatal(err)
	}
	record, _ := room.contact(t)
	if record["first_name"].Quality != vault.Disputed {
		t.Errorf("it is %s", record["first_name"].Quality)
	}
	if _, err := room.fulfil.Rectify(t.Context(), officer, id, corrections("first_name", "Zdeňka")); err != nil {
		t.Fatal(err)
	}
	if record, _ := room.contact(t); record["first_name"].Quality != vault.Verified {
		t.Errorf("rectified it is %s", record["first_name"].Quality)
	}
}

func TestRestrictAndLift(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Restriction, true)
	restricted := func() bool {
		p, err := NewVaultStore(room.db, room.vault).Person(t.Context(), room.person.id)
		if err != nil {
			t.Fatal(err)
		}
		return p.Restricted
	}
	done, err := room.fulfil.Restrict(t.Context(), officer, id)
	if err != nil || !restricted() || readEntry(t, room.db, done.Receipt.Index()).Kind != audit.PersonRestricted {
		t.Fatalf("restricted %t, %v", restricted(), err)
	}
	if _, _, err := room.requests.Fulfil(t.Context(), officer, id, dsar.Evidence{Digest: done.Evidence}); err != nil {
		t.Fatal(err)
	}
	if _, err := room.fulfil.Restrict(t.Context(), officer, id); !refusedBy(err, string(dsar.CheckState)) {
		t.Errorf("after the request was closed: %v", err)
	}
	if _, err := room.fulfil.Unrestrict(t.Context(), officer, id, false); !refusedBy(err, fulfil.CheckInformed) || !restricted() {
		t.Errorf("lifted without a word: %v", err)
	}
	lifted, err := room.fulfil.Unrestrict(t.Context(), officer, id, true)
	if err != nil || restricted() || readEntry(t, room.db, lifted.Receipt.Index()).Kind != audit.PersonUnrestricted || room.state(t, id) != dsar.Fulfilled {
		t.Errorf("lifted: %v, the request is %s", err, room.state(t, id))
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Objection, true)
	if _, err := room.fulfil.Object(t.Context(), officer, id, "mind_reading", privacy.AnyChannel); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("to a purpose that is none: %v", err)
	}
	done, err := room.fulfil.Object(t.Context(), officer, id, "newsletter", privacy.AnyChannel)
	if err != nil {
		t.Fatal(err)
	}
	entry := readEntry(t, room.db, done.Receipt.Index())
	if entry.Kind != audit.ConsentObjected || entry.Purpose != "newsletter" || entry.Channel != privacy.AnyChannel {
		t.Errorf("the log says %s %s %s", entry.Kind, entry.Purpose, entry.Channel)
	}
	records, err := (&ConsentStore{db: room.db}).List(t.Context(), room.person.id)
	if err != nil || len(records) == 0 {
		t.Fatal(len(records), err)
	}
	if last := records[len(records)-1]; last.Action != consent.Objected || last.Purpose != "newsletter" || last.Basis != privacy.LegitimateInterests || last.Source != "dsar" {
		t.Errorf("recorded %+v", last.Action)
	}
}

func TestReview(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Review, true)
	if _, err := room.fulfil.Review(t.Context(), officer, id, "shrugged", privacy.NewPlain("x")); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("no finding: %v", err)
	}
	if _, err := room.fulfil.Review(t.Context(), officer, id, fulfil.Changed, privacy.NewPlain(" \n")); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without reasons: %v", err)
	}
	done, err := room.fulfil.Review(t.Context(), officer, id, fulfil.Changed, privacy.NewPlain("income was out of date"))
	if err != nil {
		t.Fatal(err)
	}
	if entry := readEntry(t, room.db, done.Receipt.Index()); entry.Kind != audit.RequestNoted || entry.List != done.Evidence {
		t.Errorf("the log says %s", entry.Kind)
	}
	shown, err := room.requests.Show(t.Context(), officer, id)
	if err != nil || shown.Steps[len(shown.Steps)-1].Detail.Note.RevealPersonalData() != "changed: income was out of date" {
		t.Errorf("recorded, %v", err)
	}
}

// TestRectifyAtOnce: of many corrections at the same time each is whole, and none is lost.
func TestRectifyAtOnce(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Rectification, true)
	_, version := room.contact(t)
	var correcting sync.WaitGroup
	names := []string{"first_name", "last_name", "salutation", "language", "postal_address"}
	for _, name := range names {
		correcting.Go(func() {
			for {
				_, err := room.fulfil.Rectify(context.WithoutCancel(t.Context()), officer, id, corrections(name, "x-"+name))
				if _, refused := errors.AsType[*dsar.Refusal](err); errors.Is(err, privacy.ErrConflict) && !refused {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	correcting.Wait()
	record, after := room.contact(t)
	for _, name := range names {
		if values := record[privacy.AttributeName(name)].Values; len(values) != 1 || values[0].RevealPersonalData() != "x-"+name {
			t.Errorf("%s was lost", name)
		}
	}
	if after != version+int64(len(names)) {
		t.Errorf("version %d after %d, for %d corrections", after, version, len(names))
	}
}

// TestNobodyIsRectifiedAfterAnErasure: the person was erased between two looks.
func TestNobodyIsRectifiedAfterAnErasure(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	id := room.working(t, dsar.Rectification, true)
	restriction := room.working(t, dsar.Restriction, true)
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `update vault.data_subject set erasing = true where data_subject_id = $1`, [16]byte(room.person.id)); err != nil {
		t.Fatal(err)
	}
	before := countEntries(t, room.db)
	if _, err := room.fulfil.Rectify(t.Context(), officer, id, corrections("first_name", "Zdeňka")); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("rectified: %v", err)
	}
	if _, err := room.fulfil.Restrict(t.Context(), officer, restriction); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("restricted: %v", err)
	}
	if countEntries(t, room.db) != before {
		t.Error("the log says that something was done")
	}
}
