package match_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// newKeys returns the house's keys.
func newKeys(t testing.TB) *match.Keys {
	t.Helper()
	handle, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	set, err := prf.NewPRFSet(handle)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := match.NewKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// newPair returns both parties' sides of pair mode.
func newPair(t testing.TB) (one, other *match.Pair) {
	t.Helper()
	var salt match.PairSalt
	_, _ = rand.Read(salt[:])
	side := func() *match.Pair {
		secret, err := match.NewPairSecret(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p, err := match.NewPair(salt, secret)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return side(), side()
}

func mask(t testing.TB, m match.Matcher, people []privacy.Plain) []match.Token {
	t.Helper()
	seeds := make([]match.Seed, len(people))
	for i, person := range people {
		seeds[i] = m.Seed(person)
	}
	tokens, err := m.Mask(t.Context(), seeds)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// protocols mask two lists as two parties of a room do, in every mode.
func protocols(t testing.TB, keys *match.Keys) map[cleanroom.Matching]func(t testing.TB, lists ...[]privacy.Plain) [][]match.Token {
	t.Helper()
	both := func(m func(t testing.TB) match.Matcher) func(t testing.TB, lists ...[]privacy.Plain) [][]match.Token {
		return func(t testing.TB, lists ...[]privacy.Plain) [][]match.Token {
			var out [][]match.Token
			for _, list := range lists {
				out = append(out, mask(t, m(t), list))
			}
			return out
		}
	}
	secret := []byte(strings.Repeat("s", match.MinSecret))
	return map[cleanroom.Matching]func(t testing.TB, lists ...[]privacy.Plain) [][]match.Token{
		cleanroom.MatchOperator: both(func(testing.TB) match.Matcher { return match.NewOperator() }),
		cleanroom.MatchBlind: both(func(t testing.TB) match.Matcher {
			m, err := match.NewBlind(secret, "snacks", privacy.Email)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}),
		cleanroom.MatchPair: func(t testing.TB, lists ...[]privacy.Plain) [][]match.Token {
			one, other := newPair(t)
			first, err := other.Remask(t.Context(), mask(t, one, lists[0]))
			if err != nil {
				t.Fatal(err)
			}
			second, err := one.Remask(t.Context(), mask(t, other, lists[1]))
			if err != nil {
				t.Fatal(err)
			}
			return [][]match.Token{first, second}
		},
		cleanroom.MatchOPRF: both(func(t testing.TB) match.Matcher { return oblivious(t, keys, "snacks", 3) }),
	}
}

// oblivious returns a party's side of oprf mode with the house next door.
func oblivious(t testing.TB, keys *match.Keys, room cleanroom.RoomID, epoch int) match.Matcher {
	t.Helper()
	evaluator, err := keys.Evaluator(room)
	if err != nil {
		t.Fatal(err)
	}
	m, err := match.NewOPRF(evaluator.PublicKey(), room, epoch, func(_ context.Context, epoch int, blinded [][]byte) (match.Evaluation, error) {
		return evaluator.Evaluate(epoch, blinded)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMatchingIsPlainIntersection draws lists and sees that, in every mode, two people have
// one match id exactly if they are one.
func TestMatchingIsPlainIntersection(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	for mode, protocol := range protocols(t, keys) {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			rounds, most := 12, 600
			if testing.Short() {
				rounds, most = 3, 120
			}
			for round := range rounds {
				source := mathrand.New(mathrand.NewPCG(uint64(round), 7))
				lists := [][]privacy.Plain{draw(source, most), draw(source, most)}
				room := &cleanroom.Room{ID: "snacks", Matching: mode}
				var tags [][]match.Tag
				for _, tokens := range protocol(t, lists...) {
					list, err := keys.Tags(t.Context(), room, 3, roundTrip(t, mode, tokens))
					if err != nil {
						t.Fatal(err)
					}
					tags = append(tags, list)
				}
				ids, err := match.Assign(rand.Reader, tags...)
				if err != nil {
					t.Fatal(err)
				}
				checkIDs(t, lists, ids)
			}
		})
	}
}

// draw returns up to n different people out of 2n, in any order.
func draw(source *mathrand.Rand, n int) []privacy.Plain {
	var people []privacy.Plain
	for _, i := range source.Perm(2 * n)[:source.IntN(n+1)] {
		people = append(people, privacy.NewPlain(fmt.Sprintf("p%d@example.com", i)))
	}
	return people
}

// roundTrip writes tokens as text and reads them again.
func roundTrip(t testing.TB, mode cleanroom.Matching, tokens []match.Token) []match.Token {
	t.Helper()
	read := make([]match.Token, len(tokens))
	for i, token := range tokens {
		var err error
		if read[i], err = match.ParseToken(mode, token.Text(mode)); err != nil {
			t.Fatal(err)
		}
	}
	return read
}

// checkIDs sees that ids are 1 to the number of different people, and that people and ids
// correspond one to one.
func checkIDs(t testing.TB, lists [][]privacy.Plain, ids [][]int64) {
	t.Helper()
	byPerson, byID := map[privacy.Plain]int64{}, map[int64]privacy.Plain{}
	for i, list := range lists {
		if len(ids[i]) != len(list) {
			t.Fatalf("list %d has %d ids for %d people", i, len(ids[i]), len(list))
		}
		for j, person := range list {
			id := ids[i][j]
			if had, known := byPerson[person]; known && had != id {
				t.Fatal("somebody has two ids")
			}
			if had, known := byID[id]; known && had != person {
				t.Fatal("two people have one id")
			}
			byPerson[person], byID[id] = id, person
		}
	}
	for id := range byID {
		if id < 1 || id > int64(len(byPerson)) {
			t.Fatalf("id %d among %d people", id, len(byPerson))
		}
	}
}

// TestAssignRefusesDuplicates: nobody is on a list twice, or they would count twice.
func TestAssignRefusesDuplicates(t *testing.T) {
	t.Parallel()
	a, b := match.Tag{1}, match.Tag{2}
	for name, lists := range map[string][][]match.Tag{
		"side by side":      {{a, a}},
		"apart":             {{a, b, a}},
		"in the other list": {{a}, {b, a, b}},
		"after a match":     {{a}, {a, b, a}},
	} {
		if _, err := match.Assign(rand.Reader, lists...); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ids, err := match.Assign(rand.Reader, []match.Tag{a, b}, []match.Tag{b}, []match.Tag{b, a})
	if err != nil || ids[0][1] != ids[1][0] || ids[1][0] != ids[2][0] || ids[0][0] != ids[2][1] {
		t.Errorf("three lists: %v, %v", ids, err)
	}
	if _, err := match.Assign(strings.NewReader("short"), []match.Tag{a, b}); err == nil {
		t.Error("assigned without randomness")
	}
}

// TestIDsSayNothing: wherever somebody is on a list, every id is as likely for them.
func TestIDsSayNothing(t *testing.T) {
	t.Parallel()
	const people, rounds = 5, 20_000
	var counts [people][people]float64
	list := make([]match.Tag, people)
	for i := range list {
		list[i][0] = byte(i)
	}
	source := mathrand.NewChaCha8([32]byte{7})
	for range rounds {
		ids, err := match.Assign(source, list)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids[0] {
			counts[i][id-1]++
		}
	}
	chi, expected := 0.0, float64(rounds)/people
	for _, row := range counts {
		for _, n := range row {
			chi += (n - expected) * (n - expected) / expected
		}
	}
	// 16 degrees of freedom: 39.25 is passed once in a thousand seeds, and the seed is fixed.
	if chi > 39.25 {
		t.Errorf("chi-square %.1f", chi)
	}
}

// TestPermutationIsOne holds what a permutation is.
func TestPermutationIsOne(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 1000} {
		order, err := match.Permutation(rand.Reader, n)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(order)
		for i, v := range order {
			if int(v) != i {
				t.Fatalf("%d of %d is %d", i, n, v)
			}
		}
		if len(order) != n {
			t.Fatalf("%d of %d", len(order), n)
		}
	}
	if _, err := match.Permutation(rand.Reader, -1); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("less than nobody: %v", err)
	}
}
