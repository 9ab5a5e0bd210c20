package postgres

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

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
