package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
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

// parseEntry takes the words of the entry from known, if it has them, and adds them
// otherwise, so that reading a long log does not make each word anew for every entry.
func parseEntry(leaf []byte, known map[string]string) (Entry, error) {
	p := parser{rest: leaf, known: known}
	entry := p.entry()
	if p.bad == "" && len(p.rest) != 0 {
		p.bad = "end"
	}
	if len(leaf) > MaxLeaf {
		p.bad = "length"
	}
	if p.bad != "" {
		return Entry{}, fmt.Errorf("parsing audit entry: %s: %w", p.bad, privacy.ErrDamaged)
	}
	entry.leaf = leaf
	return entry, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// parser takes the fields off the front of a leaf in their fixed order. The first
// thing that does not fit is named in bad, and everything after it yields zero values.
type parser struct {
	rest  []byte
	bad   string
	known map[string]string // may be nil
}

// maxKnown bounds the words that are remembered. A catalogue has fewer.
const maxKnown = 4096

// string makes a string of the text, and reports whether it is a word. All that are known are.
func (p *parser) string(text []byte) (string, bool) {
	if s, ok := p.known[string(text)]; ok {
		return s, true
	}
	s := string(text)
	if !isWord(s) {
		return s, false
	}
	if p.known != nil && len(p.known) < maxKnown {
		p.known[s] = s
	}
	return s, true
}

func (p *parser) entry() (e Entry) {
	if !p.skip(`{"v":1,"id":"`) {
		p.fail("version")
	}
	p.bytes("id", e.ID[:])
	if !p.skip(`,"t":`) {
		p.fail("time")
	}
	e.Time = p.time()
	e.Kind = word[Kind](p, `,"k":"`, "kind")
	e.Outcome = word[Outcome](p, `,"d":"`, "outcome")
	e.Role = word[privacy.Role](p, `,"role":"`, "role")
	named := p.skip(`,"a":"`)
	if named {
		p.bytes("actor", e.Actor[:])
	}
	e.Recipient = word[privacy.RecipientID](p, `,"r":"`, "recipient")
	e.Concerning = word[privacy.RecipientID](p, `,"to":"`, "recipient")
	e.Minted = word[privacy.Role](p, `,"as":"`, "minted role")
	e.Purpose = word[privacy.Purpose](p, `,"p":"`, "purpose")
	e.Channel = word[privacy.Channel](p, `,"ch":"`, "channel")
	if p.skip(`,"s":"`) {
		p.bytes("subject", e.Person[:])
		p.require("subject", !e.Person.IsZero())
	}
	e.Checks = list[string](p, `,"checks":["`, "checks", maxChecks)
	e.Attributes = list[privacy.AttributeName](p, `,"attrs":["`, "attributes", maxAttributes)
	p.digest(`,"pol":"`, "policy", &e.Policy)
	p.digest(`,"facts":"`, "facts", &e.Facts)
	p.digest(`,"list":"`, "list", &e.List)
	e.Count = word[Bucket](p, `,"n":"`, "count")
	if !p.skip(`}`) {
		p.fail("field")
	}
	p.require("kind", e.Kind.Valid())
	p.require("outcome", e.Outcome.Valid())
	p.require("role", validActor(named, e.Role, e.Recipient))
	p.require("minted role", validMinted(e.Kind, e.Minted))
	p.require("count", isBucket(e.Count))
	return e
}

func (p *parser) fail(what string) {
	if p.bad == "" {
		p.bad = what
	}
	p.rest = nil
}

func (p *parser) require(what string, holds bool) {
	if !holds {
		p.fail(what)
	}
}

// skip takes the literal off the front, if it is there.
func (p *parser) skip(literal string) bool {
	if len(p.rest) < len(literal) || string(p.rest[:len(literal)]) != literal {
		return false
	}
	p.rest = p.rest[len(literal):]
	return true
}

// text takes what is left of a JSON string, with its closing quote.
func (p *parser) text(what string) []byte {
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		p.fail(what)
		return nil
	}
	text := p.rest[:end]
	p.rest = p.rest[end+1:]
	return text
}

// bytes takes base64 that must decode to exactly len(dst) bytes.
func (p *parser) bytes(what string, dst []byte) {
	text := p.text(what)
	n := base64.RawURLEncoding.EncodedLen(len(dst))
	if len(text) != n {
		p.fail(what)
		return
	}
	// Not only what decodes but what encodes to the same text: base64 has spare bits, and Go
	// skips line ends in it, which leaves fewer bytes.
	if n, err := strictBase64.Decode(dst, text); err != nil || n != len(dst) {
		p.fail(what)
	}
}

func (p *parser) digest(open, what string, dst *Digest) {
	if p.skip(open) {
		p.bytes(what, dst[:])
		p.require(what, *dst != Digest{})
	}
}

func (p *parser) time() time.Time {
	n := 0
	for n < len(p.rest) && (p.rest[n] == '-' || '0' <= p.rest[n] && p.rest[n] <= '9') {
		n++
	}
	var again [20]byte
	ms, err := strconv.ParseInt(string(p.rest[:n]), 10, 64)
	if err != nil || string(strconv.AppendInt(again[:0], ms, 10)) != string(p.rest[:n]) {
		p.fail("time")
		return time.Time{}
	}
	p.rest = p.rest[n:]
	return time.UnixMilli(ms).UTC()
}

// word takes an optional field that holds one key.
func word[T ~string](p *parser, open, what string) T {
	if !p.skip(open) {
		return ""
	}
	w, ok := p.string(p.text(what))
	p.require(what, ok)
	return T(w)
}

// list takes an optional field that holds sorted keys.
func list[T ~string](p *parser, open, what string, limit int) []T {
	if !p.skip(open) {
		return nil
	}
	var words []T
	for {
		w, ok := p.string(p.text(what))
		if n := len(words); !ok || n > 0 && words[n-1] >= T(w) {
			p.fail(what)
		}
		words = append(words, T(w))
		if p.bad != "" || len(words) > limit {
			p.fail(what)
			return nil
		}
		if !p.skip(`,"`) {
			break
		}
	}
	p.require(what, p.skip(`]`))
	return words
}
