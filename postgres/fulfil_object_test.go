package postgres

import (
	"context"
	"errors"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/privacy"
)

func objectionOf(person privacy.DataSubjectID, purposes ...privacy.Purpose) fulfil.Filing {
	return fulfil.Filing{
		Opening:  dsar.Opening{Jurisdiction: "CZ", Language: "cs", DataSubject: person, Via: dsar.ViaAPI, Text: privacy.NewPlain("stop it, kanárek")},
		Purposes: purposes,
	}
}

func (room *fulfilRoom) restricted(t *testing.T) bool {
	t.Helper()
	p, err := NewVaultStore(room.db, room.vault).Person(t.Context(), room.person.id)
	if err != nil {
		t.Fatal(err)
	}
	return p.Restricted
}

func (room *fulfilRoom) objections(t *testing.T) []consent.Record {
	t.Helper()
	records, err := (&ConsentStore{db: room.db}).List(t.Context(), room.person.id)
	if err != nil {
		t.Fatal(err)
	}
	var found []consent.Record
	for _, r := range records {
		if r.Action == consent.Objected {
			found = append(found, r)
		}
	}
	return found
}

// TestFileObjectionToMarketing: it is in the ledger when the call returns, and a request
// waits for an answer.
func TestFileObjectionToMarketing(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	filed, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id))
	if err != nil {
		t.Fatal(err)
	}
	rows := room.objections(t)
	if len(rows) != 1 || rows[0].Purpose != "marketing" || rows[0].Channel != privacy.AnyChannel || rows[0].Source != "objection" {
		t.Fatalf("%d rows", len(rows))
	}
	if room.restricted(t) {
		t.Error("an objection to marketing restricts everything")
	}
	if filed.Token == (consent.Token{}) || len(filed.Purposes) != 1 || filed.Purposes[0] != (fulfil.FiledPurpose{Purpose: "marketing", Effect: fulfil.Bound}) {
		t.Errorf("filed %v", filed.Purposes)
	}
	last := filed.Receipt.Index()
	opened, objected := readEntry(t, room.db, last-1), readEntry(t, room.db, last)
	if opened.Kind != audit.RequestOpened || opened.List != dsar.StepDigest(filed.Request.ID, 1, dsar.ActionOpen, audit.Digest{}) {
		t.Errorf("the log says %s", opened.Kind)
	}
	if objected.List == (audit.Digest{}) || objected.List == opened.List {
		t.Error("the entry does not commit to its row")
	}
	if objected.Kind != audit.ConsentObjected || objected.Purpose != "marketing" || objected.Channel != privacy.AnyChannel || opened.Person == objected.Person {
		t.Errorf("the log says %s %s", objected.Kind, objected.Purpose)
	}
	if r := filed.Request; r.Kind != dsar.Objection || r.State != dsar.Received || r.DataSubject != room.person.id {
		t.Errorf("the request is %s %s", r.Kind, r.State)
	}
	shown, err := room.requests.Show(t.Context(), officer, filed.Request.ID)
	if err != nil || shown.Steps[0].Detail.Note.RevealPersonalData() != "marketing on *: bound" || shown.Contents.Text.RevealPersonalData() != "stop it, kanárek" {
		t.Errorf("the officer reads nothing of it: %v", err)
	}
	again, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id, "newsletter", "loyalty"))
	if err != nil || again.Request.DuplicateOf != filed.Request.ID || len(room.objections(t)) != 3 {
		t.Errorf("filed again: %v", err)
	}
}

// TestFileObjectionToAnythingElse: the person's data stand still until somebody has judged.
func TestFileObjectionToAnythingElse(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	filed, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id, "marketing", "mind_reading", "support"))
	if fault, ok := errors.AsType[*privacy.FieldError](err); !ok || fault.Pointer != "/purposes/1" || len(room.objections(t)) != 0 {
		t.Errorf("a purpose that is none: %v", err)
	}
	filed, err = room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id, "marketing", "support"))
	if err != nil {
		t.Fatal(err)
	}
	if !room.restricted(t) || len(room.objections(t)) != 1 {
		t.Errorf("restricted %t, %d rows", room.restricted(t), len(room.objections(t)))
	}
	if entry := readEntry(t, room.db, filed.Receipt.Index()); entry.Kind != audit.PersonRestricted || entry.List != dsar.StepDigest(filed.Request.ID, 1, dsar.ActionRestrict, audit.Digest{}) {
		t.Errorf("the log says %s", entry.Kind)
	}
	// Judged: it is overridden. The request is denied, and the restriction lifted.
	id := filed.Request.ID
	if _, _, err := room.requests.Start(t.Context(), officer, id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := room.requests.Deny(t.Context(), officer, id, dsar.ClaimNotCovered, privacy.NewPlain("fraud prevention")); err != nil {
		t.Fatal(err)
	}
	if _, err := room.fulfil.Unrestrict(t.Context(), officer, id, true); err != nil || room.restricted(t) {
		t.Errorf("lifted: %v", err)
	}
	if rows := room.objections(t); len(rows) != 1 || rows[0].Purpose != "marketing" {
		t.Error("what was objected to for good is gone")
	}
	if alone, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id, "support")); err != nil || !room.restricted(t) || alone.Request.DuplicateOf != (dsar.RequestID{}) {
		t.Errorf("to one thing alone: %v", err)
	}
}

// TestFileObjectionOfNobody: somebody unknown gets a request and an answer that looks the
// same; nothing else is recorded.
func TestFileObjectionOfNobody(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	filed, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(privacy.DataSubjectID{9, 9}, "marketing", "support"))
	if err != nil {
		t.Fatal(err)
	}
	if !filed.Request.DataSubject.IsZero() || len(filed.Purposes) != 2 || readEntry(t, room.db, filed.Receipt.Index()).Kind != audit.RequestOpened {
		t.Errorf("filed %v", filed.Purposes)
	}
	auditor := privacy.Principal{ID: "auditor@example", Role: privacy.RoleAuditor}
	for name, test := range map[string]struct {
		by     privacy.Principal
		filing fulfil.Filing
		want   error
	}{
		"an auditor":       {auditor, objectionOf(room.person.id), privacy.ErrForbidden},
		"nobody":           {privacy.Principal{Role: privacy.RoleDPO}, objectionOf(room.person.id), privacy.ErrForbidden},
		"purpose twice":    {officer, objectionOf(room.person.id, "marketing", "marketing"), privacy.ErrInvalid},
		"no such channel":  {officer, fulfil.Filing{Opening: objectionOf(room.person.id).Opening, Channel: "pigeon"}, privacy.ErrInvalid},
		"too many":         {officer, objectionOf(room.person.id, make([]privacy.Purpose, 33)...), privacy.ErrInvalid},
		"no law":           {officer, fulfil.Filing{Opening: dsar.Opening{Jurisdiction: "XX", Language: "cs", DataSubject: room.person.id, Via: dsar.ViaAPI}}, privacy.ErrInvalid},
		"named twice over": {officer, fulfil.Filing{Opening: dsar.Opening{Jurisdiction: "CZ", Language: "cs", DataSubject: room.person.id, Identifiers: byNumber("7"), Via: dsar.ViaAPI}}, privacy.ErrInvalid},
	} {
		if _, err := room.fulfil.FileObjection(t.Context(), test.by, test.filing); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(room.objections(t)) != 0 {
		t.Error("something was recorded all the same")
	}
}

// TestFileObjectionIsWhole: the request, the row and the restriction are there or none is.
func TestFileObjectionIsWhole(t *testing.T) {
	t.Parallel()
	room := newFulfilRoom(t)
	before := countRows(t, room, "dsar.request")
	_, err := room.database.OwnerPool(t).Exec(context.Background(), `create function pg_temp_stop() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
		create trigger stop before update of restricted on vault.data_subject for each row execute function pg_temp_stop()`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.fulfil.FileObjection(t.Context(), officer, objectionOf(room.person.id, "marketing", "support")); err == nil {
		t.Error("it was filed")
	}
	if after := countRows(t, room, "dsar.request"); after != before || len(room.objections(t)) != 0 {
		t.Errorf("%d requests after %d, %d rows", after, before, len(room.objections(t)))
	}
}

func countRows(t *testing.T, room *fulfilRoom, table string) (n int) {
	t.Helper()
	if err := room.database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
