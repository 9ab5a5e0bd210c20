package receipt

import (
	"context"
	"errors"
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

type noLog struct{ audit.Appender }

func (noLog) Append(context.Context, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, privacy.ErrUnavailable
}

type noKeyset struct{ made bool }

func (*noKeyset) ReceiptKeyset() (*keyset.Handle, error) { return nil, privacy.ErrNotFound }

func (k *noKeyset) EnsureReceiptKeyset() (bool, error) { k.made = true; return true, nil }

// TestNoKeysetWithoutItsEntry: one that was made while the log was away would never have its entry.
func TestNoKeysetWithoutItsEntry(t *testing.T) {
	t.Parallel()
	var keys noKeyset
	if _, err := NewIssuer(Config{Keys: &keys, Log: noLog{}}).signer(t.Context()); !errors.Is(err, privacy.ErrUnavailable) || keys.made {
		t.Errorf("%v; a keyset was made: %v", err, keys.made)
	}
}
