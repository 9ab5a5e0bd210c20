// Package wording says what stands in the log in the words of people: English, Turkish and
// Czech titles of kinds, outcomes, roles and fields. The log itself holds none of them.
package wording

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

//go:embed titles.json
var titles []byte

// Language is one of the languages of people: en, tr, cs.
type Language string

// The languages, in the order in which a [Text] has them.
const (
	English Language = "en"
	Turkish Language = "tr"
	Czech   Language = "cs"
)

// ParseLanguage reads en, tr or cs. The error wraps [privacy.ErrInvalid].
func ParseLanguage(text string) (Language, error) {
	switch l := Language(text); l {
	case English, Turkish, Czech:
		return l, nil
	}
	return "", fmt.Errorf("language must be en, tr or cs: %w", privacy.ErrInvalid)
}

// Text is one thing said in English, Turkish and Czech.
type Text [3]string

// In returns the text in the language; one that is not known is English.
func (t Text) In(language Language) string {
	switch language {
	case Turkish:
		return t[1]
	case Czech:
		return t[2]
	}
	return t[0]
}

// Titles are the words for everything that may stand in an entry. A field is named as the
// entry names it; the role "" is the system itself.
type Titles struct {
	Kinds    map[audit.Kind]Text    `json:"kinds"`
	Outcomes map[audit.Outcome]Text `json:"outcomes"`
	Roles    map[privacy.Role]Text  `json:"roles"`
	Fields   map[string]Text        `json:"fields"`
}

// Read returns the titles. They are part of the program, so there is nothing to fail.
func Read() Titles {
	var t Titles
	if err := json.Unmarshal(titles, &t); err != nil {
		panic("wording: " + err.Error()) // a test reads them
	}
	return t
}

// JSON returns the titles as they are embedded, for a page that reads them itself.
func JSON() []byte { return append([]byte(nil), titles...) }
