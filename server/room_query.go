package server

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomAsker answers questions about clean rooms; [cleanroom.Service] is one. It must hand out
// an answer only after its log entry is durable, and tell nothing but [cleanroom.ErrFailed]
// once data was touched, at a time that does not depend on the data.
type RoomAsker interface {
	Ask(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte) (*cleanroom.Answer, error)
	Price(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte) (*cleanroom.Price, error)
	Budget(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID) (*cleanroom.Budget, error)
}

// The paths of questions.
const (
	pathRoomQueries = "/v1/rooms/{room}/queries"
	pathRoomPrice   = "/v1/rooms/{room}/queries:price"
	pathRoomBudget  = "/v1/rooms/{room}/budget"
)

// roomQuestion is an endpoint that takes a query. The room reads it, strictly, because it is
// the document that is judged and hashed.
func roomQuestion(do func(ctx context.Context, c *call, document []byte) (encoder, error)) endpoint {
	return func(ctx context.Context, c *call) error {
		if c.request.URL.RawQuery != "" {
			return refuse(malformed)
		}
		if c.server.services.RoomQueries == nil {
			return refuse(unavailable)
		}
		buffer := buffers.get()
		defer buffers.put(buffer)
		if err := c.readBody(buffer, "application/json", c.server.config.QueryLimit); err != nil {
			return err
		}
		answer, err := do(ctx, c, buffer.data)
		if err != nil {
			return roomProblem(err)
		}
		return c.writeJSON(http.StatusOK, answer)
	}
}

// roomProblem is what a caller is told of the errors that only rooms have.
func roomProblem(err error) error {
	if errors.Is(err, cleanroom.ErrFailed) {
		return refuse(roomFailed) // without any cause
	}
	if denied, ok := errors.AsType[*cleanroom.Denied](err); ok {
		return &problem{kind: roomDenied, checks: denied.Checks}
	}
	if exhausted, ok := errors.AsType[*cleanroom.Exhausted](err); ok {
		return &problem{kind: roomExhausted, left: exhausted.Left}
	}
	return err
}

func askRoom(ctx context.Context, c *call, document []byte) (encoder, error) {
	answer, err := c.server.services.RoomQueries.Ask(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), document)
	if err != nil {
		return nil, err
	}
	if answer.Receipt.IsZero() {
		return nil, errors.New("a room gave an answer without evidence")
	}
	return roomAnswer{answer}, nil
}

type roomAnswer struct{ *cleanroom.Answer }

func (a roomAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = append(appendKey(b, "release"), a.Release.Answer...)
	b = appendString(appendKey(b, "digest"), hex.EncodeToString(a.Release.Digest[:]))
	b = append(appendKey(b, "repeated"), falseOrTrue[a.Repeated]...)
	b = append(appendKey(b, "names"), '{')
	for _, name := range slices.Sorted(maps.Keys(a.Names)) {
		b = appendString(appendKey(b, name), a.Names[name])
	}
	b = append(b, '}')
	b = append(appendKey(b, "released_at"), '"')
	b = append(a.Release.ReleasedAt.UTC().AppendFormat(b, time.RFC3339), '"')
	return append(appendLog(appendKey(b, "log"), a.Receipt), '}'), nil
}

var falseOrTrue = map[bool]string{true: "true", false: "false"}

func priceRoom(ctx context.Context, c *call, document []byte) (encoder, error) {
	price, err := c.server.services.RoomQueries.Price(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), document)
	if err != nil {
		return nil, err
	}
	if price.Receipt.IsZero() {
		return nil, errors.New("a room told a price without evidence")
	}
	return roomPrice{price}, nil
}

type roomPrice struct{ *cleanroom.Price }

func (p roomPrice) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "question"), hex.EncodeToString(p.Question[:]))
	b = append(appendKey(b, "query"), p.Query...)
	b = appendInt(appendKey(b, "cost_nanorho"), int64(p.Cost))
	b = appendInt(appendKey(b, "minimum_people"), int64(p.MinimumPeople))
	b = appendInt(appendKey(b, "threshold"), p.Threshold)
	b = append(appendKey(b, "metrics"), '[')
	for i, m := range p.Metrics {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(appendKey(append(b, '{'), "name"), m.Name)
		if m.AverageOf > 0 {
			b = appendInt(appendKey(b, "average_of"), m.AverageOf)
		} else {
			b = appendInt(appendKey(b, "noise_sd"), m.NoiseSD)
		}
		b = append(appendInt(appendKey(b, "half_width"), m.HalfWidth), '}')
	}
	b = append(b, ']')
	b = appendLeft(appendKey(b, "left"), p.Left, nil)
	if p.Questions >= 0 {
		b = appendInt(appendKey(b, "questions_left"), p.Questions)
	}
	return append(appendLog(appendKey(b, "log"), p.Receipt), '}'), nil
}

func showBudget(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if c.server.services.RoomQueries == nil {
		return refuse(unavailable)
	}
	budget, err := c.server.services.RoomQueries.Budget(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")))
	if err != nil {
		return roomProblem(err)
	}
	return c.writeJSON(http.StatusOK, roomBudget{budget})
}

type roomBudget struct{ *cleanroom.Budget }

func (r roomBudget) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(r.Room))
	b = appendInt(appendKey(b, "example_nanorho"), int64(r.Example))
	return append(appendLeft(appendKey(b, "left"), r.Left, r.Questions), '}'), nil
}

// appendLeft appends what is left of budgets, and how many questions that is if it is given.
func appendLeft(b []byte, left []cleanroom.Left, questions []int64) []byte {
	b = append(b, '[')
	for i, l := range left {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(appendKey(append(b, '{'), "dataset"), l.Dataset.String())
		b = appendInt(appendKey(b, "cap_nanorho"), int64(l.Cap))
		b = appendInt(appendKey(b, "spent_nanorho"), int64(l.Spent))
		b = appendInt(appendKey(b, "consumer_cap_nanorho"), int64(l.ConsumerCap))
		b = appendInt(appendKey(b, "consumer_spent_nanorho"), int64(l.Consumed))
		b = appendInt(appendKey(b, "left_nanorho"), int64(l.Rho()))
		if questions != nil {
			b = appendInt(appendKey(b, "questions_left"), questions[i])
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
