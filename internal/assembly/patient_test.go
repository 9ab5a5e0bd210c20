package assembly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

const (
	patientRecipient privacy.RecipientID  = "web_shop"
	patientLaw       privacy.Jurisdiction = "CZ"
	// patientStep is how often the recipient asks, patientDays for how long: longer than
	// anybody looks back.
	patientStep = 5 * 24 * time.Hour
	patientDays = 460
)

// patient is a recipient that asks for one harmless thing at a time, over all that it can
// ask through, and remembers everything.
type patient struct {
	t       *testing.T
	api     http.Handler
	token   string
	now     time.Time
	random  *rand.Rand
	judge   *judge
	answers int
}

// judge adds up what a recipient has been told about a person, from the values that it
// really got and the weights of the catalogue. It knows nothing of ledgers.
type judge struct {
	catalogue *policies.Catalogue
	told      map[string]telling
	// most is the largest share of a threshold that was ever reached.
	most float64
}

type telling struct {
	at      time.Time
	weights []policies.Weight
}

// hears takes one value. It returns the inference of which the sum reaches its
// threshold, if there is one.
func (j *judge) hears(name privacy.AttributeName, level, value string, at time.Time) (over policies.InferenceID) {
	key, weights := "g:"+value, j.catalogue.GroupWeights(policies.GroupID(value))
	if _, group := j.catalogue.Group(policies.GroupID(value)); !group {
		if a, ok := j.catalogue.Attribute(name); ok && level == "generalized" && a.Generalize != nil && a.Generalize.Attribute != "" {
			name = a.Generalize.Attribute
		}
		key, weights = "a:"+string(name)+"="+value, j.catalogue.ValueWeights(name, value)
	}
	if len(weights) == 0 {
		return ""
	}
	j.told[key] = telling{at, weights}
	sums := map[*policies.Inference]int{}
	for _, t := range j.told {
		if at.Sub(t.at) <= policies.DefaultLookback {
			for _, w := range t.weights {
				sums[w.Inference] += w.Weight
			}
		}
	}
	for inference, sum := range sums {
		share := float64(sum) / float64(inference.Threshold(patientLaw))
		if j.most = max(j.most, share); share >= 1 {
			over = inference.ID
		}
	}
	return over
}

// answerLine is an answer to a query, alone or in a batch.
type answerLine struct {
	Decision, Type string
	Pseudonym      string
	Attributes     map[privacy.AttributeName]struct {
		Value any
		Level string
	}
}

func (p *patient) post(path, contentType, body string) []byte {
	p.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	p.api.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		p.t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// listen gives an answer to the judge.
func (p *patient) listen(line []byte) answerLine {
	p.t.Helper()
	var a answerLine
	if err := json.Unmarshal(line, &a); err != nil || a.Type != "" {
		p.t.Fatalf("%s, %v", line, err)
	}
	if a.Decision == "allow" {
		p.answers++
	}
	for name, released := range a.Attributes {
		values, list := released.Value.([]any)
		if !list {
			values = []any{released.Value}
		}
		for _, value := range values {
			if over := p.judge.hears(name, released.Level, fmt.Sprint(value), p.now); over != "" {
				p.t.Errorf("%s: with %s it adds up to %s", p.now.Format(time.DateOnly), name, over)
			}
		}
	}
	return a
}

// patientPurposes are what the recipient may ask for, with a channel each.
var patientPurposes = []struct{ purpose, channel, more string }{
	{"recommendations", "web", ""}, {"recommendations", "app", ""}, {"content", "web", ""}, {"loyalty", "web", ""}, {"store_coupons", "app", `,"trigger":{"occurred_at":%q}`},
}

var patientAttributes = []string{
	"purchases.product_groups", "purchases.last_product", "views.product_groups", "views.last_product", "views.cart", "preferences.interests",
	"purchases.frequency", "spend.band", "persona",
}

// question asks for one attribute.
func (p *patient) question(ref string) string {
	ask := patientPurposes[p.random.IntN(len(patientPurposes))]
	more := ask.more
	if more != "" {
		more = fmt.Sprintf(more, p.now.Add(-10*time.Minute).UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf(`{"data_subject":%s,"purpose":%q,"channel":%q,"attributes":[%q]%s}`, ref, ask.purpose, ask.channel,
		patientAttributes[p.random.IntN(len(patientAttributes))], more)
}

// TestAPatientRecipientLearnsNothing: one harmless thing at a time, alone, in batches,
// by AuthZEN, for audiences, by pseudonym and by customer number, for more than a year of new
// purchases: what the recipient was told never adds up to a protected inference.
func TestAPatientRecipientLearnsNothing(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	catalogue := house.Engine.Revision().Catalogue()
	p := &patient{
		t: t, now: time.Now().UTC().Truncate(time.Second), random: rand.New(rand.NewPCG(8, 15)), //nolint:gosec // the same on every run
		judge: &judge{catalogue: catalogue, told: map[string]telling{}},
	}
	clock := func() time.Time { return p.now }
	loader := intake.New(postgres.NewIntakeStore(house.DB, house.Log), house.Keys.Vault(), wordsOf(house.Engine), wordsOf(house.Engine), intake.Config{
		Now: clock, Streams: map[string]privacy.DataCategory{"purchase": "purchases", "view": "views", "cart": "views"},
	})
	asker := gate.New(postgres.NewGateStore(house.DB, house.Log), house.Engine, house.Keys.Vault(), house.Pseudonyms, house.Log, gate.Config{Now: clock, Audiences: postgres.NewAudienceStore(house.DB)})
	refresher := gate.NewRefresher(postgres.NewProfileStore(house.DB), house.Engine, house.Keys.Vault(), gate.RefresherConfig{Now: clock})
	p.api = server.New(server.Services{Tokens: house.Tokens, Gate: asker, Evaluator: asker, Audiences: asker, Directory: house.People, Pseudonyms: house.Pseudonyms},
		server.Config{Log: slog.New(slog.DiscardHandler)})
	minted, err := house.Tokens.Mint(privacy.Principal{ID: "patient", Role: privacy.RoleService, Recipient: patientRecipient}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p.token = minted.Token

	var pointing, harmless []policies.GroupID
	for _, g := range catalogue.Groups() {
		if len(g.Weights) > 0 {
			pointing = append(pointing, g.ID)
		} else if !g.Tainted {
			harmless = append(harmless, g.ID)
		}
	}
	bought := &judge{catalogue: catalogue, told: map[string]telling{}}
	events := 0
	shop := func(customer string, groups []policies.GroupID, n int) {
		row := intake.Row{Identifiers: []intake.RowIdentifier{{Kind: "customer_number", Value: customer}}, Jurisdiction: patientLaw}
		for range n {
			group := groups[p.random.IntN(len(groups))]
			kind := []string{"purchase", "view", "cart"}[p.random.IntN(3)]
			events++
			row.Events = append(row.Events, intake.RowEvent{
				Type: kind, At: p.now.Add(-time.Duration(1+p.random.IntN(100)) * time.Hour).Format(time.RFC3339), ID: fmt.Sprint("e", events),
				Fields: map[string]string{"product_group": string(group), "amount": "3.20"},
			})
			if customer == "TARGET" {
				bought.hears("purchases.product_groups", "exact", string(group), p.now)
			}
		}
		p.load(loader, row)
	}
	people := []string{"TARGET", "TWIN"}
	for n := range gate.DefaultAudienceMinimum {
		people = append(people, fmt.Sprint("NEIGHBOUR-", n))
	}
	var rows []intake.Row
	for _, customer := range people {
		row := intake.Row{
			Identifiers: []intake.RowIdentifier{{Kind: "customer_number", Value: customer}}, Jurisdiction: patientLaw,
			Attributes: map[string]json.RawMessage{
				"birth_date": json.RawMessage(`"1988-04-12"`), "household": json.RawMessage(`"single"`), "loyalty_tier": json.RawMessage(`"gold"`),
				"location.city": json.RawMessage(`"Brno"`),
			},
		}
		if customer == "TARGET" {
			row.Attributes["location.city"] = json.RawMessage(`"Telč"`)
		}
		for _, ask := range patientPurposes {
			row.Consents = append(row.Consents, intake.RowConsent{
				Action: "granted", Purpose: privacy.Purpose(ask.purpose), Channel: privacy.Channel(ask.channel), Basis: privacy.Consent, NoticeVersion: "v1", Source: "test",
			})
		}
		rows = append(rows, row)
	}
	p.load(loader, rows...)
	p.now = p.now.Add(time.Hour) // the consents are by the clock of the database
	names := map[string]string{}
	for _, customer := range []string{"TARGET", "TWIN"} {
		line := p.post("/v1/query", "application/json", `{"data_subject":`+customerRef(customer)+`,"purpose":"recommendations","channel":"web","attributes":["persona"]}`)
		first := p.listen(line)
		if names[customer] = first.Pseudonym; first.Decision != "allow" || first.Pseudonym == "" {
			t.Fatalf("%s is denied: %s", customer, line)
		}
	}
	byName := fmt.Sprintf(`{"pseudonym":%q}`, names["TARGET"])

	if _, err := refresher.RefreshAll(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !p.askForAudiences(names["TARGET"]) {
		t.Error("no audience names anybody: there was nothing to find out")
	}
	for end := p.now.AddDate(0, 0, patientDays); p.now.Before(end); p.now = p.now.Add(patientStep) {
		shop("TARGET", pointing, 4)
		shop("TARGET", harmless, 2)
		shop("TWIN", harmless, 6)
		for range 2 {
			p.listen(p.post("/v1/query", "application/json", p.question(byName)))
		}
		var lines []string
		for range 3 {
			// Two names of one person are asked about at the same time.
			lines = append(lines, p.question(byName), p.question(customerRef("TARGET")))
		}
		answers := bytes.SplitAfter(bytes.TrimSpace(p.post("/v1/query:batch", "application/x-ndjson", strings.Join(lines, "\n")+"\n")), []byte("\n"))
		if len(answers) != len(lines) {
			t.Fatalf("%d answers to %d lines", len(answers), len(lines))
		}
		for _, answer := range answers {
			p.listen(answer)
		}
		p.compareEvaluations(names["TARGET"], names["TWIN"])
		if p.random.IntN(20) == 0 {
			p.askForAudiences(names["TARGET"])
		}
	}
	if bought.most < 2 {
		t.Errorf("what was bought reaches %.2f of a threshold: there was nothing to find out", bought.most)
	}
	if p.judge.most < 0.4 || p.answers < 500 {
		t.Errorf("%d answers told %.2f of a threshold: there was nothing to add up", p.answers, p.judge.most)
	}
	t.Logf("%d answers over %d days; what was bought adds up to %.1f thresholds, what was told to %.2f", p.answers, patientDays, bought.most, p.judge.most)
}

func customerRef(customer string) string {
	return fmt.Sprintf(`{"identifier":{"kind":"customer_number","value":%q}}`, customer)
}

func (p *patient) load(loader *intake.Loader, rows ...intake.Row) {
	p.t.Helper()
	var lines bytes.Buffer
	for _, row := range rows {
		if err := json.NewEncoder(&lines).Encode(row); err != nil {
			p.t.Fatal(err)
		}
	}
	result, err := loader.LoadStream(p.t.Context(), &lines, intake.StreamOptions{Principal: privacy.Principal{ID: "loader", Role: privacy.RoleIngest}})
	if err != nil || len(result.Rejects) > 0 {
		p.t.Fatal(result.Rejects, err)
	}
}

// askForAudiences looks for a person among people who have something in common, also what
// points to an inference. It reports whether the person was among them; what they have in
// common is then told as much as in an answer.
func (p *patient) askForAudiences(name string) (found bool) {
	p.t.Helper()
	type condition struct {
		attribute privacy.AttributeName
		value     string
		// public is whether it may be asked for at all.
		public bool
	}
	conditions := []condition{{"loyalty_tier", "gold", true}, {"location.city", "Brno", true}, {"location.city", "Telč", true}}
	for _, inference := range p.judge.catalogue.Inferences() {
		for _, signal := range inference.Attributes {
			conditions = append(conditions, condition{signal.Attribute, signal.Value, false})
		}
		for group := range inference.Groups {
			conditions = append(conditions, condition{"preferences.interests", string(group), false}, condition{"purchases.product_groups", string(group), false})
		}
	}
	for _, c := range conditions {
		r := httptest.NewRequest("POST", "/v1/audience", strings.NewReader(fmt.Sprintf(
			`{"purpose":"recommendations","channel":"web","conditions":[{"attribute":%q,"in":[%q]}]}`, c.attribute, c.value)))
		r.Header.Set("Authorization", "Bearer "+p.token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			if c.public || w.Code != http.StatusUnprocessableEntity {
				p.t.Errorf("audience by %s: status %d: %s", c.attribute, w.Code, w.Body)
			}
			continue
		}
		first, rest, _ := bytes.Cut(w.Body.Bytes(), []byte("\n"))
		allowed := bytes.Contains(first, []byte(`"decision":"allow"`))
		if !c.public && allowed {
			p.t.Errorf("an audience by %s = %s was answered", c.attribute, c.value)
		}
		if c.value == "Telč" && allowed {
			p.t.Error("an audience of one was answered")
		}
		if bytes.Contains(rest, []byte(name)) {
			found = true
			if over := p.judge.hears(c.attribute, "exact", c.value, p.now); over != "" {
				p.t.Errorf("%s: with an audience by %s it adds up to %s", p.now.Format(time.DateOnly), c.attribute, over)
			}
		}
	}
	return found
}

// compareEvaluations asks AuthZEN about two people who differ in what they bought alone.
// All that is not evidence must be the same.
func (p *patient) compareEvaluations(names ...string) {
	p.t.Helper()
	ask := patientPurposes[p.random.IntN(len(patientPurposes)-1)]
	properties := ""
	if p.random.IntN(2) == 0 {
		properties = fmt.Sprintf(`,"properties":{"attributes":[%q]}`, patientAttributes[p.random.IntN(len(patientAttributes))])
	}
	var contexts []map[string]any
	for _, name := range names {
		body := fmt.Sprintf(`{"subject":{"type":"service","id":%q},"action":{"name":"personalize","properties":{"purpose":%q}},"resource":{"type":"profile","id":%q%s},"context":{"channel":%q}}`,
			patientRecipient, ask.purpose, name, properties, ask.channel)
		var answer struct {
			Decision bool
			Context  map[string]any
		}
		if err := json.Unmarshal(p.post("/access/v1/evaluation", "application/json", body), &answer); err != nil {
			p.t.Fatal(err)
		}
		answer.Context["decision"] = answer.Decision
		delete(answer.Context, "decision_id")
		delete(answer.Context, "log")
		contexts = append(contexts, answer.Context)
	}
	if diff := cmp.Diff(contexts[0], contexts[1]); diff != "" {
		p.t.Errorf("what somebody bought changes an evaluation:\n%s", diff)
	}
}
