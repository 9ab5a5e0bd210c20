package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// AccessConfig says which servers are asked whether something is allowed (AuthZEN). Both
// are whole APIs, as they are served, and get the same token.
type AccessConfig struct {
	// Fixture decides by the fixture of the AuthZEN certification, with no database:
	// what the protocol and the rules cost by themselves.
	Fixture http.Handler
	// People decides about people, with a log.
	People http.Handler
	// Token is a bearer token of a service that speaks for [Recipient].
	Token string
	// Loader seeds the people that are asked about, Number how many; zero means 1,000.
	Loader Loader
	Number int
	// Clients are the numbers of clients for the fixture and for people; zero means 16
	// and 128. More share a commit of the log, and the fixture needs none.
	Clients [2]int
	// LogSize is how many entries the log has, to hold against the answers.
	LogSize func(ctx context.Context) (uint64, error)
}

// fixtureQuestions are allowed by the fixture.
var fixtureQuestions = []string{
	`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
	`{"subject":{"type":"user","id":"bob"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
	`{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},"action":{"name":"write"},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}}}`,
	`{"subject":{"type":"user","id":"alice"},"action":{"name":"delete","properties":{"soft":true}},"resource":{"type":"record","id":"record-1"}}`,
}

// measureAuthZEN measures single evaluations over HTTP on loopback, with the client on
// the same machine.
func measureAuthZEN(ctx context.Context, on policyBench) ([]Row, error) {
	config := on.PolicyConfig
	access := config.Access
	if access == nil {
		return nil, nil
	}
	if access.Number <= 0 {
		access.Number = 1000
	}
	for i, clients := range [...]int{16, 128} {
		if access.Clients[i] <= 0 {
			access.Clients[i] = clients
		}
	}
	fixture, err := access.fixture(ctx, config.Time)
	if err != nil {
		return nil, err
	}
	people, err := access.people(ctx, config.Time)
	return append(fixture, people...), err
}

func (a *AccessConfig) fixture(ctx context.Context, length time.Duration) ([]Row, error) {
	address, stop, err := serve(a.Fixture)
	if err != nil {
		return nil, err
	}
	defer stop()
	t := target{address: address, want: []byte(`{"decision":true}`)}
	for _, question := range fixtureQuestions {
		t.requests = append(t.requests, post("/access/v1/evaluation", a.Token, "application/json", []byte(question)))
	}
	f, err := measureRate(ctx, t, a.Clients[0], length)
	if err != nil {
		return nil, fmt.Errorf("asking the fixture: %w", err)
	}
	return []Row{
		Row{What: "AuthZEN evaluation over HTTP, rules alone", Figure: f.Rate, Unit: "/s", Note: latencyNote(a.Clients[0], f)}.atLeast(15_000),
	}, nil
}

// people measures evaluations of people who agreed, and the same as a batch of queries.
func (a *AccessConfig) people(ctx context.Context, length time.Duration) ([]Row, error) {
	if err := seed(ctx, a.Loader, a.Number); err != nil {
		return nil, fmt.Errorf("seeding: %w", err)
	}
	counted := &counter{handler: a.People}
	address, stop, err := serve(counted)
	if err != nil {
		return nil, err
	}
	defer stop()
	known, _, err := questions(address, a.Token, Values, a.Number)
	if err != nil {
		return nil, fmt.Errorf("asking for the first time: %w", err)
	}
	before, err := a.LogSize(ctx)
	if err != nil {
		return nil, err
	}
	answered := counted.answers.Load()
	t := target{address: address, want: []byte(`{"decision":true,`)}
	batches := target{address: address, want: []byte(`"decision":"allow"`), pieces: 100}
	var lines strings.Builder
	for i, name := range known.names {
		question := fmt.Sprintf(`{"subject":{"type":"service","id":%q},"action":{"name":"personalize","properties":{"purpose":"recommendations"}},`+
			`"resource":{"type":"profile","id":%q,"properties":{"attributes":%s}},"context":{"channel":"web"}}`, Recipient, name, asked[Values])
		t.requests = append(t.requests, post("/access/v1/evaluation", a.Token, "application/json", []byte(question)))
		fmt.Fprintf(&lines, `{"data_subject":{"pseudonym":%q},"purpose":"recommendations","channel":"web","attributes":%s}`+"\n", name, asked[Values])
		if (i+1)%batches.pieces == 0 {
			batches.requests = append(batches.requests, post("/v1/query:batch", a.Token, "application/x-ndjson", []byte(lines.String())))
			lines.Reset()
		}
	}
	f, err := measureRate(ctx, t, a.Clients[1], length)
	if err != nil {
		return nil, fmt.Errorf("asking about people: %w", err)
	}
	after, err := a.LogSize(ctx)
	if err != nil {
		return nil, err
	}
	if given := counted.answers.Load() - answered; after-before < given {
		return nil, fmt.Errorf("%d decisions left, but only %d entries are in the log: %w", given, after-before, errAnswer)
	}
	rows := []Row{{What: "AuthZEN evaluation over HTTP, about people and logged", Figure: f.Rate, Unit: "/s", Note: latencyNote(a.Clients[1], f)}}
	if len(batches.requests) == 0 {
		return rows, nil
	}
	const callers = 4
	if f, err = measureRate(ctx, batches, callers, length); err != nil {
		return nil, fmt.Errorf("asking in batches: %w", err)
	}
	return append(rows, Row{
		What: "questions in batches of 100", Figure: f.Rate * float64(batches.pieces), Unit: "/s", Note: latencyNote(callers, f) + " a batch",
	}), nil
}

// rate is how fast a server answers, and what an answer costs this process, which is
// client and server. That says more than the rate where others share the machine.
type rate struct {
	Figures
	work time.Duration
}

func latencyNote(clients int, r rate) string {
	return fmt.Sprintf("%d clients, p50 %s, p99 %s, %d µs of work for client and server",
		clients, milliseconds(r.P50), milliseconds(r.P99), r.work.Microseconds())
}

// measureRate asks from so many clients, a warm-up before, and returns the best of three
// rounds.
func measureRate(ctx context.Context, t target, clients int, length time.Duration) (rate, error) {
	if _, err := load(ctx, t, clients, length/4); err != nil {
		return rate{}, err
	}
	var best rate
	for range 3 {
		before := processTime()
		s, err := load(ctx, t, clients, length/2)
		if err != nil {
			return rate{}, err
		}
		if f := figures([]sample{s}); f.Rate > best.Rate {
			best = rate{f, (processTime() - before) / time.Duration(f.Answers)}
		}
	}
	if best.Answers == 0 {
		return rate{}, errors.New("nothing was answered")
	}
	return best, nil
}

// processTime is what this process has worked so far.
func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
