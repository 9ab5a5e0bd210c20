package opendsr

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar"
)

// Accepted is a processor's answer to a request: 201 (section 7.3).
type Accepted struct {
	ControllerID string
	ExpectedAt   time.Time
	ReceivedAt   time.Time
	// Encoded is the body of the request as the processor received it. A controller
	// compares it and must neither log nor store it.
	Encoded []byte
	ID      SubjectRequestID
}

type wireAccepted struct {
	ControllerID string `json:"controller_id"`
	ExpectedAt   string `json:"expected_completion_time"`
	ReceivedAt   string `json:"received_time"`
	Encoded      string `json:"encoded_request"`
	ID           string `json:"subject_request_id"`
}

// Encode writes the answer.
func (a Accepted) Encode() []byte {
	return encode(wireAccepted{
		a.ControllerID, moment(a.ExpectedAt), moment(a.ReceivedAt),
		base64.StdEncoding.EncodeToString(a.Encoded), a.ID.String(),
	})
}

// ParseAccepted reads the answer to a request.
func ParseAccepted(body []byte) (Accepted, error) {
	o, err := parseObject(body)
	if err != nil {
		return Accepted{}, err
	}
	var a Accepted
	if a.ID, err = o.id("subject_request_id"); err != nil {
		return Accepted{}, err
	}
	if a.ControllerID, err = o.text("controller_id", 256, true); err != nil {
		return Accepted{}, err
	}
	if a.ExpectedAt, err = o.moment("expected_completion_time", true); err != nil {
		return Accepted{}, err
	}
	if a.ReceivedAt, err = o.moment("received_time", true); err != nil {
		return Accepted{}, err
	}
	encoded, err := o.text("encoded_request", MaxBody, true)
	if err != nil {
		return Accepted{}, err
	}
	if a.Encoded, err = base64.StdEncoding.Strict().DecodeString(encoded); err != nil {
		return Accepted{}, field("encoded_request", "must be base64")
	}
	return a, nil
}

// Cancellation is a processor's answer to a cancellation: 202 (section 9.2).
type Cancellation struct {
	Version      Version
	ControllerID string
	ReceivedAt   time.Time
	ID           SubjectRequestID
}

type wireCancellation struct {
	ControllerID string `json:"controller_id"`
	ID           string `json:"subject_request_id"`
	ReceivedAt   string `json:"received_time"`
	Version      string `json:"api_version,omitempty"`
}

// Encode writes the answer.
func (c Cancellation) Encode() []byte {
	return encode(wireCancellation{c.ControllerID, c.ID.String(), moment(c.ReceivedAt), string(c.Version)})
}

// ParseCancellation reads the answer to a cancellation.
func ParseCancellation(body []byte) (Cancellation, error) {
	o, err := parseObject(body)
	if err != nil {
		return Cancellation{}, err
	}
	var c Cancellation
	if c.ID, err = o.id("subject_request_id"); err != nil {
		return Cancellation{}, err
	}
	if c.ControllerID, err = o.text("controller_id", 256, true); err != nil {
		return Cancellation{}, err
	}
	c.ReceivedAt, err = o.moment("received_time", true)
	return c, err
}

// Discovery says what a processor supports (section 6).
type Discovery struct {
	Version     Version
	Identities  []Identity // without values
	Kinds       []dsar.Kind
	Certificate string // address of the certificate that signs
}

type wireDiscovery struct {
	Version     string         `json:"api_version"`
	Identities  []wireIdentity `json:"supported_identities"`
	Kinds       []string       `json:"supported_subject_request_types"`
	Certificate string         `json:"processor_certificate"`
}

// Encode writes the document.
func (d Discovery) Encode() []byte {
	w := wireDiscovery{Version: string(d.Version), Identities: []wireIdentity{}, Kinds: []string{}, Certificate: d.Certificate}
	for _, i := range d.Identities {
		w.Identities = append(w.Identities, wireIdentity{Type: string(i.Type), Format: string(i.Format)})
	}
	for _, kind := range d.Kinds {
		w.Kinds = append(w.Kinds, string(kind))
	}
	return encode(w)
}

// ParseDiscovery reads the document. Types and formats that are not known here are passed
// over: a processor may support more than we do. The certificate must be at an https
// address.
func ParseDiscovery(body []byte) (Discovery, error) {
	o, err := parseObject(body)
	if err != nil {
		return Discovery{}, err
	}
	var d Discovery
	said, err := o.text("api_version", 16, true)
	if err != nil {
		return Discovery{}, err
	}
	if d.Version, err = ParseVersion(said); err != nil {
		return Discovery{}, err
	}
	list, err := o.list("supported_identities", 256)
	if err != nil {
		return Discovery{}, err
	}
	if !o.has("supported_identities") {
		return Discovery{}, field("supported_identities", "is required")
	}
	for _, raw := range list {
		var w wireIdentity
		if err := json.Unmarshal(raw, &w); err != nil || w.Type == "" || w.Format == "" {
			return Discovery{}, field("supported_identities", "must be pairs of identity_type and identity_format")
		}
		if slices.Contains(identityTypes, IdentityType(w.Type)) && (w.Format == string(Raw) || digestLength[Format(w.Format)] > 0) {
			d.Identities = append(d.Identities, Identity{Type: IdentityType(w.Type), Format: Format(w.Format)})
		}
	}
	names, err := o.texts("supported_subject_request_types", 64, 64)
	if err != nil {
		return Discovery{}, err
	}
	for _, name := range names {
		if slices.Contains(kinds, dsar.Kind(name)) {
			d.Kinds = append(d.Kinds, dsar.Kind(name))
		}
	}
	if len(d.Kinds) == 0 {
		return Discovery{}, field("supported_subject_request_types", "names none of access, portability and erasure")
	}
	if d.Certificate, err = o.text("processor_certificate", maxURL, true); err != nil {
		return Discovery{}, err
	}
	if u, err := url.Parse(d.Certificate); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Discovery{}, field("processor_certificate", "must be an https address")
	}
	return d, nil
}

// Supports reports whether the processor takes identities of a type in a format.
func (d Discovery) Supports(kind IdentityType, format Format) bool {
	return slices.ContainsFunc(d.Identities, func(i Identity) bool { return i.Type == kind && i.Format == format })
}

type wireError struct {
	Error struct {
		Code    int               `json:"code"`
		Message string            `json:"message"`
		Errors  []wireErrorDetail `json:"errors"`
	} `json:"error"`
}

type wireErrorDetail struct {
	Domain  string `json:"domain"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// EncodeError writes the document of an error (section 7.6). It holds the check and the
// fields, never a value.
func EncodeError(code int, refusal *Refusal) []byte {
	var w wireError
	w.Error.Code, w.Error.Message = code, refusal.Reason
	w.Error.Errors = []wireErrorDetail{{Domain: "Validation", Reason: refusal.Check, Message: refusal.Reason}}
	return encode(w)
}

// ErrorDocument is what a processor says about a refusal.
type ErrorDocument struct {
	Code    int
	Message string
	Reasons []string
}

// ParseError reads the document of an error.
func ParseError(body []byte) (ErrorDocument, error) {
	o, err := parseObject(body)
	if err != nil {
		return ErrorDocument{}, err
	}
	inner, err := o.object("error")
	if err != nil || inner == nil {
		return ErrorDocument{}, field("error", "must be an object")
	}
	var d ErrorDocument
	if err := json.Unmarshal(inner["code"], &d.Code); err != nil {
		return ErrorDocument{}, field("error.code", "must be a number")
	}
	if d.Message, err = inner.text("message", 4096, false); err != nil {
		return ErrorDocument{}, err
	}
	list, err := inner.list("errors", 256)
	if err != nil {
		return ErrorDocument{}, err
	}
	for _, raw := range list {
		one, err := readObject(raw)
		if err != nil {
			return ErrorDocument{}, err
		}
		reason, err := one.text("reason", 256, false)
		if err != nil {
			return ErrorDocument{}, err
		}
		d.Reasons = append(d.Reasons, strings.TrimSpace(reason))
	}
	return d, nil
}
