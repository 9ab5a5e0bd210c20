package privacy_test

import (
	"errors"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// Words that come from outside are either one of the list or an error.
func TestParseWords(t *testing.T) {
	t.Parallel()
	for _, kind := range privacy.IdentifierKinds() {
		if got, err := privacy.ParseIdentifierKind(string(kind)); got != kind || err != nil {
			t.Errorf("ParseIdentifierKind(%q) = %q, %v", kind, got, err)
		}
	}
	for _, basis := range []privacy.LegalBasis{
		privacy.Consent, privacy.Contract, privacy.LegalObligation,
		privacy.VitalInterests, privacy.PublicTask, privacy.LegitimateInterests,
	} {
		if got, err := privacy.ParseLegalBasis(string(basis)); got != basis || err != nil {
			t.Errorf("ParseLegalBasis(%q) = %q, %v", basis, got, err)
		}
	}
	for _, role := range []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor, privacy.RoleIngest} {
		if got, err := privacy.ParseRole(string(role)); got != role || err != nil {
			t.Errorf("ParseRole(%q) = %q, %v", role, got, err)
		}
	}
	for _, bad := range []string{"", "Email", "admin", "consent ", "none"} {
		_, kindErr := privacy.ParseIdentifierKind(bad)
		_, basisErr := privacy.ParseLegalBasis(bad)
		_, roleErr := privacy.ParseRole(bad)
		for _, err := range []error{kindErr, basisErr, roleErr} {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("%q was accepted, or refused with %v", bad, err)
			}
		}
	}
}

func TestOnlyADPOMayKnowWhoExists(t *testing.T) {
	t.Parallel()
	for role, may := range map[privacy.Role]bool{
		privacy.RoleDPO: true, privacy.RoleService: false, privacy.RoleAuditor: false, privacy.RoleIngest: false, "": false,
	} {
		if got := (privacy.Principal{ID: "x", Role: role}).MayKnowWhetherPersonExists(); got != may {
			t.Errorf("%q: %v", role, got)
		}
	}
}
