package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

const iysHeader = "creationDate,transactionId,recipient,recipientType,type,status,consentDate,source\n"

// allWords knows every word.
type allWords struct{}

func (allWords) KnowsPurpose(privacy.Purpose) bool       { return true }
func (allWords) KnowsChannel(privacy.Channel) bool       { return true }
func (allWords) KnowsCategory(privacy.DataCategory) bool { return true }

// registryDesk is a gate whose people have phone numbers too, and an importer.
type registryDesk struct {
	*gateBench
	store    *IYSStore
	importer *iys.Importer
}

func newRegistryDesk(t testing.TB, batchRows int) *registryDesk {
	t.Helper()
	d := &registryDesk{gateBench: newGate(t)}
	d.store = NewIYSStore(d.db, d.log)
	var err error
	if d.importer, err = iys.NewImporter(d.store, d.keys.Vault(), allWords{}, iys.ImportConfig{Brand: 200, BatchRows: batchRows}); err != nil {
		t.Fatal(err)
	}
	return d
}

// identify gives somebody one more address.
func (d *registryDesk) identify(t testing.TB, key *vault.PersonKey, kind privacy.IdentifierKind, value string) {
	t.Helper()
	index, err := d.keys.Vault().BlindIndex(privacy.Identifier{Kind: kind, Value: privacy.NewPlain(value)})
	if err != nil {
		t.Fatal(err)
	}
	d.exec(t, `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, $2, $3)`, [16]byte(key.DataSubject()), string(kind), index)
}

func (d *registryDesk) take(t testing.TB, rows string) iys.Summary {
	t.Helper()
	summary, err := d.importer.File(t.Context(), strings.NewReader(iysHeader+rows), sha256.Sum256([]byte(rows)), iys.Options{By: dpo})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func iysRow(recipient, kind, status string, at time.Time) string {
	text := at.In(iys.Place).Format("2006-01-02 15:04:05")
	return fmt.Sprintf("%s,t%d,%s,BIREYSEL,%s,%s,%s,IYS_WEB\n", text, at.Unix(), recipient, kind, status, text)
}

// marketing are a marketing purpose of the bundled catalogue on each of the three channels,
// with who may ask for it.
var marketing = []struct {
	kind    string
	channel privacy.Channel
	purpose privacy.Purpose
	by      privacy.RecipientID
}{
	{"EPOSTA", "email", "newsletter", "newsletter_service"},
	{"MESAJ", "sms", "newsletter", "newsletter_service"},
	{"ARAMA", "call", "phone_offers", "crm"},
}

// TestARefusalAtTheRegistryBindsTheGate: who agreed here and refused at the registry gets no
// marketing on the channel, on it alone, from the next question on; and what is said there
// later, for the same address, opens it again.
func TestARefusalAtTheRegistryBindsTheGate(t *testing.T) {
	t.Parallel()
	d := newRegistryDesk(t, 0)
	ayse := d.person(t, "ayse")
	d.identify(t, ayse, privacy.Phone, "+905321112233")
	d.choose(t, ayse, consent.Granted, "newsletter")
	d.choose(t, ayse, consent.Granted, "phone_offers")
	recipients := map[string]string{"EPOSTA": "ayse@example.com", "MESAJ": "+905321112233", "ARAMA": "+905321112233"}
	ask := func(i int) gate.Answer {
		m := marketing[i]
		return d.mustAsk(t, service(m.by), gate.Query{
			DataSubject: gate.Ref{Pseudonym: d.pseudonym(t, m.by, ayse)}, Purpose: m.purpose, Channel: m.channel,
			Attributes: []privacy.AttributeName{"first_name"},
		})
	}
	begin := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	for i, m := range marketing {
		if answer := ask(i); answer.Decision != gate.Allow {
			t.Fatalf("%s on %s before: %s, %v", m.purpose, m.channel, answer.Decision, answer)
		}
	}
	for i, m := range marketing {
		d.take(t, iysRow(recipients[m.kind], m.kind, "RET", begin.Add(time.Duration(i)*time.Minute)))
		for j, other := range marketing {
			want := gate.Allow
			if j <= i {
				want = gate.Deny
			}
			if answer := ask(j); answer.Decision != want {
				t.Errorf("%s on %s after a refusal for %s: %s", other.purpose, other.channel, m.channel, answer.Decision)
			}
		}
	}
	for i, m := range marketing {
		d.take(t, iysRow(recipients[m.kind], m.kind, "ONAY", begin.Add(time.Hour)))
		if answer := ask(i); answer.Decision != gate.Allow {
			t.Errorf("%s on %s after an approval: %s", m.purpose, m.channel, answer.Decision)
		}
	}
}

// TestIYSImport: what became of each row, that a file twice is a file once, that one that
// broke off goes on, and that the ledger and the log have the same rows.
func TestIYSImport(t *testing.T) {
	t.Parallel()
	d := newRegistryDesk(t, 3)
	ayse, kaan := d.person(t, "ayse"), d.person(t, "kaan")
	d.identify(t, ayse, privacy.Phone, "+905321112233")
	d.identify(t, kaan, privacy.Phone, "+905321112234")
	at := time.Now().Add(-96 * time.Hour).Truncate(time.Second)
	rows := iysRow("+905321112233", "MESAJ", "ONAY", at) +
		iysRow("+905321112234", "MESAJ", "RET", at) +
		iysRow("nobody@example.com", "EPOSTA", "RET", at) +
		iysRow("ayse@example.com", "FAKS", "RET", at) +
		iysRow("ayse@example.com", "EPOSTA", "RET", at.Add(time.Second)) +
		iysRow("+905321112233", "MESAJ", "ONAY", at) + // the same again
		iysRow("kaan@example.com", "EPOSTA", "ONAY", time.Now().Add(240*time.Hour)) +
		iysRow("Kaan@EXAMPLE.com", "EPOSTA", "ONAY", at)
	digest := sha256.Sum256([]byte(rows))

	// It breaks off behind the second batch.
	ctx, cancel := context.WithCancel(t.Context())
	_, err := d.importer.File(ctx, strings.NewReader(iysHeader+rows), digest, iys.Options{By: dpo, Step: func(n int64) {
		if n >= 6 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) && !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("broken off: %v", err)
	}
	var rejected []string
	summary, err := d.importer.File(t.Context(), strings.NewReader(iysHeader+rows), digest, iys.Options{By: dpo, Rejected: func(row int64, reason iys.Reason) error {
		rejected = append(rejected, fmt.Sprint(row, " ", reason))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := iys.Progress{Brand: 200, Name: summary.Name, Row: 8, Read: 8, Rejected: 2, Nobody: 1, Recorded: 4, Known: 1, Done: true}
	if diff := cmp.Diff(want, summary.Progress); diff != "" || summary.ResumedAt != 6 {
		t.Errorf("resumed at %d (-want +got):\n%s", summary.ResumedAt, diff)
	}
	if diff := cmp.Diff([]string{"7 consent_date"}, rejected); diff != "" {
		t.Errorf("rejected in the second run:\n%s", diff)
	}
	again, err := d.importer.File(t.Context(), strings.NewReader(iysHeader+rows), digest, iys.Options{By: dpo})
	if err != nil || !again.AlreadyTaken || again.Read != 8 {
		t.Errorf("again: %t, %d rows, %v", again.AlreadyTaken, again.Read, err)
	}
	forced, err := d.importer.File(t.Context(), strings.NewReader(iysHeader+rows), digest, iys.Options{By: dpo, Again: true})
	if err != nil || forced.Recorded != 0 || forced.Known != 5 {
		t.Errorf("forced: %d recorded, %d known, %v", forced.Recorded, forced.Known, err)
	}
	var here int
	if err := d.db.pool.QueryRow(t.Context(), `select count(*) from consent.record where data_subject_id = $1 and purpose = 'marketing'
		and source = 'iys' and actor = 'registry' and evidence_ref like 'iys/t%' and jurisdiction = 'TR' and commitment is not null`,
		[16]byte(ayse.DataSubject())).Scan(&here); err != nil || here != 2 {
		t.Errorf("%d rows say where they came from, %v", here, err)
	}
	kinds := map[audit.Kind]int{}
	entries, err := readEntries(t.Context(), d.db.pool, 0, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		entry, err := audit.ParseEntry(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		kinds[entry.Kind]++
	}
	// Three batches, three again; rows are new in the first three alone.
	if kinds[audit.RegistryExchanged] != 6 || kinds[audit.ConsentImported] != 3 {
		t.Errorf("the log has %v", kinds)
	}
}

// TestIYSForgetsWithThePerson: nothing that the registry said stays behind an erasure, and
// whoever is being erased is nobody.
func TestIYSForgetsWithThePerson(t *testing.T) {
	t.Parallel()
	d := newRegistryDesk(t, 0)
	ayse := d.person(t, "ayse")
	d.person(t, "kaan")
	at := time.Now().Add(-time.Hour)
	d.take(t, iysRow("ayse@example.com", "EPOSTA", "RET", at)+iysRow("kaan@example.com", "EPOSTA", "RET", at))
	owner := d.database.OwnerPool(t)
	if _, err := owner.Exec(t.Context(), `update vault.data_subject set erasing = true, restricted = true where data_subject_id = $1`, [16]byte(ayse.DataSubject())); err != nil {
		t.Fatal(err)
	}
	if s := d.take(t, iysRow("ayse@example.com", "EPOSTA", "ONAY", at.Add(time.Minute))); s.Nobody != 1 || s.Recorded != 0 {
		t.Errorf("somebody who is being erased: %+v", s.Progress)
	}
	for _, table := range []string{"keyring.person_key", "vault.identifier", "vault.sealed_record", "vault.data_subject"} {
		if _, err := owner.Exec(t.Context(), `delete from `+table+` where data_subject_id = $1`, [16]byte(ayse.DataSubject())); err != nil {
			t.Fatal(err)
		}
	}
	var left int
	if err := d.db.pool.QueryRow(t.Context(), `select count(*) from consent.iys_standing`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d standings are left, %v; want that of the other alone", left, err)
	}
}

// TestIYSIsForWhoMay: a service of somebody else imports nothing, and a catalogue without the
// purpose has no place for it.
func TestIYSIsForWhoMay(t *testing.T) {
	t.Parallel()
	d := newRegistryDesk(t, 0)
	for _, by := range []privacy.Principal{{}, {ID: "auditor", Role: privacy.RoleAuditor}} {
		if _, err := d.importer.File(t.Context(), strings.NewReader(iysHeader), [32]byte{}, iys.Options{By: by}); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%s may import: %v", by.Role, err)
		}
	}
	if _, err := iys.NewImporter(d.store, d.keys.Vault(), allWords{}, iys.ImportConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without a brand: %v", err)
	}
	poor, err := iys.NewImporter(d.store, d.keys.Vault(), shopWords{}, iys.ImportConfig{Brand: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poor.File(t.Context(), strings.NewReader(iysHeader), [32]byte{}, iys.Options{By: dpo}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without the purpose: %v", err)
	}
}
