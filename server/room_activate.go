package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/privacy"
)

// RoomActivator makes audiences of whom a question in a clean room is about;
// [activate.Activator] is one. It must hand out a list only after its log entry is durable, and
// tell nothing but [cleanroom.ErrFailed] or a [cleanroom.Denied] once data was touched.
type RoomActivator interface {
	Activate(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte) (*activate.Audience, error)
}

const pathActivations = "/v1/rooms/{room}/activations"

// activationTimeout is longer than an activator works on one, and on writing down that it
// failed: what a caller is told must not depend on which of the two gives up first.
const activationTimeout = 5 * time.Minute

// activateRoom answers a question that was charged with pseudonyms alone: neither the body nor
// a header says how many of them are of somebody.
func activateRoom(_ context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if c.server.services.RoomActivator == nil {
		return refuse(unavailable)
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "application/json", c.server.config.QueryLimit); err != nil {
		return err
	}
	leave, err := c.enter(c.server.audiences, "audiences")
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(c.request.Context(), activationTimeout)
	defer cancel()
	controller := http.NewResponseController(c.writer)
	if err := controller.SetWriteDeadline(time.Now().Add(activationTimeout + time.Minute)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	room := cleanroom.RoomID(c.request.PathValue("room"))
	audience, err := c.server.services.RoomActivator.Activate(ctx, c.principal, room, buffer.data)
	if err != nil {
		return roomProblem(err)
	}
	if audience.Receipt.IsZero() {
		return errors.New("a room gave an audience without evidence")
	}
	return c.writeJSON(http.StatusOK, activated{room, audience})
}

type activated struct {
	room cleanroom.RoomID
	*activate.Audience
}

func (a activated) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(a.room))
	b = appendString(appendKey(b, "purpose"), string(a.Purpose))
	b = appendStrings(appendKey(b, "pseudonyms"), a.Pseudonyms)
	b = appendString(appendKey(b, "list_sha256"), hex.EncodeToString(a.Digest[:]))
	return append(appendLog(appendKey(b, "log"), a.Receipt), '}'), nil
}
