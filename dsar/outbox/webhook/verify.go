package webhook

import (
	"crypto/hmac"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// The checks that a call must pass before anything in it is believed, in their order.
const (
	CheckSize      = "webhook.size"
	CheckID        = "webhook.id"
	CheckTimestamp = "webhook.timestamp" // a time is there, and is one
	CheckTime      = "webhook.time"      // it is not another time than now
	CheckSignature = "webhook.signature"
	CheckReplay    = "webhook.replay" // the id was not seen before
)

// Refusal says which check a call did not pass. It wraps [privacy.ErrUnauthenticated], or
// for [CheckReplay] [privacy.ErrConflict]: a call that was taken already, which a receiver
// answers with success and does not act on again.
type Refusal struct {
	// Check is one of the names above.
	Check string
	// Reason says what would be right, and repeats nothing of the call.
	Reason string
}

// Error joins check and reason.
func (r *Refusal) Error() string { return "refusing webhook: " + r.Check + ": " + r.Reason }

// Unwrap returns the kind of the refusal.
func (r *Refusal) Unwrap() error {
	if r.Check == CheckReplay {
		return privacy.ErrConflict
	}
	return privacy.ErrUnauthenticated
}

// maxID bounds an id in its header.
const maxID = 128

// Verify finds out whether a call comes from who has one of the secrets, and comes now, and
// returns its id. The body must be as it came over the wire. Every error is a [*Refusal]
// that names the check; a body that was not verified must not be read.
//
// Several secrets are for the time in which one replaces another.
func Verify(header http.Header, body []byte, now time.Time, secrets ...Secret) (id string, err error) {
	id, _, err = verify(header, body, now, secrets)
	return id, err
}

func verify(header http.Header, body []byte, now time.Time, secrets []Secret) (id string, at time.Time, err error) {
	no := func(check, reason string) (string, time.Time, error) {
		return "", time.Time{}, &Refusal{check, reason}
	}
	if len(body) > maxBody {
		return no(CheckSize, fmt.Sprintf("the body must have at most %d bytes", maxBody))
	}
	if id = one(header, headerID); id == "" || len(id) > maxID {
		return no(CheckID, "there must be one header "+headerID)
	}
	seconds, err := strconv.ParseInt(one(header, headerTimestamp), 10, 64)
	// Only the text that a sender writes: the signature is over it.
	if err != nil || strconv.FormatInt(seconds, 10) != one(header, headerTimestamp) {
		return no(CheckTimestamp, "there must be one header "+headerTimestamp+" with the seconds since 1970")
	}
	at = time.Unix(seconds, 0)
	if now.Sub(at).Abs() > tolerance {
		return no(CheckTime, fmt.Sprintf("the call must not be more than %s old or ahead", tolerance))
	}
	given := one(header, headerSignature)
	valid := false
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		want := []byte(secret.signature(id, seconds, body))
		for signature := range strings.FieldsSeq(given) {
			valid = hmac.Equal([]byte(signature), want) || valid
		}
	}
	if !valid {
		return no(CheckSignature, "no signature of the header "+headerSignature+" is of a secret that is known here")
	}
	return id, at, nil
}

// one returns the only value of a header. Two could mean one thing to us and another to
// somebody on the way.
func one(header http.Header, name string) string {
	if values := header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}
