package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// RequestDesk handles requests of data subjects; [dsar.Service] is one. Each method that
// changes something must return after the change and its log entry are durable. It must not
// tell a service whether a person exists, nor of another's request.
type RequestDesk interface {
	Open(ctx context.Context, by privacy.Principal, opening dsar.Opening) (dsar.Opened, error)
	Take(ctx context.Context, by privacy.Principal, id dsar.RequestID, move dsar.Move) (dsar.Request, audit.Receipt, error)
	Queue(ctx context.Context, by privacy.Principal, filter dsar.Filter, limit int) (dsar.Page, error)
	Show(ctx context.Context, by privacy.Principal, id dsar.RequestID) (dsar.Shown, error)
	Poll(ctx context.Context, by privacy.Principal, id dsar.RequestID) (dsar.Status, error)
}

type openingRequest struct {
	Kind         string              `json:"kind" validate:"required,max=32"`
	Jurisdiction string              `json:"jurisdiction" validate:"required,max=8"`
	Language     string              `json:"language" validate:"oneof=en tr cs"`
	Identifiers  []identifierRequest `json:"identifiers" validate:"required,min=1,max=8,dive"`
	Contact      string              `json:"contact" validate:"max=320"`
	Text         string              `json:"text" validate:"max=8000"`
	ReceivedAt   string              `json:"received_at" validate:"max=40"`
}

func (r *openingRequest) check() []fieldProblem {
	if _, ok := instant(r.ReceivedAt); !ok {
		return []fieldProblem{{"/received_at", wantInstant}}
	}
	return nil
}

func openRequest(ctx context.Context, c *call, request *openingRequest) (openedRequest, error) {
	desk := c.server.services.Requests
	if desk == nil {
		return openedRequest{}, refuse(unavailable)
	}
	received, _ := instant(request.ReceivedAt)
	opening := dsar.Opening{
		Kind: dsar.Kind(request.Kind), Jurisdiction: privacy.Jurisdiction(request.Jurisdiction), Language: request.Language,
		Contact: privacy.NewPlain(request.Contact), Text: privacy.NewPlain(request.Text), Via: dsar.ViaAPI, ReceivedAt: received,
	}
	for _, i := range request.Identifiers {
		opening.Identifiers = append(opening.Identifiers, privacy.Identifier{Kind: privacy.IdentifierKind(i.Kind), Value: privacy.NewPlain(i.Value)})
	}
	opened, err := desk.Open(ctx, c.principal, opening)
	if err == nil && opened.Receipt.IsZero() {
		err = errors.New("a request was opened without evidence")
	}
	return openedRequest{opened, c.principal.Role, c.server.config.Now()}, err
}

type stepRequest struct {
	Request  string `json:"request" validate:"required,max=36"`
	Step     string `json:"step" validate:"oneof=start pause resume extend note deny withdraw fulfil"`
	Ground   string `json:"ground" validate:"max=32"`
	Reason   string `json:"reason" validate:"max=64"`
	Evidence string `json:"evidence" validate:"max=64"`
	Outcome  string `json:"outcome" validate:"omitempty,oneof=upheld partly_upheld not_upheld"`
	Note     string `json:"note" validate:"max=8000"`
	Version  int64  `json:"version"`
}

// move is the step in the words of package dsar. What a step does not know is refused: a
// reason that nobody reads would seem to have been given.
func (r *stepRequest) move() (dsar.Move, *problem) {
	move := dsar.Move{Action: dsar.Action(r.Step), Version: r.Version, Note: privacy.NewPlain(r.Note)}
	for _, given := range []struct {
		pointer, value string
		allowed        bool
	}{
		{"/ground", r.Ground, move.Action == dsar.ActionPause},
		{"/reason", r.Reason, move.Action == dsar.ActionExtend || move.Action == dsar.ActionDeny},
		{"/evidence", r.Evidence, move.Action == dsar.ActionFulfil},
		{"/outcome", r.Outcome, move.Action == dsar.ActionFulfil},
	} {
		if given.value != "" && !given.allowed {
			return move, refuseField(invalid, given.pointer, "does not belong to this step")
		}
	}
	move.Ground = clock.Ground(r.Ground)
	switch move.Action {
	case dsar.ActionExtend:
		move.Extension = clock.ExtensionReason(r.Reason)
	case dsar.ActionDeny:
		move.Denial = dsar.DenialReason(r.Reason)
	case dsar.ActionFulfil:
		digest, err := hex.DecodeString(r.Evidence)
		if err != nil || len(digest) != len(move.Evidence) {
			return move, refuseField(invalid, "/evidence", "must be a SHA-256 as 64 hexadecimal digits")
		}
		move.Evidence, move.Outcome = audit.Digest(digest), dsar.ComplaintOutcome(r.Outcome)
	}
	if r.Version < 0 {
		return move, refuseField(invalid, "/version", "must be a version that was read")
	}
	return move, nil
}

func takeStep(ctx context.Context, c *call, request *stepRequest) (takenStep, error) {
	desk := c.server.services.Requests
	if desk == nil {
		return takenStep{}, refuse(unavailable)
	}
	id, err := dsar.ParseRequestID(request.Request)
	if err != nil {
		return takenStep{}, refuseField(invalid, "/request", "is not a request")
	}
	move, fault := request.move()
	if fault != nil {
		return takenStep{}, fault
	}
	r, receipt, err := desk.Take(ctx, c.principal, id, move)
	if err == nil && receipt.IsZero() {
		err = errors.New("a step was taken without evidence")
	}
	return takenStep{r, receipt, c.principal.Role, c.server.config.Now()}, err
}

// showRequest tells a service whether its request is over, and a data protection officer
// or an auditor what they may know of it.
func showRequest(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	desk := c.server.services.Requests
	if desk == nil {
		return refuse(unavailable)
	}
	// Something that is no id is told apart from a request that is not there by nobody.
	id, err := dsar.ParseRequestID(c.request.PathValue("request_id"))
	if err == nil && c.principal.Role == privacy.RoleService {
		var status dsar.Status
		if status, err = desk.Poll(ctx, c.principal, id); err == nil {
			return c.writeJSON(http.StatusOK, polledRequest(status))
		}
	} else if err == nil {
		var shown dsar.Shown
		if shown, err = desk.Show(ctx, c.principal, id); err == nil {
			if shown.Opened && shown.Receipt.IsZero() {
				return errors.New("a request was shown without evidence")
			}
			return c.writeJSON(http.StatusOK, shownRequest(shown))
		}
	} else {
		err = privacy.ErrNotFound
	}
	if errors.Is(err, privacy.ErrNotFound) && c.principal.Role != privacy.RoleService {
		// It is about the request and not about a person: auditors may know it too.
		return refuse(notFound)
	}
	return err
}

// listRequests answers GET /v1/dsar/queue.
func listRequests(ctx context.Context, c *call) error {
	desk := c.server.services.Requests
	if desk == nil {
		return refuse(unavailable)
	}
	filter, limit, fault := queueFilter(c.request.URL, c.server.config.Now())
	if fault != nil {
		return fault
	}
	page, err := desk.Queue(ctx, c.principal, filter, limit)
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, queuePage(page))
}

// pageLength is how many requests a page has, unless another number is asked for.
const pageLength = 100

func queueFilter(u *url.URL, now time.Time) (dsar.Filter, int, *problem) {
	filter, limit := dsar.Filter{}, pageLength
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return filter, 0, refuse(malformed)
	}
	for name, values := range parameters {
		if len(values) != 1 {
			return filter, 0, refuse(malformed)
		}
		value := values[0]
		switch name {
		case "kind":
			filter.Kind = dsar.Kind(value)
		case "category":
			filter.Category = dsar.Category(value)
		case "state":
			filter.State = dsar.State(value)
		case "overdue", "all":
			if value != "true" {
				return filter, 0, refuseField(malformed, "/"+name, "must be true if it is there")
			}
			if filter.All = filter.All || name == "all"; name == "overdue" {
				filter.Overdue = now
			}
		case "limit":
			if limit, err = strconv.Atoi(value); err != nil {
				return filter, 0, refuseField(malformed, "/limit", "must be a number")
			}
		case "after":
			if filter.After, err = dsar.ParseRequestID(value); err != nil {
				return filter, 0, refuseField(malformed, "/after", "must be a request")
			}
		default:
			return filter, 0, refuse(malformed)
		}
	}
	return filter, limit, nil
}
