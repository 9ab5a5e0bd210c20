package link

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Link is what a token says.
type Link struct {
	// DataSubject is whose consent is taken back.
	DataSubject privacy.DataSubjectID
	// Purposes and Channels are what it is taken back for; "*" alone stands for all.
	Purposes []privacy.Purpose
	Channels []privacy.Channel
	// Language is that of the page: "en", "tr" or "cs".
	Language string
	// ExpiresAt is when it ends, in whole seconds.
	ExpiresAt time.Time
}

// AEAD seals and opens; a Tink primitive is one.
type AEAD interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// associated binds what is sealed to its use.
var associated = []byte("mahrem/consent/link/v1")

// encoding refuses every text but the one that it writes itself.
var encoding = base64.RawURLEncoding.Strict()

const (
	version = 1
	// maxNames bounds each list, maxToken the text of a token.
	maxNames = 64
	maxToken = 4096
)

// languages are those of pages. Their place in the list is part of the format.
var languages = []string{"en", "tr", "cs"}

// Seal returns the token. The error wraps [privacy.ErrInvalid] for a link that says nothing
// or too much.
func Seal(key AEAD, l Link) (privacy.Plain, error) {
	plaintext, err := l.encode()
	if err != nil {
		return privacy.Plain{}, err
	}
	sealed, err := key.Encrypt(plaintext, associated)
	if err != nil {
		return privacy.Plain{}, fmt.Errorf("sealing link: %w", err)
	}
	text := encoding.EncodeToString(sealed)
	if len(text) > maxToken {
		return privacy.Plain{}, fmt.Errorf("sealing link that names too much: %w", privacy.ErrInvalid)
	}
	return privacy.NewPlain(text), nil
}

// Open reads a token. Whatever is wrong with it, the error wraps [privacy.ErrNotFound] and
// says no more; a link that has ended opens, and is for the caller to refuse.
func Open(key AEAD, token string) (Link, error) {
	nothing := fmt.Errorf("opening link: %w", privacy.ErrNotFound)
	if len(token) > maxToken {
		return Link{}, nothing
	}
	sealed, err := encoding.DecodeString(token)
	// The decoder skips line breaks, so the text must be the one that was written.
	if err != nil || encoding.EncodeToString(sealed) != token {
		return Link{}, nothing
	}
	plaintext, err := key.Decrypt(sealed, associated)
	if err != nil {
		return Link{}, nothing
	}
	l, ok := decode(plaintext)
	if !ok {
		return Link{}, nothing
	}
	return l, nil
}

// encode is version (1) ‖ person (16) ‖ end in seconds since 1970 (8, big endian) ‖ language
// (1) ‖ purposes ‖ channels, where a list is its length (1) and each name with its length (1).
func (l *Link) encode() ([]byte, error) {
	wrong := func(what string) ([]byte, error) {
		return nil, fmt.Errorf("making link: %s: %w", what, privacy.ErrInvalid)
	}
	language := slices.Index(languages, l.Language)
	end := l.ExpiresAt.Unix()
	switch {
	case l.DataSubject.IsZero():
		return wrong("it must be somebody's")
	case language < 0:
		return wrong("its language must be en, tr or cs")
	case end <= 0:
		return wrong("it must end")
	}
	b := append([]byte{version}, l.DataSubject[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(end))
	b = append(b, byte(language))
	var ok bool
	if b, ok = appendNames(b, l.Purposes); !ok {
		return wrong("it must name purposes, each once")
	}
	if b, ok = appendNames(b, l.Channels); !ok {
		return wrong("it must name channels, each once")
	}
	return b, nil
}

func appendNames[T ~string](b []byte, names []T) ([]byte, bool) {
	if len(names) == 0 || len(names) > maxNames {
		return nil, false
	}
	b = append(b, byte(len(names)))
	for i, name := range names {
		if len(name) == 0 || len(name) > 64 || slices.Contains(names[:i], name) || name == "*" && len(names) > 1 {
			return nil, false
		}
		b = append(append(b, byte(len(name))), name...)
	}
	return b, true
}

func decode(b []byte) (Link, bool) {
	if len(b) < 1+16+8+1 || b[0] != version {
		return Link{}, false
	}
	var l Link
	copy(l.DataSubject[:], b[1:17])
	end := binary.BigEndian.Uint64(b[17:25])
	if end == 0 || end > 1<<40 || int(b[25]) >= len(languages) || l.DataSubject.IsZero() {
		return Link{}, false
	}
	l.ExpiresAt, l.Language = time.Unix(int64(end), 0).UTC(), languages[b[25]]
	rest := b[26:]
	var ok bool
	if l.Purposes, rest, ok = readNames[privacy.Purpose](rest); !ok {
		return Link{}, false
	}
	if l.Channels, rest, ok = readNames[privacy.Channel](rest); !ok || len(rest) != 0 {
		return Link{}, false
	}
	// What could not have been written is not read.
	if _, err := l.encode(); err != nil {
		return Link{}, false
	}
	return l, true
}

func readNames[T ~string](b []byte) (names []T, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	n := int(b[0])
	b = b[1:]
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil, nil, false
		}
		names = append(names, T(b[1:1+int(b[0])]))
		b = b[1+int(b[0]):]
	}
	return names, b, true
}
