package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

// The signature types of C2SP signed-note that a witness may have.
const (
	typeEd25519 = 0x04
	typeMLDSA44 = 0x06
)

// Verifier checks the cosignatures of one witness; it is a [note.Verifier].
type Verifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*Verifier)(nil)

// NewVerifier returns the verifier for the Ed25519 cosignatures that the holder of the key
// makes as name.
func NewVerifier(name string, key ed25519.PublicKey) (*Verifier, error) {
	if name == "" || strings.ContainsFunc(name, isSpaceOrPlus) || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("naming key of witness: %w", privacy.ErrInvalid)
	}
	return &Verifier{name: name, hash: keyHash(name, key), key: key}, nil
}

func isSpaceOrPlus(r rune) bool { return r <= ' ' || r == '+' || r == 0x7f }

// ParseKey reads the key of a witness, of the form name+hash+key with signature type 4. The
// error wraps [privacy.ErrInvalid] and says what else it is, if it is known.
func ParseKey(vkey string) (*Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil || len(raw) == 0:
		return nil, invalid("key of witness has not the form name+hash+key")
	case raw[0] == typeMLDSA44:
		return nil, invalid("key of witness is of type ML-DSA-44, and only Ed25519 cosignatures (type 4) can be checked")
	case raw[0] != typeEd25519 || len(raw) != 1+ed25519.PublicKeySize:
		return nil, invalid("key of witness is not one for Ed25519 cosignatures (type 4)")
	}
	v, err := NewVerifier(name, ed25519.PublicKey(raw[1:]))
	if err != nil || v.String() != vkey {
		return nil, invalid("hash in the key of a witness does not fit its name and key")
	}
	return v, nil
}

func keyHash(name string, key ed25519.PublicKey) uint32 {
	hash := sha256.Sum256(append([]byte(name+"\n\x04"), key...))
	return binary.BigEndian.Uint32(hash[:])
}

// String is the key as [ParseKey] reads it.
func (v *Verifier) String() string {
	return fmt.Sprintf("%s+%08x+%s", v.name, v.hash, base64.StdEncoding.EncodeToString(append([]byte{typeEd25519}, v.key...)))
}

// Name implements [note.Verifier].
func (v *Verifier) Name() string { return v.name }

// KeyHash implements [note.Verifier].
func (v *Verifier) KeyHash() uint32 { return v.hash }

// Verify implements [note.Verifier]: signature is a time (8 bytes) and an Ed25519 signature
// of that time and the text.
func (v *Verifier) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	return seconds > 0 && seconds <= math.MaxInt64 && ed25519.Verify(v.key, Message(seconds, text), signature[8:])
}

// Message is what a witness signs: that at a time it knew of no larger tree than this.
func Message(seconds uint64, text []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(seconds, 10)+"\n"), text...)
}

// Cosignature is the valid signature of a witness under a checkpoint.
type Cosignature struct {
	// Witness is its name in the policy.
	Witness string
	// Key is the name of its key, as in the line.
	Key string
	// Time is when the witness says that it signed.
	Time time.Time
	// Line is the signature as it stands under the checkpoint, without a line feed.
	Line string
}

func newCosignature(w *Witness, signature note.Signature) (Cosignature, error) {
	raw, err := base64.StdEncoding.DecodeString(signature.Base64)
	if err != nil || len(raw) < 12 {
		return Cosignature{}, fmt.Errorf("reading cosignature: %w", privacy.ErrDamaged)
	}
	return Cosignature{
		Witness: w.Name, Key: signature.Name,
		Time: time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC(),
		// Written again: base64 has several spellings of the same bytes.
		Line: signatureLine(signature.Name, raw),
	}, nil
}

func signatureLine(name string, raw []byte) string {
	return "— " + name + " " + base64.StdEncoding.EncodeToString(raw)
}

// Attach returns a signed note with further signature lines under it, each without a line
// feed. A line that it has already is not put there twice.
func Attach(signed []byte, lines ...string) []byte {
	out := append([]byte(nil), signed...)
	for _, line := range lines {
		if !strings.Contains(string(out), "\n"+line+"\n") {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, privacy.ErrInvalid)...)
}
