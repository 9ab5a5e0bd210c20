package export

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/policies"
)

// units are the words of a period for one, for two to four, and for more; only Czech tells
// the last two apart.
var units = [3][3][3]string{
	{{"year", "years", "years"}, {"month", "months", "months"}, {"day", "days", "days"}},
	{{"yıl", "yıl", "yıl"}, {"ay", "ay", "ay"}, {"gün", "gün", "gün"}},
	{{"rok", "roky", "let"}, {"měsíc", "měsíce", "měsíců"}, {"den", "dny", "dní"}},
}

// periodIn writes a period in words. What is none stays as it is.
func periodIn(language, text string) string {
	period, err := policies.ParsePeriod(text)
	if err != nil {
		return text
	}
	words := units[max(0, slices.Index(Languages(), language))]
	var parts []string
	for i, n := range [...]int{period.Years, period.Months, period.Days} {
		form := 2
		switch {
		case n == 0:
			continue
		case n == 1:
			form = 0
		case n < 5:
			form = 1
		}
		parts = append(parts, strconv.Itoa(n)+" "+words[i][form])
	}
	return strings.Join(parts, ", ")
}
