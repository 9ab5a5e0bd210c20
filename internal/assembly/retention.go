package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openRetention opens the periodic destruction.
func (h *House) openRetention() error {
	signer, err := audit.NewSigner(retention.SignerName(h.Settings.Origin), h.Keys.LogPublicKey(), h.Keys.SignLog)
	if err != nil {
		return err
	}
	h.Retention, err = retention.New(postgres.NewRetentionStore(h.DB, h.Log), h.Keys.Vault(), retention.Config{
		Policy: func() retention.Policy {
			revision := h.Engine.Revision()
			return retention.Policy{Catalogue: revision.Catalogue(), Digest: audit.Digest(revision.Digest())}
		},
		Origin: h.Settings.Origin, Signer: signer, Random: h.options.Random,
	})
	return err
}

// Retaining runs the periodic destruction a day after the last run came to its end, or a
// day after it began to wait if there was none: whoever has only just installed the
// software can look at a plan first. It stops when ctx ends, between two batches, and then
// closes the channel.
func (h *House) Retaining(ctx context.Context, every time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if every <= 0 {
			return
		}
		began := time.Now()
		for {
			wait := every
			status, err := h.Retention.Status(ctx)
			if err == nil {
				last := status.LastRun
				if last.IsZero() {
					last = began
				}
				wait = time.Until(last.Add(every))
				if status.Overdue {
					h.options.Logger.Warn("the periodic destruction or its report is overdue; see mahrem retention report --check")
				}
			}
			if err == nil && wait <= 0 {
				if _, err = h.Retention.Run(ctx, privacy.Principal{}, nil); err == nil {
					continue
				}
			}
			if err != nil {
				if ctx.Err() == nil {
					h.options.Logger.Warn("the periodic destruction did not come to its end; it goes on later", "error", err)
				}
				wait = min(every, time.Hour)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(wait, time.Hour)):
			}
		}
	}()
	return stopped
}

// openWithholder opens what says which parts of an erasure must stay. It comes before the
// erasures.
func (h *House) openWithholder() (err error) {
	h.Withholder, err = retention.NewWithholder(h.catalogue, h.Keys.Vault())
	return err
}
