package subscriber_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault/keydir"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	somebody = privacy.DataSubjectID{1, 2, 3}
)

func newKeys(t testing.TB) *keydir.Keys {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func record(n int, channel privacy.Channel, action consent.Action) consent.Record {
	return consent.Record{
		ID: [16]byte{byte(n)}, DataSubject: somebody, Purpose: "newsletter", Channel: channel, Action: action,
		Basis: privacy.Consent, EffectiveAt: noon.Add(time.Duration(n) * time.Minute),
	}
}

// house is everything around a teller, in memory.
type house struct {
	keys    *keydir.Keys
	names   *pseudonym.Pseudonyms
	who     subscriber.Subscriber
	records []consent.Record
	failure error
	calls   []call
	posting error
}

type call struct{ address, secret, id, body string }

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{keys: newKeys(t)}
	if _, err := h.keys.EnsureRecipient("newsletter_service"); err != nil {
		t.Fatal(err)
	}
	primitive, err := h.keys.Recipient("newsletter_service")
	if err != nil {
		t.Fatal(err)
	}
	if h.names, err = pseudonym.New("newsletter_service", primitive); err != nil {
		t.Fatal(err)
	}
	sealed, err := h.keys.Vault().SealHouse(subscriber.SecretLabel("mailer"), []byte("whsec_x"))
	if err != nil {
		t.Fatal(err)
	}
	h.who = subscriber.Subscriber{
		ID: "mailer", Recipient: "newsletter_service", URL: "https://mailer.example/hook",
		Purposes: []privacy.Purpose{"newsletter", "marketing"}, SealedSecret: sealed,
	}
	return h
}

func (h *house) teller() *subscriber.Teller {
	return subscriber.NewTeller(h, h, h, h.keys.Vault(), h)
}

func (h *house) Add(context.Context, subscriber.Subscriber, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, privacy.ErrUnavailable
}

func (h *house) Remove(context.Context, string, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, privacy.ErrUnavailable
}
func (h *house) List(context.Context, bool) ([]subscriber.Subscriber, error) { return nil, nil }
func (h *house) Find(_ context.Context, id string) (subscriber.Subscriber, error) {
	if id != h.who.ID {
		return subscriber.Subscriber{}, privacy.ErrNotFound
	}
	return h.who, nil
}

func (h *house) Stand(context.Context, privacy.DataSubjectID) (consent.Statement, consent.Token, error) {
	return consent.NewStatement(h.records, noon.Add(time.Hour)), consent.NewToken(audit.Committed([16]byte{}, [32]byte{}, 1234)), h.failure
}
func (h *house) Of(privacy.RecipientID) (*pseudonym.Pseudonyms, error) { return h.names, nil }
func (h *house) Post(_ context.Context, address, secret, id string, body []byte) error {
	h.calls = append(h.calls, call{address, secret, id, string(body)})
	return h.posting
}

// send delivers what the records give rise to, as they are then.
func (h *house) send(t testing.TB, of []consent.Record) []error {
	t.Helper()
	list, err := subscriber.Deliveries(h.keys.Vault(), rand.Reader, of, []subscriber.Subscriber{h.who})
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, d := range list {
		text, err := d.Payload(h.keys.Vault())
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.teller().Send(t.Context(), d, text)
		errs = append(errs, err)
	}
	return errs
}

func TestDeliveriesAreOnePerLine(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other := h.who
	other.ID, other.Purposes = "shop", []privacy.Purpose{"loyalty"}
	loyalty := record(3, "email", consent.Granted)
	loyalty.Purpose = "loyalty"
	list, err := subscriber.Deliveries(h.keys.Vault(), rand.Reader, []consent.Record{
		record(1, "email", consent.Granted), record(2, "email", consent.Withdrawn), record(2, "sms", consent.Withdrawn), loyalty,
	}, []subscriber.Subscriber{h.who, other})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		if err := d.Check(); err != nil || d.Kind != outbox.Consent || d.Topic != subscriber.Topic || d.State != outbox.Pending {
			t.Errorf("%v %+v", err, d)
		}
		text, err := d.Payload(h.keys.Vault())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprintf("%s %x", d.Sealed, d.Sealed), somebody.Reveal()) {
			t.Error("the person stands in clear")
		}
		got = append(got, d.Destination+" "+string(text))
	}
	who := `{"data_subject":"` + somebody.Reveal() + `",`
	want := []string{
		"mailer " + who + `"purpose":"newsletter","channel":"email"}`,
		"mailer " + who + `"purpose":"newsletter","channel":"sms"}`,
		"shop " + who + `"purpose":"loyalty","channel":"email"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTellerTellsHowThingsStand: not how they stood when the delivery was made.
func TestTellerTellsHowThingsStand(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := record(1, privacy.AnyChannel, consent.Granted)
	h.records = []consent.Record{first, record(2, "email", consent.Withdrawn)}
	if errs := h.send(t, []consent.Record{first}); len(errs) != 1 || errs[0] != nil {
		t.Fatal(errs)
	}
	c := h.calls[0]
	if c.address != h.who.URL || c.secret != "whsec_x" {
		t.Errorf("called %s", c.address)
	}
	got, err := subscriber.Decode([]byte(c.body))
	if err != nil || got.ID.String() != c.id {
		t.Fatal(err, got.ID, c.id)
	}
	name, err := h.names.Of(somebody)
	if err != nil {
		t.Fatal(err)
	}
	want := subscriber.Message{
		ID: got.ID, Pseudonym: name, Purpose: "newsletter", Channel: "*", State: consent.StateGranted, EffectiveAt: noon.Add(time.Minute),
		Sequence: 2, AsOf: noon.Add(time.Hour), ConsentToken: "AQAAAAAAAATS",
		Standings: []subscriber.Standing{
			{Channel: "*", State: consent.StateGranted, EffectiveAt: noon.Add(time.Minute)},
			{Channel: "email", State: consent.StateWithdrawn, EffectiveAt: noon.Add(2 * time.Minute)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Allows("email") || !got.Allows("sms") {
		t.Error("the message is read wrongly")
	}
	if strings.Contains(c.body, somebody.Reveal()) {
		t.Error("the body names the person")
	}
}

// TestAnErasedPersonIsReportedAsThat: whoever missed a withdrawal must not keep the grant.
func TestAnErasedPersonIsReportedAsThat(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if errs := h.send(t, []consent.Record{record(1, "email", consent.Withdrawn)}); errs[0] != nil {
		t.Fatal(errs)
	}
	got, err := subscriber.Decode([]byte(h.calls[0].body))
	if err != nil || got.State != subscriber.StateErased || got.Sequence != subscriber.LastSequence || got.Allows("email") || got.ConsentToken != "" {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestTellerFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	of := []consent.Record{record(1, "email", consent.Granted)}
	h.failure = privacy.ErrUnavailable
	if errs := h.send(t, of); !errors.Is(errs[0], privacy.ErrUnavailable) || len(h.calls) != 0 {
		t.Error("the ledger is away, and", errs, h.calls)
	}
	h.failure, h.records = nil, of
	refused := &outbox.Failure{Word: "status_503"}
	h.posting = refused
	if errs := h.send(t, of); !errors.Is(errs[0], refused) {
		t.Error("refused, and", errs)
	}
	h.posting = nil
	h.who.RemovedAt = noon
	calls := len(h.calls)
	errs := h.send(t, of)
	failure, ok := errors.AsType[*outbox.Failure](errs[0])
	if !ok || failure.Word != subscriber.FailureRemoved || !failure.Final || len(h.calls) != calls {
		t.Error("removed, and", errs)
	}
	if _, err := h.teller().Send(t.Context(), outbox.Delivery{Destination: "mailer"}, []byte(`{"data_subject":"x"}`)); !errors.Is(err, privacy.ErrDamaged) {
		t.Error("damaged, and", err)
	}
}

// TestLaterMessagesHold: in whatever order messages arrive, what is kept is the last.
func TestLaterMessagesHold(t *testing.T) {
	t.Parallel()
	early, late := subscriber.Message{Sequence: 2, AsOf: noon.Add(time.Hour)}, subscriber.Message{Sequence: 3, AsOf: noon}
	if early.After(&late) || !late.After(&early) || early.After(&early) {
		t.Error("the sequence does not decide")
	}
	ended := subscriber.Message{Sequence: 3, AsOf: noon.Add(time.Hour)}
	if !ended.After(&late) || late.After(&ended) {
		t.Error("of one sequence the later moment does not decide")
	}
}

func TestSubscriberCheck(t *testing.T) {
	t.Parallel()
	good := newHouse(t).who
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for pointer, edit := range map[string]func(*subscriber.Subscriber){
		"/subscriber": func(s *subscriber.Subscriber) { s.ID = "Mailer" },
		"/recipient":  func(s *subscriber.Subscriber) { s.Recipient = "" },
		"/url":        func(s *subscriber.Subscriber) { s.URL = strings.Repeat("x", 513) },
		"/purposes":   func(s *subscriber.Subscriber) { s.Purposes = nil },
		"/purposes/1": func(s *subscriber.Subscriber) { s.Purposes = []privacy.Purpose{"a", "a"} },
	} {
		s := good
		edit(&s)
		var field *privacy.FieldError
		if err := s.Check(); !errors.As(err, &field) || field.Pointer != pointer {
			t.Errorf("%s: %v", pointer, err)
		}
	}
	bare := good
	bare.SealedSecret = nil
	if err := bare.Check(); !errors.Is(err, privacy.ErrInvalid) {
		t.Error("no secret:", err)
	}
}

// knownMessage is the known answer of docs/spec/webhook.md.
const knownMessage = `{"id":"abababab-abab-4bab-abab-abababababab","type":"consent.changed","timestamp":"2026-03-01T13:00:00Z","data":{"pseudonym":"AQB5Zm8","purpose":"newsletter","channel":"email","state":"withdrawn","effective_at":"2026-03-01T12:02:00Z","sequence":2,"consent_token":"AQAAAAAAAATS","standings":[{"channel":"*","state":"granted","effective_at":"2026-03-01T12:01:00Z"},{"channel":"email","state":"withdrawn","effective_at":"2026-03-01T12:02:00Z"}]}}`

func TestKnownMessage(t *testing.T) {
	t.Parallel()
	m, err := subscriber.Decode([]byte(knownMessage))
	if err != nil {
		t.Fatal(err)
	}
	if m.Sequence != 2 || m.State != consent.StateWithdrawn || len(m.Standings) != 2 || !m.AsOf.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", m)
	}
	again, err := m.Encode()
	if err != nil || string(again) != knownMessage {
		t.Errorf("%v\n%s\n%s", err, again, knownMessage)
	}
	for name, replace := range map[string][2]string{
		"id": {"abababab-abab", "xbababab-abab"}, "type": {"consent.changed", "consent.minted"}, "no sequence": {`"sequence":2`, `"sequence":0`},
		"beyond the last": {`"sequence":2`, `"sequence":9007199254740992`}, "no pseudonym": {"AQB5Zm8", ""}, "channel twice": {`"channel":"*"`, `"channel":"email"`},
		"no state": {`"state":"withdrawn","effective_at":"2026-03-01T12:02:00Z","seq`, `"state":"","seq`}, "more": {"}}", "}}{}"},
	} {
		text := strings.Replace(knownMessage, replace[0], replace[1], 1)
		if text == knownMessage {
			t.Fatal(name)
		}
		if _, err := subscriber.Decode([]byte(text)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(knownMessage))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := subscriber.Decode(body)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		text, err := m.Encode()
		if err != nil {
			return // a year that JSON cannot write
		}
		again, err := subscriber.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A recipient keeps the message that holds, whatever the order in which they arrive.
func ExampleMessage_After() {
	kept := subscriber.Message{}
	for _, body := range []string{knownMessage, strings.Replace(knownMessage, `"sequence":2`, `"sequence":1`, 1)} {
		m, err := subscriber.Decode([]byte(body))
		if err != nil {
			panic(err)
		}
		if m.After(&kept) {
			kept = m
		}
	}
	fmt.Println(kept.Sequence, kept.Allows("email"), kept.Allows("sms"))
	// Output: 2 false true
}
