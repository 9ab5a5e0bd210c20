package keydir

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
)

// linkFile seals the links by which people take a consent back. Their nonces have 24 bytes,
// because a link may stand in every message that is ever sent. It comes when the first link
// is made: a key directory from before has none.
func linkFile() file { return file{"link.json", aead.XChaCha20Poly1305KeyTemplate(), false} }

// Links returns the primitive that seals links, or an error that wraps [privacy.ErrNotFound]
// before there is one.
func (k *Keys) Links() (tink.AEAD, error) {
	f := linkFile()
	path := filepath.Join(k.dir, f.name)
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return nil, fmt.Errorf("opening key of links: there is none yet: %w", privacy.ErrNotFound)
	}
	handle, err := f.read(k.dir)
	if err != nil {
		return nil, err
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, damaged(path)
	}
	return primitive, nil
}

// EnsureLinks makes the key that seals links unless there is one, and reports whether it
// did. Of several processes that do so at once, one makes it.
func (k *Keys) EnsureLinks() (created bool, err error) {
	if created, err = k.ensure(linkFile()); err != nil {
		return false, fmt.Errorf("creating key of links: %w", err)
	}
	return created, nil
}
