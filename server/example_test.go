package server_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// door lets one token in and answers one question.
type door struct{}

func (door) Verify(string) (privacy.Principal, error) {
	return privacy.Principal{ID: "mailer-1", Role: privacy.RoleService, Recipient: "mailer"}, nil
}

func (door) Ask(context.Context, privacy.Principal, gate.Query) (gate.Answer, error) {
	return gate.Answer{DecisionID: "6f1c", Decision: "deny", PolicyRevision: "2f7d", Receipt: audit.Committed([16]byte{}, [32]byte{}, 7)}, nil
}

func ExampleServer_ServeHTTP() {
	s := server.New(server.Services{Tokens: door{}, Gate: door{}}, server.Config{})
	ask := func(body string) {
		r := httptest.NewRequest("POST", "/v1/query", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer token")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Request-ID", "example-1")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.ReplaceAll(w.Body.String(), strings.Repeat("0", 64), "0..0"))
	}
	ask(`{"data_subject":{"pseudonym":"AXJ0"},"purpose":"newsletter","channel":"email","attributes":["first_name"]}`)
	ask(`{"data_subject":{"pseudonym":"AXJ0"},"purpose":"newsletter","channel":"email","attributes":"first_name"}`)
	// Output:
	// 200 {"decision_id":"6f1c","decision":"deny","attributes":{},"obligations":[],"reasons":[],"policy_revision":"2f7d","log":{"index":7,"leaf_hash":"0..0"}}
	// 422 {"type":"urn:mahrem:problem:invalid-request","title":"The request was read, but says something impossible.","status":422,"instance":"urn:mahrem:request:example-1","errors":[{"pointer":"/attributes","reason":"this must be an array"}]}
}
