package export

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ThirdPerson stands in the place of what would tell of somebody else.
const ThirdPerson = "[third person]"

// redactor takes other people out of texts that are about several (GDPR Article 15(4)):
// addresses, numbers, handles and names that are not the person's own. It does not
// understand a text, and prefers to take out a word too much: a capitalized word in the
// middle of a sentence is taken for a name, and so is one at the beginning if another
// follows or if it comes again. The data protection officer sees the original.
type redactor struct {
	words     map[string]bool
	addresses map[string]bool
	numbers   []string
	// count is how many were taken out.
	count int64
}

// newRedactor knows the person by what is held of them outside shared texts.
func newRedactor(records []vault.Record) *redactor {
	r := &redactor{words: map[string]bool{}, addresses: map[string]bool{}}
	for _, record := range records {
		for _, field := range record {
			for _, value := range field.Values {
				r.learn(value)
			}
		}
	}
	return r
}

func (r *redactor) learn(value privacy.Plain) {
	text := value.RevealPersonalData()
	if strings.Contains(text, "@") {
		r.addresses[fold(text)] = true
	}
	if digits := digitsOf(text); len(digits) >= minDigits {
		r.numbers = append(r.numbers, digits)
	}
	for word := range strings.FieldsFuncSeq(text, notLetter) {
		r.words[fold(word)] = true
	}
}

var (
	addressPattern = regexp.MustCompile(`[^\s<>()\[\]"',;:]+@[^\s<>()\[\]"',;:]+\.[\pL\pN]+`)
	handlePattern  = regexp.MustCompile(`(^|[^\pL\pN])@[\pL\pN_.]{2,}`)
	numberPattern  = regexp.MustCompile(`\+?\(?\d[\d ()/.-]{6,}\d`)
	datePattern    = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}|^\d{1,2}\.\s?\d{1,2}\.\s?\d{4}`)
)

// minDigits is from where on a number may be somebody's: a telephone, card or account.
const minDigits = 9

// text returns s without other people.
func (r *redactor) text(s string) string {
	if s == "" {
		return s
	}
	s = addressPattern.ReplaceAllStringFunc(s, func(found string) string {
		if r.addresses[fold(strings.Trim(found, "."))] {
			return found
		}
		return r.out()
	})
	s = handlePattern.ReplaceAllStringFunc(s, func(found string) string {
		before, _, _ := strings.Cut(found, "@")
		return before + r.out()
	})
	s = numberPattern.ReplaceAllStringFunc(s, func(found string) string {
		digits := digitsOf(found)
		if len(digits) < minDigits || datePattern.MatchString(found) || r.isOwnNumber(digits) {
			return found
		}
		return r.out()
	})
	return r.names(s)
}

func (r *redactor) out() string {
	r.count++
	return ThirdPerson
}

// isOwnNumber compares the last nine digits: the country code may be written or not.
func (r *redactor) isOwnNumber(digits string) bool {
	for _, own := range r.numbers {
		if strings.HasSuffix(digits, own[len(own)-minDigits:]) {
			return true
		}
	}
	return false
}

// token is a word of a text.
type token struct {
	start, end int
	folded     string
	// named: it looks like a name. first: a sentence begins with it. label: a colon follows.
	named, first, label bool
}

// names takes out what looks like a name and is not the person's.
func (r *redactor) names(s string) string {
	tokens := tokensOf(s)
	inside := map[string]bool{} // seen as a name in the middle of a sentence
	for i := range tokens {
		if t := &tokens[i]; t.named && !t.first {
			inside[t.folded] = true
		}
	}
	var out strings.Builder
	last, after := 0, -2
	for i := range tokens {
		t := &tokens[i]
		if !t.named || r.words[t.folded] || harmlessWords[t.folded] {
			continue
		}
		follows := i+1 < len(tokens) && tokens[i+1].named && !tokens[i+1].first && !harmlessWords[tokens[i+1].folded]
		if t.first && !follows && !inside[t.folded] && !t.label {
			continue
		}
		if after == i-1 && strings.TrimSpace(s[last:t.start]) == "" {
			last = t.end // first and last name are one person
		} else {
			out.WriteString(s[last:t.start])
			out.WriteString(r.out())
			last = t.end
		}
		after = i
	}
	if last == 0 {
		return s
	}
	out.WriteString(s[last:])
	return out.String()
}

func tokensOf(s string) []token {
	var tokens []token
	first := true
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], ThirdPerson) {
			i, first = i+len(ThirdPerson), false
			continue
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		if notLetter(c) {
			switch c {
			case '.', '!', '?', ':', ';', '\n', '"', '“', '„', '«', '(', '|', '•':
				first = true
			case ',':
				first = false
			}
			i += size
			continue
		}
		start := i
		for i < len(s) {
			c, size := utf8.DecodeRuneInString(s[i:])
			if notLetter(c) && c != '-' {
				break
			}
			i += size
		}
		word := strings.TrimRight(s[start:i], "-")
		t := token{start: start, end: start + len(word), folded: fold(word), named: looksNamed(word), first: first}
		t.label = first && strings.HasPrefix(s[i:], ":")
		tokens = append(tokens, t)
		first = false
		// A suffix behind an apostrophe belongs to the word: "Ayşe'nin".
		if rest, ok := cutApostrophe(s[i:]); ok {
			i += len(s[i:]) - len(rest)
		}
	}
	return tokens
}

func cutApostrophe(s string) (rest string, ok bool) {
	for _, mark := range []string{"'", "’"} {
		if rest, found := strings.CutPrefix(s, mark); found {
			return strings.TrimLeftFunc(rest, func(c rune) bool { return !notLetter(c) }), true
		}
	}
	return s, false
}

// looksNamed reports whether a word is written like a name: Marta, or MARTA if it is longer
// than an abbreviation.
func looksNamed(word string) bool {
	c, size := utf8.DecodeRuneInString(word)
	if !unicode.IsUpper(c) || size == len(word) {
		return false
	}
	if strings.ToUpper(word) == word {
		return utf8.RuneCountInString(word) > 4
	}
	return true
}

func notLetter(c rune) bool { return !unicode.IsLetter(c) && !unicode.Is(unicode.Mn, c) }

func fold(s string) string {
	return strings.Map(func(c rune) rune {
		switch c {
		case 'I', 'İ', 'ı':
			return 'i'
		}
		return unicode.ToLower(c)
	}, s)
}

func digitsOf(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

// harmlessWords are written with a capital and name nobody: days, months, and who speaks.
var harmlessWords = func() map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(`monday tuesday wednesday thursday friday saturday sunday
		january february march april may june july august september october november december
		pazartesi salı çarşamba perşembe cuma cumartesi pazar
		ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
		agent customer müşteri temsilci zákazník operátor subject re fwd`) {
		words[fold(word)] = true
	}
	return words
}()
