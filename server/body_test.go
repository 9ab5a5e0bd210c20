package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/gate"
)

func TestBodiesAreRefusedWithAPlace(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	swap := func(old, now string) string {
		out := strings.Replace(queryBody, old, now, 1)
		if out == queryBody {
			t.Fatalf("%q is not in the body", old)
		}
		return out
	}
	const attributes = `"attributes":["first_name"]`
	tests := map[string]struct {
		body    string
		status  int
		pointer string
	}{
		"empty":                   {"", 400, ""},
		"blank":                   {" \n", 400, ""},
		"not json":                {"hello " + secret, 400, ""},
		"cut off":                 {queryBody[:len(queryBody)-1], 400, ""},
		"trailing brace":          {queryBody + "}", 400, ""},
		"second text":             {queryBody + queryBody, 400, ""},
		"byte order mark":         {"\ufeff" + queryBody, 400, ""},
		"comment":                 {swap("{", "{/**/"), 400, ""},
		"single quotes":           {strings.ReplaceAll(queryBody, `"`, `'`), 400, ""},
		"trailing comma":          {swap(`"first_name"]`, `"first_name",]`), 400, "/attributes/1"},
		"duplicate key":           {swap(attributes, attributes+`,"purpose":"`+secret+`"`), 400, "/purpose"},
		"duplicate deep key":      {swap(`"kind":"email"`, `"kind":"email","kind":"phone"`), 400, "/data_subject/identifier/kind"},
		"escaped duplicate":       {swap(attributes, attributes+`,"\u0070urpose":"x"`), 422, ""},
		"key in other case":       {swap(`"purpose"`, `"Purpose"`), 422, ""},
		"unknown field":           {swap(attributes, attributes+`,"`+secret+`":1`), 422, ""},
		"unknown deep field":      {swap(`"kind"`, `"sort"`), 422, "/data_subject/identifier"},
		"number for text":         {swap(`"greeting"`, `7`), 422, "/purpose"},
		"object for text":         {swap(`"greeting"`, `{}`), 422, "/purpose"},
		"text for list":           {swap(attributes, `"attributes":"`+secret+`"`), 422, "/attributes"},
		"null":                    {swap(`"greeting"`, `null`), 422, "/purpose"},
		"null body":               {"null", 422, ""},
		"list as body":            {"[" + queryBody + "]", 422, ""},
		"null in list":            {swap(`"first_name"`, `"first_name",null`), 422, "/attributes/1"},
		"broken utf-8":            {swap(`greeting`, "gr\xffeeting"), 400, "/purpose"},
		"lone surrogate":          {swap(`greeting`, `\ud800`), 400, "/purpose"},
		"surrogates in bad order": {swap(`greeting`, `\udc00\ud800`), 400, "/purpose"},
		"nul escape":              {swap(`greeting`, `a\u0000`), 400, "/purpose"},
		"control character":       {swap(`greeting`, "a\tb"), 400, "/purpose"},
		"bad escape":              {swap(`greeting`, `a\x41`), 400, "/purpose"},
		"deep":                    {strings.Repeat("[", 60000), 422, ""},
		"deep inside":             {swap(`"first_name"`, strings.Repeat("[", 60000)), 422, "/attributes/0"},
		"purpose missing":         {swap(`"purpose":"greeting",`, ``), 422, "/purpose"},
		"purpose empty":           {swap(`greeting`, ``), 422, "/purpose"},
		"purpose too long":        {swap(`greeting`, strings.Repeat("x", 65)), 422, "/purpose"},
		"no attributes":           {swap(attributes, `"attributes":[]`), 422, "/attributes"},
		"attribute twice":         {swap(`"first_name"`, `"first_name","first_name"`), 422, "/attributes/1"},
		"empty attribute":         {swap(`"first_name"`, `"first_name",""`), 422, "/attributes/1"},
		"65 attributes":           {swap(attributes, `"attributes":["a`+strings.Join(strings.Split(strings.Repeat("x", 65), ""), `","b`)+`"]`), 422, "/attributes"},
		"nobody":                  {swap(`{"identifier":{"kind":"email","value":"`+secret+`"}}`, `{}`), 422, "/data_subject"},
		"two names":               {swap(`{"identifier"`, `{"pseudonym":"AXJ0","identifier"`), 422, "/data_subject"},
		"unknown kind":            {swap(`"email","value"`, `"fax","value"`), 422, "/data_subject/identifier/kind"},
		"empty value":             {swap(secret, ``), 422, "/data_subject/identifier/value"},
		"bad time":                {swap(attributes, attributes+`,"trigger":{"occurred_at":"yesterday"}`), 422, "/trigger/occurred_at"},
		"empty trigger":           {swap(attributes, attributes+`,"trigger":{}`), 422, "/trigger/occurred_at"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := do(s, request{token: "service", contentType: "application/json", body: test.body})
			mustStatus(t, w, test.status)
			var document struct {
				Errors []struct{ Pointer, Reason string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
				t.Fatal(err)
			}
			if len(document.Errors) == 0 || document.Errors[0].Reason == "" {
				t.Fatalf("no place is named: %s", w.Body)
			}
			if got := document.Errors[0].Pointer; got != test.pointer {
				t.Errorf("pointer %q, want %q", got, test.pointer)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("the input is repeated: %s", w.Body)
			}
		})
	}
}

func TestLimitsAndMediaTypes(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{QueryLimit: 1000, IngestLimit: 2000})
	padded := func(n int) string { return queryBody + strings.Repeat(" ", n-len(queryBody)) }
	for name, test := range map[string]struct {
		request request
		status  int
	}{
		"at the limit":         {request{body: padded(1000)}, 200},
		"over the limit":       {request{body: padded(1001)}, 413},
		"no type":              {request{body: queryBody, contentType: "none"}, 415},
		"form":                 {request{body: queryBody, contentType: "application/x-www-form-urlencoded"}, 415},
		"with charset":         {request{body: queryBody, contentType: "application/json; charset=utf-8"}, 200},
		"other charset":        {request{body: queryBody, contentType: "application/json; charset=utf-16"}, 415},
		"other parameter":      {request{body: queryBody, contentType: "application/json; v=1"}, 415},
		"compressed":           {request{body: queryBody, header: map[string]string{"Content-Encoding": "gzip"}}, 415},
		"query string":         {request{body: queryBody, target: "/v1/query?purpose=x"}, 400},
		"ingest at the limit":  {request{body: strings.Repeat("x", 2000), target: "/v1/ingest", contentType: "application/x-ndjson"}, 200},
		"ingest over":          {request{body: strings.Repeat("x", 2001), target: "/v1/ingest", contentType: "application/x-ndjson"}, 413},
		"ingest as json":       {request{body: "{}", target: "/v1/ingest"}, 415},
		"ingest unknown map":   {request{body: "{}", target: "/v1/ingest?map=a", contentType: "application/x-ndjson"}, 422},
		"ingest two maps":      {request{body: "{}", target: "/v1/ingest?map=a&map=b", contentType: "application/x-ndjson"}, 400},
		"ingest other words":   {request{body: "{}", target: "/v1/ingest?map=a&x=b", contentType: "application/x-ndjson"}, 400},
		"ingest map is a path": {request{body: "{}", target: "/v1/ingest?map=..%2Fa", contentType: "application/x-ndjson"}, 400},
	} {
		call := test.request
		call.token = "service"
		if strings.HasPrefix(call.target, "/v1/ingest") {
			call.token = "ingest"
		}
		if call.contentType == "" {
			call.contentType = "application/json"
		}
		w := do(s, call)
		if w.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, test.status, w.Body)
		}
		// Without a length up front the limit must hold all the same.
		hidden := do(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.ContentLength = -1
			s.ServeHTTP(w, r)
		}), call)
		if hidden.Code != test.status {
			t.Errorf("%s, chunked: status %d, want %d", name, hidden.Code, test.status)
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{ask: func(ctx context.Context, _ gate.Query) (gate.Answer, error) {
		<-ctx.Done()
		return gate.Answer{}, ctx.Err()
	}}, Config{RequestTimeout: time.Millisecond})
	w := do(s, good(&routes[0]))
	mustStatus(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestPanicIsA500AndCounted(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{ask: func(context.Context, gate.Query) (gate.Answer, error) { panic(secret) }}, Config{})
	for range 2 {
		w := do(s, good(&routes[0]))
		mustStatus(t, w, http.StatusInternalServerError)
		if strings.Contains(w.Body.String(), secret) {
			t.Error("the panic's value is in the answer")
		}
	}
	metrics := do(s, request{method: "GET", target: "/metrics"}).Body.String()
	for _, line := range []string{
		"mahrem_http_panics_total 2",
		`mahrem_http_requests_total{method="POST",route="/v1/query",code="500"} 2`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics lack %q:\n%s", line, metrics)
		}
	}
}

func TestDeliveriesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{IngestSlots: 1})
	s.ingests <- struct{}{}
	call := request{target: "/v1/ingest", token: "ingest", contentType: "application/x-ndjson", body: ingestBody}
	mustStatus(t, do(s, call), http.StatusServiceUnavailable)
	<-s.ingests
	for range 3 {
		mustStatus(t, do(s, call), http.StatusOK)
	}
}

// What parties bring may take an hour to come; meanwhile the house's own data goes on coming,
// and the other way round.
func TestSlowPartiesDoNotHoldUpTheHouse(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{IngestSlots: 1, SnapshotSlots: 1})
	own := request{target: "/v1/ingest", token: "ingest", contentType: "application/x-ndjson", body: ingestBody}
	theirs := request{target: "/v1/rooms/snacks/snapshots", token: "service", contentType: "application/x-ndjson", body: "{}\n"}
	slow := func(call request) (end func()) {
		in, out := io.Pipe()
		r := httptest.NewRequest(http.MethodPost, call.target, in)
		r.Header.Set("Authorization", "Bearer "+call.token)
		r.Header.Set("Content-Type", call.contentType)
		done := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			_ = in.Close()
			done <- w.Code
		}()
		if _, err := out.Write([]byte(call.body)); err != nil {
			t.Fatalf("%s was not read: %v", call.target, err)
		}
		// It is being read, so it has its place.
		return func() {
			_ = out.Close()
			if status := <-done; status != http.StatusOK && status != http.StatusCreated {
				t.Errorf("%s: a slow one was answered %d", call.target, status)
			}
		}
	}
	end := slow(theirs)
	mustStatus(t, do(s, theirs), http.StatusServiceUnavailable)
	mustStatus(t, do(s, own), http.StatusOK)
	end()
	end = slow(own)
	mustStatus(t, do(s, own), http.StatusServiceUnavailable)
	mustStatus(t, do(s, theirs), http.StatusCreated)
	end()
}
