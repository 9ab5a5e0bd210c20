package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// codeDigits is the length of a code. With [maxAttempts] guesses one in twenty million is
// right by chance.
const codeDigits = 8

// The limits of codes.
const (
	// Life is how long a code is of use.
	Life = 10 * time.Minute
	// maxAttempts a code, and so many a request, after which only a judgement helps.
	maxAttempts    = 5
	maxAttemptsAll = 15
	// maxHourly codes within an hour, and so many a request.
	maxHourly = 3
	maxCodes  = 6
	// MaxHourly codes within an hour for all requests that have an identifier in common:
	// otherwise whoever opens one request after the other would have as many guesses as they
	// like, and could fill somebody's mailbox. It goes by what the requests name and not by
	// whose they are, so that it is the same for people who do not exist.
	MaxHourly = 6
)

// ErrTooMany is wrapped by the error of a store for a code beyond [MaxHourly].
var ErrTooMany = fmt.Errorf("too many codes for the same identifiers: %w", privacy.ErrConflict)

// newCode draws a code, every one as likely as any other.
func newCode(random io.Reader) (string, error) {
	bound := new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil)
	n, err := rand.Int(random, bound)
	if err != nil {
		return "", fmt.Errorf("drawing code: %w", err)
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// ParseCode reads what somebody typed: eight digits, perhaps in two groups. The error is a
// [privacy.FieldError].
func ParseCode(text string) (privacy.Plain, error) {
	digits := make([]byte, 0, codeDigits)
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9' && len(digits) < codeDigits:
			digits = append(digits, c)
		case (c == ' ' || c == '-') && i > 0 && i < len(text)-1:
		default:
			return privacy.Plain{}, &privacy.FieldError{Pointer: "/code", Reason: "must be " + strconv.Itoa(codeDigits) + " digits"}
		}
	}
	if len(digits) != codeDigits {
		return privacy.Plain{}, &privacy.FieldError{Pointer: "/code", Reason: "must be " + strconv.Itoa(codeDigits) + " digits"}
	}
	return privacy.NewPlain(string(digits)), nil
}

// Code is one code as it is recorded: without the code.
type Code struct {
	Request dsar.RequestID
	// Number counts the codes of a request from one.
	Number int
	// Tag is a keyed hash of request, number and code.
	Tag [16]byte
	// SentAt and ExpiresAt are of the store's clock.
	SentAt, ExpiresAt time.Time
	Attempts          int
	// UsedAt is zero unless the code was right.
	UsedAt time.Time
}

// tagOf hashes a code under the index key, bound to its place: whoever has the database and
// not the key directory cannot try all hundred million.
func tagOf(v *vault.Vault, request dsar.RequestID, number int, code privacy.Plain) [16]byte {
	return v.WordTag("identity/code", request.String(), strconv.Itoa(number), code.RevealPersonalData())
}

// matches compares without telling by its time how much was right.
func (c *Code) matches(tag [16]byte) bool { return subtle.ConstantTimeCompare(c.Tag[:], tag[:]) == 1 }

// Codes are all codes of a request, the last one last, and the store's time.
type Codes struct {
	List []Code
	At   time.Time
	// Failed counts the attempts to prove identity that failed, by codes and by sessions.
	Failed int
}

// last returns the newest code, and false if none was sent.
func (c *Codes) last() (Code, bool) {
	if len(c.List) == 0 {
		return Code{}, false
	}
	return c.List[len(c.List)-1], true
}

// maySend says why no further code may be sent.
func (c *Codes) maySend(articles string) *dsar.Refusal {
	hourly := 0
	for _, code := range c.List {
		if c.At.Sub(code.SentAt) < time.Hour {
			hourly++
		}
	}
	switch {
	case len(c.List) >= maxCodes:
		return &dsar.Refusal{Check: CheckRate, Article: articles, Reason: "no more codes are sent for this request; identity can be judged in another way"}
	case hourly >= maxHourly:
		return &dsar.Refusal{Check: CheckRate, Article: articles, Reason: "no more codes are sent within this hour"}
	}
	return nil
}

// mayTry says why no further attempt is counted, right or wrong.
func (c *Codes) mayTry(articles string) *dsar.Refusal {
	last, sent := c.last()
	if !sent {
		return &dsar.Refusal{Check: CheckCode, Article: articles, Reason: "no code was sent for this request"}
	}
	if refusal := c.mayTryAtAll(articles); refusal != nil {
		return refusal
	}
	if last.Attempts >= maxAttempts {
		return &dsar.Refusal{Check: CheckAttempts, Article: articles, Reason: "too many attempts; ask for another code"}
	}
	return nil
}

// mayTryAtAll says why no further attempt is counted, by whatever proof.
func (c *Codes) mayTryAtAll(articles string) *dsar.Refusal {
	if c.Failed >= maxAttemptsAll {
		return &dsar.Refusal{Check: CheckAttempts, Article: articles, Reason: "too many attempts; identity can be judged in another way"}
	}
	return nil
}

// The checks, as they stand in the log.
const (
	// CheckCode: the code that was sent last, within its life, and not used before.
	CheckCode = "identity.code"
	// CheckAttempts: not too many attempts.
	CheckAttempts = "identity.attempts"
	// CheckRate: not too many codes.
	CheckRate = "identity.code_rate"
	// CheckSession: a service's statement is about this person and of now.
	CheckSession = "identity.session"
)

// article is where the law has that identity may be asked for where there is doubt.
const article = "GDPR Article 12(6), KVKK Article 13"
