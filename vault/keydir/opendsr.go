package keydir

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/privacy"
)

// The files with which the house signs as a processor (docs/opendsr.md). They are PEM and
// no Tink keysets, because an authority has to sign the certificate. They come later than
// the others, if ever.
const (
	openDSRDir         = "opendsr"
	openDSRKey         = "key.pem"
	openDSRCertificate = "certificate.pem"
)

// OpenDSR returns the private key and the certificates that belong to it, in PEM, or an
// error that wraps [privacy.ErrNotFound] if there is no certificate yet.
func (k *Keys) OpenDSR() (key, certificate []byte, err error) {
	dir := filepath.Join(k.dir, openDSRDir)
	if _, err := os.Lstat(filepath.Join(dir, openDSRCertificate)); os.IsNotExist(err) {
		return nil, nil, fmt.Errorf("opening OpenDSR certificate: %w", privacy.ErrNotFound)
	}
	if err := checkMode(dir, true); err != nil {
		return nil, nil, err
	}
	if key, err = readPEM(filepath.Join(dir, openDSRKey)); err != nil {
		return nil, nil, err
	}
	certificate, err = readPEM(filepath.Join(dir, openDSRCertificate))
	return key, certificate, err
}

// OpenDSRKey returns the private key alone.
func (k *Keys) OpenDSRKey() ([]byte, error) {
	return readPEM(filepath.Join(k.dir, openDSRDir, openDSRKey))
}

func readPEM(path string) ([]byte, error) {
	if err := checkMode(path, false); err != nil {
		return nil, err
	}
	opened, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	defer func() { _ = opened.Close() }() // read only
	content, err := io.ReadAll(io.LimitReader(opened, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading key file: %w", err)
	}
	if len(content) > maxKeyFile {
		return nil, damaged(path)
	}
	return content, nil
}

// SetOpenDSRKey keeps a private key. A key that is there already is never overwritten: the
// error wraps [privacy.ErrConflict].
func (k *Keys) SetOpenDSRKey(key []byte) error {
	if err := k.makeOpenDSRDir(); err != nil {
		return err
	}
	path := filepath.Join(k.dir, openDSRDir, openDSRKey)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("keeping OpenDSR key: %s is there already and is left as it is: %w", path, privacy.ErrConflict)
	}
	if err := writeFile(path, key); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// SetOpenDSRCertificate keeps the certificates of the key, in the place of those that were
// there: an authority gives a new one each year. A crash leaves the old ones or the new.
func (k *Keys) SetOpenDSRCertificate(certificate []byte) error {
	if err := k.makeOpenDSRDir(); err != nil {
		return err
	}
	dir := filepath.Join(k.dir, openDSRDir)
	temporary, err := os.MkdirTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("keeping OpenDSR certificate: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	if err := writeFile(filepath.Join(temporary, openDSRCertificate), certificate); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(temporary, openDSRCertificate), filepath.Join(dir, openDSRCertificate)); err != nil {
		return fmt.Errorf("keeping OpenDSR certificate: %w", err)
	}
	return syncDir(dir)
}

func (k *Keys) makeOpenDSRDir() error {
	dir := filepath.Join(k.dir, openDSRDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("making directory of OpenDSR keys: %w", err)
	}
	return checkMode(dir, true)
}
