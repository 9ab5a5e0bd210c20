package postgres

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// newArchive is an archive that keeps the bundle of the program.
func newArchive(t testing.TB, db *DB, log *AuditLog, keys *keydir.Keys) *archive.Archive {
	t.Helper()
	compile := func(ctx context.Context, kept []byte) (*policies.Revision, error) {
		content, err := policies.ParseArchive(kept)
		if err != nil {
			return nil, err
		}
		return content.Compile(ctx, policies.Config{EvaluationLimit: time.Minute})
	}
	a, err := archive.New(NewArchiveStore(db), keys.Vault(), log, compile, archive.Config{FlushEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	content, err := policies.ReadBundle(policies.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.KeepBundle(t.Context(), content.Digest(), func() []byte { return content.AppendArchive(nil) }); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDecisionsAreMadeAgain asks the gate in every way in which it can decide, and makes
// all of it again from what was kept.
func TestDecisionsAreMadeAgain(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse", "grocery.dairy", "pharmacy.pregnancy_tests", "bakery")
	b.choose(t, key, consent.Granted, "recommendations")
	greeting := gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"},
	}
	first := b.mustAsk(t, service("web_shop"), greeting)
	b.mustAsk(t, service("web_shop"), greeting)
	b.mustAsk(t, service("recommender"), b.groups(t, key)) // with an exposure
	newsletter := greeting
	newsletter.Purpose, newsletter.Channel = "newsletter", "email"
	newsletter.DataSubject.Pseudonym = b.pseudonym(t, "newsletter_service", key)
	denied := b.mustAsk(t, service("newsletter_service"), newsletter)
	if first.Decision != gate.Allow || denied.Decision != gate.Deny {
		t.Fatal(first.Decision, denied.Decision)
	}
	nobody := greeting
	nobody.DataSubject.Pseudonym = "AXJ0c2V0ZmFrZXBzZXVkb255bQ"
	b.mustAsk(t, service("web_shop"), nobody)
	if _, err := b.Evaluate(t.Context(), service("web_shop"), gate.Question{Query: greeting}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reidentify(t.Context(), dpo, gate.Reidentification{
		Recipient: "web_shop", Pseudonym: greeting.DataSubject.Pseudonym, Purpose: "data_subject_request",
	}); err != nil && !errors.Is(err, privacy.ErrForbidden) {
		t.Fatal(err)
	}
	b.exec(t, `update vault.sealed_record set sealed = sealed || '\x00'::bytea where data_subject_id = $1`, [16]byte(key.DataSubject()))
	broken := b.mustAsk(t, service("web_shop"), greeting)
	if broken.Decision != gate.Deny {
		t.Error("what does not open was answered")
	}

	replay, err := b.archive.ReplaySince(t.Context(), dpo, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if replay.Decisions != 8 || replay.Same != 8 || len(replay.Findings) != 0 || replay.Policies != 1 {
		t.Errorf("%+v", replay)
	}
	for _, answer := range []gate.Answer{first, denied, broken} {
		id, err := audit.ParseDecisionID(answer.DecisionID)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := b.archive.Show(t.Context(), dpo, id)
		if err != nil || !shown.Kept || !shown.Planned || shown.Facts.Digest() != [32]byte(shown.Entry.Facts) {
			t.Errorf("%s: %v, kept: %t", answer.DecisionID, err, shown.Kept)
		}
		if shown.Facts.Subject.Known != policies.Yes || shown.Facts.Subject.Age == "" {
			t.Errorf("%s: facts %+v", answer.DecisionID, shown.Facts)
		}
	}
	// Ayşe counts once for each facts, nobody not at all; her data does not open in the end,
	// so her age is not known then, and these are other facts.
	if err := b.archive.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := b.db.pool.QueryRow(t.Context(), `select count(*) from archive.people`).Scan(&rows); err != nil || rows < 3 {
		t.Errorf("%d sketches, %v", rows, err)
	}
	candidate := greetingOnlyFor(t, "child")
	impact, err := b.archive.Impact(t.Context(), dpo, candidate, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(impact.Changes) == 0 || impact.Changes[0].Purpose != "greeting" || impact.People.Count != 1 || impact.People.Bound != archive.AtLeast {
		t.Errorf("%+v", impact)
	}
}

// greetingOnlyFor is the bundle of the program with another age for greetings.
func greetingOnlyFor(t *testing.T, age string) *policies.Revision {
	t.Helper()
	r, err := mustEdited(t, "catalogue/purposes.yaml", "ages: [child, youth, adult, unknown]", "ages: ["+age+"]").
		Compile(t.Context(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNothingIsAnsweredThatIsNotKept: the record comes before the entry, and the entry
// before the answer.
func TestNothingIsAnsweredThatIsNotKept(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse")
	greeting := gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"},
	}
	owner := b.database.OwnerPool(t)
	if _, err := owner.Exec(t.Context(), `revoke insert on archive.decided from mahrem_app`); err != nil {
		t.Fatal(err)
	}
	before, err := b.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := b.Ask(t.Context(), service("web_shop"), greeting); !errors.Is(err, privacy.ErrUnavailable) || len(answer.Attributes) > 0 {
		t.Errorf("without the archive: %v, %d values", err, len(answer.Attributes))
	}
	if after, err := b.log.Size(t.Context()); err != nil || after != before {
		t.Errorf("the log went from %d to %d, %v", before, after, err)
	}
	if _, err := owner.Exec(t.Context(), `grant insert on archive.decided to mahrem_app`); err != nil {
		t.Fatal(err)
	}
	b.mustAsk(t, service("web_shop"), greeting)
	// Known facts are not written again.
	if _, err := owner.Exec(t.Context(), `revoke insert on archive.decided from mahrem_app`); err != nil {
		t.Fatal(err)
	}
	b.mustAsk(t, service("web_shop"), greeting)
}

// TestArchiveHoldsNothingInClear: neither facts nor plans nor who is in a row.
func TestArchiveHoldsNothingInClear(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse")
	b.mustAsk(t, service("web_shop"), gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"},
	})
	if err := b.archive.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	tag := key.Subject().Blinding.CountTag()
	id := key.DataSubject()
	rows, err := b.db.pool.Query(t.Context(), `
		select policy || facts || sealed from archive.decided union all select policy || facts || part || sealed from archive.people`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var content []byte
		if err := rows.Scan(&content); err != nil {
			t.Fatal(err)
		}
		n++
		for _, clear := range [][]byte{id[:], []byte("greeting"), []byte("granted"), []byte("adult"), {
			byte(tag >> 56), byte(tag >> 48), byte(tag >> 40), byte(tag >> 32), byte(tag >> 24), byte(tag >> 16), byte(tag >> 8), byte(tag),
		}} {
			if bytes.Contains(content, clear) {
				t.Errorf("a row holds %x", clear)
			}
		}
	}
	if n != 2 || rows.Err() != nil {
		t.Errorf("%d rows, %v", n, rows.Err())
	}
}

// TestArchiveIsInsertOnly: not even the owner changes what decisions were made of.
func TestArchiveIsInsertOnly(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse")
	b.mustAsk(t, service("web_shop"), gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)},
		Purpose:     "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"},
	})
	for _, statement := range []string{
		`update archive.decided set sealed = sealed`, `delete from archive.decided`, `truncate archive.decided`,
		`update archive.bundle set content = content`, `delete from archive.bundle`, `truncate archive.bundle`,
	} {
		if _, err := b.database.OwnerPool(t).Exec(t.Context(), statement); err == nil {
			t.Errorf("the owner may: %s", statement)
		}
		if _, err := b.db.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("the application may: %s", statement)
		}
	}
}

// TestArchiveKeepsOnce: several processes keep the same at the same time.
func TestArchiveKeepsOnce(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	store := NewArchiveStore(db)
	row := archive.DecidedRow{Pair: archive.Pair{Policy: audit.Digest{1}, Facts: audit.Digest{2}}, Planned: true, Sealed: bytes.Repeat([]byte{7}, 40)}
	done := make(chan error)
	for i := range 8 {
		go func() {
			other := row
			other.Sealed = bytes.Repeat([]byte{byte(i)}, 40)
			done <- errors.Join(store.KeepDecided(t.Context(), other), store.KeepBundle(t.Context(), audit.Digest{1}, []byte{byte(i)}))
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	rows, err := store.Decided(t.Context(), []archive.Pair{row.Pair, row.Pair, {}})
	if err != nil || len(rows) == 0 || rows[0].Pair != row.Pair || !rows[0].Planned {
		t.Errorf("%v, %v", rows, err)
	}
	if content, err := store.Bundle(t.Context(), audit.Digest{1}); err != nil || len(content) != 1 {
		t.Errorf("%v, %v", content, err)
	}
	if _, err := store.Bundle(t.Context(), audit.Digest{2}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a bundle that was not kept: %v", err)
	}
	if there, err := store.HasBundle(t.Context(), audit.Digest{2}); err != nil || there {
		t.Errorf("a bundle that was not kept: %t, %v", there, err)
	}
	day := time.Date(2026, 5, 20, 0, 0, 0, 0, time.UTC)
	people := []archive.PeopleRow{
		{Pair: row.Pair, Day: day, Part: [16]byte{1}, Sealed: bytes.Repeat([]byte{1}, 40)},
		{Pair: row.Pair, Day: day.AddDate(0, 0, 1), Part: [16]byte{1}, Sealed: bytes.Repeat([]byte{2}, 40)},
	}
	for range 2 {
		if err := store.KeepPeople(t.Context(), people); err != nil {
			t.Fatal(err)
		}
		people[0].Sealed = bytes.Repeat([]byte{3}, 40)
	}
	if err := store.KeepPeople(t.Context(), people[:1]); err != nil {
		t.Fatal(err)
	}
	found, err := store.People(t.Context(), []archive.Pair{row.Pair}, day, day)
	if err != nil || len(found) != 1 || !found[0].Day.Equal(day) || found[0].Part != people[0].Part || found[0].Sealed[0] != 3 {
		t.Errorf("%v, %v", found, err)
	}
}
