package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// Checkpoint commits to everything that is in the log up to a size. Signed, it is what
// outsiders keep, and what the operator cannot take back.
type Checkpoint struct {
	// Origin names the log, for all time.
	Origin string
	// Size is the number of entries.
	Size uint64
	// Root is the root hash of the tree of that size.
	Root tlog.Hash
}

// FormatCheckpoint writes the text of a C2SP tlog-checkpoint, without signatures and
// without extension lines.
func FormatCheckpoint(c Checkpoint) string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" +
		base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// PeekCheckpoint reads what a signed checkpoint says without checking who signed it. It is
// for putting notes in order and for naming them, never for believing one: [OpenCheckpoint]
// does that. The error wraps [privacy.ErrDamaged].
func PeekCheckpoint(signed []byte) (Checkpoint, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return ParseCheckpoint(text + "\n")
}

// ParseCheckpoint reads the text of a checkpoint: exactly what [FormatCheckpoint]
// writes. Anything else is an error that wraps [privacy.ErrDamaged].
func ParseCheckpoint(text string) (Checkpoint, error) {
	damaged := func(what string) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("parsing checkpoint: %s: %w", what, privacy.ErrDamaged)
	}
	lines := strings.SplitAfter(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return damaged("number of lines")
	}
	origin := strings.TrimSuffix(lines[0], "\n")
	if origin == "" {
		return damaged("origin")
	}
	size, err := strconv.ParseUint(strings.TrimSuffix(lines[1], "\n"), 10, 63)
	if err != nil {
		return damaged("size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(lines[2], "\n"))
	if err != nil || len(root) != tlog.HashSize {
		return damaged("root hash")
	}
	c := Checkpoint{Origin: origin, Size: size, Root: tlog.Hash(root)}
	if FormatCheckpoint(c) != text {
		return damaged("spelling")
	}
	return c, nil
}

// SignCheckpoint returns the checkpoint as a C2SP signed note.
func SignCheckpoint(c Checkpoint, signers ...note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: FormatCheckpoint(c)}, signers...)
	if err != nil {
		return nil, fmt.Errorf("signing checkpoint: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint checks the signature of verifier on a signed note and returns the
// checkpoint in it. Signatures by others are left alone. The origin must be the name of
// the verifier. A note that does not verify is an error that wraps [privacy.ErrDamaged].
func OpenCheckpoint(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	n, err := note.Open(bytes.Clone(signed), note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("opening checkpoint: %w: %w", err, privacy.ErrDamaged)
	}
	if !HasPlainSignatures(signed) {
		return Checkpoint{}, fmt.Errorf("opening checkpoint: a signature is spelled otherwise: %w", privacy.ErrDamaged)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("opening checkpoint: origin is not that of the key: %w", privacy.ErrDamaged)
	}
	return c, nil
}

// FormatKey writes the public key of a log as C2SP signed notes have it: name+hash+key.
func FormatKey(origin string, key ed25519.PublicKey) (string, error) {
	text, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return "", fmt.Errorf("naming log key: %w", err)
	}
	return text, nil
}

// ParseKey reads what [FormatKey] writes, white space around it aside. The error wraps
// [privacy.ErrInvalid].
func ParseKey(text string) (origin string, key ed25519.PublicKey, err error) {
	text = strings.TrimSpace(text)
	invalid := fmt.Errorf("reading log key, which has the form name+hash+key: %w", privacy.ErrInvalid)
	origin, rest, _ := strings.Cut(text, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return "", nil, invalid
	}
	key = ed25519.PublicKey(raw[1:])
	if again, err := FormatKey(origin, key); err != nil || again != text {
		return "", nil, invalid
	}
	return origin, key, nil
}

// NewVerifier returns the verifier for notes that the holder of the key signs as origin.
func NewVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	text, err := FormatKey(origin, key)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("naming log key: %w", err)
	}
	return verifier, nil
}

// NewVerifiers is [NewVerifier] for each of keys.
func NewVerifiers(origin string, keys ...ed25519.PublicKey) ([]note.Verifier, error) {
	verifiers := make([]note.Verifier, len(keys))
	for i, key := range keys {
		var err error
		if verifiers[i], err = NewVerifier(origin, key); err != nil {
			return nil, err
		}
	}
	return verifiers, nil
}

// NewSigner makes a note signer of a key that stays where it is, in a Tink keyset or a
// KMS: sign must return the raw 64-byte Ed25519 signature (RFC 8032) under key.
func NewSigner(origin string, key ed25519.PublicKey, sign func(message []byte) ([]byte, error)) (note.Signer, error) {
	verifier, err := NewVerifier(origin, key)
	if err != nil {
		return nil, err
	}
	return &signer{name: origin, hash: verifier.KeyHash(), sign: sign}, nil
}

type signer struct {
	name string
	hash uint32
	sign func([]byte) ([]byte, error)
}

func (s *signer) Name() string                        { return s.name }
func (s *signer) KeyHash() uint32                     { return s.hash }
func (s *signer) Sign(message []byte) ([]byte, error) { return s.sign(message) }
