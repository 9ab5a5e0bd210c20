package export

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func tempDir() (string, error) { return os.MkdirTemp("", "mahrem-export-*") }

func collectInto(files map[string]string) func(string, io.Reader) error {
	return func(name string, content io.Reader) error {
		text, err := io.ReadAll(content)
		files[name] = string(text)
		return err
	}
}

func plain(values ...string) []privacy.Plain {
	var list []privacy.Plain
	for _, value := range values {
		list = append(list, privacy.NewPlain(value))
	}
	return list
}

// ayse is somebody with a little of everything, among others.
func ayse(h *house) *held {
	p := h.add(1)
	p.records["contact"] = vault.Record{
		"first_name": {Values: plain("Ayşe"), Source: vault.Declared, Quality: vault.Verified, ObservedAt: testTime.Truncate(24 * time.Hour)},
		"last_name":  {Values: plain("Yılmaz"), Source: vault.Declared, Quality: vault.Unverified},
		"email":      {Values: plain("ayse@example.com"), Source: vault.Declared, Quality: vault.Verified},
		"phone":      {Values: plain("+90 532 111 22 33"), Source: vault.Declared, Quality: vault.Disputed},
	}
	p.records["profile"] = vault.Record{"persona": {Values: plain("home cook"), Source: vault.Inferred, Quality: vault.Unverified}}
	p.records["social"] = vault.Record{"social.last_post": {Values: plain(`coffee with Marta <script>alert(1)</script> & @zeynep_k`), Source: vault.Social, Quality: vault.Unverified}}
	p.events["purchases"] = []vault.Event{
		{Type: "purchase", At: testTime.Add(-48 * time.Hour), Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("grocery.dairy"), "amount": privacy.NewPlain("12.50")}},
		{Type: "purchase", At: testTime.Add(-24 * time.Hour), Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("baby.diapers")}},
	}
	p.events["conversations"] = []vault.Event{{Type: "message", At: testTime.Add(-12 * time.Hour), Fields: map[privacy.AttributeName]privacy.Plain{
		"text": privacy.NewPlain("Ayşe here. My neighbour Fatma Kaya, 0533 444 55 66, fatma@example.org, took the parcel; call me at 0532 111 22 33 or ayse@example.com"),
	}}}
	p.consents = []consent.Record{
		{ID: [16]byte{1}, Purpose: "newsletter", Channel: "email", Action: consent.Granted, Basis: privacy.Consent, NoticeVersion: "2026-01", Source: "web_form", EffectiveAt: testTime.AddDate(0, -3, 0), RecordedAt: testTime.AddDate(0, -3, 0), ValidUntil: testTime.AddDate(1, 0, 0)},
		{ID: [16]byte{2}, Purpose: "newsletter", Channel: "email", Action: consent.Withdrawn, Basis: privacy.Consent, NoticeVersion: "2026-01", Source: "web_form", EffectiveAt: testTime.AddDate(0, -1, 0), RecordedAt: testTime.AddDate(0, -1, 0)},
		{
			ID: [16]byte{3}, Purpose: "newsletter", Channel: "email", Action: consent.GuardianGranted, Basis: privacy.Consent, NoticeVersion: "2026-02", Source: "letter",
			Actor: consent.ByGuardian, GuardianVerified: true, Language: "cs-CZ", EvidenceRef: "form/4711", Jurisdiction: "CZ",
			EffectiveAt: testTime.AddDate(0, 0, -1), RecordedAt: testTime.AddDate(0, 0, -1),
		},
	}
	// One product group, told twenty thousand days after 1970.
	ledger := append([]byte{1, 1, byte(len("g:baby.diapers"))}, "g:baby.diapers"...)
	ledger = append(ledger, 0xa0, 0x9c, 0x01)
	sealed, err := p.key.SealBytes("exposure/newsletter_engine", 3, ledger)
	if err != nil {
		h.t.Fatal(err)
	}
	p.rows = []gate.ExposureRow{{DataSubject: p.key.DataSubject(), Recipient: "newsletter_engine", Number: 3, Sealed: sealed}}
	return p
}

// history writes a log in which p and somebody else take turns.
func history(h *house, p *held) (own []uint64) {
	other := h.add(9)
	policy, facts := audit.Digest{1}, audit.Digest{2}
	h.plans[archive.Pair{Policy: policy, Facts: facts}] = archive.Explained{
		Plan:    policies.Plan{Allow: true, Basis: privacy.Consent, Granted: []privacy.DataCategory{"purchases"}},
		Reasons: []policies.Reason{{Check: "basis.consent", Title: "The person has agreed.", Laws: []string{"GDPR-6-1-a"}}},
	}
	service := privacy.Principal{ID: "news", Role: privacy.RoleService, Recipient: "newsletter_engine"}
	for _, step := range []struct {
		who   *held
		event audit.Event
	}{
		{nil, audit.Event{Kind: audit.LogStarted, Outcome: audit.Done}},
		{p, audit.Event{Kind: audit.ConsentGranted, Outcome: audit.Done, Principal: dpo, Purpose: "newsletter"}},
		{other, audit.Event{Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: service, Purpose: "newsletter", Channel: "email"}},
		{p, audit.Event{Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: service, Purpose: "newsletter", Channel: "email", Attributes: []privacy.AttributeName{"purchases.product_groups"}, Policy: policy, Facts: facts}},
		{p, audit.Event{Kind: audit.HoldSet, Outcome: audit.Done, Principal: dpo, List: audit.Digest{3}}},
		{p, audit.Event{Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: service, Purpose: "newsletter", Channel: "email", Checks: []string{"consent.state"}}},
		{p, audit.Event{Kind: audit.ErasureDeferred, Outcome: audit.Done, Principal: dpo}},
		{p, audit.Event{Kind: audit.HoldReleased, Outcome: audit.Done, Principal: dpo}},
	} {
		if step.who != nil {
			step.event.Subject = step.who.key.Subject()
		}
		receipt := h.append(step.event)
		if step.who == p && Disclosed(step.event.Kind) {
			own = append(own, receipt.Index())
		}
	}
	h.sign()
	return own
}

// document is data.json read back.
type document struct {
	Format     string          `json:"format"`
	Kind       string          `json:"kind"`
	CreatedAt  time.Time       `json:"created_at"`
	Language   string          `json:"language"`
	Request    string          `json:"request_id"`
	Person     personPart      `json:"person"`
	Categories []categoryPart  `json:"categories"`
	Attributes []attributePart `json:"attributes"`
	Streams    []struct {
		Category string      `json:"category"`
		Title    string      `json:"title"`
		Events   []eventPart `json:"events"`
	} `json:"streams"`
	Purposes   []purposePart   `json:"purposes"`
	Consents   []consentPart   `json:"consents"`
	Inferences []inferencePart `json:"inferences"`
	Rooms      []roomPart      `json:"rooms"`
	Log        logPart         `json:"log"`
	Entries    []entryPart     `json:"entries"`
	Recipients []recipientPart `json:"recipients"`
	Redactions int64           `json:"redactions"`
}

func parseData(t testing.TB, text string) document {
	t.Helper()
	var d document
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("data.json: %v", err)
	}
	return d
}

func TestExportOfEverything(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := ayse(h)
	own := history(h, p)
	var done, total int64
	job, file := h.job(p, dsar.Access)
	job.Progress = func(d, t int64) { done, total = d, t }
	result, err := h.Export(t.Context(), dpo, job)
	if err != nil {
		t.Fatal(err)
	}
	files, verified := h.open(file)
	d := parseData(t, files[DataName])

	// What is held, as it is held.
	if d.Format != Format || d.Kind != "access" || !d.CreatedAt.Equal(testTime) || d.Person.ID != p.key.DataSubject().Reveal() || d.Person.Jurisdiction != "TR" {
		t.Errorf("head %+v", d.Person)
	}
	var values []string
	for _, a := range d.Attributes {
		values = append(values, fmt.Sprintf("%s/%s=%v %s %s %s", a.Category, a.Attribute, a.Values, a.Source, a.Quality, a.ObservedAt))
	}
	if diff := cmp.Diff([]string{
		"contact/email=[ayse@example.com] declared verified ",
		"contact/first_name=[Ayşe] declared verified 2026-05-20",
		"contact/last_name=[Yılmaz] declared unverified ",
		"contact/phone=[+90 532 111 22 33] declared disputed ",
		"profile/persona=[home cook] inferred unverified ",
		"social/social.last_post=[coffee with [third person] <script>alert(1)</script> & [third person]] social unverified ",
	}, values); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if len(d.Streams) != 2 || d.Streams[1].Category != "purchases" || len(d.Streams[1].Events) != 2 ||
		d.Streams[1].Events[0].Fields["amount"] != "12.50" || !d.Streams[1].Events[1].At.Equal(testTime.Add(-24*time.Hour)) {
		t.Errorf("streams %+v", d.Streams)
	}
	const said = "Ayşe here. My neighbour [third person], [third person], [third person], took the parcel; call me at 0532 111 22 33 or ayse@example.com"
	if got := d.Streams[0].Events[0].Fields["text"]; got != said {
		t.Errorf("shared text: %s", got)
	}
	if d.Redactions != 5 || result.Redacted != 5 {
		t.Errorf("%d and %d redactions", d.Redactions, result.Redacted)
	}
	if len(d.Consents) != 3 || d.Consents[1].Action != "withdrawn" || d.Consents[0].ValidUntil == nil || d.Consents[1].ValidUntil != nil {
		t.Errorf("consents %+v", d.Consents)
	}
	if c := d.Consents[2]; d.Consents[0].Actor != "data_subject" || c.Actor != "guardian" || !c.Verified || c.Language != "cs-CZ" || c.EvidenceRef != "form/4711" || c.Jurisdiction != "CZ" {
		t.Errorf("who acted, and by which evidence: %+v", d.Consents)
	}
	if len(d.Inferences) != 2 || d.Inferences[0].Attribute != "persona" || d.Inferences[1].Group != "baby.diapers" ||
		d.Inferences[1].LastTold != "2024-10-04" || len(d.Inferences[1].PointsTo) == 0 || d.Inferences[1].PointsTo[0].Threshold == 0 {
		t.Errorf("inferences %+v", d.Inferences)
	}
	for _, c := range d.Categories {
		if len(c.Retention) == 0 || len(c.Sources) == 0 || c.Title == "" {
			t.Errorf("category %+v", c)
		}
	}
	if len(d.Purposes) == 0 || len(d.Recipients) < 2 {
		t.Errorf("purposes %v, recipients %v", d.Purposes, d.Recipients)
	}

	// The trail: every entry of hers, none of anybody else's, no hold, with the rule.
	var indexes []uint64
	for _, e := range d.Entries {
		indexes = append(indexes, e.Index)
		opening, err := base64.RawURLEncoding.DecodeString(e.Evidence.Opening)
		entry, parseErr := audit.ParseEntry(h.entries[e.Index].Leaf)
		if err != nil || parseErr != nil || audit.Opening(opening).Tag(p.key.DataSubject()) != entry.Person {
			t.Errorf("entry %d does not open as hers", e.Index)
		}
	}
	if diff := cmp.Diff(own, indexes); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	asked := d.Entries[1]
	if asked.Recipient != "newsletter_engine" || asked.Purpose != "newsletter" || asked.Basis != "consent" || !slices.Equal(asked.Attributes, []string{"purchases.product_groups"}) ||
		len(asked.Rules) != 1 || asked.Rules[0].Laws[0] != "GDPR-6-1-a" {
		t.Errorf("query %+v", asked)
	}
	if d.Log.Size != 8 || d.Log.Root == "" || !strings.HasPrefix(d.Log.Checkpoint, testOrigin+"\n8\n") {
		t.Errorf("log %+v", d.Log)
	}
	for _, r := range d.Recipients {
		if want := int64(map[bool]int{true: 1}[r.Recipient == "newsletter_engine"]); r.Answered != want || r.Refused != want {
			t.Errorf("recipient %+v", r)
		}
	}
	whole := strings.Join([]string{files[DataName], files[IndexName], files["log/entries-00001.html"]}, "")
	for _, hidden := range []string{"hold.", "deferred", "Fatma", "Kaya", "fatma@", "444 55", "Marta", "zeynep"} {
		if strings.Contains(whole, hidden) {
			t.Errorf("%q is disclosed", hidden)
		}
	}

	// The evidence: the log said so first, and names exactly this.
	last, err := audit.ParseEntry(h.entries[8].Leaf)
	if err != nil || len(h.entries) != 9 || last.Kind != audit.PersonExported || last.List != result.Manifest {
		t.Errorf("the log ends with %s of %x", last.Kind, last.List)
	}
	if verified.Statement.Manifest != result.Manifest || verified.Statement.Index != 8 || verified.Statement.LeafHash != [32]byte(h.entries[8].LeafHash) ||
		verified.Manifest.Request != (dsar.RequestID{1}).String() {
		t.Errorf("statement %+v", verified.Statement)
	}
	if result.Size != int64(file.Len()) || result.Events != 3 || result.Entries != int64(len(own)) || done != total || total == 0 {
		t.Errorf("result %+v, progress %d of %d", result, done, total)
	}
}

func TestPortabilityIsWhatThePersonGave(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := ayse(h)
	history(h, p)
	job, file := h.job(p, dsar.Portability)
	if _, err := h.Export(t.Context(), dpo, job); err != nil {
		t.Fatal(err)
	}
	files, _ := h.open(file)
	for _, absent := range []string{"purposes", "consents", "inferences", "rooms", "entries", "recipients", `"log"`, "persona", "social"} {
		if strings.Contains(files[DataName], absent) {
			t.Errorf("it has %s", absent)
		}
	}
	if d := parseData(t, files[DataName]); len(d.Attributes) != 4 || len(d.Streams) != 2 {
		t.Errorf("attributes %v, streams %v", d.Attributes, d.Streams)
	}
	for name := range files {
		if strings.HasPrefix(name, "log/") {
			t.Errorf("it has %s", name)
		}
	}
}

func TestExportManyGoesThroughTheLogOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var jobs []Job
	var files []*memoryFile
	for n := range 5 {
		p := h.add(byte(n + 1))
		for range n + 1 {
			h.append(audit.Event{Kind: audit.PersonShown, Outcome: audit.Done, Principal: dpo, Subject: p.key.Subject()})
		}
		job, file := h.job(p, dsar.Access)
		jobs, files = append(jobs, job), append(files, file)
	}
	gone, _ := h.job(h.add(77), dsar.Access)
	delete(h.people, gone.Person)
	jobs = append(jobs, gone)
	var scanned []uint64
	results, err := h.ExportMany(t.Context(), dpo, jobs, func(done, total uint64) { scanned = append(scanned, done, total) })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{15, 15}, scanned); diff != "" {
		t.Errorf("scans (-want +got):\n%s", diff)
	}
	for n, file := range files {
		contents, _ := h.open(file)
		if got := parseData(t, contents[DataName]); len(got.Entries) != n+1 || results[n].Entries != int64(n+1) {
			t.Errorf("person %d has %d entries", n, len(got.Entries))
		}
	}
	if !errors.Is(results[5].Err, privacy.ErrNotFound) {
		t.Errorf("somebody who is not there: %v", results[5].Err)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		by     privacy.Principal
		change func(*house, *held, *Job)
		want   error
	}{
		"auditor":  {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, nil, privacy.ErrForbidden},
		"service":  {privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, nil, privacy.ErrForbidden},
		"nameless": {privacy.Principal{Role: privacy.RoleDPO}, nil, privacy.ErrForbidden},
		"no lock":  {dpo, func(_ *house, _ *held, j *Job) { j.Lock = Lock{} }, privacy.ErrInvalid},
		"no file":  {dpo, func(_ *house, _ *held, j *Job) { j.Create = nil }, privacy.ErrInvalid},
		"erasure":  {dpo, func(_ *house, _ *held, j *Job) { j.Kind = dsar.Erasure }, privacy.ErrInvalid},
		"nobody":   {dpo, func(h *house, _ *held, j *Job) { delete(h.people, j.Person) }, privacy.ErrNotFound},
		"file fails": {dpo, func(_ *house, _ *held, j *Job) {
			j.Create = func() (File, error) { return nil, errBroken }
		}, errBroken},
		"erased meanwhile": {dpo, func(h *house, _ *held, _ *Job) { h.recordErr = privacy.ErrNotFound }, privacy.ErrNotFound},
		"log down":         {dpo, func(h *house, _ *held, _ *Job) { h.recordErr = privacy.ErrUnavailable }, privacy.ErrUnavailable},
		"without evidence": {dpo, func(h *house, _ *held, _ *Job) { h.unlogged = true }, privacy.ErrUnavailable},
		"log altered": {dpo, func(h *house, _ *held, _ *Job) {
			h.entries[2].Leaf, h.entries[2].LeafHash = h.entries[3].Leaf, h.entries[3].LeafHash
		}, privacy.ErrDamaged},
		"log cut off":      {dpo, func(h *house, _ *held, _ *Job) { h.entries = h.entries[:7] }, privacy.ErrDamaged},
		"forged note":      {dpo, func(h *house, _ *held, _ *Job) { h.note[len(testOrigin)+1] = '7' }, privacy.ErrDamaged},
		"exposure damaged": {dpo, func(_ *house, p *held, _ *Job) { p.rows[0].Number++ }, privacy.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := ayse(h)
			history(h, p)
			job, file := h.job(p, dsar.Access)
			if test.change != nil {
				test.change(h, p, &job)
			}
			if _, err := h.Export(t.Context(), test.by, job); !errors.Is(err, test.want) {
				t.Fatalf("got %v", err)
			}
			if file.kept {
				t.Error("a file was kept")
			}
			if file.Len() > 0 {
				if !file.dropped {
					t.Error("the file was not dropped")
				}
				key, _ := IdentityKey(strings.NewReader(h.identity.String()))
				if r, err := key.Open(&file.Buffer); err == nil {
					if _, err := io.ReadAll(r); err == nil {
						t.Error("what was written opens to its end")
					}
				}
			}
		})
	}
}

// TestExportListsRooms: the clean rooms that contained somebody are in their export, with
// whom they shared them, for machines and for people, and nothing of what was asked there.
func TestExportListsRooms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.add(7)
	p.stays = []Stay{{
		Room: "campaign", Dataset: cleanroom.DatasetRef{Owner: "web_shop", Dataset: "purchases"}, Purpose: "newsletter",
		Members: []privacy.RecipientID{"ad_network", "web_shop"}, First: testTime.Add(-48 * time.Hour), Last: testTime, Present: true,
	}}
	job, file := h.job(p, dsar.Access)
	job.Language = "cs"
	if _, err := h.Export(t.Context(), dpo, job); err != nil {
		t.Fatal(err)
	}
	files, _ := h.open(file)
	want := []roomPart{{
		Room: "campaign", Dataset: "web_shop.purchases", Purpose: "newsletter", Title: "Zpravodaj", Members: []string{"ad_network", "web_shop"},
		First: testTime.Add(-48 * time.Hour), Last: testTime, Present: true,
	}}
	if diff := cmp.Diff(want, parseData(t, files[DataName]).Rooms); diff != "" {
		t.Errorf("rooms (-want +got):\n%s", diff)
	}
	page := files[IndexName]
	for _, word := range []string{"Čisté místnosti, ve kterých jste byli", "campaign (web_shop.purchases)", "Reklamní síť", "Zpravodaj"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
}
