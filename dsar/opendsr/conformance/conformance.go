// Package conformance checks how somebody else's processor speaks OpenDSR.
//
// It discovers the processor, hands it one request about nobody (an address under
// example.invalid, which cannot exist: RFC 2606), asks how it stands, takes it back, and
// sends what must be refused in between. Each check has a name and the section that it
// comes from. It never asks for an erasure if the processor takes a request for access.
package conformance

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/privacy"
)

// Config says whom to check.
type Config struct {
	// Base is the address below which the versions of the protocol are.
	Base string
	// Domain is the domain in whose name the processor signs. Empty: the host of Base.
	Domain  string
	Version opendsr.Version
	// Token, if the processor wants one.
	Token string
	// Roots are the authorities that are believed. Nil means those of the machine.
	Roots *x509.CertPool
	// Callback is an address to name in the request; empty: none.
	Callback string
	// Now is the clock, and Random where ids come from; nil means time.Now and crypto/rand.
	Now    func() time.Time
	Random io.Reader
}

// Result is how a check went.
type Result string

// The results. A check is skipped when one before it makes it pointless, or when the
// processor does not do what it is about.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// Check is one check.
type Check struct {
	Name    string `json:"check"`
	Section string `json:"section"`
	Result  Result `json:"result"`
	// Detail says what was wrong, or why it was skipped. It repeats nothing that the
	// processor sent.
	Detail string `json:"detail,omitempty"`
}

// Report is everything that was checked.
type Report struct {
	Checks []Check `json:"checks"`
}

// Count returns how many checks went that way.
func (r *Report) Count(result Result) int {
	n := 0
	for _, c := range r.Checks {
		if c.Result == result {
			n++
		}
	}
	return n
}

// Conforms reports whether no check failed and the processor was there to be checked.
func (r *Report) Conforms() bool { return r.Count(Failed) == 0 && r.Count(Passed) > 0 }

// names are all checks in the order in which they are made, with the sections of the
// specification.
var names = []struct{ name, section string }{
	{"discovery.answers", "6"},
	{"discovery.shape", "6.3"},
	{"discovery.version", "6.3"},
	{"discovery.certificate_domain", "6.3"},
	{"certificate.fetched", "6.3"},
	{"certificate.believed", "4.1"},
	{"request.created", "7.3"},
	{"request.signed", "7.3"},
	{"request.shape", "7.3"},
	{"request.echoes_id", "7.3"},
	{"request.encodes_request", "7.3"},
	{"request.expected_later", "7.3"},
	{"request.needs_token", "4.3"},
	{"request.duplicate_refused", "7.5"},
	{"request.broken_refused", "7.5"},
	{"request.incomplete_refused", "7.5"},
	{"request.bad_id_refused", "1.1"},
	{"request.bad_type_refused", "6.2"},
	{"error.shape", "7.6"},
	{"error.no_identity", "7.6"},
	{"status.answers", "8.1"},
	{"status.signed", "8.3"},
	{"status.shape", "8.3"},
	{"status.is_pending", "8"},
	{"status.unknown_refused", "8.1"},
	{"cancel.accepted", "9.2"},
	{"cancel.signed", "9.2"},
	{"cancel.shape", "9.2"},
	{"cancel.seen_in_status", "9"},
	{"cancel.twice_refused", "9"},
}

// Names lists the checks, for documents and those who print them.
func Names() []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n.name
	}
	return out
}

// run is one examination.
type run struct {
	courier *courier.Courier
	config  Config
	place   courier.Place
	done    map[string]Check
	secret  string // the address that must not come back
	chain   []*x509.Certificate
	// What the processor supports, and is asked for.
	kind     dsar.Kind
	identity opendsr.Identity
}

// Run makes all checks. progress, if not nil, is told of each. The error wraps
// [privacy.ErrInvalid] if there is nothing that can be checked.
func Run(ctx context.Context, c *courier.Courier, config Config, progress func(Check)) (Report, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	r := &run{courier: c, config: config, done: map[string]Check{}}
	if err := r.prepare(); err != nil {
		return Report{}, err
	}
	if r.discover(ctx) {
		r.exchange(ctx)
	}
	var report Report
	for _, n := range names {
		check, ok := r.done[n.name]
		if !ok {
			check = Check{Name: n.name, Result: Skipped, Detail: "a check before this one failed"}
		}
		check.Section = n.section
		report.Checks = append(report.Checks, check)
		if progress != nil {
			progress(check)
		}
	}
	return report, ctx.Err()
}

func (r *run) prepare() error {
	if err := opendsr.CheckCallbackURL(r.config.Base); err != nil {
		return fmt.Errorf("checking a processor: its address must be https: %w", privacy.ErrInvalid)
	}
	if _, err := opendsr.ParseVersion(string(r.config.Version)); err != nil {
		return fmt.Errorf("checking a processor: %w", err)
	}
	if r.config.Domain == "" {
		r.config.Domain = hostOf(r.config.Base)
	}
	domain, err := opendsr.ParseDomain(r.config.Domain)
	if err != nil {
		return fmt.Errorf("checking a processor: name the domain in whose name it signs: %w", err)
	}
	r.place = courier.Place{Base: r.config.Base, Domain: domain, Version: r.config.Version, Roots: r.config.Roots, Token: r.config.Token}
	id, err := r.newID()
	if err != nil {
		return err
	}
	r.secret = "conformance-" + id.String()[:8] + "@example.invalid"
	return nil
}

func (r *run) newID() (opendsr.SubjectRequestID, error) {
	id, err := dsar.NewRequestID(r.config.Random)
	return opendsr.SubjectRequestID(id), err
}

// check notes how a check went, and reports whether it passed.
func (r *run) check(name string, passed bool, detail string) bool {
	if !slices.ContainsFunc(names, func(n struct{ name, section string }) bool { return n.name == name }) {
		panic("conformance: a check that is not in the list: " + name)
	}
	c := Check{Name: name, Result: Passed}
	if !passed {
		c.Result, c.Detail = Failed, detail
	}
	r.done[name] = c
	return passed
}

func (r *run) skip(why string, list ...string) {
	for _, name := range list {
		r.done[name] = Check{Name: name, Result: Skipped, Detail: why}
	}
}

// said is a detail for an error of ours; it holds nothing that came from outside.
func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func hostOf(address string) string {
	host := strings.TrimPrefix(address, "https://")
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

// isRefusal reports whether a status says no: 400 as the protocol has it, or the status
// that HTTP has for the case.
func isRefusal(status int, also ...int) bool {
	return status == http.StatusBadRequest || slices.Contains(also, status)
}
