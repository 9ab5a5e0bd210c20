package iys_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/consent/iys/client"
	"github.com/mahrem/mahrem/internal/iystest"
	"github.com/mahrem/mahrem/privacy"
)

// now is a Wednesday at noon in Turkey, in a week without holidays.
var now = time.Date(2026, time.November, 18, 12, 0, 0, 0, iys.Place)

const (
	phone = "+905321112233"
	mail  = "ayse@example.com"
)

func date(text string) time.Time {
	at, err := iys.ParseTime(text)
	if err != nil {
		panic(err)
	}
	return at
}

// taken is a consent that the registry takes.
func taken() iys.Consent {
	return iys.Consent{
		Type: iys.Message, Recipient: privacy.NewPlain(phone), RecipientType: iys.Individual,
		Status: iys.Approved, Source: iys.Web, At: date("2026-11-17 09:30:00"),
	}
}

// ruleCase is a history and what is reported then.
type ruleCase struct {
	name      string
	before    []iystest.Record
	change    func(*iys.Consent)
	activated time.Time
	want      []iys.Rule
	code      string
}

func held(status, at string) []iystest.Record {
	return []iystest.Record{{Recipient: phone, RecipientType: "BIREYSEL", Type: "MESAJ", Status: status, ConsentDate: at, Source: "HS_WEB"}}
}

func says(status iys.Status) func(*iys.Consent) { return func(c *iys.Consent) { c.Status = status } }

func at(text string) func(*iys.Consent) { return func(c *iys.Consent) { c.At = date(text) } }

func ruleCases() []ruleCase {
	notActive := now.Add(24 * time.Hour)
	return []ruleCase{
		{name: "a first approval", change: says(iys.Approved)},
		{name: "a first refusal", change: says(iys.Refused), want: []iys.Rule{iys.NoFirstRefusal}},
		{name: "a refusal after an approval", before: held("ONAY", "2026-11-16 10:00:00"), change: says(iys.Refused)},
		{name: "an approval after a refusal", before: held("RET", "2026-11-16 10:00:00"), change: says(iys.Approved)},
		{name: "an approval after an approval", before: held("ONAY", "2026-11-16 10:00:00"), change: says(iys.Approved), want: []iys.Rule{iys.NoRepetition}},
		{name: "a refusal after a refusal", before: held("RET", "2026-11-16 10:00:00"), change: says(iys.Refused), want: []iys.Rule{iys.NoRepetition}},
		{name: "older than what is held", before: held("RET", "2026-11-17 09:30:01"), change: says(iys.Approved), want: []iys.Rule{iys.LaterThanStored}},
		{name: "as old as what is held", before: held("RET", "2026-11-17 09:30:00"), change: says(iys.Approved), want: []iys.Rule{iys.LaterThanStored}},
		{name: "a second later than what is held", before: held("RET", "2026-11-17 09:29:59"), change: says(iys.Approved)},
		{
			name: "held for another type", before: []iystest.Record{{Recipient: phone, RecipientType: "BIREYSEL", Type: "ARAMA", Status: "ONAY", ConsentDate: "2026-11-16 10:00:00"}},
			change: says(iys.Refused), want: []iys.Rule{iys.NoFirstRefusal},
		},
		{
			name: "held as a merchant", before: []iystest.Record{{Recipient: phone, RecipientType: "TACIR", Type: "MESAJ", Status: "ONAY"}},
			change: says(iys.Approved),
		},
		{name: "RED is no status", change: says("RED"), want: []iys.Rule{iys.KnownStatus}},
		{name: "no status", change: says(""), want: []iys.Rule{iys.KnownStatus}},
		{name: "no type", change: func(c *iys.Consent) { c.Type = "" }, want: []iys.Rule{iys.KnownType}, code: "H111"},
		{name: "another type", change: func(c *iys.Consent) { c.Type = "FAKS" }, want: []iys.Rule{iys.KnownType}, code: "H111"},
		{name: "no source", change: func(c *iys.Consent) { c.Source = "" }, want: []iys.Rule{iys.KnownSource}, code: "H113"},
		{name: "another source", change: func(c *iys.Consent) { c.Source = "HS_FAKS" }, want: []iys.Rule{iys.KnownSource}, code: "H113"},
		{name: "the registry's source", change: func(c *iys.Consent) { c.Source = "IYS_WEB" }, want: []iys.Rule{iys.NoRegistrySource}, code: "H113"},
		{name: "no recipient", change: func(c *iys.Consent) { c.Recipient = privacy.Plain{} }, want: []iys.Rule{iys.KnownRecipient}, code: "H114"},
		{name: "a phone number without a country", change: func(c *iys.Consent) { c.Recipient = privacy.NewPlain("05321112233") }, want: []iys.Rule{iys.KnownRecipient}, code: "H114"},
		{name: "an address for a message", change: func(c *iys.Consent) { c.Recipient = privacy.NewPlain(mail) }, want: []iys.Rule{iys.KnownRecipient}, code: "H114"},
		{name: "a phone number for an e-mail", change: func(c *iys.Consent) { c.Type = iys.Email }, want: []iys.Rule{iys.KnownRecipient}, code: "H114"},
		{name: "an e-mail", change: func(c *iys.Consent) { c.Type, c.Recipient = iys.Email, privacy.NewPlain(mail) }},
		{name: "a call", change: func(c *iys.Consent) { c.Type = iys.Call }},
		{name: "another kind of recipient", change: func(c *iys.Consent) { c.RecipientType = "KURUM" }, want: []iys.Rule{iys.KnownRecipientType}},
		{name: "without a date", change: func(c *iys.Consent) { c.At = time.Time{} }, want: []iys.Rule{iys.GivenDate}},
		{name: "this very second", change: at("2026-11-18 12:00:00")},
		{name: "a second ahead", change: at("2026-11-18 12:00:01"), want: []iys.Rule{iys.NotInFuture}},
		{name: "the first moment, before activation", change: at("2015-05-01 00:00:00"), activated: notActive},
		{name: "a second before the first moment", change: at("2015-04-30 23:59:59"), activated: notActive, want: []iys.Rule{iys.NotBefore2015}, code: "H155"},
		{
			name: "HS_2015 with its date", activated: notActive,
			change: func(c *iys.Consent) { c.Source, c.At = iys.Before2015, iys.Epoch },
		},
		{
			name: "HS_2015 with another date", activated: notActive,
			change: func(c *iys.Consent) { c.Source, c.At = iys.Before2015, date("2015-05-01 00:00:01") }, want: []iys.Rule{iys.SourceBefore2015},
		},
		{
			name: "HS_2015 after activation", change: func(c *iys.Consent) { c.Source, c.At = iys.Before2015, iys.Epoch },
			want: []iys.Rule{iys.WithinThreeDays},
		},
		{name: "old, before activation", change: at("2019-01-01 10:00:00"), activated: notActive},
		{name: "old, after activation", change: at("2019-01-01 10:00:00"), want: []iys.Rule{iys.WithinThreeDays}},
		{name: "three business days", change: at("2026-11-13 12:00:00")},
		{name: "a second more than three business days", change: at("2026-11-13 11:59:59"), want: []iys.Rule{iys.WithinThreeDays}},
		{name: "given on a Sunday", change: at("2026-11-15 12:00:00")},
		{
			name:   "a merchant without date and source",
			change: func(c *iys.Consent) { c.RecipientType, c.At, c.Source = iys.Merchant, time.Time{}, "" },
		},
		{
			name: "a merchant's first refusal", want: []iys.Rule{iys.NoFirstRefusal},
			change: func(c *iys.Consent) {
				c.RecipientType, c.At, c.Source, c.Status = iys.Merchant, time.Time{}, "", iys.Refused
			},
		},
		{
			name: "a merchant with another source", change: func(c *iys.Consent) { c.RecipientType, c.Source = iys.Merchant, "HS_FAKS" },
			want: []iys.Rule{iys.KnownSource}, code: "H113",
		},
		{name: "a dealer", change: func(c *iys.Consent) { c.RetailerCode, c.RetailerAccess = 11223344, []int64{22233344} }},
		{
			name: "nothing right", change: func(c *iys.Consent) { *c = iys.Consent{} },
			want: []iys.Rule{iys.KnownType, iys.KnownRecipient, iys.KnownRecipientType, iys.KnownStatus, iys.KnownSource, iys.GivenDate}, code: "H111",
		},
	}
}

// newRegistry serves a registry with the history of a case.
func newRegistry(t *testing.T, c ruleCase) (*iystest.Registry, *client.Client) {
	t.Helper()
	registry := &iystest.Registry{
		Now: func() time.Time { return now }, Activated: c.activated, TokenLife: 24 * time.Hour,
		// Friday at noon is three business days before Wednesday at noon.
		Oldest: func(time.Time) time.Time { return date("2026-11-13 12:00:00") },
	}
	for _, record := range c.before {
		registry.Put(record)
	}
	server := httptest.NewServer(registry.Handler())
	t.Cleanup(server.Close)
	registryClient, err := client.New(
		client.Account{Code: 100, Brand: 200, User: privacy.NewPlain("user"), Password: privacy.NewPlain("secret")},
		client.Config{Address: server.URL, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return registry, registryClient
}

func registered(registry *iystest.Registry, c *iys.Consent) iys.Registered {
	record, ok := registry.Held(c.Recipient.RevealPersonalData(), string(c.RecipientType), string(c.Type))
	if !ok {
		return iys.Registered{}
	}
	r := iys.Registered{Status: iys.Status(record.Status)}
	if record.ConsentDate != "" {
		r.At = date(record.ConsentDate)
	}
	return r
}

// TestRules: what we say before sending is what the registry says afterwards, with its
// codes where it has any, for each rule, one by one and as a batch.
func TestRules(t *testing.T) {
	t.Parallel()
	seen := map[iys.Rule]bool{}
	for _, c := range ruleCases() {
		for _, rule := range c.want {
			seen[rule] = true
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			registry, registryClient := newRegistry(t, c)
			said := taken()
			c.change(&said)
			got, err := iys.Check(&said, registered(registry, &said), iys.Terms{Now: now, Activated: c.activated})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("broken rules (-want +got):\n%s", diff)
			}
			request, err := registryClient.Submit(t.Context(), []iys.Consent{said})
			if err != nil {
				t.Fatal(err)
			}
			results, err := registryClient.Results(t.Context(), request, 1)
			if err != nil || len(results) != 1 {
				t.Fatalf("results: %v, %v", results, err)
			}
			if taken := results[0].Taken; taken != (len(c.want) == 0) {
				t.Errorf("in a batch the registry takes it: %t", taken)
			}
			if len(c.want) == 0 {
				return
			}
			_, err = registryClient.Add(t.Context(), &said)
			refusal, ok := client.IsRefusal(err)
			if !ok {
				t.Fatalf("alone it is answered with %v, want a refusal", err)
			}
			checkRefusal(t, refusal, c)
		})
	}
	for _, rule := range iys.Rules() {
		if !seen[rule] {
			t.Errorf("no case breaks %s", rule)
		}
		if rule.Field() == "" {
			t.Errorf("%s is about no field", rule)
		}
	}
}

func checkRefusal(t *testing.T, refusal *client.Refusal, c ruleCase) {
	t.Helper()
	if refusal.Status != 422 {
		t.Errorf("answered %d, want 422", refusal.Status)
	}
	var want, got []string
	for _, rule := range c.want {
		code := rule.Code()
		if code == "" {
			code = iystest.NoCode
		}
		want = append(want, code+" "+rule.Field())
	}
	for _, failure := range refusal.Errors {
		got = append(got, failure.Code+" "+failure.Field)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the registry's failures (-ours +registry's):\n%s", diff)
	}
	if c.code != "" && !strings.Contains(refusal.Error(), c.code) {
		t.Errorf("%q does not name %s", refusal.Error(), c.code)
	}
	if strings.Contains(refusal.Error(), phone) || strings.Contains(refusal.Error(), mail) {
		t.Error("the error repeats the recipient")
	}
}

// TestRulesAtRandom: over random histories our opinion and the registry's never differ.
func TestRulesAtRandom(t *testing.T) {
	t.Parallel()
	registry, registryClient := newRegistry(t, ruleCase{})
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(words ...string) string { return words[random.IntN(len(words))] }
	steps, counts := 3000, map[bool]int{}
	if testing.Short() {
		steps = 600
	}
	for i := range steps {
		c := iys.Consent{
			Type:          iys.Type(pick("MESAJ", "ARAMA", "EPOSTA", "MESAJ", "FAKS")),
			Recipient:     privacy.NewPlain(pick("+905000000001", "+905000000002", mail, "kaan@example.com", "bad")),
			RecipientType: iys.RecipientType(pick("BIREYSEL", "TACIR")),
			Status:        iys.Status(pick("ONAY", "RET", "ONAY", "RET", "RED")),
			Source:        iys.Source(pick("HS_WEB", "HS_WEB", "HS_2015", "HS_KARAR", "IYS_WEB", "")),
		}
		if random.IntN(10) > 0 {
			c.At = now.Add(time.Duration(random.IntN(6*24*60)-6*24*60+5) * time.Minute)
		}
		ours, err := iys.Check(&c, registered(registry, &c), iys.Terms{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = registryClient.Add(t.Context(), &c)
		refusal, refused := client.IsRefusal(err)
		if err != nil && !refused {
			t.Fatal(err)
		}
		if refused != (len(ours) > 0) {
			t.Fatalf("step %d: we say %v, the registry %v", i, ours, err)
		}
		if refused {
			checkRefusal(t, refusal, ruleCase{want: ours})
		}
		counts[refused]++
	}
	if counts[true] < steps/10 || counts[false] < 10 {
		t.Errorf("refused and taken: %v; the histories are too dull", counts)
	}
}

func TestMustNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	c := taken()
	if err := iys.Must(&c, iys.Registered{}, iys.Terms{Now: now}); err != nil {
		t.Errorf("a good consent: %v", err)
	}
	c.Type = "FAKS"
	err := iys.Must(&c, iys.Registered{}, iys.Terms{Now: now})
	violation, ok := errors.AsType[*iys.Violation](err)
	if !ok || violation.Rule != iys.KnownType || !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "H111") {
		t.Errorf("got %v", err)
	}
}

// A consent that is a day too late is not sent: the registry would not take it.
func ExampleCheck() {
	given, _ := iys.ParseTime("2026-11-12 09:30:00")
	today, _ := iys.ParseTime("2026-11-18 12:00:00")
	broken, err := iys.Check(&iys.Consent{
		Type: iys.Email, Recipient: privacy.NewPlain("ayse@example.com"), RecipientType: iys.Individual,
		Status: iys.Approved, Source: iys.Web, At: given,
	}, iys.Registered{}, iys.Terms{Now: today})
	fmt.Println(broken, err)
	// Output: [within_three_business_days] <nil>
}

// A batch in the registry's own words.
func ExampleEncodeBatch() {
	given, _ := iys.ParseTime("2018-02-10 09:40:00")
	body, err := iys.EncodeBatch([]iys.Consent{{
		Type: iys.Email, Recipient: privacy.NewPlain("ornek@adiniz.com"), RecipientType: iys.Individual,
		Status: iys.Approved, Source: iys.Web, At: given,
	}})
	fmt.Println(string(body), err)
	// Output: [{"consentDate":"2018-02-10 09:40:00","source":"HS_WEB","recipient":"ornek@adiniz.com","recipientType":"BIREYSEL","status":"ONAY","type":"EPOSTA"}] <nil>
}
