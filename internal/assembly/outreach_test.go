package assembly

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// told is a recipient's program: it verifies what comes and keeps what holds.
type told struct {
	mu       sync.Mutex
	receiver *webhook.Receiver
	kept     map[string]subscriber.Message
	refused  []error
}

func (p *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = p.receiver.Receive(r.Context(), r.Header, body, func(_ string, body []byte) error {
			m, err := subscriber.Decode(body)
			key := string(m.Pseudonym) + " " + string(m.Purpose)
			if kept, known := p.kept[key]; err == nil && (!known || m.After(&kept)) {
				p.kept[key] = m
			}
			return err
		})
	}
	if err != nil && !errors.Is(err, privacy.ErrConflict) {
		p.refused = append(p.refused, err)
		w.WriteHeader(http.StatusBadRequest)
	}
}

// TestSubscriberLearnsHowThingsStand: a change reaches a recipient's program, which verifies
// it, knows the person by its own pseudonym, and is told of an objection to all marketing
// although it was added for the newsletter alone.
func TestSubscriberLearnsHowThingsStand(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	house.Settings.DangerSubscriberPrivateAddresses = true
	if err := house.openOutreach(); err != nil {
		t.Fatal(err)
	}
	id := loadPeople(t, house, 1)[0]
	program := &told{kept: map[string]subscriber.Message{}}
	web := httptest.NewServer(program)
	t.Cleanup(web.Close)
	officer := Operator("tester")
	who, text, _, err := house.AddSubscriber(t.Context(), officer, SubscriberOrder{
		ID: "mailer", Recipient: "newsletter_service", URL: web.URL, Purposes: []privacy.Purpose{"newsletter"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(who.Purposes) != 2 || who.Purposes[0] != policies.GeneralMarketing {
		t.Errorf("told about %v", who.Purposes)
	}
	secret, err := webhook.ParseSecret(text.RevealPersonalData())
	if err != nil {
		t.Fatal(err)
	}
	if program.receiver, err = webhook.NewReceiver(webhook.NewRecent(0, nil), nil, secret); err != nil {
		t.Fatal(err)
	}
	change := consent.Change{DataSubject: id, Purpose: "newsletter", Channel: "email", NoticeVersion: "v1", Source: "web_form"}
	_, before := last(t, house)
	if _, err := house.Consent.Grant(t.Context(), officer, change); err != nil {
		t.Fatal(err)
	}
	// It is sent after both changes, and tells how things stand then.
	receipt, err := house.Consent.WithdrawAll(t.Context(), officer, consent.Withdrawal{
		DataSubject: id, Purposes: []privacy.Purpose{"newsletter"}, Channels: []privacy.Channel{privacy.AnyChannel}, Source: "web_form",
	})
	if err != nil {
		t.Fatal(err)
	}
	change.Purpose, change.Channel, change.NoticeVersion = policies.GeneralMarketing, privacy.AnyChannel, ""
	if _, err := house.Consent.Object(t.Context(), officer, change); err != nil {
		t.Fatal(err)
	}
	arrived, failed, err := house.Deliver(t.Context())
	if err != nil || arrived != 3 || failed != 0 || len(program.refused) != 0 {
		t.Fatalf("%d arrived, %d failed, %v, %v", arrived, failed, err, program.refused)
	}
	names, err := house.Pseudonyms.Of("newsletter_service")
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, m := range program.kept {
		if person, err := names.DataSubject(pseudonym.Pseudonym(m.Pseudonym)); err != nil || person != id {
			t.Errorf("tells of somebody else: %v", err)
		}
		token, err := consent.ParseToken(m.ConsentToken)
		if err != nil || token.Index() < receipt.Token.Index() || m.Allows("email") || m.Sequence != 3 {
			t.Errorf("%+v, %v", m, err)
		}
		switch m.Purpose {
		case "newsletter":
			known++
		case policies.GeneralMarketing:
			if m.State == consent.StateObjected {
				known++
			}
		}
	}
	if known != 2 {
		t.Errorf("kept %+v", program.kept)
	}
	kinds := map[audit.Kind]int{}
	for _, kind := range kindsSince(t, house, before+1) {
		kinds[kind]++
	}
	if kinds[audit.SubscriberTold] != 3 {
		t.Errorf("the log says %v", kinds)
	}
}
