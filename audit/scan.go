package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/mahrem/mahrem/privacy"
)

// scanEntry finds the fields of a leaf. This is the whole grammar of an entry: whoever makes
// something of a leaf makes it of these fields.
func scanEntry(leaf []byte) (fields, error) {
	p := parser{rest: leaf}
	f := p.fields()
	if p.bad == "" && len(p.rest) != 0 {
		p.bad = "end"
	}
	if len(leaf) > MaxLeaf {
		p.bad = "length"
	}
	if p.bad != "" {
		return fields{}, fmt.Errorf("parsing audit entry: %s: %w", p.bad, privacy.ErrDamaged)
	}
	return f, nil
}

// parser takes the fields off the front of a leaf in their fixed order. The first
// thing that does not fit is named in bad, and everything after it yields nothing.
type parser struct {
	rest []byte
	bad  string
}

func (p *parser) fields() (f fields) {
	if !p.skip(`{"v":1,"id":"`) {
		p.fail("version")
	}
	f.id, _ = p.bytes("id", len(Entry{}.ID))
	if !p.skip(`,"t":`) {
		p.fail("time")
	}
	f.ms = p.milliseconds()
	f.kind = p.word(`,"k":"`, "kind")
	f.outcome = p.word(`,"d":"`, "outcome")
	f.role = p.word(`,"role":"`, "role")
	if p.skip(`,"a":"`) {
		f.actor, _ = p.bytes("actor", len(Entry{}.Actor))
	}
	f.recipient = p.word(`,"r":"`, "recipient")
	f.concerning = p.word(`,"to":"`, "recipient")
	f.minted = p.word(`,"as":"`, "minted role")
	f.purpose = p.word(`,"p":"`, "purpose")
	f.channel = p.word(`,"ch":"`, "channel")
	f.person = p.digest(`,"s":"`, "subject")
	f.checks = p.list(`,"checks":["`, "checks", maxChecks)
	f.attributes = p.list(`,"attrs":["`, "attributes", maxAttributes)
	f.policy = p.digest(`,"pol":"`, "policy")
	f.facts = p.digest(`,"facts":"`, "facts")
	f.list = p.digest(`,"list":"`, "list")
	f.count = p.word(`,"n":"`, "count")
	if !p.skip(`}`) {
		p.fail("field")
	}
	p.require("kind", Kind(f.kind).Valid())
	p.require("outcome", Outcome(f.outcome).Valid())
	if f.actor == nil && f.role == nil { // the system itself
		p.require("role", f.recipient == nil)
	} else {
		p.require("role", f.actor != nil && privacy.Role(f.role).Valid())
	}
	p.require("minted role", f.minted == nil || privacy.Role(f.minted).Valid() && string(f.kind) == string(TokenMinted))
	p.require("count", isBucket(Bucket(f.count)))
	return f
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

// sextets are the values of the signs of base64 in URLs, and noSextet for all others.
var sextets = func() (values [256]byte) {
	for i := range values {
		values[i] = noSextet
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		values[c] = byte(i)
	}
	return values
}()

const noSextet = 1 << 7

// bytes takes base64 of exactly size bytes with its closing quote, and reports whether any of
// them is not zero. Base64 has spare bits at the end, which must be zero: not only what decodes
// but what encodes to the same text.
func (p *parser) bytes(what string, size int) (text []byte, any bool) {
	n := base64.RawURLEncoding.EncodedLen(size)
	if len(p.rest) <= n || p.rest[n] != '"' {
		p.fail(what)
		return nil, false
	}
	text = p.rest[:n]
	var all byte
	for _, c := range text {
		all |= sextets[c]
	}
	spare := 6*n - 8*size
	if all&noSextet != 0 || sextets[text[n-1]]&(1<<spare-1) != 0 {
		p.fail(what)
		return nil, false
	}
	p.rest = p.rest[n+1:]
	return text, all != 0
}

// digest takes an optional field of 32 bytes that are not all zero.
func (p *parser) digest(open, what string) []byte {
	if !p.skip(open) {
		return nil
	}
	text, any := p.bytes(what, len(Digest{}))
	p.require(what, any)
	return text
}

// milliseconds takes an integer.
func (p *parser) milliseconds() (ms int64) {
	n := 0
	for ; n < len(p.rest) && '0' <= p.rest[n] && p.rest[n] <= '9'; n++ {
		ms = 10*ms + int64(p.rest[n]-'0')
	}
	const certain = 18 // digits do not overflow
	if n == 0 || n > certain || n > 1 && p.rest[0] == '0' || n < len(p.rest) && p.rest[n] == '-' {
		return p.rareMilliseconds()
	}
	p.rest = p.rest[n:]
	return ms
}

// rareMilliseconds takes an integer that is negative, very large or none, in its one spelling.
func (p *parser) rareMilliseconds() int64 {
	n := 0
	for n < len(p.rest) && (p.rest[n] == '-' || '0' <= p.rest[n] && p.rest[n] <= '9') {
		n++
	}
	var again [20]byte
	ms, err := strconv.ParseInt(string(p.rest[:n]), 10, 64)
	if err != nil || string(strconv.AppendInt(again[:0], ms, 10)) != string(p.rest[:n]) {
		p.fail("time")
		return 0
	}
	p.rest = p.rest[n:]
	return ms
}

// word takes an optional field that holds one key.
func (p *parser) word(open, what string) []byte {
	if !p.skip(open) {
		return nil
	}
	return p.key(what)
}

// key takes a key of a catalogue with its closing quote.
func (p *parser) key(what string) []byte {
	n := 0
	for n < len(p.rest) && isWordSign[p.rest[n]] {
		n++
	}
	if n == 0 || n > maxName || n == len(p.rest) || p.rest[n] != '"' {
		p.fail(what)
		return nil
	}
	text := p.rest[:n]
	p.rest = p.rest[n+1:]
	return text
}

// list takes an optional field that holds sorted keys.
func (p *parser) list(open, what string, limit int) []byte {
	if !p.skip(open) {
		return nil
	}
	begun := p.rest
	var last []byte
	for n := 1; ; n++ {
		key := p.key(what)
		if n > limit || bytes.Compare(last, key) >= 0 { // none is empty
			p.fail(what)
			return nil
		}
		last = key
		if !p.skip(`,"`) {
			break
		}
	}
	text := begun[:len(begun)-len(p.rest)-len(`"`)]
	p.require(what, p.skip(`]`))
	return text
}
