package vault

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// This is the one file that touches raw key bytes: a DEK is 32 bytes inside a wrapped
// blob of ours and not a Tink keyset, because a keyset a person costs three times the
// time and twice the room. The import of insecuresecretdataaccess marks the place, and
// a test keeps it the only one.

// dekSize is the length of a DEK: AES-256.
const dekSize = 32

// dekParameters are those of every DEK. NO_PREFIX, since a key id would be the same for
// every blob of a person; the version byte that we put in front takes its place.
var dekParameters = func() *aesgcm.Parameters {
	parameters, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: dekSize, IVSizeInBytes: nonceSize, TagSizeInBytes: tagSize, Variant: aesgcm.VariantNoPrefix,
	})
	if err != nil {
		panic("vault: parameters of a DEK: " + err.Error()) // constants above
	}
	return parameters
}()

// newDEK makes the AEAD of a person from raw, which it copies.
func newDEK(raw []byte) (tink.AEAD, error) {
	key, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), 0, dekParameters)
	if err != nil {
		return nil, fmt.Errorf("making DEK: %w", err)
	}
	aead, err := aesgcm.NewAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("making AEAD of DEK: %w", err)
	}
	return aead, nil
}
