package postgres

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/privacy"
)

func TestCertificates(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewCertificateStore(db, keys.Vault(), log)
	signer, err := audit.NewSigner(certificate.SignerName(auditConfig().Origin), auditConfig().PublicKey, auditConfig().Sign)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := certificate.NewIssuer(store, log, signer, certificate.IssuerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := audit.FormatKey(auditConfig().Origin, auditKey.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	pool := database.OwnerPool(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}

	// Entries around the one that counts, and what an erasure leaves behind.
	plan := audit.Digest{4, 5, 6}
	event := audit.Event{
		Kind: audit.PersonErased, Outcome: audit.Done, Principal: dpo, List: plan,
		Subject: audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{2}},
	}
	if _, err := log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done}); err != nil {
		t.Fatal(err)
	}
	receipt, err := log.Append(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	id, request := certificate.ID{1, 6: 0x40, 8: 0x80}, [16]byte{2, 6: 0x40, 8: 0x80}
	leaf := receipt.LeafHash()
	now := time.Now().UTC()
	list, err := json.Marshal([]dsar.Withheld{
		{Category: "purchases", Ground: "tax_records", Article: "TR-213-253", Until: now.AddDate(10, 0, 0), Items: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := keys.Vault().SealHouse(dsar.WithheldLabel, list)
	if err != nil {
		t.Fatal(err)
	}
	exec(`insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, received_via, received_at, erased_at, due_at, opened_by)
		values ($1, 'erasure', 'in_progress', 'kvkk', 'TR', 'tr', 'cli', $2, $2, $3, $4)`, request, now, now.AddDate(0, 0, 30), make([]byte, 16))
	exec(`insert into dsar.plan (request_id, plan_hash, held, sealed, planned_at, planned_by) values ($1, $2, $2, '\x00', $3, $4)`, request, plan[:], now, make([]byte, 16))
	for _, actor := range []byte{1, 2} {
		exec(`insert into dsar.approval (request_id, plan_hash, actor, approved_at) values ($1, $2, $3, $4)`, request, plan[:], bytes.Repeat([]byte{actor}, 16), now)
	}
	exec(`insert into dsar.erasure (erasure_id, request_id, plan_hash, key_digests, identifiers, consents, exposures, cases, records, chunks,
		fingerprints, suppressed, sealed, ledger_sequence, erased_at, data_subject_id)
		values ($1, $2, $3, $4, 3, 1, 2, 0, 4, 5, 6, 3, $5, 9, $6, $7)`,
		[16]byte(id), request, plan[:], [][]byte{bytes.Repeat([]byte{0xab}, 32)}, sealed, now, [16]byte{1, 6: 0x40, 8: 0x80})
	exec(`insert into dsar.withheld (withheld_id, erasure_id, until, sealed) values ($1, $2, $3, '\x00')`, [16]byte{7}, [16]byte(id), now.AddDate(10, 0, 0))

	due := func() int {
		t.Helper()
		ids, err := store.Due(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	issue := func() *certificate.Certificate {
		t.Helper()
		signed, err := issuer.Issue(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := certificate.Verify(signed, logKey)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	// Not in the log yet as far as the row knows: nothing to certify.
	if _, err := issuer.Issue(t.Context(), id); !errors.Is(err, privacy.ErrNotFound) || due() != 0 {
		t.Errorf("before it is noted: %v, want ErrNotFound", err)
	}
	exec(`update dsar.erasure set log_index = $2, leaf_hash = $3 where erasure_id = $1`, [16]byte(id), int64(receipt.Index()), leaf[:])
	first := issue()
	want := map[string]int64{"keys": 1, "identifiers": 3, "consents": 1, "exposures": 2, "cases": 0, "records": 4, "chunks": 5, "fingerprints": 6}
	if diff := cmp.Diff(want, first.Erasure.Destroyed); diff != "" {
		t.Errorf("destroyed (-want +got):\n%s", diff)
	}
	if first.Erasure.Approvals != 2 || first.Erasure.RowsGoneAt != nil || first.Withheld[0].ErasedAt != nil || first.Log.Index != receipt.Index() {
		t.Errorf("certified %+v", first)
	}

	// Swept: due, and then not any more.
	exec(`update dsar.erasure set swept_at = now(), data_subject_id = null`)
	if second := issue(); second.Revision != 2 || second.Erasure.RowsGoneAt == nil {
		t.Errorf("after sweeping %+v", second)
	}
	if due() != 0 {
		t.Error("a certificate is due again")
	}

	closable := func() int {
		t.Helper()
		list, err := store.Closable(t.Context(), dsar.RequestID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.ID != id || e.Request != request {
				t.Errorf("closable %+v", e)
			}
		}
		return len(list)
	}
	if closable() != 1 {
		t.Error("a request of which nothing is left to do stays open")
	}

	// A processor is told, and answers.
	exec(`insert into dsar.processor (processor_id, recipient, domain, base_url, api_version, certificate, certificate_at, added_by, added_at)
		values ('mailer', 'mailer', 'mailer.example', 'https://mailer.example', '2.0', 'x', now(), $1, now())`, make([]byte, 16))
	exec(`insert into dsar.processor_task (request_id, processor_id, subject_request_id, kind, state, delivery_id, queued_at)
		values ($1, 'mailer', $2, 'erasure', 'queued', $2, now())`, request, [16]byte{8})
	if due() != 1 {
		t.Error("a new task makes no certificate due")
	}
	if closable() != 0 {
		t.Error("a request is closed before a processor has answered")
	}
	if n, err := issuer.IssueDue(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("issued %d, %v", n, err)
	}
	if c := issue(); c.Revision != 3 || c.Processors[0].Status != certificate.Open {
		t.Errorf("with an open task %+v", c.Processors)
	}
	exec(`update dsar.processor_task set state = 'completed', accepted_at = now(), settled_at = now()`)
	if c := issue(); c.Revision != 4 || c.Processors[0].Status != certificate.Completed {
		t.Errorf("with a completed task %+v", c.Processors)
	}
	if closable() != 1 {
		t.Error("a request stays open after the processor has erased")
	}
	// A part that did not answer is not erased, whatever the rest says.
	exec(`update dsar.processor_task set state = 'incomplete', parts_failed = 1`)
	if c := issue(); c.Processors[0].Status != certificate.Open {
		t.Errorf("with a part that failed %+v", c.Processors)
	}

	if closable() != 0 {
		t.Error("a request is closed while a part is open")
	}
	exec(`update dsar.processor_task set listed_open_at = now(), listed_open_by = $1, listed_open_reason = 'no_answer'`, make([]byte, 16))
	if closable() != 1 {
		t.Error("a request stays open though the rest was listed as open")
	}

	// Looks are taken for some minutes and then not any more, and never before somebody who
	// has no certificate yet.
	if due() != 1 {
		t.Error("no look is taken at what has just changed")
	}
	exec(`insert into dsar.erasure (erasure_id, plan_hash, key_digests, identifiers, consents, exposures, cases, suppressed, sealed,
		ledger_sequence, erased_at, swept_at, log_index, leaf_hash, request_id)
		select $1, plan_hash, key_digests, 0, 0, 0, 0, 0, sealed, 10, now(), now(), log_index, leaf_hash, $2 from dsar.erasure`, [16]byte{9}, [16]byte{3, 6: 0x40, 8: 0x80})
	exec(`insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, received_via, received_at, due_at, opened_by)
		select $1, kind, state, regime, jurisdiction, language, received_via, received_at, due_at, opened_by from dsar.request`, [16]byte{3, 6: 0x40, 8: 0x80})
	if ids, err := store.Due(t.Context(), 1); err != nil || len(ids) != 1 || ids[0] != (certificate.ID{9}) {
		t.Errorf("first is %x, %v, want the one without a certificate", ids, err)
	}
	exec(`insert into dsar.certificate (erasure_id, revision, sealed, issued_at) values ($1, 1, decode(repeat('00', 40), 'hex'), now() - interval '1 hour')`, [16]byte{9})
	exec(`insert into dsar.processor_task (request_id, processor_id, subject_request_id, kind, state, delivery_id, queued_at)
		values ($1, 'mailer', $2, 'erasure', 'queued', $2, now() - interval '61 minutes')`, [16]byte{3, 6: 0x40, 8: 0x80}, [16]byte{9})
	if ids, err := store.Due(t.Context(), 10); err != nil || len(ids) != 1 || ids[0] != id {
		t.Errorf("due are %x, %v: looks are taken for ever", ids, err)
	}
	// A request that took no step with its erasure, because a restore had it closed or not
	// verified, is for somebody to look at: it would be refused again and again.
	exec(`update dsar.processor_task set state = 'completed', parts_failed = 0, accepted_at = now(), settled_at = now() where request_id <> $1`, request)
	if closable() != 1 {
		t.Error("a request is closed that was not erased")
	}

	// The withheld part goes.
	exec(`delete from dsar.withheld`)
	last := issue()
	if last.Withheld[0].ErasedAt == nil || issue().Revision != last.Revision {
		t.Errorf("after the ground ended %+v", last.Withheld)
	}
	erasures, err := store.Erasures(t.Context(), request, 10)
	if err != nil || len(erasures) != 1 || erasures[0].ID != id || erasures[0].Revision != last.Revision {
		t.Errorf("listed %+v, %v", erasures, err)
	}

	// Nothing of a certificate can be read in the table.
	var plain int
	if err := pool.QueryRow(t.Context(), `select count(*) from dsar.certificate where position('purchases'::bytea in sealed) > 0`).Scan(&plain); err != nil || plain != 0 {
		t.Errorf("%d certificates stand in clear, %v", plain, err)
	}

	// Kept as they were: nobody changes or deletes one, not even the owner.
	for _, sql := range []string{`delete from dsar.certificate`, `update dsar.certificate set revision = 9`, `truncate dsar.certificate`} {
		if _, err := pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s went through", sql)
		}
	}
}
