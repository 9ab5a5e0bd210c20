package export

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"filippo.io/age"

	"github.com/mahrem/mahrem/privacy"
)

// Lock says for whom an export is encrypted. The zero value locks for nobody and is refused.
type Lock struct{ recipient age.Recipient }

// ForRecipient locks for the holder of an age key: text is its public half, "age1…". The
// error wraps [privacy.ErrInvalid].
func ForRecipient(text string) (Lock, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(strings.TrimSpace(text) + "\n"))
	if err != nil || len(recipients) != 1 {
		return Lock{}, fmt.Errorf("reading age recipient (age1…): %w", privacy.ErrInvalid)
	}
	return Lock{recipients[0]}, nil
}

// How costly it is to try a passphrase, as log2 of scrypt's N (RFC 7914).
const (
	// chosenWork is for passphrases that people think of: a second each.
	chosenWork = 18
	// drawnWork is for those that were drawn with 125 bits. Nobody can try these, at any
	// price, so there is no reason to make the rightful reader wait.
	drawnWork = 10
	// openWork is the most that a reader accepts.
	openWork = 20
	// minPassphrase is the shortest that people may choose.
	minPassphrase = 12
)

// WithPassphrase locks with a passphrase that somebody chose. The error wraps
// [privacy.ErrInvalid] if it is shorter than 12 characters.
func WithPassphrase(passphrase privacy.Plain) (Lock, error) {
	if len([]rune(passphrase.RevealPersonalData())) < minPassphrase {
		return Lock{}, fmt.Errorf("reading passphrase of fewer than %d characters: %w", minPassphrase, privacy.ErrInvalid)
	}
	return scryptLock(passphrase, chosenWork)
}

// DrawPassphrase draws a passphrase of 125 bits from random (nil: crypto/rand) and locks
// with it. It must reach the person by another way than the file.
func DrawPassphrase(random io.Reader) (privacy.Plain, Lock, error) {
	if random == nil {
		random = rand.Reader
	}
	const groups, letters = 5, 5
	var raw [16]byte // 25 letters of 5 bits take 125 of its 128
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return privacy.Plain{}, Lock{}, fmt.Errorf("drawing passphrase: %w", err)
	}
	text := passphraseLetters.EncodeToString(raw[:])
	var parts []string
	for i := range groups {
		parts = append(parts, text[i*letters:(i+1)*letters])
	}
	passphrase := privacy.NewPlain(strings.Join(parts, "-"))
	lock, err := scryptLock(passphrase, drawnWork)
	return passphrase, lock, err
}

// passphraseLetters leave out i, l, o and u, which are misread or make words.
var passphraseLetters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func scryptLock(passphrase privacy.Plain, work int) (Lock, error) {
	recipient, err := age.NewScryptRecipient(passphrase.RevealPersonalData())
	if err != nil {
		return Lock{}, fmt.Errorf("reading passphrase: %w", privacy.ErrInvalid)
	}
	recipient.SetWorkFactor(work)
	return Lock{recipient}, nil
}

// seal encrypts what is written to the result, which must be closed: until then the last
// part is missing, and nobody can open the file to its end.
func (l Lock) seal(w io.Writer) (io.WriteCloser, error) {
	if l.recipient == nil {
		return nil, fmt.Errorf("encrypting export for nobody: %w", privacy.ErrInvalid)
	}
	sealed, err := age.Encrypt(w, l.recipient)
	if err != nil {
		return nil, fmt.Errorf("encrypting export: %w", err)
	}
	return sealed, nil
}

// String says REDACTED.
func (Lock) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Lock) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Lock) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (Lock) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }

// Key opens what a [Lock] has locked.
type Key struct{ identities []age.Identity }

// PassphraseKey opens with a passphrase.
func PassphraseKey(passphrase privacy.Plain) (Key, error) {
	identity, err := age.NewScryptIdentity(strings.TrimSpace(passphrase.RevealPersonalData()))
	if err != nil {
		return Key{}, fmt.Errorf("reading passphrase: %w", privacy.ErrInvalid)
	}
	identity.SetMaxWorkFactor(openWork)
	return Key{[]age.Identity{identity}}, nil
}

// IdentityKey opens with an age identity file.
func IdentityKey(file io.Reader) (Key, error) {
	identities, err := age.ParseIdentities(file)
	if err != nil {
		return Key{}, fmt.Errorf("reading age identity file: %w", privacy.ErrInvalid)
	}
	return Key{identities}, nil
}

// Open decrypts an export. The error wraps [privacy.ErrForbidden] if the key is another,
// and [privacy.ErrDamaged] if it is no age file; reading on fails where the file was
// altered or cut off.
func (k Key) Open(sealed io.Reader) (io.Reader, error) {
	plain, err := age.Decrypt(sealed, k.identities...)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, fmt.Errorf("opening export with another key than its own: %w", privacy.ErrForbidden)
	}
	if err != nil {
		return nil, fmt.Errorf("opening export: %w", privacy.ErrDamaged)
	}
	return plain, nil
}

// String says REDACTED.
func (Key) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Key) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
