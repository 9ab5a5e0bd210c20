package keydir

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/signature"
	tinked25519 "github.com/tink-crypto/tink-go/v2/signature/ed25519"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Config holds what may be told otherwise.
type Config struct {
	// Vault is handed to the vault that the keys make. The zero value will do.
	Vault vault.Config
}

// Keys are the opened keys of a directory. They are safe for concurrent use and print
// as REDACTED.
type Keys struct {
	dir    string
	vault  *vault.Vault
	signer tink.Signer
	public ed25519.PublicKey
	token  *keyset.Handle

	mu         sync.Mutex
	recipients map[privacy.RecipientID]tink.DeterministicAEAD
}

// Open reads the key directory at dir. It refuses with an error that names the file, and
// for permissions the command to run, when the directory or a file is missing
// ([privacy.ErrNotFound]), open to others than its owner ([privacy.ErrForbidden]), or
// does not hold the keyset that belongs there ([privacy.ErrDamaged]).
func Open(dir string, config Config) (*Keys, error) {
	dir = filepath.Clean(dir)
	for _, sub := range []string{".", blindIndexDir, pseudonymDir} {
		if err := checkMode(filepath.Join(dir, sub), true); err != nil {
			return nil, err
		}
	}
	handles := make(map[string]*keyset.Handle)
	for _, file := range files() {
		handle, err := file.read(dir)
		if err != nil {
			return nil, err
		}
		handles[file.name] = handle
	}
	k := &Keys{dir: dir, token: handles[tokenFile], recipients: make(map[privacy.RecipientID]tink.DeterministicAEAD)}
	if err := k.openVault(handles, config.Vault); err != nil {
		return nil, err
	}
	if err := k.openLog(handles[logFile]); err != nil {
		return nil, damaged(filepath.Join(dir, logFile))
	}
	if _, err := jwt.NewSigner(k.token); err != nil {
		return nil, damaged(filepath.Join(dir, tokenFile))
	}
	for _, recipient := range k.names() {
		if _, err := k.Recipient(recipient); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func (k *Keys) openVault(handles map[string]*keyset.Handle, config vault.Config) error {
	kek, err := aead.New(handles[kekFile])
	if err != nil {
		return damaged(filepath.Join(k.dir, kekFile))
	}
	sets := vault.Keysets{KEK: kek, BlindIndex: make(map[privacy.IdentifierKind]*prf.Set)}
	if sets.Index, err = openPRF(handles[indexFile], 16); err != nil {
		return damaged(filepath.Join(k.dir, indexFile))
	}
	for _, kind := range privacy.IdentifierKinds() {
		name := blindIndexFile(kind).name
		if sets.BlindIndex[kind], err = openPRF(handles[name], 32); err != nil {
			return damaged(filepath.Join(k.dir, name))
		}
	}
	k.vault, err = vault.New(sets, config)
	return err
}

// openPRF makes the functions of a keyset and sees that each gives exactly size bytes,
// which tells HMAC-SHA256 from AES-CMAC, and that ids can serve as versions.
func openPRF(handle *keyset.Handle, size uint32) (*prf.Set, error) {
	set, err := prf.NewPRFSet(handle)
	if err != nil {
		return nil, err
	}
	for id, function := range set.PRFs {
		_, fits := function.ComputePRF(nil, size)
		_, more := function.ComputePRF(nil, size+1)
		if fits != nil || more == nil || id == 0 || id > 255 {
			return nil, fmt.Errorf("key %d is of another kind", id)
		}
	}
	return set, nil
}

func (k *Keys) openLog(handle *keyset.Handle) error {
	signer, err := signature.NewSigner(handle)
	if err != nil {
		return err
	}
	public, err := handle.Public()
	if err != nil {
		return err
	}
	primary, err := public.Primary()
	if err != nil {
		return err
	}
	key, ok := primary.Key().(*tinked25519.PublicKey)
	if !ok || len(key.OutputPrefix()) != 0 {
		return fmt.Errorf("not an Ed25519 key without prefix")
	}
	k.signer, k.public = signer, ed25519.PublicKey(key.KeyBytes())
	return nil
}

// Dir is the directory that was opened.
func (k *Keys) Dir() string { return k.dir }

// Vault seals and finds with these keys.
func (k *Keys) Vault() *vault.Vault { return k.vault }

// LogPublicKey is the public half of the log's Ed25519 key.
func (k *Keys) LogPublicKey() ed25519.PublicKey { return slices.Clone(k.public) }

// SignLog signs message with the log's Ed25519 key (RFC 8032).
func (k *Keys) SignLog(message []byte) ([]byte, error) {
	signed, err := k.signer.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("signing with log key: %w", err)
	}
	return signed, nil
}

// TokenKeyset is the Tink JWT keyset (ES256) that signs and verifies bearer tokens.
func (k *Keys) TokenKeyset() *keyset.Handle { return k.token }

// ActorTag stands for a principal in the log, see [vault.Vault.ActorTag].
func (k *Keys) ActorTag(principal privacy.Principal) [16]byte { return k.vault.ActorTag(principal) }

// SealCheck is [vault.Vault.SealCheck].
func (k *Keys) SealCheck() ([]byte, error) { return k.vault.SealCheck() }

// OpenCheck is [vault.Vault.OpenCheck] with an error that names the KEK's file.
func (k *Keys) OpenCheck(sealed []byte) error {
	if err := k.vault.OpenCheck(sealed); err != nil {
		return fmt.Errorf("%s does not belong to this database: %w", filepath.Join(k.dir, kekFile), err)
	}
	return nil
}

// Recipient returns the primitive behind a recipient's pseudonyms, or an error that
// wraps [privacy.ErrNotFound] when they have no keyset yet.
func (k *Keys) Recipient(recipient privacy.RecipientID) (tink.DeterministicAEAD, error) {
	file, err := pseudonymFile(recipient)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if primitive, ok := k.recipients[recipient]; ok {
		return primitive, nil
	}
	handle, err := file.read(k.dir)
	if err != nil {
		return nil, err
	}
	primitive, err := daead.New(handle)
	if err != nil {
		return nil, damaged(filepath.Join(k.dir, file.name))
	}
	k.recipients[recipient] = primitive
	return primitive, nil
}

// EnsureRecipient makes the recipient's pseudonym keyset unless there is one, and
// reports whether it did. Of several processes that do so at once, one makes it.
func (k *Keys) EnsureRecipient(recipient privacy.RecipientID) (created bool, err error) {
	file, err := pseudonymFile(recipient)
	if err != nil {
		return false, err
	}
	if created, err = k.ensure(file); err != nil {
		return false, fmt.Errorf("creating pseudonym keyset: %w", err)
	}
	_, err = k.Recipient(recipient)
	return created, err
}

// Recipients lists the recipients that have a pseudonym keyset, sorted.
func (k *Keys) Recipients() []privacy.RecipientID { return k.names() }

func (k *Keys) names() []privacy.RecipientID {
	entries, err := os.ReadDir(filepath.Join(k.dir, pseudonymDir))
	if err != nil {
		return nil
	}
	var names []privacy.RecipientID
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if ok && validRecipient(privacy.RecipientID(name)) {
			names = append(names, privacy.RecipientID(name))
		}
	}
	return names
}

// String says REDACTED.
func (*Keys) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (*Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (*Keys) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (*Keys) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
