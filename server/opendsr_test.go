package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

const (
	openDSRNumber = "a7551968-d5d6-44b2-9831-815ac9017798"
	openDSRBody   = `{"regulation":"gdpr","subject_request_id":"` + openDSRNumber + `","subject_request_type":"erasure","submitted_time":"2026-03-01T12:00:00Z",` +
		`"subject_identities":[{"identity_type":"email","identity_value":"` + secret + `","identity_format":"raw"}]}`
	openDSRCallbackBody = `{"controller_id":"shop","expected_completion_time":"2026-03-31T12:00:00Z","status_callback_url":"https://shop.example/opendsr/callbacks",` +
		`"subject_request_id":"` + openDSRNumber + `","request_status":"completed"}`
)

// fakeDesk answers as a processor, and believes every callback.
type fakeDesk struct{ *fake }

func (f fakeDesk) reply(body []byte) (opendsr.Reply, error) {
	if f.unlogged {
		return opendsr.Reply{Body: body}, f.err
	}
	return opendsr.Reply{Body: body, Domain: "opendsr.shop.example", Signature: "c2lnbmF0dXJl"}, f.err
}

func (f fakeDesk) Certificate() []byte {
	return []byte("-----BEGIN CERTIFICATE-----\n")
}

var openDSRTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (f fakeDesk) Discovery(version opendsr.Version) (opendsr.Reply, error) {
	return f.reply(opendsr.Discovery{Version: version, Kinds: opendsr.Kinds(), Certificate: "https://opendsr.shop.example/opendsr/certificate.pem"}.Encode())
}

func (f fakeDesk) Accept(_ context.Context, by privacy.Principal, version opendsr.Version, body []byte) (opendsr.Reply, error) {
	request, err := opendsr.ParseRequest(version, body)
	if err != nil {
		return opendsr.Reply{}, err
	}
	reply, err := f.reply(opendsr.Accepted{ControllerID: string(by.Recipient), ExpectedAt: openDSRTime, ReceivedAt: openDSRTime, Encoded: body, ID: request.ID}.Encode())
	reply.Receipt = receipt(48)
	return reply, err
}

func (f fakeDesk) Status(_ context.Context, by privacy.Principal, version opendsr.Version, id opendsr.SubjectRequestID) (opendsr.Reply, error) {
	return f.reply(opendsr.Report{Version: version, ControllerID: string(by.Recipient), ID: id, Status: opendsr.Pending, ExpectedAt: openDSRTime}.Encode())
}

func (f fakeDesk) Cancel(_ context.Context, by privacy.Principal, version opendsr.Version, id opendsr.SubjectRequestID) (opendsr.Reply, error) {
	reply, err := f.reply(opendsr.Cancellation{Version: version, ControllerID: string(by.Recipient), ID: id, ReceivedAt: openDSRTime}.Encode())
	reply.Receipt = receipt(49)
	return reply, err
}

func (f fakeDesk) Callback(_ context.Context, m opendsr.Signed) error {
	if f.err != nil {
		return f.err
	}
	_, err := opendsr.ParseReport(m.Body, true)
	return err
}

func TestOpenDSRSignsItsAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	for version, prefix := range map[string]string{"v1": "X-OpenGDPR-", "v2": "X-OpenDSR-", "v3": "X-OpenDSR-"} {
		for _, noun := range []string{"requests", "opengdpr_requests"} {
			w := do(s, request{method: "GET", target: "/opendsr/" + version + "/" + noun + "/" + openDSRNumber, token: "service"})
			mustStatus(t, w, http.StatusOK)
			if w.Header().Get(prefix+"Signature") != "c2lnbmF0dXJl" || w.Header().Get(prefix+"Processor-Domain") != "opendsr.shop.example" {
				t.Errorf("%s: headers %v", version, w.Header())
			}
		}
	}
	for _, path := range []string{"/opendsr/v4/requests/" + openDSRNumber, "/opendsr/v2/others/" + openDSRNumber} {
		mustStatus(t, do(s, request{method: "GET", target: path, token: "service"}), http.StatusNotFound)
	}
	// An answer that nobody signed does not leave.
	mustStatus(t, do(newServer(&fake{unlogged: true}, Config{}), request{method: "GET", target: "/opendsr/v2/requests/" + openDSRNumber, token: "service"}), http.StatusInternalServerError)
}

func TestOpenDSRRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	w := do(s, request{target: "/opendsr/v2/requests", token: "service", contentType: "application/json", body: strings.Replace(openDSRBody, "erasure", "oblivion", 1)})
	mustStatus(t, w, http.StatusBadRequest)
	document, err := opendsr.ParseError(w.Body.Bytes())
	if err != nil || document.Code != 400 || document.Reasons[0] != opendsr.CheckKind || strings.Contains(w.Body.String(), secret) {
		t.Errorf("%s, %v", w.Body, err)
	}
	mustStatus(t, do(s, request{method: "GET", target: "/opendsr/v2/requests/no-id", token: "service"}), http.StatusBadRequest)
	mustStatus(t, do(s, request{target: "/opendsr/v2/requests", token: "service", contentType: "application/json", body: strings.Repeat(" ", opendsr.MaxBody+1)}), http.StatusRequestEntityTooLarge)

	for check, status := range map[string]int{
		opendsr.CheckSigned: 400, opendsr.CheckSignature: 400, opendsr.CheckBody: 400, opendsr.CheckDomain: 401,
		opendsr.CheckCertificateTime: 401, opendsr.CheckCertificateDomain: 401, opendsr.CheckCallbackOurs: 403, opendsr.CheckRequestKnown: 403, opendsr.CheckForward: 409,
	} {
		s := newServer(&fake{err: &opendsr.Refusal{Check: check, Reason: "x"}}, Config{})
		w := do(s, request{target: pathOpenDSRCallbacks, contentType: "application/json", body: openDSRCallbackBody})
		mustStatus(t, w, status)
		var got struct {
			Error struct{ Errors []struct{ Reason string } }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Error.Errors[0].Reason != check {
			t.Errorf("%s: %s", check, w.Body)
		}
	}
	s = newServer(&fake{err: &opendsr.Refusal{Check: opendsr.CheckControllerKnown}}, Config{})
	mustStatus(t, do(s, request{method: "GET", target: "/opendsr/v2/requests/" + openDSRNumber, token: "service"}), http.StatusForbidden)
	s = newServer(&fake{err: errors.New(secret)}, Config{})
	w = do(s, request{target: pathOpenDSRCallbacks, contentType: "application/json", body: openDSRCallbackBody})
	mustStatus(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), secret) {
		t.Error("the answer holds the error")
	}
}
