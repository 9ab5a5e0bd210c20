package server

import (
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Answers are appended to a reused buffer by hand: the shapes are few and fixed, and
// the encoder runs once for every answer of the gate.

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			char, size := utf8.DecodeRuneInString(s[i:])
			if char != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
		} else {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendKey appends ,"name": and leaves the comma out behind an opening brace. Names
// are ours and need no escape.
func appendKey(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendStrings[T ~string](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, string(s))
	}
	return append(b, ']')
}

// appendLog appends where in the log the evidence of an answer stands.
func appendLog(b []byte, receipt audit.Receipt) []byte {
	b = append(b, `{"index":`...)
	b = strconv.AppendUint(b, receipt.Index(), 10)
	b = append(b, `,"leaf_hash":"`...)
	leaf := receipt.LeafHash()
	b = hex.AppendEncode(b, leaf[:])
	return append(b, '"', '}')
}

// headerLog has the receipt of an answer whose body is not ours to shape.
const headerLog = "Mahrem-Log"

func logHeader(receipt audit.Receipt) []string {
	leaf := receipt.LeafHash()
	return []string{"index=" + strconv.FormatUint(receipt.Index(), 10) + ", leaf_hash=" + hex.EncodeToString(leaf[:])}
}

// answer is what the gate gave, with the consent token that the query demanded.
type answer struct {
	gate.Answer
	consentToken string
}

// appendJSON appends the answer to a query, attributes in the order of their names. This
// is the one place where released personal data becomes text.
func (a answer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "decision_id"), a.DecisionID)
	b = appendString(appendKey(b, "decision"), string(a.Decision))
	if a.Pseudonym != "" {
		b = appendString(appendKey(b, "pseudonym"), a.Pseudonym)
	}
	b = append(appendKey(b, "attributes"), '{')
	for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
		b = appendReleased(append(appendKey(b, string(name)), '{'), a.Attributes[name])
	}
	b = append(b, '}')
	b = appendObligations(b, a.Obligations)
	b = appendReasons(appendKey(b, "reasons"), a.Reasons)
	b = appendString(appendKey(b, "policy_revision"), a.PolicyRevision)
	if a.consentToken != "" {
		b = appendString(appendKey(b, "consent_token"), a.consentToken)
	}
	b = appendLog(appendKey(b, "log"), a.Receipt)
	return append(b, '}'), nil
}

// appendObligations appends what must be observed as a member.
func appendObligations(b []byte, obligations []gate.Obligation) []byte {
	b = append(appendKey(b, "obligations"), '[')
	for i, o := range obligations {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		// One obligation of a type is all there is in an answer, so its type names it.
		b = appendString(appendKey(b, "id"), string(o.ID))
		b = appendString(appendKey(b, "type"), string(o.ID))
		b = append(appendKey(b, "properties"), '{')
		if !o.UseBefore.IsZero() {
			b = append(appendKey(b, "use_before"), '"')
			b = o.UseBefore.UTC().AppendFormat(b, time.RFC3339)
			b = append(b, '"')
		}
		b = append(b, '}', '}')
	}
	return append(b, ']')
}

func appendReasons(b []byte, reasons []policies.Reason) []byte {
	b = append(b, '[')
	for i, reason := range reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendString(appendKey(b, "code"), reason.Check)
		b = append(appendStrings(appendKey(b, "laws"), reason.Laws), '}')
	}
	return append(b, ']')
}

// appendReleased appends the members of one released attribute and the closing brace. A
// value is a text, that of a list attribute a list of texts.
func appendReleased(b []byte, released gate.Released) []byte {
	b = appendKey(b, "value")
	if !released.List && len(released.Values) == 1 {
		b = appendString(b, released.Values[0].RevealPersonalData())
	} else {
		b = append(b, '[')
		for i, value := range released.Values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, value.RevealPersonalData())
		}
		b = append(b, ']')
	}
	b = appendString(appendKey(b, "level"), released.Level.String())
	if released.Quality != "" {
		b = appendString(appendKey(b, "quality"), string(released.Quality))
	}
	return append(b, '}')
}

// consentAnswer is what was recorded, with a receipt of it if one was asked for.
type consentAnswer struct {
	consent.Receipt
	issued *issuedReceipt
}

func (r consentAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "consent_id"), consent.FormatID(r.Record.ID))
	b = appendString(appendKey(b, "consent_token"), r.Token.String())
	if r.issued != nil {
		b = r.issued.append(appendKey(b, "receipt"))
	}
	b = appendLog(appendKey(b, "log"), r.Receipt.Receipt)
	return append(b, '}'), nil
}

// status is 200 where nothing was created, because the same change was recorded before.
func (r consentAnswer) status(usual int) int {
	if r.Duplicate {
		return http.StatusOK
	}
	return usual
}

type reidentified struct {
	id      privacy.DataSubjectID
	receipt audit.Receipt
}

func (r reidentified) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "data_subject_id"), r.id.Reveal())
	b = appendLog(appendKey(b, "log"), r.receipt)
	return append(b, '}'), nil
}

type ingestAnswer intake.StreamResult

func (a ingestAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendInt(appendKey(b, "lines"), a.Rows)
	b = appendInt(appendKey(b, "accepted"), a.Accepted)
	b = appendInt(appendKey(b, "unchanged"), a.Unchanged)
	b = appendInt(appendKey(b, "rejected"), a.Rejected)
	b = append(appendKey(b, "rejects"), '[')
	for i, reject := range a.Rejects {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendInt(appendKey(b, "line"), reject.Row)
		b = appendString(appendKey(b, "reason"), string(reject.Reason))
		if reject.Field != "" {
			b = appendString(appendKey(b, "pointer"), reject.Field)
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if !a.Receipt.IsZero() {
		b = appendLog(appendKey(b, "log"), a.Receipt)
	}
	return append(b, '}'), nil
}
