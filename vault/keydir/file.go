package keydir

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/signature"

	"github.com/mahrem/mahrem/privacy"
)

// The names in a key directory.
const (
	kekFile       = "kek.json"
	indexFile     = "index.json"
	logFile       = "log.json"
	tokenFile     = "token.json"
	blindIndexDir = "blind-index"
	pseudonymDir  = "pseudonym"
)

// maxKeyFile is more than a keyset of a hundred keys takes.
const maxKeyFile = 1 << 18

// file is one keyset of the directory.
type file struct {
	name     string
	template *tink_go_proto.KeyTemplate
	// numbered gives the first key the id 1 instead of a random one: the id serves as a
	// version in what the key makes.
	numbered bool
}

// files are those that every key directory has. Pseudonym keysets come with recipients.
func files() []file {
	all := []file{
		{kekFile, aead.AES256GCMKeyTemplate(), false},
		{indexFile, prf.AESCMACPRFKeyTemplate(), true},
		{logFile, signature.ED25519KeyWithoutPrefixTemplate(), true},
		{tokenFile, jwt.ES256Template(), false},
	}
	for _, kind := range privacy.IdentifierKinds() {
		all = append(all, blindIndexFile(kind))
	}
	return all
}

func blindIndexFile(kind privacy.IdentifierKind) file {
	return file{filepath.Join(blindIndexDir, string(kind)+".json"), prf.HMACSHA256PRFKeyTemplate(), true}
}

func pseudonymFile(recipient privacy.RecipientID) (file, error) {
	if !validRecipient(recipient) {
		return file{}, fmt.Errorf("naming key file of recipient: an id is 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit: %w", privacy.ErrInvalid)
	}
	return file{filepath.Join(pseudonymDir, string(recipient)+".json"), daead.AESSIVKeyTemplate(), false}, nil
}

// validRecipient also keeps a recipient from naming a file elsewhere.
func validRecipient(recipient privacy.RecipientID) bool {
	if len(recipient) == 0 || len(recipient) > 64 {
		return false
	}
	return strings.IndexFunc(string(recipient[:1]), notLetterOrDigit) < 0 &&
		strings.IndexFunc(string(recipient), func(r rune) bool {
			return notLetterOrDigit(r) && r != '.' && r != '_' && r != '-'
		}) < 0
}

func notLetterOrDigit(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }

// generate makes a fresh keyset and returns it as Tink's JSON.
func (f file) generate() ([]byte, error) {
	handle, err := keyset.NewHandle(f.template)
	if err != nil {
		return nil, fmt.Errorf("generating %s: %w", f.name, err)
	}
	material := insecurecleartextkeyset.KeysetMaterial(handle)
	if f.numbered {
		material.Key[0].KeyId, material.PrimaryKeyId = 1, 1
	}
	return f.encode(material)
}

// encode returns the keys of a keyset as Tink's JSON, in clear.
func (f file) encode(material *tink_go_proto.Keyset) ([]byte, error) {
	var out bytes.Buffer
	if err := keyset.NewJSONWriter(&out).Write(material); err != nil {
		return nil, fmt.Errorf("encoding %s: %w", f.name, err)
	}
	return out.Bytes(), nil
}

// rotated returns a keyset with one key more, which is used from now on, as Tink's JSON.
func (f file) rotated(handle *keyset.Handle) ([]byte, error) {
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(f.template)
	if err == nil {
		err = manager.SetPrimary(id)
	}
	if err == nil {
		handle, err = manager.Handle()
	}
	if err != nil {
		return nil, fmt.Errorf("adding a key to %s: %w", f.name, err)
	}
	content, err := f.encode(insecurecleartextkeyset.KeysetMaterial(handle))
	if err == nil && len(content) > maxKeyFile {
		err = fmt.Errorf("adding a key to %s: there are too many in it: %w", f.name, privacy.ErrConflict)
	}
	return content, err
}

// read opens the keyset at dir/f.name. Errors name the file and what to do, and never
// carry the parser's words, which may quote a key.
func (f file) read(dir string) (*keyset.Handle, error) {
	path := filepath.Join(dir, f.name)
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
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(content)))
	if err != nil {
		return nil, damaged(path)
	}
	return handle, nil
}

// damaged says which file does not hold the keyset it should.
func damaged(path string) error {
	return fmt.Errorf("opening key file: %s is damaged or is not the keyset that belongs there; restore it from your backup of the keys: %w", path, privacy.ErrDamaged)
}

// checkMode refuses what is missing, of another kind, or open to group or others.
func checkMode(path string, directory bool) error {
	info, err := os.Lstat(path)
	if os.IsNotExist(err) {
		if directory {
			return fmt.Errorf("opening key directory: %s does not exist; mahrem init creates it: %w", path, privacy.ErrNotFound)
		}
		return fmt.Errorf("opening key file: %s is missing; restore it from your backup of the keys: %w", path, privacy.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("opening key directory: %w", err)
	}
	want := "600"
	if directory {
		want = "700"
	}
	switch {
	case info.IsDir() != directory || (!directory && !info.Mode().IsRegular()):
		return fmt.Errorf("opening key directory: %s is not what belongs there: %w", path, privacy.ErrDamaged)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("opening key directory: %s is open to others than its owner (mode %04o); run: chmod %s %s: %w",
			path, info.Mode().Perm(), want, path, privacy.ErrForbidden)
	}
	return nil
}
