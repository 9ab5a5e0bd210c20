package assembly

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// TestReportAgreesWithTheLog: whatever rooms and personas can be asked leaves charges and entries that
// agree, also an audience that was refused, and a definition that was built.
func TestReportAgreesWithTheLog(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	by := Operator("tester")
	signers := map[cleanroom.PartyID]*cleanroom.Signer{}
	for _, party := range []cleanroom.PartyID{"retail_media", "brand_partner"} {
		secret, public, err := cleanroom.GenerateKey(rand.Reader, party)
		if err != nil {
			t.Fatal(err)
		}
		if signers[party], err = cleanroom.ParseSigner(secret); err != nil {
			t.Fatal(err)
		}
		if _, err := house.Rooms.Register.AddParty(t.Context(), by, party, strings.TrimSpace(public)); err != nil {
			t.Fatal(err)
		}
	}
	mustHomes(t, house, signers["retail_media"])
	brand := privacy.Principal{ID: "buyer", Role: privacy.RoleService, Recipient: "brand_partner"}
	if _, err := house.Activator().Activate(t.Context(), brand, "homes", []byte(homesQuery)); err != nil {
		t.Fatal(err)
	}
	silver := strings.Replace(homesQuery, `"gold"`, `"silver"`, 1)
	if _, err := house.Activator().Activate(t.Context(), brand, "homes", []byte(silver)); !errors.Is(err, privacy.ErrForbidden) {
		t.Fatalf("an audience of nobody: %v", err)
	}
	var shoppers []shopper
	for i := range 120 {
		shoppers = append(shoppers, shopper{fmt.Sprintf("F-%d", i), []string{"fresh.fruit", "fresh.meat"}, []string{"segmentation"}})
	}
	loadShoppers(t, house, shoppers)
	definition := strings.Replace(threeTypes, "method: kmeans", "method: rules", 1)
	for label, feature := range map[string]string{"fresh_cook": "fresh", "sweet_and_snacky": "snacks", "pet_friend": "pets"} {
		definition = strings.Replace(definition, fmt.Sprintf("{label: %s, leads: [%s]}", label, feature), fmt.Sprintf("{label: %s, when: {%s: 50}}", label, feature), 1)
	}
	if _, _, _, err := house.Personas().Define(t.Context(), by, []byte(definition)); err != nil {
		t.Fatal(err)
	}
	if _, err := house.Personas().Build(t.Context(), by, "shoppers", nil); err != nil {
		t.Fatal(err)
	}
	report, err := house.ReportRooms(t.Context(), by, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Faults) > 0 {
		t.Errorf("nothing was touched, and yet:\n%s", strings.Join(report.Faults, "\n"))
	}
	if p := report.Personas; len(p.Described) != 1 || p.Described[0].Cost != p.Spent || p.Spent == 0 || p.Described[0].Answer == (audit.Digest{}) {
		t.Errorf("personas told %+v", p)
	}
	if len(report.Told) != 2 || !report.Told[0].Activation || !report.Told[1].Activation {
		t.Errorf("told is %+v", report.Told)
	}
}
