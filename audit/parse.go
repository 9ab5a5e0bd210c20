package audit

import (
	"bytes"
	"encoding/base64"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// ParseEntry reads a leaf. It accepts exactly the bytes that an [Encoder] writes: an
// unknown, repeated, missing or reordered field, white space, another spelling of a
// number or of base64 is an error that wraps [privacy.ErrDamaged], because every one
// of them would be a place where two readers could see two different things.
//
// The entry keeps leaf; the caller must not change it.
func ParseEntry(leaf []byte) (Entry, error) { return parseEntry(leaf, nil) }

// EntryReader reads many entries, and makes each word that occurs in them once. It is not
// safe for concurrent use. The zero value is ready.
type EntryReader struct{ words map[string]string }

// Read is [ParseEntry].
func (r *EntryReader) Read(leaf []byte) (Entry, error) {
	if r.words == nil {
		r.words = map[string]string{}
	}
	return parseEntry(leaf, r.words)
}

// CheckEntry reports whether [ParseEntry] would read the leaf, without making an entry of
// it, and whether it is one of the few of which a [Report] tells. It does not allocate
// unless there is an error.
func CheckEntry(leaf []byte) (noted bool, err error) {
	f, err := scanEntry(leaf)
	return err == nil && (string(f.kind) == string(LogRestored) || string(f.kind) == string(ClockSetBack)), err
}

// parseEntry takes the words of the entry from known, if it has them, and adds them
// otherwise, so that reading a long log does not make each word anew for every entry.
func parseEntry(leaf []byte, known map[string]string) (Entry, error) {
	f, err := scanEntry(leaf)
	if err != nil {
		return Entry{}, err
	}
	entry := f.entry(known)
	entry.leaf = leaf
	return entry, nil
}

// fields are the fields of a valid leaf as they stand in it: words without their quotes, bytes
// in base64, lists with what is between their words. What is not there is nil.
type fields struct {
	id, kind, outcome, role, actor, recipient, concerning, minted, purpose, channel []byte
	person, checks, attributes, policy, facts, list, count                          []byte
	ms                                                                              int64
}

var strictBase64 = base64.RawURLEncoding.Strict()

// maxKnown bounds the words that are remembered. A catalogue has fewer.
const maxKnown = 4096

// entry makes an entry of the fields.
func (f *fields) entry(known map[string]string) Entry {
	e := Entry{
		Time:       time.UnixMilli(f.ms).UTC(),
		Kind:       Kind(wordOf(f.kind, known)),
		Outcome:    Outcome(wordOf(f.outcome, known)),
		Role:       privacy.Role(wordOf(f.role, known)),
		Recipient:  privacy.RecipientID(wordOf(f.recipient, known)),
		Concerning: privacy.RecipientID(wordOf(f.concerning, known)),
		Minted:     privacy.Role(wordOf(f.minted, known)),
		Purpose:    privacy.Purpose(wordOf(f.purpose, known)),
		Channel:    privacy.Channel(wordOf(f.channel, known)),
		Checks:     listOf[string](f.checks, known),
		Attributes: listOf[privacy.AttributeName](f.attributes, known),
		Count:      Bucket(wordOf(f.count, known)),
	}
	decode(e.ID[:], f.id)
	decode(e.Actor[:], f.actor)
	decode(e.Person[:], f.person)
	decode(e.Policy[:], f.policy)
	decode(e.Facts[:], f.facts)
	decode(e.List[:], f.list)
	return e
}

// decode reads base64 that was found valid.
func decode(dst, text []byte) { _, _ = base64.RawURLEncoding.Decode(dst, text) }

func wordOf(text []byte, known map[string]string) string {
	if len(text) == 0 {
		return ""
	}
	if s, ok := known[string(text)]; ok {
		return s
	}
	s := string(text)
	if known != nil && len(known) < maxKnown {
		known[s] = s
	}
	return s
}

var betweenWords = []byte(`","`)

func listOf[T ~string](text []byte, known map[string]string) []T {
	if text == nil {
		return nil
	}
	words := make([]T, 0, 1+bytes.Count(text, betweenWords))
	for more := true; more; {
		var word []byte
		word, text, more = bytes.Cut(text, betweenWords)
		words = append(words, T(wordOf(word, known)))
	}
	return words
}
