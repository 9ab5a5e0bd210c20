package assembly

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/opendsrtest"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// party is a house with an address at which others reach it.
type party struct {
	*House
	t       *testing.T
	address string
	worker  *outbox.Worker
	lose    atomic.Bool // the next answers get lost
}

const processorDomain = "opendsr.processor.example"

// newParty opens a house that is served at an address; with a domain it is a processor.
func newParty(t *testing.T, authority *opendsrtest.Authority, domain string) *party {
	t.Helper()
	p := &party{t: t}
	var handler atomic.Pointer[server.Server]
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.lose.Load() {
			handler.Load().ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		handler.Load().ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = opendsrtest.TLS(t, authority, net.IPv4(127, 0, 0, 1))
	p.address = "https://" + s.Listener.Addr().String()

	database := pgtest.NewEmpty(t)
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL(), PublicURL: p.address})
	if err != nil {
		t.Fatal(err)
	}
	settings.DangerOpenDSRPrivateAddresses = true
	options := Options{Logger: slog.New(slog.DiscardHandler), Database: nil}
	house, err := Init(t.Context(), settings, options, Operator("tester"))
	if err != nil {
		t.Fatal(err)
	}
	if domain != "" {
		key, chain := authority.Pair(t, domain)
		if err := errors.Join(house.Keys.SetOpenDSRKey(key), house.Keys.SetOpenDSRCertificate(chain), house.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if house, err = Open(t.Context(), settings, options); err != nil {
			t.Fatal(err)
		}
	}
	p.House = house
	api, err := house.Server(server.Config{Log: slog.New(slog.DiscardHandler), PublicURL: p.address, RequestTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	handler.Store(api)
	s.StartTLS()
	t.Cleanup(func() {
		s.Close()
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	p.worker, err = outbox.NewWorker(house.Outbox, house.Keys.Vault(), house.senders,
		outbox.Config{SendTimeout: time.Minute, Backoff: outbox.Backoff{First: time.Millisecond, Longest: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *party) load(line string) {
	p.t.Helper()
	result, err := p.Loader.LoadStream(p.t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		p.t.Fatal(result.Rejects, err)
	}
}

// send has the outbox make one attempt at everything that is due.
func (p *party) send() (arrived, failed int) {
	p.t.Helper()
	time.Sleep(5 * time.Millisecond)
	arrived, failed, err := p.worker.Once(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return arrived, failed
}

func (p *party) open(kind dsar.Kind) dsar.Request {
	p.t.Helper()
	opened, err := p.Requests.Open(p.t.Context(), Operator("tester"), dsar.Opening{
		Kind: kind, Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaCLI,
		Identifiers: []privacy.Identifier{{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("K-1")}, {Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.org")}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return opened.Request
}

func (p *party) take(id dsar.RequestID, move dsar.Move) {
	p.t.Helper()
	if _, _, err := p.Requests.Take(p.t.Context(), Operator("tester"), id, move); err != nil {
		p.t.Fatal(err)
	}
}

// tell has processors told, in a transaction that may fail.
func (p *party) tell(r dsar.Request, fail error) int {
	p.t.Helper()
	told := 0
	_, err := p.Log.AppendTx(p.t.Context(), audit.Event{Kind: audit.PersonErased, Outcome: audit.Done, Principal: Operator("tester"), Subject: audit.Subject{Unknown: true}},
		func(ctx context.Context, tx pgx.Tx) (err error) {
			if told, err = p.OpenDSR.Teller.TellTx(ctx, tx, r.ID, r.DataSubject); err != nil {
				return err
			}
			return fail
		})
	if !errors.Is(err, fail) {
		p.t.Fatal(err)
	}
	return told
}

func (p *party) task(r dsar.Request) opendsr.Task {
	p.t.Helper()
	tasks, err := p.OpenDSR.Processors.Tasks(p.t.Context(), r.ID)
	if err != nil || len(tasks) != 1 {
		p.t.Fatal(tasks, err)
	}
	return tasks[0]
}

func (p *party) wantTask(r dsar.Request, want opendsr.TaskState) {
	p.t.Helper()
	if task := p.task(r); task.State != want {
		p.t.Errorf("the task is %s, want %s", task.State, want)
	}
}

// theirs is the one request that a controller sent which is still open.
func (p *party) theirs() dsar.Request {
	p.t.Helper()
	page, err := p.Requests.Queue(p.t.Context(), Operator("tester"), dsar.Filter{}, 10)
	if err != nil || len(page.Requests) != 1 || page.Requests[0].Via != dsar.ViaOpenDSR {
		p.t.Fatalf("%+v, %v", page, err)
	}
	return page.Requests[0]
}

// pair is a shop that passes requests on, and the processor whom it passes them to.
func pair(t *testing.T, version opendsr.Version) (shop, processor *party, authority *opendsrtest.Authority) {
	t.Helper()
	authority = opendsrtest.NewAuthority(t, time.Now())
	shop, processor = newParty(t, authority, ""), newParty(t, authority, processorDomain)
	const line = `{"identifiers":[{"kind":"customer_number","value":"K-1"},{"kind":"email","value":"ayse@example.org"}],"jurisdiction":"CZ","attributes":{"first_name":"Ayşe"}}`
	shop.load(line)
	processor.load(strings.Replace(line, "K-1", "P-77", 1))

	event := audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done, Principal: Operator("tester")}
	_, err := processor.OpenDSR.Controllers.AddController(t.Context(), opendsr.Controller{
		ID: "shop", Recipient: "web_shop", Callbacks: []string{shop.address + callbackPath}, Roots: string(authority.PEM()), Jurisdiction: "CZ", Language: "cs",
	}, event)
	if err != nil {
		t.Fatal(err)
	}
	minted, err := processor.Tokens.Mint(privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := shop.Keys.Vault().SealHouse(opendsr.TokenLabel("newsletter"), []byte(minted.Token))
	if err != nil {
		t.Fatal(err)
	}
	added, _, err := shop.OpenDSR.Courier.Register(t.Context(), opendsr.Processor{
		ID: "newsletter", Recipient: "newsletter_service", Domain: processorDomain, Base: processor.address + "/opendsr", Version: version,
		Roots: string(authority.PEM()), EmailFormat: opendsr.Raw, SealedToken: sealed,
	}, minted.Token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.OpenDSR.Processors.Add(t.Context(), added, event); err != nil {
		t.Fatal(err)
	}
	return shop, processor, authority
}

func mustTasks(t *testing.T, p *party, r dsar.Request) []opendsr.Task {
	t.Helper()
	tasks, err := p.OpenDSR.Processors.Tasks(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

// setCertificate is what the registry has until somebody fetches another one; the listener
// fetches none any more, because it just did.
func setCertificate(t *testing.T, p *party, chain []byte) {
	t.Helper()
	event := audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done}
	if _, err := p.OpenDSR.Processors.SetCertificate(t.Context(), "newsletter", string(chain), event); err != nil {
		t.Fatal(err)
	}
	listener, err := opendsr.NewListener(p.OpenDSR.Processors, p.Log, opendsr.ListenerConfig{CallbackURL: p.address + callbackPath, RefusalsAMinute: 1000})
	if err != nil {
		t.Fatal(err)
	}
	p.OpenDSR.Listener = listener
}

func expired(t *testing.T, authority *opendsrtest.Authority) []byte {
	t.Helper()
	key := opendsrtest.NewKey(t)
	return opendsrtest.Encode(authority.Issue(t, key.Public(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, processorDomain))
}
