package conformance_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/conformance"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/internal/opendsrtest"
	"github.com/mahrem/mahrem/privacy"
)

const domain = "opendsr.processor.example"

// processor is one in memory that does everything right but for one thing.
type processor struct {
	t       *testing.T
	broken  string
	address string
	signer  *opendsr.Signer
	other   *opendsr.Signer

	mu       sync.Mutex
	statuses map[opendsr.SubjectRequestID]opendsr.Status
}

func newProcessor(t *testing.T, broken string) (*processor, *opendsrtest.Authority) {
	t.Helper()
	authority := opendsrtest.NewAuthority(t, time.Now())
	p := &processor{t: t, broken: broken, signer: authority.Signer(t, domain), other: authority.Signer(t, domain), statuses: map[opendsr.SubjectRequestID]opendsr.Status{}}
	if broken == "certificate.believed" {
		p.signer = opendsrtest.NewAuthority(t, time.Now()).Signer(t, domain)
	}
	s := httptest.NewUnstartedServer(p)
	s.TLS = opendsrtest.TLS(t, authority, net.IPv4(127, 0, 0, 1))
	s.StartTLS()
	t.Cleanup(s.Close)
	p.address = s.URL
	return p, authority
}

func (p *processor) is(broken string) bool { return p.broken == broken }

func (p *processor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.URL.Path == "/certificate.pem" {
		if p.is("certificate.fetched") {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(p.signer.Chain())
		return
	}
	version, err := opendsr.ParsePathVersion(parts[0])
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if parts[1] == "discovery" {
		p.discovery(w, version)
		return
	}
	if parts[1] != version.RequestsPath() {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Header.Get("Authorization") != "Bearer token" && !p.is("request.needs_token") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method {
	case http.MethodPost:
		p.accept(w, r, version)
	case http.MethodGet:
		p.status(w, parts[2], version)
	case http.MethodDelete:
		p.cancel(w, parts[2], version)
	}
}

func (p *processor) discovery(w http.ResponseWriter, version opendsr.Version) {
	d := opendsr.Discovery{Version: version, Kinds: opendsr.Kinds(), Certificate: p.address + "/certificate.pem", Identities: []opendsr.Identity{{Type: opendsr.EmailIdentity, Format: opendsr.Raw}}}
	switch p.broken {
	case "discovery.answers":
		w.WriteHeader(http.StatusInternalServerError)
	case "discovery.shape":
		_, _ = io.WriteString(w, `{"api_version":2}`)
		return
	case "discovery.version":
		if d.Version = opendsr.V1; version == opendsr.V1 {
			d.Version = opendsr.V3
		}
	case "discovery.certificate_domain":
		d.Certificate = strings.Replace(d.Certificate, "127.0.0.1", "127.0.0.2", 1)
	}
	_, _ = w.Write(d.Encode())
}

func (p *processor) sign(w http.ResponseWriter, version opendsr.Version, status int, body []byte, broken string) {
	signer := p.signer
	if p.is(broken) {
		signer = p.other
	}
	signature, err := signer.Sign(body)
	if err != nil {
		p.t.Error(err)
	}
	w.Header().Set(version.DomainHeader(), domain)
	w.Header().Set(version.SignatureHeader(), signature)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (p *processor) refuse(w http.ResponseWriter, detail string) {
	w.WriteHeader(http.StatusBadRequest)
	switch p.broken {
	case "error.shape":
		_, _ = io.WriteString(w, "no")
	case "error.no_identity":
		_, _ = w.Write(opendsr.EncodeError(400, &opendsr.Refusal{Check: "x", Reason: "bad: " + detail}))
	default:
		_, _ = w.Write(opendsr.EncodeError(400, &opendsr.Refusal{Check: "x", Reason: "bad"}))
	}
}

func (p *processor) accept(w http.ResponseWriter, r *http.Request, version opendsr.Version) {
	body, _ := io.ReadAll(r.Body)
	request, err := opendsr.ParseRequest(version, body)
	refusal, _ := errors.AsType[*opendsr.Refusal](err)
	lenient := refusal != nil && (p.is("request.broken_refused") && refusal.Check == opendsr.CheckBody ||
		p.is("request.incomplete_refused") && strings.HasPrefix(refusal.Reason, "submitted_time") ||
		p.is("request.bad_id_refused") && strings.HasPrefix(refusal.Reason, "subject_request_id") ||
		p.is("request.bad_type_refused") && refusal.Check == opendsr.CheckKind)
	if _, known := p.statuses[request.ID]; err == nil && known && !p.is("request.duplicate_refused") {
		p.refuse(w, request.Identities[0].Value.RevealPersonalData())
		return
	}
	if err != nil && !lenient || p.is("request.created") {
		p.refuse(w, string(body))
		return
	}
	now := time.Now()
	accepted := opendsr.Accepted{ControllerID: "c", ID: request.ID, ReceivedAt: now, ExpectedAt: now.Add(time.Hour), Encoded: body}
	switch p.broken {
	case "request.echoes_id":
		accepted.ID[0] ^= 1
	case "request.encodes_request":
		accepted.Encoded = append([]byte(" "), body...)
	case "request.expected_later":
		accepted.ExpectedAt = now.Add(-time.Hour)
	case "request.shape":
		p.sign(w, version, http.StatusCreated, []byte(`{}`), "")
		p.statuses[request.ID] = opendsr.Pending
		return
	}
	p.statuses[request.ID] = opendsr.Pending
	if p.is("status.is_pending") {
		p.statuses[request.ID] = opendsr.Completed
	}
	p.sign(w, version, http.StatusCreated, accepted.Encode(), "request.signed")
}

func (p *processor) status(w http.ResponseWriter, text string, version opendsr.Version) {
	id, _ := opendsr.ParseSubjectRequestID(text)
	status, known := p.statuses[id]
	if !known && p.is("status.unknown_refused") {
		status, known = opendsr.Pending, true
	}
	if !known || p.is("status.answers") {
		p.refuse(w, "")
		return
	}
	report := opendsr.Report{ControllerID: "c", ID: id, Status: status, ExpectedAt: time.Now().Add(time.Hour)}
	if p.is("status.shape") {
		report.Status = "fulfilled"
	}
	p.sign(w, version, http.StatusOK, report.Encode(), "status.signed")
}

func (p *processor) cancel(w http.ResponseWriter, text string, version opendsr.Version) {
	id, _ := opendsr.ParseSubjectRequestID(text)
	if p.statuses[id] != opendsr.Pending && !p.is("cancel.twice_refused") || p.is("cancel.accepted") {
		p.refuse(w, "")
		return
	}
	if !p.is("cancel.seen_in_status") {
		p.statuses[id] = opendsr.Cancelled
	}
	body := opendsr.Cancellation{ControllerID: "c", ID: id, ReceivedAt: time.Now()}.Encode()
	if p.is("cancel.shape") {
		body = []byte(`{"controller_id":"c"}`)
	}
	p.sign(w, version, http.StatusAccepted, body, "cancel.signed")
}

func examine(t *testing.T, broken string, version opendsr.Version) conformance.Report {
	t.Helper()
	p, authority := newProcessor(t, broken)
	report, err := conformance.Run(t.Context(), courier.New(courier.Config{DangerPrivateAddresses: true, Timeout: 5 * time.Minute}), conformance.Config{
		Base: p.address, Domain: domain, Version: version, Token: "token", Roots: authority.Roots(),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAGoodProcessorConforms(t *testing.T) {
	t.Parallel()
	for _, version := range opendsr.Versions() {
		report := examine(t, "", version)
		if !report.Conforms() || report.Count(conformance.Passed) != len(conformance.Names()) {
			t.Errorf("%s: %+v", version, report)
		}
	}
}

// TestEachFaultIsFound breaks one thing each, in the name of the check that must find it.
func TestEachFaultIsFound(t *testing.T) {
	t.Parallel()
	// What cannot be checked any more, and what else one fault is.
	also := map[string][]string{
		"discovery.certificate_domain": {"certificate.fetched"}, // nobody is there
		"certificate.believed":         {"request.signed", "status.signed", "cancel.signed"},
		"cancel.seen_in_status":        {"cancel.twice_refused"},
		"status.shape":                 {"cancel.seen_in_status"},
	}
	for _, name := range conformance.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := examine(t, name, opendsr.V2)
			var failed []string
			for _, check := range report.Checks {
				if check.Result == conformance.Failed {
					failed = append(failed, check.Name)
					if check.Detail == "" || check.Section == "" {
						t.Errorf("%s says nothing", check.Name)
					}
				}
				if strings.Contains(check.Detail, "example.invalid") {
					t.Errorf("%s repeats the identity", check.Name)
				}
			}
			want := append([]string{name}, also[name]...)
			slices.Sort(want)
			slices.Sort(failed)
			if diff := cmp.Diff(want, failed); diff != "" {
				t.Errorf("(-want +failed)\n%s", diff)
			}
			if report.Conforms() {
				t.Error("it conforms all the same")
			}
		})
	}
}

func TestNothingToCheck(t *testing.T) {
	t.Parallel()
	c := courier.New(courier.Config{})
	for _, config := range []conformance.Config{
		{Base: "http://example.com", Version: opendsr.V2},
		{Base: "https://example.com", Version: "9"},
		{Base: "https://example.com", Domain: "-", Version: opendsr.V2},
	} {
		if _, err := conformance.Run(t.Context(), c, config, nil); !errors.Is(err, privacy.ErrInvalid) && !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%+v: %v", config, err)
		}
	}
	// Nobody there: everything after the first check is skipped, and that is no conformity.
	report, err := conformance.Run(t.Context(), c, conformance.Config{Base: "https://127.0.0.1:1", Domain: domain, Version: opendsr.V2}, nil)
	if err != nil || report.Conforms() || report.Count(conformance.Failed) != 1 || report.Count(conformance.Skipped) != len(conformance.Names())-1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func ExampleReport_Conforms() {
	report := conformance.Report{Checks: []conformance.Check{{Name: "discovery.answers", Section: "6", Result: conformance.Failed}}}
	fmt.Println(report.Conforms())
	// Output: false
}
