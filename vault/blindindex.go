package vault

import (
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/mahrem/mahrem/privacy"
)

// BlindIndexSize is the length of a blind index: version byte and HMAC-SHA256.
const BlindIndexSize = 1 + 32

// blindKeys are the keys of one identifier kind: the primary first, then the other
// enabled ones, newest first.
type blindKeys []blindKey

type blindKey struct {
	version byte
	prf     prf.PRF
}

func newBlindKeys(set *prf.Set) (blindKeys, error) {
	if set == nil || len(set.PRFs) == 0 {
		return nil, fmt.Errorf("missing: %w", privacy.ErrInvalid)
	}
	var keys blindKeys
	for id, primitive := range set.PRFs {
		if id == 0 || id > 255 {
			return nil, fmt.Errorf("key id is not a version from 1 to 255: %w", privacy.ErrInvalid)
		}
		if id != set.PrimaryID {
			keys = append(keys, blindKey{byte(id), primitive})
		}
	}
	slices.SortFunc(keys, func(a, b blindKey) int { return int(b.version) - int(a.version) })
	primary, ok := set.PRFs[set.PrimaryID]
	if !ok {
		return nil, fmt.Errorf("no primary key: %w", privacy.ErrInvalid)
	}
	return append(blindKeys{{byte(set.PrimaryID), primary}}, keys...), nil
}

// Normalize returns the normal form of identifier by the rules of docs/identifiers.md,
// reading phone numbers without a country code in the vault's region.
func (v *Vault) Normalize(identifier privacy.Identifier) (privacy.Plain, error) {
	text, err := normalize(identifier.Kind, identifier.Value.RevealPersonalData(), v.region)
	return privacy.NewPlain(text), err
}

// BlindIndex returns what an identifier is stored as: a version byte and the HMAC-SHA256
// of its normal form under the primary key of its kind. The error wraps
// [privacy.ErrInvalid] when the identifier has no normal form.
func (v *Vault) BlindIndex(identifier privacy.Identifier) ([]byte, error) {
	input, err := v.blindInput(identifier)
	if err != nil {
		return nil, err
	}
	return v.blind[identifier.Kind][0].compute(input)
}

// BlindIndexes returns the index of an identifier under every active key, the primary
// first. Looking a person up takes all of them, so that a rotation needs no downtime.
func (v *Vault) BlindIndexes(identifier privacy.Identifier) ([][]byte, error) {
	input, err := v.blindInput(identifier)
	if err != nil {
		return nil, err
	}
	keys := v.blind[identifier.Kind]
	indexes := make([][]byte, 0, len(keys))
	for _, key := range keys {
		index, err := key.compute(input)
		if err != nil {
			return nil, err
		}
		indexes = append(indexes, index)
	}
	return indexes, nil
}

// blindInput is kind ‖ 0 ‖ normal form. The kind is bound although each has its own key,
// so that mixed-up key files cannot make a phone number found as a customer number.
func (v *Vault) blindInput(identifier privacy.Identifier) ([]byte, error) {
	text, err := normalize(identifier.Kind, identifier.Value.RevealPersonalData(), v.region)
	if err != nil {
		return nil, err
	}
	input := make([]byte, 0, len(identifier.Kind)+1+len(text))
	input = append(append(input, identifier.Kind...), 0)
	return append(input, text...), nil
}

func (k blindKey) compute(input []byte) ([]byte, error) {
	sum, err := k.prf.ComputePRF(input, BlindIndexSize-1)
	if err != nil {
		return nil, fmt.Errorf("computing blind index: %w", err)
	}
	return append([]byte{k.version}, sum...), nil
}
