package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// values returns what was released of one attribute, as text.
func values(answer gate.Answer, name privacy.AttributeName) []string {
	released, given := answer.Attributes[name]
	if !given {
		return nil
	}
	var list []string
	for _, value := range released.Values {
		list = append(list, value.RevealPersonalData())
	}
	return list
}

// released is an answer in a table's cell: an attribute a line.
func released(answer gate.Answer) string {
	if answer.Decision != gate.Allow {
		return "nothing"
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(answer.Attributes)) {
		given := answer.Attributes[name]
		list := values(answer, name)
		if len(list) == 1 {
			lines = append(lines, fmt.Sprintf("%s: %s (%s)", name, list[0], given.Level))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s (%s):", name, given.Level))
		for _, line := range wrapped(list, 46) {
			lines = append(lines, "  "+line)
		}
	}
	if len(lines) == 0 {
		return "nothing of what was asked for"
	}
	return strings.Join(lines, "\n")
}

// wrapped joins words with commas into lines of at most width characters.
func wrapped(words []string, width int) []string {
	var lines []string
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// folded is a text in lines of at most width characters.
func folded(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// why is the first reason of an answer in words.
func why(answer gate.Answer) string {
	if len(answer.Reasons) == 0 {
		return ""
	}
	reason := answer.Reasons[0]
	text := folded(reason.Title, 40)
	if len(reason.Laws) > 0 {
		text += "\n" + strings.Join(reason.Laws[:min(2, len(reason.Laws))], ", ")
	}
	return text
}

// mustDo are an answer's obligations.
func mustDo(answer gate.Answer) string {
	var list []string
	for _, o := range answer.Obligations {
		list = append(list, string(o.ID))
	}
	return strings.Join(list, "\n")
}

// shape is everything about an answer that is not a value: two answers with the same
// shape do not tell two people apart.
func shape(answer gate.Answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|", answer.Decision)
	for _, name := range slices.Sorted(maps.Keys(answer.Attributes)) {
		fmt.Fprintf(&b, "%s:%s;", name, answer.Attributes[name].Level)
	}
	for _, o := range answer.Obligations {
		fmt.Fprintf(&b, "|%s", o.ID)
	}
	for _, r := range answer.Reasons {
		fmt.Fprintf(&b, "|%s", r.Check)
	}
	return b.String()
}

// score adds up what distinct product groups point to an inference with.
func score(catalogue *policies.Catalogue, inference policies.InferenceID, groups []string) int {
	sum := 0
	for _, group := range slices.Compact(slices.Sorted(slices.Values(groups))) {
		for _, weight := range catalogue.GroupWeights(policies.GroupID(group)) {
			if weight.Inference.ID == inference {
				sum += weight.Weight
			}
		}
	}
	return sum
}

// strongest is the largest weight of a single group.
func strongest(catalogue *policies.Catalogue, inference policies.InferenceID, groups []string) int {
	most := 0
	for _, group := range groups {
		most = max(most, score(catalogue, inference, []string{group}))
	}
	return most
}
