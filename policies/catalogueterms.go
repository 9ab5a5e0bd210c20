package policies

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unicode"
)

// Terms are words under which a shop may sell what a group holds, by language. They are
// found in free text; see [Catalogue.GroupByTerm].
type Terms struct {
	EN []string `yaml:"en"`
	TR []string `yaml:"tr"`
	CS []string `yaml:"cs"`
}

// In returns the terms of a language: "en", "tr" or "cs".
func (t Terms) In(language string) []string {
	switch language {
	case "en":
		return t.EN
	case "tr":
		return t.TR
	case "cs":
		return t.CS
	}
	return nil
}

// Languages returns the languages of the catalogue.
func Languages() []string { return []string{"en", "tr", "cs"} }

// maxTermText bounds the text in which terms are looked for, in bytes; what is behind
// does not count.
const maxTermText = 1024

// term is one term of a group as folded words.
type term struct {
	words []string
	group *Group
}

// termIndex holds the terms by their first word, the longest first.
type termIndex map[string][]term

// GroupByTerm finds a product group in what a shop calls a product, in any of the
// catalogue's languages: "Bebek Bezi 4 Numara" is baby.diapers. Case, accents and the
// dots of i do not count. Where terms overlap, the one of more words is meant ("baby
// carrots" are no baby goods). Among the terms that are left one that reveals
// something by itself stands for the whole, then the longest, then the first.
func (c *Catalogue) GroupByTerm(text string) (GroupID, bool) {
	var best term
	for found := range c.termsIn(text) {
		if best.group == nil || found.stronger(best) {
			best = found
		}
	}
	if best.group == nil {
		return "", false
	}
	return best.group.ID, true
}

// namesAny reports whether one of the terms in a text is of such a group, whatever else is in it.
func (c *Catalogue) namesAny(text string, such func(*Group) bool) bool {
	for found := range c.termsIn(text) {
		if such(found.group) {
			return true
		}
	}
	return false
}

// termsIn returns the terms in a text; where some overlap, the longest that comes first.
func (c *Catalogue) termsIn(text string) iter.Seq[term] {
	return func(yield func(term) bool) {
		words := foldWords(text)
		for len(words) > 0 {
			found, ok := c.terms.longest(words)
			if !ok {
				words = words[1:]
				continue
			}
			if !yield(found) {
				return
			}
			words = words[len(found.words):]
		}
	}
}

// longest returns the longest term with which words begin.
func (x termIndex) longest(words []string) (term, bool) {
	for _, t := range x[words[0]] {
		if len(t.words) <= len(words) && slices.Equal(t.words, words[:len(t.words)]) {
			return t, true
		}
	}
	return term{}, false
}

// stronger reports whether t, which stands behind other in the text, says more.
func (t term) stronger(other term) bool {
	if reveals := t.group.Reveals(); reveals != other.group.Reveals() {
		return reveals
	}
	if len(t.words) != len(other.words) {
		return len(t.words) > len(other.words)
	}
	return len(strings.Join(t.words, "")) > len(strings.Join(other.words, ""))
}

// indexTerms indexes the terms of all groups and refuses one that means two of them.
func (l *loader) indexTerms(c *Catalogue) {
	c.terms = termIndex{}
	for _, g := range c.groupOrder {
		for _, language := range Languages() {
			for _, text := range g.Terms.In(language) {
				words := foldWords(text)
				if len(words) == 0 {
					l.fail(fileGroups, []string{string(g.ID), "terms", language, text}, "%q is no term: it has no letter", text)
					continue
				}
				if other, ok := c.terms.longest(words); ok && len(other.words) == len(words) {
					if other.group != g {
						l.fail(fileGroups, []string{string(g.ID), "terms", language, text}, "%q means %q already", text, other.group.ID)
					}
					continue
				}
				c.terms[words[0]] = append(c.terms[words[0]], term{words, g})
				slices.SortStableFunc(c.terms[words[0]], func(a, b term) int { return cmp.Compare(len(b.words), len(a.words)) })
			}
		}
	}
}

// foldWords splits text into words of letters and digits, in lower case and without
// marks. The four i of Turkish are one letter here: a text says not in which language it
// is, and capitals are where they get confused.
func foldWords(text string) []string {
	if len(text) > maxTermText {
		text = text[:maxTermText]
	}
	folded := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return ' '
		}
		r = unicode.ToLower(r)
		if plain, ok := plainLetters[r]; ok {
			return plain
		}
		return r
	}, text)
	return strings.Fields(folded)
}

// plainLetters takes the marks off the letters of European languages in Latin script.
var plainLetters = func() map[rune]rune {
	plain := map[rune]rune{}
	for _, row := range []string{
		"aáàâäãåāăą", "cçćĉċč", "dďđ", "eéèêëēĕėęě", "gĝğġģ", "hĥħ", "iíìîïĩīĭįı", "jĵ", "kķ", "lĺļľŀł",
		"nñńņň", "oóòôöõøōŏő", "rŕŗř", "sśŝşšș", "tţťŧț", "uúùûüũūŭůűų", "wŵ", "yýÿŷ", "zźżž",
	} {
		letters := []rune(row)
		for _, r := range letters[1:] {
			plain[r] = letters[0]
		}
	}
	return plain
}()
