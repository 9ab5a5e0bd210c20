package opendsr

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar"
)

// Request is what a controller asks of a processor (section 7).
type Request struct {
	// Version decides the shape in which the request is written. In one that was read it
	// is what the request says, or empty if it says nothing.
	Version Version
	// Regulation is gdpr, ccpa or another word; empty in 1.0.
	Regulation string
	ID         SubjectRequestID
	Kind       dsar.Kind
	Identities []Identity
	// SubmittedAt is when the data subject asked.
	SubmittedAt time.Time
	Callbacks   []string
	// Group joins requests of one matter (3.0).
	Group string
	// Extensions are the parts that are meant for single processors, by domain, as they
	// came. Nothing of ours is in them.
	Extensions map[string]json.RawMessage
}

// kinds are the rights that the protocol knows.
var kinds = []dsar.Kind{dsar.Access, dsar.Portability, dsar.Erasure}

// Kinds lists the kinds of request that the protocol has.
func Kinds() []dsar.Kind { return slices.Clone(kinds) }

// ParseRequest reads the body of a request that came to a path of version. The error is a
// [Refusal] whose reason names fields and repeats nothing of the body.
func ParseRequest(version Version, body []byte) (Request, error) {
	o, err := parseObject(body)
	if err != nil {
		return Request{}, err
	}
	var r Request
	if r.ID, err = o.id("subject_request_id"); err != nil {
		return Request{}, err
	}
	kind, err := o.text("subject_request_type", 32, true)
	if err != nil {
		return Request{}, err
	}
	if r.Kind = dsar.Kind(kind); !slices.Contains(kinds, r.Kind) {
		return Request{}, &Refusal{Check: CheckKind, Reason: "subject_request_type must be access, portability or erasure"}
	}
	said, err := o.text("api_version", 8, false)
	if err != nil {
		return Request{}, err
	}
	if said != "" {
		if r.Version, err = ParseVersion(said); err != nil {
			return Request{}, err
		}
		if r.Version.Path() != version.Path() {
			return Request{}, &Refusal{Check: CheckVersion, Reason: "api_version differs from the version in the path"}
		}
	}
	// 2.0 requires the regulation in its text and leaves it out of its own example.
	if r.Regulation, err = o.text("regulation", 32, false); err != nil {
		return Request{}, err
	}
	if r.Regulation != "" && !isWord(r.Regulation) {
		return Request{}, field("regulation", "must be a word such as gdpr or ccpa")
	}
	if r.SubmittedAt, err = o.moment("submitted_time", true); err != nil {
		return Request{}, err
	}
	if r.Callbacks, err = o.texts("status_callback_urls", maxCallbacks, maxURL); err != nil {
		return Request{}, err
	}
	for _, callback := range r.Callbacks {
		if err := CheckCallbackURL(callback); err != nil {
			return Request{}, err
		}
	}
	if r.Group, err = o.text("group_id", 150, false); err != nil {
		return Request{}, err
	}
	if r.Identities, err = o.identities("subject_identities"); err != nil {
		return Request{}, err
	}
	extensions, err := o.object("extensions")
	if err != nil {
		return Request{}, err
	}
	r.Extensions = extensions
	if len(r.Identities) == 0 && len(r.Extensions) == 0 {
		return Request{}, field("subject_identities", "is required")
	}
	return r, nil
}

// CheckCallbackURL refuses an address that no status may ever be sent to: it must be
// https, name a host, and have neither a user nor a fragment.
func CheckCallbackURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) {
		return &Refusal{Check: CheckCallbackAllowed, Reason: "a callback must be an https address without user and fragment"}
	}
	return nil
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' })
}

type wireRequest struct {
	Regulation  string                     `json:"regulation,omitempty"`
	ID          string                     `json:"subject_request_id"`
	Kind        string                     `json:"subject_request_type"`
	SubmittedAt string                     `json:"submitted_time"`
	Identities  any                        `json:"subject_identities"`
	Version     string                     `json:"api_version"`
	Callbacks   []string                   `json:"status_callback_urls,omitempty"`
	Group       string                     `json:"group_id,omitempty"`
	Extensions  map[string]json.RawMessage `json:"extensions,omitempty"`
}

// Encode writes the request as its version has it. The bytes hold personal data in clear:
// they are for the processor, and are sealed wherever they wait.
func (r Request) Encode() []byte {
	w := wireRequest{
		ID: r.ID.String(), Kind: string(r.Kind), SubmittedAt: moment(r.SubmittedAt),
		Identities: wireIdentities(r.Version, r.Identities), Version: string(r.Version), Callbacks: r.Callbacks, Extensions: r.Extensions,
	}
	if r.Version != V1 {
		w.Regulation = r.Regulation
	}
	if r.Version == V3 {
		w.Group = r.Group
	}
	return encode(w)
}

// HasKind reports whether the protocol has requests of a kind.
func HasKind(kind dsar.Kind) bool { return slices.Contains(kinds, kind) }
