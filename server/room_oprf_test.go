package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// generator is the generator of ristretto255.
const generator = "4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY="

const evaluateBody = `{"dataset":"audience","members":1200,"epoch":1,"elements":["` + generator + `"]}`

// fakeEvaluator gives elements back.
type fakeEvaluator struct{ *fake }

func (f fakeEvaluator) Evaluate(_ context.Context, _ privacy.Principal, _ cleanroom.RoomID, _ cleanroom.DatasetID, _ int64, epoch int, blinded [][]byte) (match.Evaluated, error) {
	f.evaluated.Add(1)
	e := match.Evaluated{Evaluation: match.Evaluation{Elements: blinded, Proof: make([]byte, 64)}, Epoch: epoch, PublicKey: blinded[0], Receipt: receipt(48)}
	if f.unlogged {
		e.Receipt = audit.Receipt{}
	}
	return e, f.err
}

func (f fakeEvaluator) PublicKey(_ context.Context, room cleanroom.RoomID) ([]byte, error) {
	if room != "blind" {
		return nil, privacy.ErrInvalid
	}
	key, err := base64.StdEncoding.DecodeString(generator)
	return key, errors.Join(err, f.err)
}

// stuckEvaluator works for ever on what one party has brought.
type stuckEvaluator struct {
	RoomEvaluator
	begun, end chan struct{}
}

func (s *stuckEvaluator) Evaluate(ctx context.Context, _ privacy.Principal, _ cleanroom.RoomID, _ cleanroom.DatasetID, _ int64, _ int, _ [][]byte) (match.Evaluated, error) {
	s.begun <- struct{}{}
	<-s.end
	return match.Evaluated{}, ctx.Err()
}

// One party does not have all processors: beyond its places nothing is counted, and it may come again.
func TestEvaluationsOfOneParty(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{EvaluationSlots: 2})
	stuck := &stuckEvaluator{begun: make(chan struct{}), end: make(chan struct{})}
	s.services.RoomEvaluator = stuck
	call := request{target: "/v1/rooms/snacks/oprf:evaluate", token: "service", contentType: "application/json", body: evaluateBody}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(s, call)
	}()
	<-stuck.begun
	mustStatus(t, do(s, call), http.StatusServiceUnavailable)
	close(stuck.end)
	<-done
	go func() { <-stuck.begun }()
	if w := do(s, call); w.Code == http.StatusServiceUnavailable {
		t.Error("a place that was left is not free")
	}
}

// TestEvaluateBlinded holds what is read, what is answered, and what is refused before anybody
// is asked.
func TestEvaluateBlinded(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	call := func(body string) request {
		return request{target: "/v1/rooms/snacks/oprf:evaluate", token: "service", contentType: "application/json", body: body}
	}
	w := do(s, call(evaluateBody))
	mustStatus(t, w, http.StatusOK)
	want := `{"epoch":1,"public_key":"` + generator + `","elements":["` + generator + `"],"proof":"` + strings.Repeat("A", 86) + `==","log":{"index":48,"leaf_hash":"ab00cd` + strings.Repeat("0", 58) + `"}}`
	if w.Body.String() != want {
		t.Errorf("answered %s", w.Body)
	}
	many := strings.Repeat(`"`+generator+`",`, match.MaxBatch) + `"` + generator + `"`
	mustStatus(t, do(s, call(strings.Replace(evaluateBody, `"`+generator+`"`, many[:len(many)-47], 1))), http.StatusOK) // as many as fit
	before := f.evaluated.Load()
	for name, test := range map[string]struct {
		body, pointer string
	}{
		"too many":        {strings.Replace(evaluateBody, `"`+generator+`"`, many, 1), "/elements"},
		"none":            {strings.Replace(evaluateBody, `"`+generator+`"`, "", 1), "/elements"},
		"no base64":       {strings.Replace(evaluateBody, "4vKu", "****", 1), "/elements"},
		"short":           {strings.Replace(evaluateBody, generator, "4vKu", 1), "/elements"},
		"long":            {strings.Replace(evaluateBody, generator, generator+"AAAA", 1), "/elements/0"},
		"without dataset": {strings.Replace(evaluateBody, `"dataset":"audience",`, "", 1), "/dataset"},
		"without size":    {strings.Replace(evaluateBody, `"members":1200,`, "", 1), "/members"},
		"another word":    {strings.Replace(evaluateBody, `"epoch"`, `"id":1,"epoch"`, 1), `"`},
	} {
		w := do(s, call(test.body))
		mustStatus(t, w, http.StatusUnprocessableEntity)
		if !strings.Contains(w.Body.String(), `"pointer":"`+test.pointer) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	if f.evaluated.Load() != before {
		t.Error("something was evaluated that should not have been")
	}
	f.err = fmt.Errorf("counting: %w", match.ErrQuota)
	w = do(s, call(evaluateBody))
	mustStatus(t, w, http.StatusConflict)
	if !strings.Contains(w.Body.String(), "urn:mahrem:problem:evaluation-quota") {
		t.Errorf("beyond the quota: %s", w.Body)
	}
	f.err = fmt.Errorf("evaluating: %w", &cleanroom.Denied{Checks: []string{match.CheckMatching}})
	w = do(s, call(evaluateBody))
	mustStatus(t, w, http.StatusForbidden)
	if !strings.Contains(w.Body.String(), `"type":"urn:mahrem:problem:room-denied"`) || !strings.Contains(w.Body.String(), `"checks":["room_matching"]`) {
		t.Errorf("what is not allowed is told as %s", w.Body)
	}
	f.err, f.unlogged = nil, true
	mustStatus(t, do(s, call(evaluateBody)), http.StatusInternalServerError)
}
