package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// Recipient asks the questions of the benchmark. A token for it must be minted, and it
// must have pseudonyms.
const Recipient privacy.RecipientID = "web_shop"

// Loader brings people in, the way that everybody else's data comes in.
type Loader interface {
	LoadStream(ctx context.Context, in io.Reader, options intake.StreamOptions) (intake.StreamResult, error)
}

// GateConfig says what [Gate] measures. The fields without a default are required.
type GateConfig struct {
	// Handler is the whole API, as it is served.
	Handler http.Handler
	// Token is a bearer token of a service that speaks for [Recipient].
	Token string
	// Loader seeds the people.
	Loader Loader
	// OwnerURL reaches the same database with the right to make a schema.
	OwnerURL string
	// LogSize is how many entries the log has, to hold against the answers.
	LogSize func(ctx context.Context) (uint64, error)
	// MaxConns is how many connections the gate has; the bare side gets as many.
	MaxConns int32
	// People is how many are asked about; zero means 2,000.
	People int
	// Clients are the numbers of clients; nil means 1, 8, 32 and 128. Questions that draw
	// on events are measured with the third of them, or the last.
	Clients []int
	// Rounds is how often each side is measured for each number of clients, and
	// RoundTime how long; zero means 3 and 2 s.
	Rounds    int
	RoundTime time.Duration
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// GateReport is the outcome.
type GateReport struct {
	Machine Machine `json:"machine"`
	// AnswerBytes is the length of an answer of the gate about stored values, PlainBytes of
	// one of the bare side.
	AnswerBytes int       `json:"answer_bytes"`
	PlainBytes  int       `json:"plain_bytes"`
	People      int       `json:"people"`
	Connections int32     `json:"connections"`
	Lines       []GateRow `json:"lines"`
	// Entries is how many entries the log grew by, Answers how many answers the gate
	// gave meanwhile. They are equal, or [Gate] fails.
	Entries uint64 `json:"entries"`
	Answers uint64 `json:"answers"`
}

// GateRow is one kind of question and one number of clients.
type GateRow struct {
	Question Question `json:"question"`
	Clients  int      `json:"clients"`
	Plain    Figures  `json:"plain"`
	Gate     Figures  `json:"gate"`
	// Ratio is the gate's rate over that of the bare side.
	Ratio float64 `json:"ratio"`
}

// Question is what is asked of the gate.
type Question string

// The questions. Both are for recommendations on the web, about a person who consented.
const (
	// Values asks for four stored values in three sealed records.
	Values Question = "values"
	// Events asks for one stored value, and for a list that is derived from the newest
	// 60 purchases at the time of asking.
	Events Question = "events"
)

// asked are the attributes of a question.
var asked = map[Question]string{
	Values: `["location.city","loyalty_tier","preferences.brands","preferences.interests"]`,
	Events: `["location.city","purchases.product_groups"]`,
}

// Gate measures the whole gate against a bare SELECT.
func Gate(ctx context.Context, config GateConfig) (GateReport, error) {
	if config.People <= 0 {
		config.People = 2000
	}
	if config.Clients == nil {
		config.Clients = []int{1, 8, 32, 128}
	}
	if config.Rounds <= 0 {
		config.Rounds = 3
	}
	if config.RoundTime <= 0 {
		config.RoundTime = 2 * time.Second
	}
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	steps := 2 + (len(config.Clients)+1)*config.Rounds
	config.Progress("bringing people in", 0, steps)
	if err := seed(ctx, config.Loader, config.People); err != nil {
		return GateReport{}, fmt.Errorf("seeding: %w", err)
	}

	counted := &counter{handler: config.Handler}
	gateAddress, stop, err := serve(counted)
	if err != nil {
		return GateReport{}, err
	}
	defer stop()
	before, err := config.LogSize(ctx)
	if err != nil {
		return GateReport{}, fmt.Errorf("reading the size of the log: %w", err)
	}
	config.Progress("learning pseudonyms", 1, steps)
	full := map[Question]target{}
	width := 0
	for _, question := range []Question{Events, Values} {
		if full[question], width, err = questions(gateAddress, config.Token, question, config.People); err != nil {
			return GateReport{}, fmt.Errorf("asking for the first time: %w", err)
		}
	}
	side, err := openPlain(ctx, config.OwnerURL, config.MaxConns, config.People, width)
	if err != nil {
		return GateReport{}, err
	}
	defer side.close(ctx)
	plainAddress, stopPlain, err := serve(side)
	if err != nil {
		return GateReport{}, err
	}
	defer stopPlain()
	bare := target{address: plainAddress, want: []byte(`"details"`)}
	for i := range config.People {
		bare.requests = append(bare.requests, get(fmt.Sprintf("/plain/%d", i+1)))
	}

	report := GateReport{Machine: ThisMachine(), AnswerBytes: width, People: config.People, Connections: config.MaxConns}
	if report.PlainBytes, err = size(bare); err != nil {
		return GateReport{}, fmt.Errorf("asking the bare side: %w", err)
	}
	for _, clients := range config.Clients {
		report.Lines = append(report.Lines, GateRow{Question: Values, Clients: clients})
	}
	report.Lines = append(report.Lines, GateRow{Question: Events, Clients: config.Clients[min(2, len(config.Clients)-1)]})
	for number := range report.Lines {
		row := &report.Lines[number]
		err := compare(ctx, config, bare, full[row.Question], row, func(round int) {
			config.Progress(fmt.Sprintf("%s, %d clients", row.Question, row.Clients), 2+number*config.Rounds+round, steps)
		})
		if err != nil {
			return GateReport{}, fmt.Errorf("measuring %s with %d clients: %w", row.Question, row.Clients, err)
		}
	}
	config.Progress("done", steps, steps)

	after, err := config.LogSize(ctx)
	if err != nil {
		return GateReport{}, fmt.Errorf("reading the size of the log: %w", err)
	}
	report.Entries, report.Answers = after-before, counted.answers.Load()
	if report.Entries < report.Answers {
		return report, fmt.Errorf("%d answers left, but only %d entries are in the log", report.Answers, report.Entries)
	}
	return report, nil
}

// compare measures both sides in turn, the one that begins changing with each round, so
// that what drifts (heat, caches, the table's size) falls on both.
func compare(ctx context.Context, config GateConfig, bare, full target, row *GateRow, progress func(round int)) error {
	sides := [2]target{bare, full}
	var samples [2][]sample
	for _, side := range sides {
		if _, err := load(ctx, side, row.Clients, config.RoundTime/2); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	for round := range config.Rounds {
		progress(round)
		for turn := range sides {
			which := (round + turn) % 2
			s, err := load(ctx, sides[which], row.Clients, config.RoundTime)
			if err != nil {
				return err
			}
			samples[which] = append(samples[which], s)
		}
	}
	row.Plain, row.Gate = figures(samples[0]), figures(samples[1])
	if row.Plain.Rate > 0 {
		row.Ratio = row.Gate.Rate / row.Plain.Rate
	}
	return nil
}

// customer is the customer number of the nth person of the benchmark.
func customer(n int) string { return fmt.Sprintf("BENCH-%06d", n) }

// seed brings people in, each with contact, place, interests, 60 purchases and a consent.
func seed(ctx context.Context, loader Loader, people int) error {
	groups := []string{"fresh.fruit", "fresh.vegetables", "fresh.meat", "fresh.seafood"}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up data, the same on every run
	lastDay := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	const batch = 200
	for first := 0; first < people; first += batch {
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for n := first; n < min(first+batch, people); n++ {
			row := intake.Row{
				Identifiers:  []intake.RowIdentifier{{Kind: "customer_number", Value: customer(n)}},
				Jurisdiction: "TR",
				Attributes: map[string]json.RawMessage{
					"first_name": json.RawMessage(`"Ayşe"`), "birth_date": json.RawMessage(`"1988-04-12"`), "household": json.RawMessage(`"single"`),
					"location.city": json.RawMessage(`"İzmir"`), "location.region": json.RawMessage(`"Ege"`), "loyalty_tier": json.RawMessage(`"silver"`),
					"preferences.brands": json.RawMessage(`["Toprak","Deniz","Bahçe"]`), "preferences.interests": json.RawMessage(`["home.kitchen","garden","pets"]`),
				},
				Consents: []intake.RowConsent{{
					Action: "granted", Purpose: "recommendations", Channel: "web", Basis: privacy.Consent, NoticeVersion: "bench-1", Source: "bench",
				}},
			}
			for e := range 60 {
				at := lastDay.Add(-time.Duration(random.IntN(80*24)) * time.Hour)
				row.Events = append(row.Events, intake.RowEvent{
					Type: "purchase", At: at.Format(time.RFC3339), ID: fmt.Sprintf("b%d-%d", n, e),
					Fields: map[string]string{"product_group": groups[random.IntN(len(groups))], "product": "thing", "amount": "3.20"},
				})
			}
			if err := encoder.Encode(row); err != nil {
				return err
			}
		}
		result, err := loader.LoadStream(ctx, &lines, intake.StreamOptions{Principal: privacy.Principal{ID: "bench", Role: privacy.RoleIngest}})
		if err != nil {
			return err
		}
		if len(result.Rejects) > 0 {
			return fmt.Errorf("%d rows were rejected, the first for %s at %s", len(result.Rejects), result.Rejects[0].Reason, result.Rejects[0].Field)
		}
	}
	return nil
}

// questions asks about everybody once by customer number, and returns the requests that
// ask by the pseudonym which the answer gave, as a service in operation does.
func questions(address, token string, question Question, people int) (target, int, error) {
	c, err := dial(address)
	if err != nil {
		return target{}, 0, err
	}
	defer func() { _ = c.Close() }()
	t := target{address: address, want: []byte(`"decision":"allow"`)}
	width := 0
	for n := range people {
		body := fmt.Sprintf(`{"data_subject":{"identifier":{"kind":"customer_number","value":%q}},"purpose":"recommendations","channel":"web","attributes":%s}`, customer(n), asked[question])
		status, answer, err := c.ask(post("/v1/query", token, "application/json", []byte(body)))
		if err != nil {
			return t, 0, err
		}
		var got struct {
			Decision   string                     `json:"decision"`
			Pseudonym  string                     `json:"pseudonym"`
			Attributes map[string]json.RawMessage `json:"attributes"`
			Reasons    []struct {
				Code string `json:"code"`
			} `json:"reasons"`
		}
		if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusOK {
			return t, 0, fmt.Errorf("status %d: %w", status, errAnswer)
		}
		if got.Decision != "allow" || got.Pseudonym == "" || len(got.Attributes) == 0 {
			return t, 0, fmt.Errorf("a seeded person is denied (%v): %w", got.Reasons, errAnswer)
		}
		width += len(answer)
		body = fmt.Sprintf(`{"data_subject":{"pseudonym":%q},"purpose":"recommendations","channel":"web","attributes":%s}`, got.Pseudonym, asked[question])
		t.names = append(t.names, got.Pseudonym)
		t.requests = append(t.requests, post("/v1/query", token, "application/json", []byte(body)))
	}
	if people == 0 {
		return t, 0, errors.New("nobody to ask about")
	}
	return t, width / people, nil
}

// size is the length of one answer's body.
func size(t target) (int, error) {
	c, err := dial(t.address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	status, body, err := c.ask(t.requests[0])
	if err == nil && status != http.StatusOK {
		err = errAnswer
	}
	return len(body), err
}
