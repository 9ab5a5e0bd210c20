package conformance

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/privacy"
)

// chooseRequest takes a kind and an identity that the processor supports, and reports
// whether there are any.
func (r *run) chooseRequest(d opendsr.Discovery) bool {
	for _, kind := range []dsar.Kind{dsar.Access, dsar.Portability, dsar.Erasure} {
		if slices.Contains(d.Kinds, kind) {
			r.kind = kind
			break
		}
	}
	email := opendsr.Identity{Type: opendsr.EmailIdentity, Format: opendsr.Raw, Value: privacy.NewPlain(r.secret)}
	switch {
	case d.Supports(opendsr.EmailIdentity, opendsr.Raw):
		r.identity = email
	case d.Supports(opendsr.EmailIdentity, opendsr.SHA256):
		r.identity = email.Hashed()
	case d.Supports(opendsr.ControllerCustomerID, opendsr.Raw):
		r.identity = opendsr.Identity{Type: opendsr.ControllerCustomerID, Format: opendsr.Raw, Value: privacy.NewPlain(r.secret)}
	default:
		return r.check("discovery.shape", false, "no identity is supported that can be made up: email or controller_customer_id")
	}
	return true
}

func (r *run) request(id opendsr.SubjectRequestID) []byte {
	q := opendsr.Request{
		Version: r.place.Version, Regulation: "gdpr", ID: id, Kind: r.kind, Identities: []opendsr.Identity{r.identity}, SubmittedAt: r.config.Now(),
	}
	if r.config.Callback != "" {
		q.Callbacks = []string{r.config.Callback}
	}
	return q.Encode()
}

// exchange is one request from its creation to its end.
func (r *run) exchange(ctx context.Context) {
	id, err := r.newID()
	if err != nil {
		return
	}
	body := r.request(id)
	r.withoutToken(ctx)
	answer, err := r.courier.Post(ctx, r.place, body, "")
	if !r.check("request.created", err == nil && answer.Status == http.StatusCreated, orStatus(err, answer.Status)) {
		return
	}
	r.signed("request.signed", answer)
	accepted, err := opendsr.ParseAccepted(answer.Body)
	if r.check("request.shape", err == nil, said(err)) {
		r.check("request.echoes_id", accepted.ID == id, "the answer names another request")
		r.check("request.encodes_request", bytes.Equal(accepted.Encoded, body), "encoded_request is not the request as it was sent")
		r.check("request.expected_later", accepted.ExpectedAt.After(accepted.ReceivedAt), "the request is expected to be done before it came")
	}
	r.refusals(ctx, body)
	if r.status(ctx, id) {
		r.cancel(ctx, id)
	}
}

func (r *run) withoutToken(ctx context.Context) {
	if r.place.Token == "" {
		r.skip("no token was given", "request.needs_token")
		return
	}
	id, err := r.newID()
	if err != nil {
		return
	}
	place := r.place
	place.Token = ""
	answer, err := r.courier.Post(ctx, place, r.request(id), "")
	r.check("request.needs_token", err == nil && isRefusal(answer.Status, http.StatusUnauthorized, http.StatusForbidden), "a request without a token is taken")
}

// refusals sends what must be refused.
func (r *run) refusals(ctx context.Context, body []byte) {
	fresh := func(change func(string) string) []byte {
		id, err := r.newID()
		if err != nil {
			return nil
		}
		return []byte(change(string(r.request(id))))
	}
	var errs [][]byte
	for _, test := range []struct {
		name, detail string
		body         []byte
		also         []int
	}{
		{"request.duplicate_refused", "an id that was used is taken again", body, []int{http.StatusConflict}},
		{"request.broken_refused", "a body that is cut off is taken", body[:len(body)-2], []int{http.StatusUnprocessableEntity}},
		{"request.incomplete_refused", "a request without submitted_time is taken", fresh(func(s string) string {
			return strings.Replace(s, `"submitted_time"`, `"submitted_thyme"`, 1)
		}), []int{http.StatusUnprocessableEntity}},
		{"request.bad_id_refused", "an id in capitals is taken", fresh(func(s string) string {
			before, rest, _ := strings.Cut(s, `"subject_request_id":"`)
			return before + `"subject_request_id":"` + "A" + strings.ToUpper(rest[1:36]) + rest[36:]
		}), []int{http.StatusUnprocessableEntity}},
		{"request.bad_type_refused", "a type that does not exist is taken", fresh(func(s string) string {
			return strings.Replace(s, `"subject_request_type":"`, `"subject_request_type":"un`, 1)
		}), []int{http.StatusUnprocessableEntity}},
	} {
		answer, err := r.courier.Post(ctx, r.place, test.body, "")
		if r.check(test.name, err == nil && isRefusal(answer.Status, test.also...), test.detail) {
			errs = append(errs, answer.Body)
		}
	}
	r.errors(errs)
}

// errors looks at what was said about refusals.
func (r *run) errors(bodies [][]byte) {
	if len(bodies) == 0 {
		r.skip("nothing was refused", "error.shape", "error.no_identity")
		return
	}
	shape, quiet := true, true
	for _, body := range bodies {
		document, err := opendsr.ParseError(body)
		shape = shape && err == nil && document.Code >= 400
		quiet = quiet && !bytes.Contains(body, []byte(r.secret)) && !bytes.Contains(body, []byte(r.identity.Value.RevealPersonalData()))
	}
	r.check("error.shape", shape, "an error is not an object with a code")
	r.check("error.no_identity", quiet, "an error repeats the identity of the person")
}

func (r *run) status(ctx context.Context, id opendsr.SubjectRequestID) bool {
	answer, err := r.courier.Status(ctx, r.place, id)
	if !r.check("status.answers", err == nil && answer.Status == http.StatusOK, orStatus(err, answer.Status)) {
		return false
	}
	r.signed("status.signed", answer)
	report, err := opendsr.ParseReport(answer.Body, false)
	if r.check("status.shape", err == nil && report.ID == id, orOther(err)) {
		if !r.check("status.is_pending", report.Status == opendsr.Pending || report.Status == opendsr.InProgress, "a request that just came is over") {
			return false
		}
	}
	other, err := r.newID()
	if err != nil {
		return false
	}
	unknown, err := r.courier.Status(ctx, r.place, other)
	r.check("status.unknown_refused", err == nil && isRefusal(unknown.Status, http.StatusNotFound), "a request that nobody sent has a status")
	if report.Status == opendsr.InProgress {
		r.skip("the request is in progress already", "cancel.accepted", "cancel.signed", "cancel.shape", "cancel.seen_in_status", "cancel.twice_refused")
		return false
	}
	return true
}

func orOther(err error) string {
	if err != nil {
		return said(err)
	}
	return "the answer names another request"
}

func (r *run) cancel(ctx context.Context, id opendsr.SubjectRequestID) {
	answer, err := r.courier.Cancel(ctx, r.place, id)
	if !r.check("cancel.accepted", err == nil && answer.Status == http.StatusAccepted, orStatus(err, answer.Status)) {
		return
	}
	r.signed("cancel.signed", answer)
	cancellation, err := opendsr.ParseCancellation(answer.Body)
	r.check("cancel.shape", err == nil && cancellation.ID == id, orOther(err))
	answer, err = r.courier.Status(ctx, r.place, id)
	var report opendsr.Report
	if err == nil && answer.Status == http.StatusOK {
		report, err = opendsr.ParseReport(answer.Body, false)
	}
	r.check("cancel.seen_in_status", err == nil && report.Status == opendsr.Cancelled, "a request that was taken back does not say so")
	var again courier.Answer
	again, err = r.courier.Cancel(ctx, r.place, id)
	r.check("cancel.twice_refused", err == nil && isRefusal(again.Status, http.StatusConflict, http.StatusNotFound, http.StatusGone), "a request that is over is taken back")
}
