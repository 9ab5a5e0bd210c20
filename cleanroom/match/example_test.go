package match_test

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// Two companies that do not trust each other have one customer in common, and none of them
// learns who it is.
func ExampleNewPair() {
	ctx := context.Background()
	var salt match.PairSalt // both have it, the house does not
	_, _ = rand.Read(salt[:])
	side := func() *match.Pair {
		secret, err := match.NewPairSecret(rand.Reader)
		if err != nil {
			panic(err)
		}
		p, err := match.NewPair(salt, secret)
		if err != nil {
			panic(err)
		}
		return p
	}
	shop, brand := side(), side()
	masked := func(owner, other *match.Pair, emails ...string) []match.Token {
		var seeds []match.Seed
		for _, email := range emails {
			person, err := match.Normalize(privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(email)})
			if err != nil {
				panic(err)
			}
			seeds = append(seeds, owner.Seed(person))
		}
		tokens, err := owner.Mask(ctx, seeds)
		if err != nil {
			panic(err)
		}
		if tokens, err = other.Remask(ctx, tokens); err != nil {
			panic(err)
		}
		return tokens
	}
	first := masked(shop, brand, "Ayse@example.com", "tomas@example.com")
	second := masked(brand, shop, "john@example.com", "AYSE@EXAMPLE.COM")
	fmt.Println(first[0] == second[1], first[1] == second[0], first[0])
	// Output: true false REDACTED
}

func ExampleAssign() {
	ids, err := match.Assign(rand.Reader, []match.Tag{{1}, {2}}, []match.Tag{{2}, {3}})
	if err != nil {
		panic(err)
	}
	fmt.Println(ids[0][1] == ids[1][0], ids[0][0] == ids[1][1], len(ids[0]), len(ids[1]))
	// Output: true false 2 2
}

func ExampleToken_Text() {
	person, err := match.Normalize(privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("User@Example.com")})
	if err != nil {
		panic(err)
	}
	m := match.NewOperator()
	tokens, err := m.Mask(context.Background(), []match.Seed{m.Seed(person)})
	if err != nil {
		panic(err)
	}
	fmt.Println(tokens[0], tokens[0].Text(cleanroom.MatchOperator))
	// Output: REDACTED 01:sha256:tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ=
}
