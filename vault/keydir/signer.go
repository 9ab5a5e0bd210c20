package keydir

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/tink-crypto/tink-go/v2/signature"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
)

// LogSigner is the key of a signer of its own, in a directory that holds no other key: it
// can vouch for the log and read nobody. It prints as REDACTED.
type LogSigner struct {
	dir    string
	signer tink.Signer
	public ed25519.PublicKey
}

// CreateLogSigner makes a new key in dir, which it makes too if it is not there. A key that
// is there already is never overwritten: the error wraps [privacy.ErrConflict].
func CreateLogSigner(dir string) (*LogSigner, error) {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making directory of the signer: %w", err)
	}
	if err := checkMode(dir, true); err != nil {
		return nil, err
	}
	file := logSignerFile()
	content, err := file.generate()
	if err != nil {
		return nil, err
	}
	temporary, err := os.MkdirTemp(dir, ".new-*")
	if err != nil {
		return nil, fmt.Errorf("making key of the signer: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	if err := writeFile(filepath.Join(temporary, file.name), content); err != nil {
		return nil, err
	}
	// A link appears whole and refuses to replace, where a rename would overwrite.
	path := filepath.Join(dir, file.name)
	if err := os.Link(filepath.Join(temporary, file.name), path); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making key of the signer: %s is there already and is left as it is: %w", path, privacy.ErrConflict)
	} else if err != nil {
		return nil, fmt.Errorf("making key of the signer: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return OpenLogSigner(dir)
}

func logSignerFile() file {
	return file{logFile, signature.ED25519KeyWithoutPrefixTemplate(), true}
}

// OpenLogSigner opens the key in dir, with the errors of [Open].
func OpenLogSigner(dir string) (*LogSigner, error) {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		return nil, fmt.Errorf("opening key of the signer: %s does not exist; mahrem auditd init creates it: %w", dir, privacy.ErrNotFound)
	}
	if err := checkMode(dir, true); err != nil {
		return nil, err
	}
	file := logSignerFile()
	handle, err := file.read(dir)
	if err != nil {
		return nil, err
	}
	var k Keys
	if err := k.openLog(handle); err != nil {
		return nil, damaged(filepath.Join(dir, file.name))
	}
	return &LogSigner{dir: dir, signer: k.signer, public: k.public}, nil
}

// PublicKey is the public half.
func (s *LogSigner) PublicKey() ed25519.PublicKey { return slices.Clone(s.public) }

// Sign signs message with Ed25519 (RFC 8032).
func (s *LogSigner) Sign(message []byte) ([]byte, error) {
	signed, err := s.signer.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("signing with the signer's key: %w", err)
	}
	return signed, nil
}

// String says REDACTED.
func (*LogSigner) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (*LogSigner) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (*LogSigner) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (*LogSigner) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
