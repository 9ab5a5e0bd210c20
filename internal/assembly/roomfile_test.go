package assembly

import (
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// mustSignAudience returns a contract of the dataset that a party brings into the room snacks,
// and a template about it, both signed by the party.
func mustSignAudience(t *testing.T, signer *cleanroom.Signer) (contract, template string) {
	t.Helper()
	signed, err := cleanroom.SignContract(&cleanroom.Contract{
		Owner: signer.Party(), Dataset: "audience", Version: 1, Source: cleanroom.FromParty, Unit: "person", Purposes: []privacy.Purpose{"campaign_measurement"},
		Columns:       []cleanroom.Column{{Name: "tier", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: []string{"gold", "silver"}}},
		MinimumPeople: 50, Cap: 147_000_000, ConsumerCap: 36_750_000, QueryCap: 5_880_000, MaxGroupsPerPerson: 1, AdHoc: true,
	}, signer)
	if err != nil {
		t.Fatal(err)
	}
	question, err := cleanroom.SignTemplate(&cleanroom.Template{Name: "reach", Version: 1, Query: cleanroom.Query{
		Room: "snacks", Purpose: "campaign_measurement", From: []cleanroom.From{{Dataset: string(signer.Party()) + ".audience", As: "a"}},
		GroupBy: []string{"a.tier"}, Metrics: []cleanroom.Metric{{Function: cleanroom.People, As: "reach"}},
		Privacy: cleanroom.Privacy{NoisePeople: 20, MaxGroupsPerPerson: 1},
	}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed), string(question)
}

// TestFilingAtTheSameTime: of many who file the same at once one files it, and for the others
// it is there; the log has one entry.
func TestFilingAtTheSameTime(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	signers := mustRoom(t, house, "web_shop", "retail_media")
	contract, template := mustSignAudience(t, signers["retail_media"])
	desk := cleanroom.NewFilingDesk(house.Rooms.Register, house.Log)
	media := privacy.Principal{ID: "media", Role: privacy.RoleService, Recipient: "retail_media"}
	before, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var filed [8]*cleanroom.ContractFiling
	var errs [8]error
	var wait sync.WaitGroup
	for i := range filed {
		wait.Go(func() { filed[i], errs[i] = desk.FileContract(t.Context(), media, "snacks", []byte(contract), "") })
	}
	wait.Wait()
	first := 0
	for i := range filed {
		if errs[i] != nil {
			t.Errorf("filing %d: %v", i, errs[i])
		} else if !filed[i].Repeated {
			first++
		}
	}
	kinds := kindsAfter(t, house, before)
	if first != 1 || len(kinds) != 1 || kinds[0] != audit.ContractSigned {
		t.Errorf("%d filed it, and the log grew by %v", first, kinds)
	}

	one, err := desk.FileTemplate(t.Context(), media, "snacks", []byte(template))
	if err != nil || one.Repeated {
		t.Fatalf("%+v, %v", one, err)
	}
	both, err := cleanroom.CosignTemplate([]byte(template), signers["web_shop"])
	if err != nil {
		t.Fatal(err)
	}
	shop := privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}
	if more, err := desk.FileTemplate(t.Context(), shop, "snacks", both); err != nil || more.Repeated || len(more.Template.Signers) != 2 {
		t.Errorf("%+v, %v", more, err)
	}
	if again, err := desk.FileTemplate(t.Context(), media, "snacks", []byte(template)); err != nil || !again.Repeated || len(again.Template.Signers) != 2 {
		t.Errorf("%+v, %v", again, err)
	}
}
