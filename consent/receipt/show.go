package receipt

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// WriteText writes what a receipt says, for people, in one of [Languages]. It does not check
// anything: see [Verify]. A receipt may be anybody's, so no character reaches the terminal
// that would do anything but be seen.
func WriteText(w io.Writer, r *Receipt, language string) error {
	if !slices.Contains(languages, language) {
		return &privacy.FieldError{Pointer: "/language", Reason: "is none of " + strings.Join(languages, ", ")}
	}
	lines := r.lines(language)
	width := 0
	for _, line := range lines {
		width = max(width, utf8.RuneCountInString(line[0]))
	}
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintf(out, "%s\n\n", say("", "title", language))
	for _, line := range lines {
		_, _ = fmt.Fprintf(out, "%s%s  %s\n", line[0], strings.Repeat(" ", width-utf8.RuneCountInString(line[0])), visible(line[1]))
	}
	return out.Flush()
}

// lines are label and text.
func (r *Receipt) lines(language string) [][2]string {
	var all [][2]string
	add := func(label, text string) {
		if text != "" {
			all = append(all, [2]string{say("", label, language), text})
		}
	}
	add("controller", r.Controller)
	add("contact", r.Contact)
	add("purpose", title(named{r.Purpose, r.titles}, language))
	channel := r.Channel
	if channel == string(privacy.AnyChannel) {
		channel = say("", "all channels", language)
	}
	add("channel", channel)
	add("choice", say("action.", r.Action, language))
	if r.Actor != "" {
		by := say("actor.", r.Actor, language)
		if r.Actor == "guardian" {
			by += ", " + say("", map[bool]string{true: "verified", false: "unverified"}[r.Verified], language)
		}
		add("by", by)
	}
	add("at", r.At)
	if r.Format == ISO27560 && r.kindOfYes() {
		add("until", cmp.Or(r.Until, say("", "open end", language)))
	}
	add("explicit", say("", map[bool]string{true: "yes", false: "no"}[r.Explicit], language))
	add("special", r.namesOf(r.Special, language))
	add("notice", cmp.Or(map[string]string{"none": say("", "none", language)}[r.Notice], r.Notice))
	add("language", cmp.Or(map[string]string{"und": say("", "unknown", language)}[r.Language], r.Language))
	add("jurisdiction", r.Jurisdiction)
	add("source", r.Source)
	add("data", titles(r.data, language))
	add("others", titles(r.others, language))
	add("withdrawal", r.Withdrawal)
	add("standing", say("state.", r.State, language))
	add("person", r.Principal)
	add("recipient", string(r.Recipient))
	add("receipt", r.ID+", "+string(r.Format)+", "+r.Issuer)
	add("issued", stamp(r.IssuedAt))
	add("expires", stamp(r.ExpiresAt))
	return all
}

func (r *Receipt) kindOfYes() bool {
	return r.Action == "granted" || r.Action == "renewed" || r.Action == "guardian_granted"
}

func title(n named, language string) string {
	if text := n.titles[language]; text != "" && text != n.key {
		return text + " (" + n.key + ")"
	}
	return n.key
}

func titles(all []named, language string) string {
	var texts []string
	for _, n := range all {
		texts = append(texts, title(n, language))
	}
	return strings.Join(texts, "; ")
}

// namesOf finds the titles of categories among the data of the receipt.
func (r *Receipt) namesOf(keys []string, language string) string {
	var found []named
	for _, key := range keys {
		n := named{key: key}
		for _, d := range r.data {
			if d.key == key {
				n = d
			}
		}
		found = append(found, n)
	}
	return titles(found, language)
}

// visible takes out what a terminal would act upon, or a reader could not see.
func visible(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '\uFFFD'
		}
		return c
	}, text)
}
