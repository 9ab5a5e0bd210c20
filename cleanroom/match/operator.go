package match

import (
	"context"
	"crypto/sha256"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

type operator struct{}

// NewOperator returns the matcher of operator mode: a token is the SHA-256 of the normal
// form, as PAIR defines match keys. Whoever sees tokens can guess identifiers, so they
// travel encrypted to the house alone, which keys them at once.
func NewOperator() Matcher { return operator{} }

// Mode is operator.
func (operator) Mode() cleanroom.Matching { return cleanroom.MatchOperator }

// Seed digests.
func (operator) Seed(person privacy.Plain) Seed {
	return sha256.Sum256([]byte(person.RevealPersonalData()))
}

// Mask has nothing left to do.
func (operator) Mask(ctx context.Context, people []Seed) ([]Token, error) {
	return same(ctx, people)
}

// same returns seeds that are tokens already.
func same(ctx context.Context, people []Seed) ([]Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tokens := make([]Token, len(people))
	for i, seed := range people {
		tokens[i] = Token(seed)
	}
	return tokens, nil
}
