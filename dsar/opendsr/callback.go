package opendsr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Callback is a status on its way to a controller. It is signed when it is sent: a
// certificate may be replaced while it waits.
type Callback struct {
	URL     string          `json:"url"`
	Version Version         `json:"version"`
	Body    json.RawMessage `json:"body"`
}

// ParseCallback reads the payload of a delivery. The error wraps [privacy.ErrDamaged].
func ParseCallback(payload []byte) (Callback, error) {
	var c Callback
	if err := json.Unmarshal(payload, &c); err != nil || c.URL == "" || len(c.Body) == 0 {
		return Callback{}, fmt.Errorf("reading callback: %w", privacy.ErrDamaged)
	}
	return c, nil
}

// Tell puts a callback into the outbox for each change of status that a controller has not
// been told of, one for each of its addresses. It goes by the steps of the requests, which
// are durable: a crash at any moment loses none of them. It returns how many turns it told.
func (d *Desk) Tell(ctx context.Context, v *vault.Vault, random io.Reader) (int, error) {
	const batch = 100
	told := 0
	for {
		before := told
		turns, err := d.store.Turns(ctx, batch)
		if err != nil {
			return told, fmt.Errorf("finding what controllers were not told: %w", err)
		}
		for _, turn := range turns {
			if err := d.tell(ctx, v, random, turn); errors.Is(err, privacy.ErrConflict) {
				continue // another process was quicker
			} else if err != nil {
				return told, err
			}
			told++
		}
		if len(turns) < batch && told == before {
			return told, nil
		}
	}
}

func (d *Desk) tell(ctx context.Context, v *vault.Vault, random io.Reader, turn Turn) error {
	status := StatusOf(turn.State)
	if !status.Follows(turn.Link.ToldStatus) {
		return fmt.Errorf("telling a controller that a request went back: %w", privacy.ErrDamaged)
	}
	var deliveries []outbox.Delivery
	for _, url := range turn.Link.Callbacks {
		report := d.report(turn.Link, turn.Link.Version, turn.State, turn.Link.ExpectedAt)
		report.CallbackURL = url
		payload, err := json.Marshal(Callback{URL: url, Version: turn.Link.Version, Body: report.Encode()})
		if err != nil {
			return fmt.Errorf("writing callback: %w", err)
		}
		delivery, err := outbox.New(v, random, outbox.Message{
			Kind: outbox.OpenDSR, Destination: turn.Link.Controller, Topic: TopicCallback, Request: turn.Link.Request, Payload: payload,
		})
		if err != nil {
			return err
		}
		deliveries = append(deliveries, delivery)
	}
	event := audit.Event{
		Kind: audit.RequestNotified, Outcome: audit.Done, Count: uint64(len(deliveries)),
		List: dsar.StepDigest(turn.Link.Request, turn.Step, dsar.ActionNotify, audit.Digest{}),
	}
	return d.store.Told(ctx, turn, status, deliveries, event)
}
