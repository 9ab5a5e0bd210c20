package server

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"reflect"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// RoomEvaluator masks what parties have blinded; [match.Desk] is one. It must count what it
// evaluates, with a log entry, before it does.
type RoomEvaluator interface {
	// PublicKey returns the key by which the parties of a room see that all of them are served
	// alike.
	PublicKey(ctx context.Context, room cleanroom.RoomID) ([]byte, error)
	Evaluate(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, dataset cleanroom.DatasetID, members int64, epoch int, blinded [][]byte) (match.Evaluated, error)
}

const pathEvaluate = "/v1/rooms/{room}/oprf:evaluate"

type evaluateRequest struct {
	Dataset  string   `json:"dataset" validate:"required,max=40"`
	Members  int64    `json:"members" validate:"required"`
	Epoch    int      `json:"epoch" validate:"required"`
	Elements []string `json:"elements" validate:"required,max=4096,dive,max=44"`
}

// evaluateBlinded answers the one call whose body has thousands of elements.
func evaluateBlinded() endpoint {
	shape := shapeOf(reflect.TypeFor[evaluateRequest]())
	return func(ctx context.Context, c *call) error {
		desk := c.server.services.RoomEvaluator
		if desk == nil {
			return refuse(unavailable)
		}
		if c.request.URL.RawQuery != "" {
			return refuse(malformed)
		}
		buffer := buffers.get()
		defer buffers.put(buffer)
		if err := c.readBody(buffer, "application/json", c.server.config.BatchLimit); err != nil {
			return err
		}
		// It is arithmetic of a second or so: parties must not take all processors.
		leave, err := c.enter(c.server.evaluations, "evaluations")
		if err != nil {
			return err
		}
		defer leave()
		var request evaluateRequest
		if err := c.server.parse(buffer.data, shape, &request); err != nil {
			return err
		}
		blinded := make([][]byte, len(request.Elements))
		for i, text := range request.Elements {
			var err error
			if blinded[i], err = base64.StdEncoding.Strict().DecodeString(text); err != nil || len(blinded[i]) != match.Size {
				return refuseField(invalid, "/elements", "are not all base64 of 32 bytes")
			}
		}
		answer, err := desk.Evaluate(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")),
			cleanroom.DatasetID(request.Dataset), request.Members, request.Epoch, blinded)
		switch {
		case errors.Is(err, match.ErrQuota):
			return &problem{kind: quotaExceeded, cause: err}
		case err != nil:
			return roomProblem(err)
		case answer.Receipt.IsZero():
			return errors.New("elements were evaluated without evidence")
		}
		return c.writeJSON(http.StatusOK, evaluatedElements(answer))
	}
}

type evaluatedElements match.Evaluated

func (e evaluatedElements) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendInt(appendKey(b, "epoch"), int64(e.Epoch))
	b = appendString(appendKey(b, "public_key"), base64.StdEncoding.EncodeToString(e.PublicKey))
	texts := make([]string, len(e.Elements))
	for i := range e.Elements {
		texts[i] = base64.StdEncoding.EncodeToString(e.Elements[i])
	}
	b = appendStrings(appendKey(b, "elements"), texts)
	b = appendString(appendKey(b, "proof"), base64.StdEncoding.EncodeToString(e.Proof))
	b = appendLog(appendKey(b, "log"), e.Receipt)
	return append(b, '}'), nil
}
