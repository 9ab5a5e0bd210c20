package receipt

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

var update = flag.Bool("update", false, "write the vectors anew, under a new key")

const issuer = "https://consent.shop.example"

// noon is when every receipt of the tests is issued.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var shop = Controller{
	Name: "Örnek Mağaza A.Ş.", Address: "Bağdat Cad. 1, İstanbul", Country: "TR", Contact: "Data protection officer",
	Email: "privacy@shop.example", Phone: "+90 212 000 00 00", URL: "https://shop.example",
	Policy: "https://shop.example/privacy", Withdrawal: "https://shop.example/consents", Storage: []string{"TR", "DE"},
}

// facts are of a grant with everything in it. They do not come from the catalogue that ships,
// so that the vectors stay when that changes.
func facts() *Facts {
	return &Facts{
		Record: consent.Record{
			ID: [16]byte{0xc0, 0xff, 0xee, 6: 0x4a, 8: 0x8b, 15: 1}, DataSubject: privacy.DataSubjectID{7}, Purpose: "recommendations", Channel: "email",
			Action: consent.Granted, Basis: privacy.Consent, Explicit: true, Categories: []privacy.DataCategory{"health"}, NoticeVersion: "privacy-notice-7",
			Source: "web_form", Incentive: true, Actor: consent.ByDataSubject, Language: "tr-TR", EvidenceRef: "form/2026-06-01/8841", Jurisdiction: "TR",
			EffectiveAt: time.Date(2026, 6, 1, 9, 30, 0, 123456000, time.UTC), RecordedAt: time.Date(2026, 6, 1, 9, 30, 1, 0, time.UTC),
			ValidUntil: time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC),
		},
		Standing:  consent.Current{State: consent.StateGranted},
		Principal: pseudonym.Pseudonym("AQ" + strings.Repeat("Zz09-_ab", 6)), Recipient: "web_shop", Controller: shop,
		Purpose: Purpose{
			ID: "recommendations", Title: policies.Text{EN: "Product recommendations", TR: "Ürün önerileri", CS: "Doporučení výrobků"},
			Marketing: true, Profiling: true,
			Data: []Data{
				{Category: "health", Title: policies.Text{EN: "Health", TR: "Sağlık", CS: "Zdraví"}, Special: true, Keep: "P1Y"},
				{Category: "location", Title: policies.Text{EN: "Location", TR: "Konum", CS: "Poloha"}, Sensitive: true, Keep: "P13M"},
				{Category: "profile", Title: policies.Text{EN: "Profile", TR: "Profil", CS: "Profil"}},
			},
			Recipients: []Recipient{
				{"ad_network", policies.Text{EN: "Advertising network", TR: "Reklam ağı", CS: "Reklamní síť"}, policies.ThirdParty},
				{"recommender", policies.Text{EN: "Recommendation engine", TR: "Öneri motoru", CS: "Doporučovací systém"}, policies.Processor},
				{"web_shop", policies.Text{EN: "Our web shop", TR: "Çevrimiçi mağazamız", CS: "Náš e-shop"}, policies.FirstParty},
			},
		},
	}
}

func newKeyset(t testing.TB) *keyset.Handle {
	t.Helper()
	handle, err := keyset.NewHandle(jwt.ES256Template())
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// fixedRandom gives the same id each time.
type fixedRandom struct{}

func (fixedRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i)
	}
	return len(b), nil
}

func newSigner(t testing.TB, handle *keyset.Handle) *Signer {
	t.Helper()
	signer, err := NewSigner(issuer, handle, SignerConfig{Now: func() time.Time { return noon }, Random: fixedRandom{}})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func mustSign(t testing.TB, handle *keyset.Handle, f *Facts, format Format) Signed {
	t.Helper()
	signed, err := newSigner(t, handle).Sign(f, format)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func mustKeys(t testing.TB, handle *keyset.Handle) *Keys {
	t.Helper()
	set, err := PublishKeys(issuer, handle)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(set, "")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// failed is the name of the check that failed.
func failed(checks []Check) string {
	for _, check := range checks {
		if !check.Passed {
			return check.Name
		}
	}
	return ""
}
