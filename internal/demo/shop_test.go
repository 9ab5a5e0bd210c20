package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"
	"testing"
	"time"
)

var testDay = time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)

func written(t *testing.T, s *Shop) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, err := range []error{WritePeople(&b, s.People), WriteProducts(&b), s.WritePurchases(&b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestShopIsDeterministic(t *testing.T) {
	t.Parallel()
	first := written(t, NewShop(Seed, testDay))
	if !bytes.Equal(first, written(t, NewShop(Seed, testDay.Add(5*time.Hour)))) {
		t.Error("the same seed and day give another shop")
	}
	if bytes.Equal(first, written(t, NewShop(Seed+1, testDay))) {
		t.Error("another seed gives the same shop")
	}
	sum := sha256.Sum256(first)
	t.Logf("%d bytes, SHA-256 %s", len(first), hex.EncodeToString(sum[:]))
}

func TestShopIsPlausible(t *testing.T) {
	t.Parallel()
	shop := NewShop(Seed, testDay)
	if n := len(shop.People); n < 400 || n > 405 {
		t.Errorf("%d people, want about 400", n)
	}
	if n := len(products); n != 60 {
		t.Errorf("%d products, want 60", n)
	}
	seen := map[string]bool{}
	minors, shared := 0, 0
	byNumber := map[string]*Person{}
	for i := range shop.People {
		p := &shop.People[i]
		byNumber[p.Customer] = p
		for _, unique := range []string{p.Customer, p.Email, p.Phone} {
			if seen[unique] {
				t.Errorf("person %d shares an identifier", i)
			}
			seen[unique] = true
		}
		if address, err := mail.ParseAddress(p.Email); err != nil || address.Address != p.Email {
			t.Errorf("person %d: address %q does not parse: %v", i, p.Email, err)
		}
		if strings.TrimLeft(ascii(p.FirstName+p.LastName), "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("person %d: letters are missing in ascii(%q)", i, p.FirstName+p.LastName)
		}
		if p.age < 18 {
			minors++
		}
		if p.Household == "shared" {
			shared++
		}
	}
	if minors < 20 || shared < 200 {
		t.Errorf("%d minors, %d in shared households: too few to tell a story", minors, shared)
	}
	tests := map[role]int{}
	for _, p := range shop.Purchases {
		if p.At.After(testDay) || p.At.Before(testDay.AddDate(0, 0, -Days-2)) {
			t.Errorf("a purchase on %s", p.At)
		}
		if p.SKU == "D-401" {
			tests[byNumber[p.Customer].role]++
		}
	}
	if tests[expecting] != 2 || tests[testOnly] != 1 || tests[teenager] != 1 || len(tests) != 3 {
		t.Errorf("pregnancy tests were bought by %v", tests)
	}
}

func TestSyntheticIsDeterministic(t *testing.T) {
	t.Parallel()
	a, b := Synthetic("110", testDay), Synthetic("110", testDay)
	if a.Email != b.Email || a.FirstName != b.FirstName || a.BirthDate != b.BirthDate {
		t.Error("the same household is two people")
	}
	if c := Synthetic("653", testDay); c.Email == a.Email {
		t.Error("two households share an address")
	}
}

func TestCzechFeminine(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Novák": "Nováková", "Černý": "Černá", "Procházka": "Procházková", "Němec": "Němcová",
		"Sedláček": "Sedláčková", "Růžička": "Růžičková", "Beneš": "Benešová",
	} {
		if got := czechFeminine(name); got != want {
			t.Errorf("czechFeminine(%q) = %q, want %q", name, got, want)
		}
	}
}
