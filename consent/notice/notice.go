package notice

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// DefaultFamily is the family of a notice that names none.
const DefaultFamily = "privacy"

// Bounds of a notice.
const (
	MaxText      = 1 << 20
	maxLanguages = 64
	maxPurposes  = 256
)

// Text is the notice in one language.
type Text struct {
	// Language is a tag of BCP 47: "tr", "de-AT".
	Language string
	// Body is the text as it was shown, to the byte. Lists of notices leave it empty.
	Body string
	// Digest is the SHA-256 of the body.
	Digest [sha256.Size]byte
}

// Notice is one version.
type Notice struct {
	// Version is its name, which consents repeat: "privacy-2026-03".
	Version string
	// Family groups versions of one document; [DefaultFamily] if empty.
	Family string
	// Material is whether it says something new in substance, so that whoever agreed to an
	// older one has to be asked again.
	Material bool
	// Purposes are what it is about, sorted.
	Purposes []privacy.Purpose
	// EffectiveFrom is from when it is shown, to the microsecond.
	EffectiveFrom time.Time
	// Texts are its languages, sorted.
	Texts []Text
	// PublishedAt is when it was registered. The store sets it.
	PublishedAt time.Time
}

var (
	versionPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)
	familyPattern   = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// Normalize checks the notice and returns it in the one form that is kept: sorted, with a
// family, digests of its texts, and a time in UTC to the microsecond. knows says which
// purposes exist. Every error is a [privacy.FieldError].
func (n Notice) Normalize(knows func(privacy.Purpose) bool) (Notice, error) {
	if n.Family == "" {
		n.Family = DefaultFamily
	}
	switch {
	case !versionPattern.MatchString(n.Version):
		return wrong("/version", "must be a name of at most 64 letters, digits and . _ : / -")
	case !familyPattern.MatchString(n.Family):
		return wrong("/family", "must be a lower-case word of at most 64 letters, digits and . _ -")
	case n.EffectiveFrom.IsZero():
		return wrong("/effective_from", "must say from when it is shown")
	case len(n.Purposes) == 0 || len(n.Purposes) > maxPurposes:
		return wrong("/purposes", "must name what it is about")
	case len(n.Texts) == 0 || len(n.Texts) > maxLanguages:
		return wrong("/texts", "must have a text in at least one language")
	}
	n.EffectiveFrom = n.EffectiveFrom.UTC().Truncate(time.Microsecond)
	n.Purposes = slices.Clone(n.Purposes)
	slices.Sort(n.Purposes)
	for i, purpose := range n.Purposes {
		switch {
		case !knows(purpose):
			return wrong(fmt.Sprintf("/purposes/%d", i), "is not in the catalogue")
		case i > 0 && n.Purposes[i-1] == purpose:
			return wrong(fmt.Sprintf("/purposes/%d", i), "is named twice")
		}
	}
	n.Texts = slices.Clone(n.Texts)
	slices.SortFunc(n.Texts, func(a, b Text) int { return strings.Compare(a.Language, b.Language) })
	for i := range n.Texts {
		t := &n.Texts[i]
		pointer := fmt.Sprintf("/texts/%d", i)
		switch {
		case len(t.Language) > 35 || !languagePattern.MatchString(t.Language):
			return wrong(pointer+"/language", "must be a language tag such as tr or de-AT")
		case i > 0 && strings.EqualFold(n.Texts[i-1].Language, t.Language):
			return wrong(pointer+"/language", "is there twice")
		case t.Body == "" || len(t.Body) > MaxText:
			return wrong(pointer+"/body", "must be a text of at most 1 MiB")
		case !utf8.ValidString(t.Body) || strings.ContainsRune(t.Body, 0):
			return wrong(pointer+"/body", "must be text in UTF-8")
		}
		t.Digest = sha256.Sum256([]byte(t.Body))
	}
	return n, nil
}

func wrong(pointer, reason string) (Notice, error) {
	return Notice{}, &privacy.FieldError{Pointer: pointer, Reason: reason}
}

// digestLabel tells a digest of a notice from every other.
const digestLabel = "mahrem/consent/notice/v1\x00"

// Digest is what the log keeps of a normalized notice. docs/spec/notice.md says how it is
// made.
func (n *Notice) Digest() [sha256.Size]byte {
	b := []byte(digestLabel)
	word := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // bounded above
		b = append(b, s...)
	}
	word(n.Version)
	word(n.Family)
	if n.Material {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(n.EffectiveFrom.UnixMicro())) //nolint:gosec // two's complement, as written
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.Purposes)))             //nolint:gosec // bounded above
	for _, purpose := range n.Purposes {
		word(string(purpose))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(n.Texts))) //nolint:gosec // bounded above
	for i := range n.Texts {
		word(n.Texts[i].Language)
		b = append(b, n.Texts[i].Digest[:]...)
	}
	return sha256.Sum256(b)
}

// Text returns the text in a language: that of the tag itself, else that of its language
// without region and script, else English, else the first. ok is false where none of the
// first two is there.
func (n *Notice) Text(language string) (text Text, ok bool) {
	base, _, _ := strings.Cut(language, "-")
	for _, want := range []string{language, base, "en"} {
		for _, t := range n.Texts {
			if want != "" && strings.EqualFold(t.Language, want) {
				return t, want != "en" || strings.EqualFold(base, "en")
			}
		}
	}
	if len(n.Texts) == 0 {
		return Text{}, false
	}
	return n.Texts[0], false
}

// Differs names the parts in which two normalized notices differ.
func (n *Notice) Differs(other *Notice) []string {
	var parts []string
	add := func(name string, same bool) {
		if !same {
			parts = append(parts, name)
		}
	}
	add("family", n.Family == other.Family)
	add("material", n.Material == other.Material)
	add("effective_from", n.EffectiveFrom.Equal(other.EffectiveFrom))
	add("purposes", slices.Equal(n.Purposes, other.Purposes))
	add("texts", slices.EqualFunc(n.Texts, other.Texts, func(a, b Text) bool { return a.Language == b.Language && a.Digest == b.Digest }))
	return parts
}
