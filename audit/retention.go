package audit

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// retentionVersion is the first line of a [RetentionPolicy].
const retentionVersion = "mahrem.log-retention/v1"

// maxRetentionText bounds the text of a policy.
const maxRetentionText = 1 << 16

// minKeepDays is the shortest time for which entries may be kept.
const minKeepDays = 90

// RetentionPolicy is the written policy on old entries, without which none is ever
// dropped. Its digest stands in the log. The text is
//
//	mahrem.log-retention/v1
//	keep 3 years
//	cosignatures 1
//
// and behind an empty line the reasons, for people.
type RetentionPolicy struct {
	// Keep is how long an entry stays at least, as "3 years", "18 months" or "400 days".
	Keep Keep
	// Cosignatures is how many witnesses must have signed a checkpoint above what is dropped.
	Cosignatures int
	// Text is all of it.
	Text string
}

// Keep is a number of years, months or days.
type Keep struct {
	Number int
	Unit   string
}

// String is what [ParseRetentionPolicy] reads, and PostgreSQL too.
func (k Keep) String() string { return strconv.Itoa(k.Number) + " " + k.Unit }

// After returns the time from which on what was written at t need not be kept, by the
// calendar.
func (k Keep) After(t time.Time) time.Time {
	switch k.Unit {
	case "years":
		return t.AddDate(k.Number, 0, 0)
	case "months":
		return t.AddDate(0, k.Number, 0)
	}
	return t.AddDate(0, 0, k.Number)
}

// Digest is the SHA-256 of the text.
func (p *RetentionPolicy) Digest() Digest { return sha256.Sum256([]byte(p.Text)) }

// ParseRetentionPolicy reads a policy. The error wraps [privacy.ErrInvalid] and names the
// line.
func ParseRetentionPolicy(text string) (RetentionPolicy, error) {
	invalid := func(line int, reason string) (RetentionPolicy, error) {
		return RetentionPolicy{}, fmt.Errorf("reading policy on old entries: line %d: %s: %w", line, reason, privacy.ErrInvalid)
	}
	if len(text) > maxRetentionText || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\x00") {
		return invalid(1, "want at most 64 kB of UTF-8 without carriage returns")
	}
	head, reasons, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) != 3 || lines[0] != retentionVersion {
		return invalid(1, "want "+retentionVersion+", keep and cosignatures, a line each, and then an empty line")
	}
	if !found || strings.TrimSpace(reasons) == "" || !strings.HasSuffix(reasons, "\n") {
		return invalid(4, "the reasons are missing, behind an empty line and with a line feed at the end")
	}
	p := RetentionPolicy{Text: text}
	number, unit, _ := strings.Cut(strings.TrimPrefix(lines[1], "keep "), " ")
	n, ok := parseCount(number, 36_500)
	if p.Keep = (Keep{n, unit}); !ok || lines[1] != "keep "+p.Keep.String() {
		return invalid(2, `want such as "keep 3 years"`)
	}
	days := map[string]int{"years": 365, "months": 30, "days": 1}[unit]
	if days == 0 || n*days < minKeepDays || n*days > 36_500 {
		return invalid(2, fmt.Sprintf("want days, months or years: at least %d days and at most a hundred years", minKeepDays))
	}
	if p.Cosignatures, ok = parseCount(strings.TrimPrefix(lines[2], "cosignatures "), 16); !ok || lines[2] != "cosignatures "+strconv.Itoa(p.Cosignatures) {
		return invalid(3, `want such as "cosignatures 1", at most 16`)
	}
	return p, nil
}

func parseCount(text string, most int) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= most && strconv.Itoa(n) == text
}
