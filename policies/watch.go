package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Watch reads the source every interval and activates what changed, until ctx ends. A
// candidate that is refused is not tried again until it changes, unless it was refused
// because its activation could not be recorded. The last good revision stays whatever
// happens, also after it expired: that is said once to [Config].Refused, and in
// [Engine.Status] for as long as it lasts.
func (e *Engine) Watch(ctx context.Context, source Source, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("watching policies: want a positive interval: %w", privacy.ErrInvalid)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var again *Content
	var expired *Revision
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		again = e.look(ctx, source, again)
		if r := e.Revision(); r != nil && r != expired && r.expired(e.config.Now()) {
			expired = r
			e.tellRefused(&Refusal{Check: BundleExpired, Digest: r.digest, Err: fmt.Errorf(
				"the active policies were to be used until %s; they stay until others take their place", r.signed.NotAfter.Format(time.RFC3339),
			)})
		}
	}
}

// look reads the source once. It returns the bundle to try again if its activation could
// not be recorded, because the source will not say it twice.
func (e *Engine) look(ctx context.Context, source Source, again *Content) *Content {
	content, err := source.Read(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Check == BundleUnavailable {
		if e.unread.Swap(refusal) == nil {
			e.tellRefused(refusal)
		}
		return again
	}
	e.unread.Store(nil)
	switch {
	case errors.Is(err, ErrUnchanged):
		if content = again; content == nil {
			return nil
		}
	case err != nil:
		_ = e.activate(ctx, nil, err)
		return nil
	case content.identity() == e.Revision().identityOrZero():
		e.lastErr.Store(nil) // back to what is active
		return nil
	}
	if err := e.activate(ctx, content, nil); errors.Is(err, privacy.ErrUnavailable) {
		return content
	}
	return nil
}

func (e *Engine) tellRefused(refusal *Refusal) {
	e.refusals.Add(1)
	if e.config.Refused != nil {
		e.config.Refused(refusal)
	}
}
