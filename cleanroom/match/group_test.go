package match_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"slices"
	"testing"

	"github.com/cloudflare/circl/group"

	"github.com/mahrem/mahrem/cleanroom/match"
)

// TestGroupIsTheOtherLibrarys: another implementation of ristretto255 multiplies everybody's
// token to the same bytes, forth and back.
func TestGroupIsTheOtherLibrarys(t *testing.T) {
	t.Parallel()
	secret, err := match.NewPairSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := match.NewPair(match.PairSalt{1}, secret)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	scalar := group.Ristretto255.NewScalar()
	if err := scalar.UnmarshalBinary(encoded); err != nil {
		t.Fatal(err)
	}
	inverse := group.Ristretto255.NewScalar().Inv(scalar)
	var tokens []match.Token
	for range 300 {
		tokens = append(tokens, randomElement(t))
	}
	masked, err := pair.Remask(t.Context(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	unmasked, err := pair.Unmask(t.Context(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if want := multiplied(t, token, scalar); masked[i] != want {
			t.Fatalf("%x times the secret is %x, not %x", token[:], masked[i][:], want[:])
		}
		if want := multiplied(t, token, inverse); unmasked[i] != want {
			t.Fatalf("%x without the secret is %x, not %x", token[:], unmasked[i][:], want[:])
		}
	}
}

// TestElementsAreTheOtherLibrarys: what is no element for one implementation is none for the
// other (RFC 9496 section 4.3.1: canonical, not negative, on the curve), and the identity,
// which is one, is refused.
func TestElementsAreTheOtherLibrarys(t *testing.T) {
	t.Parallel()
	secret, err := match.NewPairSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := match.NewPair(match.PairSalt{1}, secret)
	if err != nil {
		t.Fatal(err)
	}
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	var tokens []match.Token
	for small := range int64(19) { // small numbers, and the same ones not canonical
		tokens = append(tokens, littleEndian(big.NewInt(small)), littleEndian(new(big.Int).Add(prime, big.NewInt(small))))
	}
	for range 300 {
		e := randomElement(t)
		number := new(big.Int).SetBytes(reversed(e[:]))
		negative := littleEndian(new(big.Int).Sub(prime, number))
		high := e
		high[31] |= 0x80
		var drawn match.Token
		_, _ = rand.Read(drawn[:]) // never fails
		tokens = append(tokens, e, negative, high, drawn)
	}
	accepted := 0
	for _, token := range tokens {
		_, err := pair.Remask(t.Context(), []match.Token{token})
		other := group.Ristretto255.NewElement().UnmarshalBinary(token[:])
		switch {
		case token == match.Token{}:
			if err == nil {
				t.Error("the identity was masked")
			}
		case (err == nil) != (other == nil):
			t.Errorf("%x: here %v, there %v", token[:], err, other)
		case err == nil:
			accepted++
		}
	}
	if accepted < 300 || accepted > 400 {
		t.Errorf("%d of %d are elements", accepted, len(tokens))
	}
}

func randomElement(t *testing.T) match.Token {
	t.Helper()
	return write(t, group.Ristretto255.RandomElement(rand.Reader))
}

func multiplied(t *testing.T, token match.Token, by group.Scalar) match.Token {
	t.Helper()
	e := group.Ristretto255.NewElement()
	if err := e.UnmarshalBinary(token[:]); err != nil {
		t.Fatal(err)
	}
	return write(t, group.Ristretto255.NewElement().Mul(e, by))
}

func write(t *testing.T, e group.Element) match.Token {
	t.Helper()
	b, err := e.MarshalBinaryCompress()
	if err != nil {
		t.Fatal(err)
	}
	return match.Token(b)
}

func littleEndian(n *big.Int) match.Token {
	return match.Token(reversed(n.FillBytes(make([]byte, match.Size))))
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}
