package policies_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func oneOf[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// randomRoom returns facts that differ from those of a good question in a few places, so that
// two of them are equal now and then.
func randomRoom(random *rand.Rand) policies.RoomFacts {
	facts := reach()
	for range random.IntN(3) {
		column := &facts.Columns[random.IntN(len(facts.Columns))]
		dataset := &facts.Datasets[random.IntN(len(facts.Datasets))]
		switch random.IntN(14) {
		case 0:
			facts.Act = oneOf(random, policies.AdmitToRoom, policies.MatchInRoom, policies.ActivateFromRoom, "peek")
		case 1:
			facts.Party = oneOf(random, privacy.RecipientID("retail_media"), "media_agency", "")
		case 2:
			facts.Members = append(facts.Members, oneOf(random, privacy.RecipientID("media_agency"), "retail_media", "stranger"))
		case 3:
			facts.Roles = oneOf(random, []string{"owns_data"}, []string{"may_query", "may_receive"}, nil)
		case 4:
			facts.Purpose = oneOf(random, privacy.Purpose("audience_sync"), "analytics")
		case 5:
			facts.RoomPurpose = oneOf(random, privacy.Purpose("audience_sync"), "analytics")
		case 6:
			facts.Mode = oneOf(random, "k_only", "none", "")
		case 7:
			facts.Template = false
		case 8:
			dataset.Owner, dataset.AdHoc = oneOf(random, privacy.RecipientID("media_agency"), "brand_partner"), true
		case 9:
			dataset.Purposes, dataset.Source = append(dataset.Purposes, "audience_sync"), oneOf(random, "house", "party")
		case 10:
			column.Category = oneOf(random, privacy.DataCategory("location"), "health", "contact")
		case 11:
			column.Role, column.Dataset = oneOf(random, "measure", "hidden", "join"), oneOf(random, 0, 1, -1)
		case 12:
			column.Vocabulary = oneOf(random, "", policies.VocabularyProductGroups, "icd_10")
		case 13:
			column.Values = oneOf(random, nil, []string{"PREGNANCY TEST KITS"}, []string{"of nobody's", "grocery.dairy"})
		}
	}
	return facts
}

// TestRoomMemoIsExact: facts have one key exactly if the rules see the same of them, and what
// is remembered is what the rules say without any help.
func TestRoomMemoIsExact(t *testing.T) {
	t.Parallel()
	revision := patient(t)
	random := rand.New(rand.NewPCG(3, 4))
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	values, keys := map[string]string{}, map[string]string{}
	allowed := 0
	for range rounds {
		facts := randomRoom(random)
		key, value := revision.RoomKey(facts)
		if other, known := values[key]; known && other != value {
			t.Fatalf("one key for two:\n%s\n%s", other, value)
		}
		if other, known := keys[value]; known && other != key {
			t.Fatalf("two keys for %s", value)
		}
		_, known := values[key]
		values[key], keys[value] = value, key
		got, err := revision.DecideRoom(t.Context(), facts)
		if err != nil {
			t.Fatal(err)
		}
		if known && len(values)%8 != 0 {
			continue // compared before; now and then what is remembered is compared, too
		}
		want, err := revision.DecideRoomBare(t.Context(), facts)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%s: %v (-rules +remembered)\n%s", value, err, diff)
		}
		if got.Allow {
			allowed++
		}
		if len(got.Failed) > 0 {
			got.Failed[0] = "spoiled by a caller"
		}
	}
	hits, misses := revision.RoomMemo()
	if int(misses) != len(values) || int(hits+misses) != rounds || hits == 0 || allowed == 0 || len(values) < rounds/20 {
		t.Errorf("%d hits, %d misses of %d different facts; %d were allowed", hits, misses, len(values), allowed)
	}
}

func BenchmarkDecideRoom(b *testing.B) {
	engine, err := policies.Open(b.Context(), policies.Bundle(), policies.Config{MemoLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	ctx, facts := b.Context(), reach()
	b.ReportAllocs()
	for b.Loop() {
		if decision, err := engine.Revision().DecideRoom(ctx, facts); err != nil || !decision.Allow {
			b.Fatal(decision, err)
		}
	}
}

func BenchmarkDecideRoomAgain(b *testing.B) {
	r, ctx, facts := revision(b), b.Context(), reach()
	b.ReportAllocs()
	for b.Loop() {
		if decision, err := r.DecideRoom(ctx, facts); err != nil || !decision.Allow {
			b.Fatal(decision, err)
		}
	}
}
