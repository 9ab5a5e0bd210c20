package demo

import (
	"encoding/hex"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// LoadedWords are the words of a shop that must not stand in clear anywhere: names,
// contacts, addresses, numbers, product names and product groups.
func LoadedWords(shop *Shop) []string {
	words := personWords(shop.People)
	for _, p := range products {
		words = append(words, p.SKU, p.English, p.Turkish, p.Czech, p.Group)
	}
	return sortedWords(words)
}

// JourneyWords are the same for the Complete Journey with its synthetic people: also
// every product category and type that was bought, byte for byte.
func JourneyWords(dir string, today time.Time) ([]string, error) {
	bought, households := map[string]bool{}, map[string]bool{}
	err := eachRow(filepath.Join(dir, journeyTransactions), []string{"household_id", "product_id"}, func(cells []string) error {
		households[strings.Clone(cells[0])], bought[strings.Clone(cells[1])] = true, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	var people []Person
	for household := range households {
		person := Synthetic(household, today)
		person.Customer = journeyPrefix + household
		people = append(people, person)
	}
	words := personWords(people)
	err = eachRow(filepath.Join(dir, journeyProducts), []string{"product_id", "product_category", "product_type"}, func(cells []string) error {
		if bought[cells[0]] {
			words = append(words, strings.Clone(cells[1]), strings.Clone(cells[2]))
		}
		return nil
	})
	return sortedWords(words), err
}

func personWords(people []Person) []string {
	words := []string{topic}
	for i := range people {
		p := &people[i]
		words = append(words, p.Customer, p.FirstName, p.LastName, p.Email, p.Phone, p.Street, p.City, p.BirthDate, p.Position, p.Interest)
	}
	return words
}

func sortedWords(words []string) []string {
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(word string) bool { return word == "" })
}

// FindWords returns those words that stand in text by themselves: not as a part of a
// longer word. Letters count as they are written, so that the hexadecimal digits of
// something sealed do not pass for a name.
func FindWords(text string, words []string) []string {
	// A word is looked up by its first four bytes, so that one pass over the text will do.
	byStart := map[string][]string{}
	for _, word := range words {
		start := word[:min(4, len(word))]
		byStart[start] = append(byStart[start], word)
	}
	found := map[string]bool{}
	for i := range len(text) {
		for n := 1; n <= 4 && i+n <= len(text); n++ {
			candidates, any := byStart[text[i:i+n]]
			if !any {
				continue
			}
			for _, word := range candidates {
				if (n == 4 || len(word) == n) && !found[word] && strings.HasPrefix(text[i:], word) && standsAlone(text, i, i+len(word)) {
					found[word] = true
				}
			}
		}
	}
	var list []string
	for _, word := range words {
		if found[word] {
			list = append(list, word)
		}
	}
	return list
}

// standsAlone reports whether text[from:to] is not a part of a longer word.
func standsAlone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	return !inWord(before) && !inWord(after)
}

var binaryLiteral = regexp.MustCompile(`'\\x[0-9a-f]+'`)

// Unhex returns what the binary values of a dump hold, one a line. A word of less than
// six bytes occurs in random bytes by chance and must not be looked for in there.
func Unhex(dump string) string {
	var b strings.Builder
	for _, literal := range binaryLiteral.FindAllString(dump, -1) {
		if raw, err := hex.DecodeString(literal[3 : len(literal)-1]); err == nil {
			b.Write(raw)
			b.WriteByte('\n')
		}
	}
	return b.String()
}
