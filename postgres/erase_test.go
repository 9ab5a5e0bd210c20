package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

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
