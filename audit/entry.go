package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// MaxLeaf is the longest leaf in bytes: C2SP tlog-tiles gives it a 16-bit length.
const MaxLeaf = 1<<16 - 1

// Limits on the lists of an entry, chosen so that no valid event exceeds [MaxLeaf].
const (
	maxChecks     = 64
	maxAttributes = 128
	maxName       = 128
)

// Entry is one leaf of the log, read back: an [Event] with a random id and a time, and
// with tags in the place of the person and of the actor.
type Entry struct {
	ID   [16]byte
	Time time.Time // UTC, milliseconds

	Kind    Kind
	Outcome Outcome
	// Role and Actor are empty when the system itself acted. Recipient is whom a
	// service spoke for.
	Role      privacy.Role
	Actor     [16]byte
	Recipient privacy.RecipientID
	// Concerning is the recipient that the event is about, if another.
	Concerning privacy.RecipientID
	// Minted is the role of the token that was minted, if one was. Logs begun before there
	// was this field have entries of minted tokens without it.
	Minted     privacy.Role
	Purpose    privacy.Purpose
	Channel    privacy.Channel
	Person     Tag
	Checks     []string
	Attributes []privacy.AttributeName
	Policy     Digest
	Facts      Digest
	List       Digest
	Count      Bucket

	leaf []byte
}

// Leaf returns the bytes that the log stores and hashes. The caller must not change them.
func (e *Entry) Leaf() []byte { return e.leaf }

// EncoderConfig is how an [Encoder] tells time, draws ids and names actors.
type EncoderConfig struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Random draws entry ids and the tags of unknown people; nil means crypto/rand.
	// It must be safe for concurrent use.
	Random io.Reader
	// Actor tags the principal under a key of the operator: actors are people too, and
	// their names do not belong into a log that is kept for years. It must be safe for
	// concurrent use. Required.
	Actor func(privacy.Principal) [16]byte
}

// Encoder turns events into leaves. It is safe for concurrent use.
type Encoder struct{ config EncoderConfig }

// NewEncoder returns an encoder.
func NewEncoder(config EncoderConfig) (*Encoder, error) {
	if config.Actor == nil {
		return nil, fmt.Errorf("making entry encoder without actor tags: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Encoder{config: config}, nil
}

// NewEntry encodes the event and reads it back.
func (e *Encoder) NewEntry(event Event) (Entry, error) {
	leaf, _, err := e.AppendLeaf(nil, &event)
	if err != nil {
		return Entry{}, err
	}
	return ParseEntry(leaf)
}

// AppendLeaf appends the leaf of a new entry for the event to dst and returns it with
// the entry's id. An event that does not fit the closed format (an unknown kind, a
// word that is not a catalogue key, a person without a blinding key) is an error that
// wraps [privacy.ErrInvalid]; nothing about it may then happen.
//
// It does not allocate when dst is large enough.
func (e *Encoder) AppendLeaf(dst []byte, event *Event) ([]byte, [16]byte, error) {
	var id [16]byte
	if field := invalidField(event); field != "" {
		return dst, id, fmt.Errorf("encoding audit entry: %s: %w", field, privacy.ErrInvalid)
	}
	if err := e.draw(id[:]); err != nil {
		return dst, id, err
	}
	start := len(dst)
	dst = append(dst, `{"v":1,"id":"`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, id[:])
	dst = append(dst, `","t":`...)
	dst = strconv.AppendInt(dst, e.config.Now().UnixMilli(), 10)
	dst = appendWord(dst, `,"k":"`, string(event.Kind))
	dst = appendWord(dst, `,"d":"`, string(event.Outcome))
	if event.Principal.Role != "" {
		dst = appendWord(dst, `,"role":"`, string(event.Principal.Role))
		actor := e.config.Actor(event.Principal)
		dst = appendBytes(dst, `,"a":"`, actor[:])
		dst = appendWord(dst, `,"r":"`, string(event.Principal.Recipient))
	}
	dst = appendWord(dst, `,"to":"`, string(event.Recipient))
	dst = appendWord(dst, `,"as":"`, string(event.Minted))
	dst = appendWord(dst, `,"p":"`, string(event.Purpose))
	dst = appendWord(dst, `,"ch":"`, string(event.Channel))
	tag, err := e.tag(event, id)
	if err != nil {
		return dst[:start], id, err
	}
	if !tag.IsZero() {
		dst = appendBytes(dst, `,"s":"`, tag[:])
	}
	dst = appendList(dst, `,"checks":["`, event.Checks)
	dst = appendList(dst, `,"attrs":["`, event.Attributes)
	dst = appendDigest(dst, `,"pol":"`, &event.Policy)
	dst = appendDigest(dst, `,"facts":"`, &event.Facts)
	dst = appendDigest(dst, `,"list":"`, &event.List)
	dst = appendWord(dst, `,"n":"`, string(BucketOf(event.Count)))
	dst = append(dst, '}')
	return dst, id, nil
}

// tag returns the tag for the event's person, or none.
func (e *Encoder) tag(event *Event, id [16]byte) (Tag, error) {
	s := &event.Subject
	switch {
	case s.Unknown:
		var tag Tag
		return tag, e.draw(tag[:])
	case s.ID.IsZero():
		return Tag{}, nil
	case event.Kind == PersonErased:
		return s.Blinding.ErasedTag(), nil
	default:
		return s.Blinding.Opening(id).Tag(s.ID), nil
	}
}

// draw fills b. The default source is called directly so that b need not escape.
func (e *Encoder) draw(b []byte) error {
	if e.config.Random == nil {
		_, _ = rand.Read(b) // never fails
		return nil
	}
	scratch := make([]byte, len(b))
	if _, err := io.ReadFull(e.config.Random, scratch); err != nil {
		return fmt.Errorf("drawing entry id: %w", err)
	}
	copy(b, scratch)
	return nil
}

// LeafHash is the RFC 6962 hash of a leaf: SHA-256(0x00 || leaf).
func LeafHash(leaf []byte) [32]byte {
	var buf [1024]byte
	if len(leaf) < len(buf) {
		n := copy(buf[1:], leaf)
		return sha256.Sum256(buf[:1+n])
	}
	return sha256.Sum256(append([]byte{0}, leaf...))
}

func appendWord(dst []byte, open, word string) []byte {
	if word == "" {
		return dst
	}
	dst = append(dst, open...)
	dst = append(dst, word...)
	return append(dst, '"')
}

func appendBytes(dst []byte, open string, b []byte) []byte {
	dst = append(dst, open...)
	dst = base64.RawURLEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendDigest(dst []byte, open string, digest *Digest) []byte {
	if *digest == (Digest{}) {
		return dst
	}
	return appendBytes(dst, open, digest[:])
}

func appendList[T ~string](dst []byte, open string, words []T) []byte {
	if len(words) == 0 {
		return dst
	}
	dst = append(dst, open...)
	for i, word := range words {
		if i > 0 {
			dst = append(dst, `","`...)
		}
		dst = append(dst, word...)
	}
	return append(dst, `"]`...)
}
