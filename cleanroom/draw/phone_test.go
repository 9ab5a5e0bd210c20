package draw_test

import (
	"testing"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Whom the house knows by a number is who is matched by it: of a number with a country code
// that the vault knows, both have the same form, with the trunk prefix shown or not.
func TestPhonesHaveOneForm(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"+44 (0)20 7946 0958", "+442079460958", "0044 (0) 20 7946 0958", "+49 (0)30 123456",
		"+90 (0) 532 123 45 67", "+90 (532) 123-45.67", "+358-(0)9-123456", "+33 (0)1.23.45.67.89", "+39 (0)6 1234567", "+39 06 1234567", "+378 (0)549 881234",
		"+420 601 123 456", "+1 (212) 555 0123",
	} {
		identifier := privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain(raw)}
		of, err := match.Normalize(identifier)
		if err != nil {
			t.Fatalf("%s in a room: %v", raw, err)
		}
		in, err := vault.Normalize(privacy.Phone, raw)
		if err != nil {
			t.Fatalf("%s in the vault: %v", raw, err)
		}
		if of.RevealPersonalData() != in {
			t.Errorf("%s is %s in the vault and %s in a room", raw, in, of.RevealPersonalData())
		}
	}
}
