package keydir

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// receiptFile signs consent receipts. It comes when the first one is issued: a key directory
// from before has none.
func receiptFile() file { return file{"receipt.json", jwt.ES256Template(), false} }

// ReceiptKeyset is the Tink JWT keyset (ES256) that signs consent receipts, as it is on the
// disk now: another process may have rotated it. It returns an error that wraps
// [privacy.ErrNotFound] before there is one.
func (k *Keys) ReceiptKeyset() (*keyset.Handle, error) {
	f := receiptFile()
	handle, err := f.read(k.dir)
	if err != nil {
		return nil, err
	}
	if _, err := jwt.NewSigner(handle); err != nil {
		return nil, damaged(filepath.Join(k.dir, f.name))
	}
	return handle, nil
}

// EnsureReceiptKeyset makes the keyset unless there is one, and reports whether it did. Of
// several processes that do so at once, one makes it.
func (k *Keys) EnsureReceiptKeyset() (created bool, err error) {
	if created, err = k.ensure(receiptFile()); err != nil {
		return false, fmt.Errorf("creating receipt keyset: %w", err)
	}
	return created, nil
}

// RotateReceiptKeyset adds a new key, which signs from now on. Those before it stay
// published, because what they signed is still good. It returns an error that wraps
// [privacy.ErrNotFound] before there is a keyset.
func (k *Keys) RotateReceiptKeyset() error {
	handle, err := k.ReceiptKeyset()
	if err != nil {
		return err
	}
	f := receiptFile()
	content, err := f.rotated(handle)
	if err == nil {
		err = placing(filepath.Join(k.dir, f.name), content, os.Rename)
	}
	if err != nil {
		return fmt.Errorf("rotating receipt keyset: %w", err)
	}
	return nil
}

// ensure makes a file that comes when it is first needed, unless it is there, and reports
// whether it did.
func (k *Keys) ensure(f file) (created bool, err error) {
	path := filepath.Join(k.dir, f.name)
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	content, err := f.generate()
	if err != nil {
		return false, err
	}
	// A hard link appears whole and refuses to replace, where a rename would overwrite.
	err = placing(path, content, os.Link)
	if os.IsExist(err) {
		return false, syncDir(filepath.Dir(path)) // whoever made it may not have come to that
	}
	return err == nil, err
}

// placing writes content beside path, durably, and has place put it there: a crash leaves what
// was there before or the new file, and never a half.
func placing(path string, content []byte, place func(temporary, path string) error) error {
	parent := filepath.Dir(path)
	dir, err := os.MkdirTemp(parent, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	temporary := filepath.Join(dir, "keyset")
	if err := writeFile(temporary, content); err != nil {
		return err
	}
	if err := place(temporary, path); err != nil {
		return err
	}
	return syncDir(parent)
}
