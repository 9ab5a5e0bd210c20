package server

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// AudienceFinder answers who may be reached; [gate.Gate] is one. It must name anybody only
// after the log entry about all of them is durable.
type AudienceFinder interface {
	Audience(ctx context.Context, principal privacy.Principal, query gate.AudienceQuery) (gate.Audience, error)
}

type audienceRequest struct {
	Purpose    string             `json:"purpose" validate:"required,max=64"`
	Channel    string             `json:"channel" validate:"required,max=32"`
	Conditions []conditionRequest `json:"conditions" validate:"max=8,dive"`
}

type conditionRequest struct {
	Attribute string   `json:"attribute" validate:"required,max=64"`
	In        []string `json:"in" validate:"required,min=1,max=64,unique,dive,required,max=128"`
}

func (r *audienceRequest) query() gate.AudienceQuery {
	query := gate.AudienceQuery{Purpose: privacy.Purpose(r.Purpose), Channel: privacy.Channel(r.Channel)}
	for _, condition := range r.Conditions {
		query.Conditions = append(query.Conditions, gate.AudienceCondition{Attribute: privacy.AttributeName(condition.Attribute), In: condition.In})
	}
	return query
}

// audiencePiece is how much of an audience is written at a time, audienceWait how long the
// caller may take for it, and audienceLimit how long for all: as long, it is held in memory.
const (
	audiencePiece = 32 << 10
	audienceWait  = 20 * time.Second
	audienceLimit = 10 * time.Minute
)

// findAudience answers with lines: the decision first, then a pseudonym a line. Nothing is
// sent before all of it is known and logged. What breaks off has no end of its transfer
// encoding, and fewer lines than the first one says.
func findAudience(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	var request audienceRequest
	if err := c.decode(audienceShape, &request); err != nil {
		return err
	}
	finder := c.server.services.Audiences
	if finder == nil {
		return refuse(unavailable)
	}
	leave, err := c.enter(c.server.audiences, "audiences")
	if err != nil {
		return err
	}
	defer leave()
	found, err := finder.Audience(ctx, c.principal, request.query())
	if err != nil {
		return err
	}
	if found.Receipt.IsZero() {
		return errors.New("the gate gave an audience without evidence")
	}
	// The gate has checked the purpose against the catalogue, so the label is bounded.
	c.server.metrics.decided(request.Purpose, string(found.Decision))
	buffer := buffers.get()
	defer buffers.put(buffer)
	buffer.data = append(appendAudience(buffer.data[:0], &found), '\n')
	c.status = http.StatusOK
	c.writer.Header()["Content-Type"] = headerNDJSON
	c.writer.WriteHeader(c.status)
	end := time.Now().Add(audienceLimit)
	if found.Pseudonyms != nil {
		for name := range found.Pseudonyms {
			buffer.data = append(buffer.data, `{"pseudonym":"`...)
			buffer.data = append(buffer.data, name...)
			buffer.data = append(buffer.data, '"', '}', '\n')
			if len(buffer.data) >= audiencePiece && c.writePiece(buffer, end) != nil {
				return nil // the caller has gone
			}
		}
	}
	_ = c.writePiece(buffer, end)
	return nil
}

var audienceShape = shapeOf(reflect.TypeFor[audienceRequest]())

// writePiece sends what is in the buffer and empties it. It may take its time anew for each
// piece, since how many there are is not the caller's fault, but not beyond the end.
func (c *call) writePiece(b *buffer, end time.Time) error {
	deadline := time.Now().Add(audienceWait)
	if deadline.After(end) {
		deadline = end
	}
	_ = http.NewResponseController(c.writer).SetWriteDeadline(deadline) // where there is one
	_, err := c.writer.Write(b.data)
	clear(b.data)
	b.data = b.data[:0]
	return err
}

// appendAudience appends the first line of an answer about an audience.
func appendAudience(b []byte, a *gate.Audience) []byte {
	b = append(b, '{')
	b = appendString(appendKey(b, "decision_id"), a.DecisionID)
	b = appendString(appendKey(b, "decision"), string(a.Decision))
	if a.Decision == gate.Allow {
		b = strconv.AppendInt(appendKey(b, "members"), int64(a.Size), 10)
		b = append(appendKey(b, "as_of"), '"')
		b = append(a.At.UTC().AppendFormat(b, time.RFC3339), '"')
	}
	b = appendObligations(b, a.Obligations)
	b = appendReasons(appendKey(b, "reasons"), a.Reasons)
	b = appendString(appendKey(b, "policy_revision"), a.PolicyRevision)
	b = appendLog(appendKey(b, "log"), a.Receipt)
	return append(b, '}')
}
