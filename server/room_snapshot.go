package server

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/admit"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// RoomAdmitter takes in what parties have prepared; [admit.Desk] is one. Nothing of a delivery
// may be matched before all of it is there and has its entry.
type RoomAdmitter interface {
	Admit(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, in io.Reader) (*admit.Admitted, error)
	// Standing tells how much of a delivery has come, or returns an error that wraps
	// [privacy.ErrNotFound] for one that the caller has no part in.
	Standing(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, manifest audit.Digest) (*admit.Standing, error)
}

const (
	pathSnapshots = "/v1/rooms/{room}/snapshots"
	pathSnapshot  = "/v1/rooms/{room}/snapshots/{manifest}"
)

// admitSnapshot takes a delivery as it streams past: it may be much larger than memory.
func admitSnapshot(_ context.Context, c *call) error {
	desk := c.server.services.RoomAdmitter
	if desk == nil {
		return refuse(unavailable)
	}
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if !isMediaType(c.request.Header.Get("Content-Type"), "application/x-ndjson") || c.request.Header.Get("Content-Encoding") != "" {
		return refuse(mediaType)
	}
	if c.request.ContentLength > c.server.config.SnapshotLimit {
		return refuse(tooLarge)
	}
	leave, err := c.enter(c.server.snapshots, "deliveries")
	if err != nil {
		return err
	}
	defer leave()
	// The time of other requests is too short for it.
	timeout := c.server.config.SnapshotTimeout
	ctx, cancel := context.WithTimeout(c.request.Context(), timeout)
	defer cancel()
	controller, until := http.NewResponseController(c.writer), time.Now().Add(timeout)
	if err := errors.Join(controller.SetReadDeadline(until), controller.SetWriteDeadline(until.Add(time.Minute))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	body := &patient{http.MaxBytesReader(c.writer, c.request.Body, c.server.config.SnapshotLimit), controller, c.server.config.SnapshotPatience, until}
	admitted, err := desk.Admit(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return refuse(tooLarge)
	}
	switch {
	case errors.Is(err, prepare.ErrInput) && errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{kind: unavailable, cause: err} // the line may hold another time
	case errors.Is(err, prepare.ErrInput):
		return &problem{kind: malformed, cause: err}
	case errors.Is(err, cleanroom.ErrIdentifiers):
		return refuseField(invalid, "/manifest/identifier", cleanroom.ErrIdentifiers.Error())
	case errors.Is(err, cleanroom.ErrDuplicates):
		return refuseField(invalid, "/members", cleanroom.ErrDuplicates.Error())
	case errors.Is(err, cleanroom.ErrSizes):
		return refuseField(invalid, "/rows", cleanroom.ErrSizes.Error())
	case errors.Is(err, cleanroom.ErrReplaced):
		// No conflict: asking again would bring all of it again.
		return refuseField(invalid, "/manifest/dataset", cleanroom.ErrReplaced.Error())
	case errors.Is(err, cleanroom.ErrBegun):
		return refuseField(invalid, "/manifest/dataset", cleanroom.ErrBegun.Error())
	case errors.Is(err, cleanroom.ErrTooFew):
		return refuseField(invalid, "/members", cleanroom.ErrTooFew.Error())
	case err != nil:
		return roomProblem(err)
	case admitted.Before:
		return c.writeJSON(http.StatusOK, admittedSnapshot(*admitted))
	case admitted.Waiting:
		return c.writeJSON(http.StatusAccepted, admittedSnapshot(*admitted))
	case admitted.Receipt.IsZero():
		return errors.New("a snapshot was admitted without evidence")
	}
	return c.writeJSON(http.StatusCreated, admittedSnapshot(*admitted))
}

type admittedSnapshot admit.Admitted

func (a admittedSnapshot) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(a.Room))
	b = appendString(appendKey(b, "dataset"), a.Dataset.String())
	b = appendInt(appendKey(b, "epoch"), int64(a.Epoch))
	b = appendString(appendKey(b, "manifest"), hex.EncodeToString(a.Manifest[:]))
	state := "staged"
	if a.Waiting {
		state = "waiting"
	}
	b = appendString(appendKey(b, "state"), state)
	if !a.Waiting && !a.Before {
		b = appendLog(appendKey(b, "log"), a.Receipt)
	}
	return append(b, '}'), nil
}

// patient reads from a line over which something has to come now and then: one that is silent
// for too long is broken, and whoever sends goes on over another one.
type patient struct {
	in         io.Reader
	controller *http.ResponseController
	patience   time.Duration
	until      time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	deadline := time.Now().Add(p.patience)
	if deadline.After(p.until) {
		deadline = p.until
	}
	_ = p.controller.SetReadDeadline(deadline) // it could be set before, or cannot be at all
	n, err := p.in.Read(b)
	if err != nil {
		// Everything has come, and what is left to do takes as long as it takes.
		_ = p.controller.SetReadDeadline(p.until)
	}
	return n, err
}

// showSnapshot tells a party how much of its delivery has come.
func showSnapshot(ctx context.Context, c *call) error {
	desk := c.server.services.RoomAdmitter
	if desk == nil {
		return refuse(unavailable)
	}
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	var manifest audit.Digest
	text := c.request.PathValue("manifest")
	if len(text) != hex.EncodedLen(len(manifest)) {
		return refuse(notFound)
	}
	if _, err := hex.Decode(manifest[:], []byte(text)); err != nil {
		return refuse(notFound)
	}
	standing, err := desk.Standing(ctx, c.principal, cleanroom.RoomID(c.request.PathValue("room")), manifest)
	if errors.Is(err, privacy.ErrNotFound) {
		return refuse(notFound)
	}
	if err != nil {
		return err
	}
	return c.writeJSON(http.StatusOK, snapshotStanding(*standing))
}

type snapshotStanding admit.Standing

func (s snapshotStanding) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(s.Room))
	b = appendString(appendKey(b, "dataset"), s.Dataset.String())
	b = appendInt(appendKey(b, "epoch"), int64(s.Epoch))
	b = appendString(appendKey(b, "manifest"), hex.EncodeToString(s.Manifest[:]))
	state := string(s.State)
	if s.Waiting {
		state = "waiting"
	}
	b = appendString(appendKey(b, "state"), state)
	b = appendInt(appendKey(b, "member_chunks"), int64(s.MemberChunks))
	b = appendInt(appendKey(b, "row_chunks"), int64(s.RowChunks))
	if s.Remasked != (audit.Digest{}) {
		b = appendString(appendKey(b, "remasked"), hex.EncodeToString(s.Remasked[:]))
	}
	if !s.KeptUntil.IsZero() {
		b = appendString(appendKey(b, "kept_until"), s.KeptUntil.UTC().Format(time.RFC3339))
	}
	return append(b, '}'), nil
}
