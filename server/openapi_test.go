package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
)

func loadContract(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	// Validate checks every example against its schema too.
	if err := document.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return document
}

// inContract is the path as OpenAPI writes it, which knows no rest of a path.
func (r *route) inContract() string { return strings.ReplaceAll(r.path, "...}", "}") }

func TestContractHasExactlyTheRoutes(t *testing.T) {
	t.Parallel()
	var served, written []string
	for _, r := range routes {
		served = append(served, r.method+" "+r.inContract())
	}
	document := loadContract(t)
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			written = append(written, method+" "+path)
			open := operation.Security != nil && len(*operation.Security) == 0
			i := slices.IndexFunc(routes, func(r route) bool { return r.inContract() == path && r.method == method })
			if i < 0 {
				continue
			}
			if open != (len(routes[i].roles) == 0) {
				t.Errorf("%s %s: contract and routes disagree on whether a token is needed", method, path)
			}
			for _, role := range routes[i].roles {
				if !strings.Contains(operation.Description, "`"+string(role)+"`") {
					t.Errorf("%s %s: the contract does not name the role %s", method, path, role)
				}
			}
		}
	}
	slices.Sort(served)
	slices.Sort(written)
	if diff := cmp.Diff(served, written); diff != "" {
		t.Errorf("(-served +written):\n%s", diff)
	}
}

// TestExamplesGoThrough sends every example request of the contract to the real
// handlers and holds the answer against the contract.
func TestExamplesGoThrough(t *testing.T) {
	t.Parallel()
	document := loadContract(t)
	s := newServer(&fake{}, Config{})
	sent := 0
	for i := range routes {
		operation := document.Paths.Find(routes[i].inContract()).GetOperation(routes[i].method)
		bodies := map[string]any{"": nil}
		if operation.RequestBody != nil {
			bodies = map[string]any{}
			for _, media := range operation.RequestBody.Value.Content {
				for name, example := range media.Examples {
					bodies[name] = example.Value.Value
				}
			}
		}
		for name, body := range bodies {
			call := good(&routes[i])
			switch body := body.(type) {
			case nil:
			case string:
				call.body = body
			default:
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				call.body = string(text)
			}
			// The contract's pseudonym is made up; in its place goes one that opens.
			call.body = strings.ReplaceAll(call.body, "AXJ0c2V0ZmFrZXBzZXVkb255bQ", string(shopPseudonym))
			holdAgainstContract(t, document, s, call, fmt.Sprintf("%s example %q", routes[i].path, name), true)
			sent++
		}
	}
	if sent < 11 {
		t.Errorf("only %d examples were sent", sent)
	}
}

// TestProblemsKeepTheContract holds error answers against the contract.
func TestProblemsKeepTheContract(t *testing.T) {
	t.Parallel()
	document := loadContract(t)
	s := newServer(&fake{}, Config{})
	failing := newServer(&fake{err: errSecret, checks: []Check{{Name: "database", Err: errSecret}}}, Config{})
	for i := range routes {
		call := good(&routes[i])
		holdAgainstContract(t, document, failing, call, call.target+" failing", false)
		if len(routes[i].roles) == 0 {
			continue
		}
		call.token = ""
		holdAgainstContract(t, document, s, call, call.target+" without token", false)
		call = good(&routes[i])
		if call.method == "POST" {
			call.contentType = "text/plain"
			holdAgainstContract(t, document, s, call, call.target+" as text", false)
		}
	}
}

func holdAgainstContract(t *testing.T, document *openapi3.T, s *Server, call request, name string, mustSucceed bool) {
	t.Helper()
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(call.method, document.Servers[0].URL+call.target, strings.NewReader(call.body))
	if call.contentType != "" && call.body != "" {
		r.Header.Set("Content-Type", call.contentType)
	}
	route, parameters, err := router.FindRoute(r)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if mustSucceed {
		if err := openapi3filter.ValidateRequest(context.Background(), input); err != nil {
			t.Errorf("%s: request: %v", name, err)
		}
	}
	w := do(s, call)
	if mustSucceed && w.Code/100 != 2 {
		t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: w.Code, Header: w.Header(), Options: input.Options,
		Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
	})
	if err != nil {
		t.Errorf("%s: answer: %v\n%s", name, err, w.Body)
	}
}

func init() {
	text := func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
		data, err := io.ReadAll(body)
		return string(data), err
	}
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", text)
	openapi3filter.RegisterBodyDecoder("application/yaml", text)
	openapi3filter.RegisterBodyDecoder("text/plain", text)
	openapi3filter.RegisterBodyDecoder("text/html", text)
}
