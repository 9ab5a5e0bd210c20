package demo

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// told is a number of an answer with its interval.
type told struct{ Value, Low, High int64 }

// holds reports whether the truth is within seven standard deviations, which is not so once in
// 10^11 times, and the interval is the one of 95 % that belongs to such noise.
func (v told) holds(truth, sigma int64) bool {
	reach := int64(math.Ceil(1.959964 * float64(sigma)))
	return v.Value-v.Low == reach && v.High-v.Value == reach && max(v.Value-truth, truth-v.Value) <= 7*sigma
}

// ask has a question answered, and returns its groups by campaign, and the answer itself.
func (r *journeyRoom) ask(t *testing.T, document string) (map[string]map[string]told, []byte) {
	t.Helper()
	answer, err := r.house.Rooms.Questions.Ask(t.Context(), r.asker, reachRoom, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Groups []struct {
			Key    map[string]string
			Values map[string]told
		}
	}
	if err := json.Unmarshal(answer.Release.Answer, &read); err != nil {
		t.Fatal(err)
	}
	groups := map[string]map[string]told{}
	for _, g := range read.Groups {
		if len(g.Values) == 0 {
			continue // too few people
		}
		campaign := ""
		for _, word := range g.Key {
			campaign = word
		}
		groups[campaign] = g.Values
	}
	return groups, answer.Release.Answer
}

// sumOfSpend is what an answer calls the spend.
const sumOfSpend = "sum(retail_media.purchases.spend)"

// askedNoise is the noise of the questions, in people.
const askedNoise = 30

const reachByCampaign = `{"room":"journey","from":[{"dataset":"retail_media.purchases","as":"p"},{"dataset":"brand_partner.campaigns","as":"c"}],
	"join":"match","group_by":["c.campaign"],"metrics":[{"fn":"people","as":"reach"},{"fn":"sum","col":"p.spend","as":"spend"}],
	"privacy":{"noise_people":30,"max_groups_per_person":5},"purpose":"campaign_measurement"}`

const everybodysSpend = `{"room":"journey","from":[{"dataset":"retail_media.purchases","as":"p"}],
	"metrics":[{"fn":"sum","col":"p.spend","as":"spend"}],
	"privacy":{"noise_people":30,"max_groups_per_person":1},"purpose":"campaign_measurement"}`

// TestTwoCompaniesMeasureTheirCampaigns is the whole way on real data: households drawn from
// the vault by their consent, campaigns as the advertiser's own tool has prepared them, matched,
// asked about. What is told holds the truth; what would tell of anybody is not asked.
func TestTwoCompaniesMeasureTheirCampaigns(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(dir, journeyTransactions)); err != nil {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	is := readTruth(t, dir)
	r := newJourneyRoom(t, dir)

	groups, _ := r.ask(t, reachByCampaign)
	if len(groups) == 0 || groups["18"]["people"].Value == 0 || groups["25"] != nil {
		t.Fatalf("told of %d campaigns: %+v", len(groups), groups)
	}
	// A household in more than five campaigns counts in five of them, so campaigns that are
	// not the largest look smaller; nobody counts twice. Noise of seven standard deviations is none.
	for campaign, values := range groups {
		people, spend := is.exposed(campaign)
		reach, sum := values["people"], values[sumOfSpend]
		if reach.Value > people+7*askedNoise || sum.Value > spend+7*askedNoise*mostCents {
			t.Errorf("campaign %s: %+v people spent %+v; there are %d, who spent %d", campaign, reach, sum, people, spend)
		}
	}

	// Of one campaign alone everybody counts. The noise has no seed, so the truth is looked for
	// where it is but for once in 10^11 runs, and not in intervals of 95 %.
	_, everybody := r.ask(t, everybodysSpend)
	all, allSpend := is.exposed("")
	for _, campaign := range []string{"8", "13", "18"} {
		document := strings.Replace(reachByCampaign, `"group_by"`, `"where":[{"col":"c.campaign","op":"=","val":"`+campaign+`"}],"group_by"`, 1)
		document = strings.Replace(document, `"group_by":["c.campaign"],`, "", 1)
		document = strings.Replace(document, `"max_groups_per_person":5`, `"max_groups_per_person":1`, 1)
		answers, answer := r.ask(t, document)
		values := answers[""]
		people, spend := is.exposed(campaign)
		uplift, err := cleanroom.Uplift(answer, everybody, "")
		if err != nil || len(uplift) != 1 {
			t.Fatal(uplift, err)
		}
		truth := spend/people - (allSpend-spend)/(all-people)
		// Each of the four numbers under an uplift is within 2.5 standard deviations of its own if
		// the truth is at the end of the interval, and so within more than seven at four times that.
		if u := uplift[0].Uplift; truth < u.Value-4*(u.Value-u.Low) || truth > u.Value+4*(u.High-u.Value) {
			t.Errorf("campaign %s: uplift is told as %+v and is %d", campaign, u, truth)
		}
		for name, v := range values {
			want, sigma := people, int64(askedNoise)
			if name == sumOfSpend {
				want, sigma = spend, askedNoise*mostCents
			}
			if !v.holds(want, sigma) {
				t.Errorf("campaign %s: %s is told as %+v and is %d", campaign, name, v, want)
			}
		}
	}
	r.refusesPregnancy(t)
}

// refusesPregnancy: what would count who bought a pregnancy test does not get as far as a
// question, whichever way it is put.
func (r *journeyRoom) refusesPregnancy(t *testing.T) {
	t.Helper()
	before, err := r.house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"health.pregnancy_test", "PREGNANCY TEST KITS", "HOME HEALTH CARE"} {
		document := strings.Replace(reachByCampaign, `"group_by"`, `"where":[{"col":"p.shelf","op":"=","val":"`+word+`"}],"group_by"`, 1)
		_, err := r.house.Rooms.Questions.Ask(t.Context(), r.asker, reachRoom, []byte(document))
		var field *privacy.FieldError
		if !errors.As(err, &field) || field.Pointer != "/where/0/val" {
			t.Errorf("%s: %v", word, err)
		}
	}
	if after, err := r.house.Log.Size(t.Context()); err != nil || after != before {
		t.Errorf("a question that cannot be asked was charged: %d entries, then %d, %v", before, after, err)
	}
	secret, public, err := cleanroom.GenerateKey(rand.Reader, "media_agency")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	dpo := privacy.Principal{ID: "test", Role: privacy.RoleDPO}
	if _, err := r.house.Rooms.Register.AddParty(t.Context(), dpo, "media_agency", public); err != nil {
		t.Fatal(err)
	}
	contract := *r.contract.Contract
	contract.Owner, contract.Dataset = "media_agency", "shelves"
	contract.Columns = []cleanroom.Column{{
		Name: "shelf", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: []string{"grocery.dairy", "PREGNANCY TEST KITS"},
	}}
	signed, err := cleanroom.SignContract(&contract, signer)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.house.Rooms.Register.AddContract(t.Context(), dpo, signed, "media_agency", "")
	if err == nil || !strings.Contains(err.Error(), "room.words_harmless") {
		t.Errorf("a contract about pregnancy tests: %v", err)
	}
}
