package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

const activationBody = `{"room":"spring","from":[{"dataset":"brand.segments","as":"s"}],"where":[{"col":"s.segment","op":"=","val":"gold"}],"metrics":[],` +
	`"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"audience_sync"}`

// fakeActivator makes an audience of two.
type fakeActivator struct {
	*fake
	err error
	// asked is what it was asked last, and by whom.
	asked string
}

func (f *fakeActivator) Activate(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, document []byte) (*activate.Audience, error) {
	if f.err != nil {
		return nil, f.err
	}
	until, ok := ctx.Deadline()
	if !ok || until.IsZero() {
		return nil, errors.New("an activation could last for ever")
	}
	f.asked = fmt.Sprintf("%s %s %s", by.Recipient, room, document)
	audience := &activate.Audience{Purpose: "audience_sync", Pseudonyms: []pseudonym.Pseudonym{"AXJ0", "BXJ0"}, Digest: audit.Digest{9}, Receipt: receipt(44)}
	if f.unlogged {
		audience.Receipt = audit.Receipt{}
	}
	return audience, nil
}

// TestActivateRoom: the answer is the list, its digest and its entry, and no number beside the
// position of that.
func TestActivateRoom(t *testing.T) {
	t.Parallel()
	f := &fakeActivator{fake: &fake{}}
	s := New(Services{Tokens: f, RoomActivator: f}, Config{Log: slog.New(slog.DiscardHandler)})
	w := do(s, askingRoom("/v1/rooms/spring/activations", activationBody))
	mustStatus(t, w, http.StatusOK)
	const want = `{"room":"spring","purpose":"audience_sync","pseudonyms":["AXJ0","BXJ0"],"list_sha256":"09`
	if body := w.Body.String(); body != want+strings.Repeat("0", 62)+`","log":{"index":44,"leaf_hash":"ab00cd`+strings.Repeat("0", 58)+`"}}` {
		t.Errorf("answered %s", body)
	}
	if f.asked != "shop spring "+activationBody {
		t.Errorf("asked %s", f.asked)
	}
	f.asked = ""
	for name, r := range map[string]request{
		"a query string": {target: "/v1/rooms/spring/activations?n=1", token: "service", contentType: "application/json", body: activationBody},
		"plain text":     {target: "/v1/rooms/spring/activations", token: "service", contentType: "text/plain", body: activationBody},
		"an officer":     {target: "/v1/rooms/spring/activations", token: "dpo", contentType: "application/json", body: activationBody},
		"too much":       {target: "/v1/rooms/spring/activations", token: "service", contentType: "application/json", body: strings.Repeat(" ", 1<<20) + activationBody},
	} {
		if w := do(s, r); w.Code/100 != 4 || f.asked != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	// A list is held in memory until it is sent, as one of the gate's is: there are so many places
	// for all of them.
	refused := func(why string) {
		t.Helper()
		if w := do(s, askingRoom("/v1/rooms/spring/activations", activationBody)); w.Code != http.StatusServiceUnavailable || f.asked != "" {
			t.Errorf("%s: %d, asked %s", why, w.Code, f.asked)
		}
	}
	var leave []func()
	enter := func(by privacy.RecipientID) {
		t.Helper()
		one, ok := s.audiences.enter(by)
		if !ok {
			t.Fatalf("no place for %s", by)
		}
		leave = append(leave, one)
	}
	const own = "shop"
	enter(own)
	enter(own)
	refused("more than half of them for one party")
	enter("somebody_else")
	enter("somebody_else")
	refused("one too many at once")
	leave[0]()
	mustStatus(t, do(s, askingRoom("/v1/rooms/spring/activations", activationBody)), http.StatusOK)
	enter(own) // it has left its place
	for _, one := range leave[1:] {
		one()
	}
	f.unlogged = true
	if w := do(s, askingRoom("/v1/rooms/spring/activations", activationBody)); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "AXJ0") {
		t.Errorf("without evidence: %d %s", w.Code, w.Body)
	}
	f.unlogged = false
	w = do(New(Services{Tokens: f}, Config{Log: slog.New(slog.DiscardHandler)}), askingRoom("/v1/rooms/spring/activations", activationBody))
	mustStatus(t, w, http.StatusServiceUnavailable)
	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{&privacy.FieldError{Pointer: "/metrics", Reason: "an activation computes nothing"}, 422, `"pointer":"/metrics"`},
		{&cleanroom.Denied{Checks: []string{activate.CheckAudience}}, 403, `"checks":["audience.large_enough"]`},
		{&cleanroom.Exhausted{Left: fakeLeft}, 409, `"type":"urn:mahrem:problem:room-budget-exhausted"`},
		{cleanroom.ErrFailed, 500, `"type":"urn:mahrem:problem:room-failed"`},
		{fmt.Errorf("activating from a room without noise: %w", privacy.ErrForbidden), 403, `"type":"urn:mahrem:problem:forbidden"`},
		{errors.New("1,204 people"), 500, `"type":"urn:mahrem:problem:internal-error"`},
	} {
		f.err = c.err
		w := do(s, askingRoom("/v1/rooms/spring/activations", activationBody))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "1,204") {
			t.Errorf("%v becomes %d %s", c.err, w.Code, w.Body)
		}
	}
}
