package assembly

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// keyMaker makes keys that come when they are first needed. The log says so before there is
// one: a key that was made and not logged would be there the next time, and its entry never.
// Callers of one process that find none leave one entry; of two processes that find none both
// say so, and one makes it. A crash after the entry leaves an entry more than keys.
type keyMaker struct{ mu sync.Mutex }

// ensure makes what find does not find, for a recipient or for nobody.
func (m *keyMaker) ensure(ctx context.Context, log audit.Appender, recipient privacy.RecipientID, find func() error, create func() (bool, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := find(); !errors.Is(err, privacy.ErrNotFound) {
		return err
	}
	if _, err := log.Append(ctx, audit.Event{Kind: audit.KeyCreated, Outcome: audit.Done, Recipient: recipient}); err != nil {
		return fmt.Errorf("logging a new key: %w", err)
	}
	_, err := create()
	return err
}
