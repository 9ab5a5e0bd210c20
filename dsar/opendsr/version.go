package opendsr

import "fmt"

// Version is a version of the protocol.
type Version string

// The versions. 3.0 was never written down as a specification; its shapes are those that
// processors serve under that name.
const (
	V1 Version = "1.0"
	V2 Version = "2.0"
	V3 Version = "3.0"
)

// Versions lists them, the oldest first.
func Versions() []Version { return []Version{V1, V2, V3} }

// ParseVersion reads "1.0", "2.0" or "3.0".
func ParseVersion(text string) (Version, error) {
	for _, v := range Versions() {
		if text == string(v) {
			return v, nil
		}
	}
	return "", &Refusal{Check: CheckVersion, Reason: "api_version must be 1.0, 2.0 or 3.0"}
}

// ParsePathVersion reads the part of a path that names the major version: "v1", "v2" or
// "v3".
func ParsePathVersion(text string) (Version, error) {
	for _, v := range Versions() {
		if text == v.Path() {
			return v, nil
		}
	}
	return "", &Refusal{Check: CheckVersion, Reason: "the path must begin with v1, v2 or v3"}
}

// Path is how the version stands in a path (section 3.4).
func (v Version) Path() string { return fmt.Sprintf("v%c", v[0]) }

// RequestsPath is where requests are posted to, below the version: their name changed
// with 2.0.
func (v Version) RequestsPath() string {
	if v == V1 {
		return "opengdpr_requests"
	}
	return "requests"
}

// DomainHeader is the header with the domain of whoever signed.
func (v Version) DomainHeader() string { return v.prefix() + "Processor-Domain" }

// SignatureHeader is the header with the signature over the body.
func (v Version) SignatureHeader() string { return v.prefix() + "Signature" }

func (v Version) prefix() string {
	if v == V1 {
		return "X-OpenGDPR-"
	}
	return "X-OpenDSR-"
}
