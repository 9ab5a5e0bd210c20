package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Watch looks at a bundle directory every interval and activates what changed, until
// ctx ends. A directory that is being written to is left alone until it looks the same
// twice; a candidate that is refused is not tried again until it changes.
func (e *Engine) Watch(ctx context.Context, dir string, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("watching policies: want a positive interval: %w", privacy.ErrInvalid)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var seen, tried [32]byte
	if r := e.Revision(); r != nil {
		tried = r.Digest()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		content, err := ReadBundleDir(dir)
		if err != nil {
			seen = [32]byte{}
			continue
		}
		digest := content.Digest()
		if digest != seen {
			seen = digest
			continue
		}
		if digest == tried {
			continue
		}
		tried = digest
		if err := e.ActivateContent(ctx, content); errors.Is(err, context.Canceled) {
			return nil
		}
	}
}
