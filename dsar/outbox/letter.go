package outbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// Letter is the payload of a delivery to a person, by webhook or e-mail.
type Letter struct {
	// To is where it goes to, which must be an e-mail address or a telephone number.
	To privacy.Identifier
	// Language is en, tr or cs.
	Language string
	// Subject and Text are ready to be sent.
	Subject string
	Text    privacy.Plain
	// Code is the one-time code that stands in the text, for receivers who write their own.
	Code privacy.Plain
}

type letterJSON struct {
	ToKind   privacy.IdentifierKind `json:"to_kind"`
	To       string                 `json:"to"`
	Language string                 `json:"language"`
	Subject  string                 `json:"subject"`
	Text     string                 `json:"text"`
	Code     string                 `json:"code,omitempty"`
}

// Encode returns the letter in clear, to be sealed at once. The error wraps
// [privacy.ErrInvalid] if it cannot be sent.
func (l Letter) Encode() ([]byte, error) {
	document := letterJSON{
		l.To.Kind, l.To.Value.RevealPersonalData(), l.Language, l.Subject, l.Text.RevealPersonalData(), l.Code.RevealPersonalData(),
	}
	if err := document.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encoding letter: %w", err)
	}
	return text, nil
}

// DecodeLetter reads what [Letter.Encode] wrote, or fails with an error that wraps
// [privacy.ErrDamaged] and repeats nothing of it.
func DecodeLetter(payload []byte) (Letter, error) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	var d letterJSON
	if decoder.Decode(&d) != nil || d.check() != nil {
		return Letter{}, fmt.Errorf("reading letter: %w", privacy.ErrDamaged)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Letter{}, fmt.Errorf("reading letter with more behind it: %w", privacy.ErrDamaged)
	}
	return Letter{
		To: privacy.Identifier{Kind: d.ToKind, Value: privacy.NewPlain(d.To)}, Language: d.Language, Subject: d.Subject,
		Text: privacy.NewPlain(d.Text), Code: privacy.NewPlain(d.Code),
	}, nil
}

// check refuses what could become more than one line of a header, or reach somebody else.
func (d *letterJSON) check() error {
	oneLine := func(s string) bool {
		return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 || r == 0x85 })
	}
	switch {
	case d.ToKind != privacy.Email && d.ToKind != privacy.Phone, !oneLine(d.To), len(d.To) > 320:
		return fmt.Errorf("checking letter: it must go to an e-mail address or a telephone number: %w", privacy.ErrInvalid)
	case !slices.Contains([]string{"en", "tr", "cs"}, d.Language):
		return fmt.Errorf("checking letter: its language must be en, tr or cs: %w", privacy.ErrInvalid)
	case !oneLine(d.Subject), len(d.Subject) > 200, d.Text == "", !utf8.ValidString(d.Text), !utf8.ValidString(d.Code):
		return fmt.Errorf("checking letter: it needs a subject of one line and a text: %w", privacy.ErrInvalid)
	}
	return nil
}
