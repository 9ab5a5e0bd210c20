package opendsr_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

const someID = "a7551968-d5d6-44b2-9831-815ac9017798"

func ExampleParseRequest() {
	request, err := opendsr.ParseRequest(opendsr.V3, []byte(`{
		"regulation": "gdpr", "subject_request_id": "a7551968-d5d6-44b2-9831-815ac9017798",
		"subject_request_type": "erasure", "submitted_time": "2026-03-01T12:00:00Z",
		"subject_identities": {"email": {"value": "ayse@example.org", "encoding": "raw"}}}`))
	fmt.Println(request.Kind, request.Identities[0].Type, request.Identities[0].Value, err)
	// Output: erasure email REDACTED <nil>
}

func ExampleReport_Outcome() {
	report := opendsr.Report{Status: opendsr.Completed, Parts: map[string]opendsr.Part{"ads.example": opendsr.PartFailed}}
	fmt.Println(report.Outcome())
	// Output: incomplete
}

// TestShapes reads each document of testdata, which others may use to check their own
// reader, and writes it again: what came must come out.
func TestShapes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d shapes, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body = []byte(strings.TrimSpace(string(body)))
			what, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "_")
			var again []byte
			switch what {
			case "request":
				version, errVersion := opendsr.ParsePathVersion(rest)
				request, errParse := opendsr.ParseRequest(version, body)
				err, again = errors.Join(errVersion, errParse), request.Encode()
			case "status":
				report, errParse := opendsr.ParseReport(body, false)
				err, again = errParse, report.Encode()
			case "callback":
				report, errParse := opendsr.ParseReport(body, true)
				err, again = errParse, report.Encode()
			case "accepted":
				accepted, errParse := opendsr.ParseAccepted(body)
				err, again = errParse, accepted.Encode()
			case "discovery":
				discovery, errParse := opendsr.ParseDiscovery(body)
				err, again = errParse, discovery.Encode()
			case "cancelled":
				cancellation, errParse := opendsr.ParseCancellation(body)
				cancellation.Version = opendsr.V2
				err, again = errParse, cancellation.Encode()
			default:
				t.Fatalf("what is %s?", what)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(body), string(again)); diff != "" {
				t.Errorf("(-came +written)\n%s", diff)
			}
		})
	}
}

// TestOtherShapes: what is in use and not as the text says.
func TestOtherShapes(t *testing.T) {
	t.Parallel()
	// Null for what does not apply, and no expected time once it is over.
	report, err := opendsr.ParseReport([]byte(`{"controller_id":"c","status_callback_url":"https://shop.example/cb","expected_completion_time":null,
		"subject_request_id":"`+someID+`","request_status":"completed","results_url":null,"results_count":0,"extensions":{"x.example":{"anything":1}}}`), true)
	if err != nil || report.ResultsURL != "" || report.ResultsCount == nil || report.Outcome() != opendsr.OutcomeCompleted {
		t.Errorf("%+v, %v", report, err)
	}
	// A word for a part that nobody knows is not taken for done.
	report, err = opendsr.ParseReport([]byte(`{"controller_id":"c","subject_request_id":"`+someID+`","request_status":"completed",
		"extensions":{"x.example":{"status":"whatever"}}}`), false)
	if err != nil || report.Outcome() != opendsr.OutcomeIncomplete {
		t.Errorf("%+v, %v", report, err)
	}
	// An array in 3.0 and an object in 2.0 are as plain.
	for version, identities := range map[opendsr.Version]string{
		opendsr.V3: `[{"identity_type":"email","identity_value":"ayse@example.org","identity_format":"raw"}]`,
		opendsr.V1: `{"email":{"value":"ayse@example.org"}}`,
	} {
		request, err := opendsr.ParseRequest(version, requestWith("subject_identities", identities))
		if err != nil || len(request.Identities) != 1 || request.Identities[0].Value != privacy.NewPlain("ayse@example.org") {
			t.Errorf("%s: %v", version, err)
		}
	}
	// Identities may be in an extension alone.
	if _, err := opendsr.ParseRequest(opendsr.V2, requestWith("subject_identities", `null,"extensions":{"p.example":{"id":7}}`)); err != nil {
		t.Error(err)
	}
}

// requestWith is a good request in which one field is replaced by other text.
func requestWith(name, value string) []byte {
	fields := []struct{ name, value string }{
		{"regulation", `"gdpr"`},
		{"subject_request_id", `"` + someID + `"`},
		{"subject_request_type", `"erasure"`},
		{"submitted_time", `"2026-03-01T12:00:00Z"`},
		{"subject_identities", `[{"identity_type":"email","identity_value":"ayse@example.org","identity_format":"raw"}]`},
		{"api_version", `"2.0"`},
		{"status_callback_urls", `["https://shop.example/opendsr/callbacks"]`},
	}
	var parts []string
	for _, f := range fields {
		if f.name == name {
			f.value = value
		} else if f.name == "api_version" {
			continue
		}
		if f.value != "" {
			parts = append(parts, `"`+f.name+`":`+f.value)
		}
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func TestRequestsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := opendsr.ParseRequest(opendsr.V2, requestWith("", "")); err != nil {
		t.Fatal(err)
	}
	const secret = "ayse-secret@example.org"
	identity := func(kind, value, format string) string {
		return fmt.Sprintf(`[{"identity_type":"%s","identity_value":"%s","identity_format":"%s"}]`, kind, value, format)
	}
	for _, test := range []struct{ name, value, check string }{
		{"subject_request_id", "", opendsr.CheckField},
		{"subject_request_id", `"` + strings.ToUpper(someID) + `"`, opendsr.CheckField},
		{"subject_request_id", `"a7551968-d5d6-14b2-9831-815ac9017798"`, opendsr.CheckField},
		{"subject_request_id", `"a7551968-d5d6-44b2-1831-815ac9017798"`, opendsr.CheckField},
		{"subject_request_id", `7`, opendsr.CheckField},
		{"subject_request_type", "", opendsr.CheckField},
		{"subject_request_type", `"rectification"`, opendsr.CheckKind},
		{"subject_request_type", `"Erasure"`, opendsr.CheckKind},
		{"submitted_time", "", opendsr.CheckField},
		{"submitted_time", `"yesterday"`, opendsr.CheckField},
		{"submitted_time", `"0001-01-01T00:00:00Z"`, opendsr.CheckField},
		{"api_version", `"4.0"`, opendsr.CheckVersion},
		{"api_version", `"1.0"`, opendsr.CheckVersion},
		{"regulation", `"G D P R"`, opendsr.CheckField},
		{"subject_identities", "", opendsr.CheckField},
		{"subject_identities", "[]", opendsr.CheckField},
		{"subject_identities", `"` + secret + `"`, opendsr.CheckField},
		{"subject_identities", identity("name", secret, "raw"), opendsr.CheckIdentity},
		{"subject_identities", identity("email", secret, "rot13"), opendsr.CheckIdentity},
		{"subject_identities", identity("email", secret, "sha256"), opendsr.CheckIdentity},
		{"subject_identities", identity("email", strings.Repeat("A", 64), "sha256"), opendsr.CheckIdentity},
		{"subject_identities", identity("email", `a\u0000`+secret, "raw"), opendsr.CheckField},
		{"subject_identities", identity("email", strings.Repeat("x", 600), "raw"), opendsr.CheckField},
		{"subject_identities", identity("email", `\ud800`+secret, "raw"), opendsr.CheckField},
		{"status_callback_urls", `["http://shop.example/cb"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `["https://user:pw@shop.example/cb"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `["file:///etc/passwd"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `["https:shop.example"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `["https://shop.example/a b"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `["https://shop.example/#f"]`, opendsr.CheckCallbackAllowed},
		{"status_callback_urls", `"https://shop.example/cb"`, opendsr.CheckField},
		{"status_callback_urls", `["a","b","c","d","e","f","g","h","i"]`, opendsr.CheckField},
		{"regulation", `"gdpr","regulation":"ccpa"`, opendsr.CheckBody},
		{"regulation", `"gdpr","x":{"y":[{"z":1,"z":2}]}`, opendsr.CheckBody},
		{"regulation", `"gdpr","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40), opendsr.CheckBody},
		{"regulation", `"gdpr`, opendsr.CheckBody},
		{"regulation", `"gdpr"} {`, opendsr.CheckBody},
		{"regulation", "\"gdpr\xff\"", opendsr.CheckBody},
	} {
		_, err := opendsr.ParseRequest(opendsr.V2, requestWith(test.name, test.value))
		refusal, ok := errors.AsType[*opendsr.Refusal](err)
		if !ok || refusal.Check != test.check {
			t.Errorf("%s = %.60s: %v, want %s", test.name, test.value, err, test.check)
		} else if strings.Contains(err.Error(), "secret") || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: the refusal is %v", test.name, err)
		}
	}
	// A key in other letters is another key.
	swapped := strings.Replace(string(requestWith("", "")), `"subject_request_type"`, `"Subject_Request_Type"`, 1)
	if _, err := opendsr.ParseRequest(opendsr.V2, []byte(swapped)); err == nil {
		t.Error("a key in capitals passed for the one in small letters")
	}
	if _, err := opendsr.ParseRequest(opendsr.V2, make([]byte, opendsr.MaxBody+1)); err == nil {
		t.Error("a body without end was read")
	}
}

func TestStatusesOnlyGoForward(t *testing.T) {
	t.Parallel()
	forward := map[opendsr.Status][]opendsr.Status{
		"":                 {opendsr.Pending, opendsr.InProgress, opendsr.Completed, opendsr.Cancelled},
		opendsr.Pending:    {opendsr.Pending, opendsr.InProgress, opendsr.Completed, opendsr.Cancelled},
		opendsr.InProgress: {opendsr.InProgress, opendsr.Completed, opendsr.Cancelled},
	}
	for _, before := range []opendsr.Status{"", opendsr.Pending, opendsr.InProgress, opendsr.Completed, opendsr.Cancelled} {
		var may []opendsr.Status
		for _, after := range []opendsr.Status{opendsr.Pending, opendsr.InProgress, opendsr.Completed, opendsr.Cancelled} {
			if after.Follows(before) {
				may = append(may, after)
			}
		}
		if diff := cmp.Diff(forward[before], may); diff != "" {
			t.Errorf("after %q (-want +may):\n%s", before, diff)
		}
	}
}

func TestStatusOfEveryState(t *testing.T) {
	t.Parallel()
	for state, want := range map[dsar.State]opendsr.Status{
		dsar.Received: opendsr.Pending, dsar.IdentityPending: opendsr.Pending, dsar.InProgress: opendsr.InProgress, dsar.Extended: opendsr.InProgress,
		dsar.Fulfilled: opendsr.Completed, dsar.Denied: opendsr.Cancelled, dsar.Withdrawn: opendsr.Cancelled,
	} {
		if got := opendsr.StatusOf(state); got != want {
			t.Errorf("%s is %s, want %s", state, got, want)
		}
	}
}

func TestErrorsSayNothingOfThePerson(t *testing.T) {
	t.Parallel()
	_, err := opendsr.ParseRequest(opendsr.V2, requestWith("subject_identities", `[{"identity_type":"email","identity_value":"ayse@example.org","identity_format":"x"}]`))
	refusal, _ := errors.AsType[*opendsr.Refusal](err)
	document, err := opendsr.ParseError(opendsr.EncodeError(400, refusal))
	if err != nil || document.Code != 400 || len(document.Reasons) != 1 || document.Reasons[0] != opendsr.CheckIdentity {
		t.Errorf("%+v, %v", document, err)
	}
	if strings.Contains(string(opendsr.EncodeError(400, refusal)), "ayse") {
		t.Error("the error repeats the identity")
	}
}

func TestHashed(t *testing.T) {
	t.Parallel()
	i := opendsr.Identity{Type: opendsr.EmailIdentity, Format: opendsr.Raw, Value: privacy.NewPlain(" Ayse@Example.org ")}
	// printf 'ayse@example.org' | sha256sum
	const want = "1b4f1a9628a5c591d600ce015ba229a51f203e4959bcd7c07f3267fff536fc77"
	if got := i.Hashed(); got.Format != opendsr.SHA256 || got.Value.RevealPersonalData() != want {
		t.Error("the digest is not of the trimmed address in small letters")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(requestWith("", "")))
	f.Add([]byte(requestWith("subject_identities", `{"email":{"value":"a@b.example"}}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := opendsr.ParseRequest(opendsr.V2, body)
		if err != nil {
			if _, ok := errors.AsType[*opendsr.Refusal](err); !ok {
				t.Errorf("refused without a check: %v", err)
			}
			return
		}
		// What was read can be written, and reads as the same.
		if request.Version == "" {
			request.Version = opendsr.V2
		}
		again, err := opendsr.ParseRequest(opendsr.V2, request.Encode())
		if err != nil {
			t.Fatalf("what was written does not read: %v", err)
		}
		if again.ID != request.ID || again.Kind != request.Kind || !again.SubmittedAt.Equal(request.SubmittedAt.Truncate(time.Second)) || len(again.Identities) != len(request.Identities) {
			t.Error("what was written reads as something else")
		}
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"controller_id":"c","subject_request_id":"` + someID + `","request_status":"pending","expected_completion_time":"2026-03-01T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		report, err := opendsr.ParseReport(body, false)
		if err == nil && (report.Status == "" || report.ID == opendsr.SubjectRequestID{}) {
			t.Error("a report without status or request")
		}
	})
}

func FuzzParseAnswers(f *testing.F) {
	f.Add([]byte(`{"api_version":"2.0","supported_identities":[{"identity_type":"email","identity_format":"raw"}],"supported_subject_request_types":["erasure"],"processor_certificate":"https://p.example/c.pem"}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		_, _ = opendsr.ParseDiscovery(body)
		_, _ = opendsr.ParseAccepted(body)
		_, _ = opendsr.ParseCancellation(body)
		_, _ = opendsr.ParseError(body)
		_, _ = opendsr.ParseChain(body)
	})
}
