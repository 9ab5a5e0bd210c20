package opendsr

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// IdentityType says what an identity is (section 5.1).
type IdentityType string

// The identity types that have a meaning here. The protocol has more, of advertising
// systems; they are read and not used.
const (
	ControllerCustomerID IdentityType = "controller_customer_id"
	EmailIdentity        IdentityType = "email"
	PhoneIdentity        IdentityType = "phone_number" // in use with 3.0
)

// identityTypes are all that the protocol has.
var identityTypes = []IdentityType{
	ControllerCustomerID, EmailIdentity, PhoneIdentity, "android_advertising_id", "android_id", "fire_advertising_id",
	"ios_advertising_id", "ios_vendor_id", "microsoft_advertising_id", "microsoft_publisher_id", "roku_publisher_id", "roku_advertising_id",
}

// Format says how an identity is written (section 5.2).
type Format string

// The formats.
const (
	Raw    Format = "raw"
	SHA1   Format = "sha1"
	MD5    Format = "md5"
	SHA256 Format = "sha256"
)

var digestLength = map[Format]int{SHA1: 40, MD5: 32, SHA256: 64}

// Identity is one way in which a request names a person.
type Identity struct {
	Type   IdentityType
	Format Format
	Value  privacy.Plain
}

// Hashed returns the identity as the hexadecimal SHA-256 of its value, trimmed and in
// lower case, which is how processors compare addresses that they have only as digests.
func (i Identity) Hashed() Identity {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(i.Value.RevealPersonalData()))))
	return Identity{Type: i.Type, Format: SHA256, Value: privacy.NewPlain(hex.EncodeToString(sum[:]))}
}

func newIdentity(kind, format, value string) (Identity, error) {
	i := Identity{Type: IdentityType(kind), Format: Format(format), Value: privacy.NewPlain(value)}
	if !slices.Contains(identityTypes, i.Type) {
		return Identity{}, identityFault("an identity has a type that is not in the protocol")
	}
	if i.Format == Raw {
		return i, nil
	}
	length, known := digestLength[i.Format]
	if !known {
		return Identity{}, identityFault("an identity has a format other than raw, sha1, md5 and sha256")
	}
	if _, err := hex.DecodeString(value); err != nil || len(value) != length || value != strings.ToLower(value) {
		return Identity{}, identityFault("an identity is not the lower-case hexadecimal digest that its format says")
	}
	return i, nil
}

// identities reads the array of 1.0 and 2.0, or the object by type of 3.0. Both are taken
// whatever the version says: what is meant is plain from the shape.
func (o object) identities(name string) ([]Identity, error) {
	if !o.has(name) {
		return nil, nil
	}
	if strings.HasPrefix(strings.TrimSpace(string(o[name])), "{") {
		return o.identityMap(name)
	}
	list, err := o.list(name, maxIdentities)
	if err != nil {
		return nil, err
	}
	var out []Identity
	for _, raw := range list {
		one, err := readObject(raw)
		if err != nil {
			return nil, field(name, "must be an array of objects")
		}
		kind, err := one.text("identity_type", 64, true)
		if err != nil {
			return nil, err
		}
		format, err := one.text("identity_format", 16, true)
		if err != nil {
			return nil, err
		}
		value, err := one.text("identity_value", maxValue, true)
		if err != nil {
			return nil, err
		}
		identity, err := newIdentity(kind, format, value)
		if err != nil {
			return nil, err
		}
		out = append(out, identity)
	}
	return out, nil
}

func (o object) identityMap(name string) ([]Identity, error) {
	byType, err := o.object(name)
	if err != nil {
		return nil, err
	}
	if len(byType) > maxIdentities {
		return nil, field(name, "has too many entries")
	}
	var out []Identity
	for _, kind := range slices.Sorted(mapKeys(byType)) {
		one, err := readObject(byType[kind])
		if err != nil {
			return nil, field(name, "must be an object of objects")
		}
		value, err := one.text("value", maxValue, true)
		if err != nil {
			return nil, err
		}
		format, err := one.text("encoding", 16, false)
		if err != nil {
			return nil, err
		}
		if format == "" {
			format = string(Raw)
		}
		identity, err := newIdentity(kind, format, value)
		if err != nil {
			return nil, err
		}
		out = append(out, identity)
	}
	return out, nil
}

func mapKeys(o map[string]json.RawMessage) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range o {
			if !yield(key) {
				return
			}
		}
	}
}

type wireIdentity struct {
	Type   string `json:"identity_type"`
	Value  string `json:"identity_value,omitempty"`
	Format string `json:"identity_format"`
}

type wireIdentity3 struct {
	Value    string `json:"value"`
	Encoding string `json:"encoding"`
}

// wire returns the identities in the shape of a version. This is where they leave in
// clear: for the body that is sent to a processor, and for nothing else.
func wireIdentities(version Version, list []Identity) any {
	if version == V3 {
		out := map[string]wireIdentity3{}
		for _, i := range list {
			out[string(i.Type)] = wireIdentity3{Value: i.Value.RevealPersonalData(), Encoding: string(i.Format)}
		}
		return out
	}
	out := []wireIdentity{}
	for _, i := range list {
		out = append(out, wireIdentity{Type: string(i.Type), Value: i.Value.RevealPersonalData(), Format: string(i.Format)})
	}
	return out
}
