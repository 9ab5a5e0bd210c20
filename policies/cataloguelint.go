package policies

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// LintFinding is something in a catalogue that is allowed and hardly meant.
type LintFinding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// String returns "file:line: message".
func (f LintFinding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message) }

// LintCatalogue reads a catalogue as [LoadCatalogue] does, with its errors, and looks for
// what is allowed and hardly meant: a title or term that a language lacks, a group that
// gives something away and may be named, an inference that nothing points to by name,
// purposes and categories that nobody uses. The findings come in the order of files and lines.
func LintCatalogue(bundle fs.FS, dir string) ([]LintFinding, error) {
	l, c, err := loadCatalogue(bundle, dir)
	if err != nil {
		return nil, err
	}
	n := linter{loader: l, catalogue: c}
	n.titles()
	n.groups()
	n.inferences()
	n.unused()
	slices.SortStableFunc(n.findings, func(a, b LintFinding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return n.findings, nil
}

type linter struct {
	loader    *loader
	catalogue *Catalogue
	findings  []LintFinding
}

func (n *linter) find(file string, keys []string, format string, args ...any) {
	n.findings = append(n.findings, LintFinding{file, n.loader.line(file, keys...), fmt.Sprintf(format, args...)})
}

// titles wants every title in every language: they are shown to people.
func (n *linter) titles() {
	for _, kind := range n.catalogue.Kinds() {
		for _, key := range n.catalogue.Keys(kind) {
			if _, ofCategory := n.catalogue.retention.Periods[privacy.DataCategory(key)]; ofCategory && kind+".yaml" == fileRetention {
				continue // it is the category's
			}
			entry, _ := n.catalogue.Entry(kind, key)
			for _, language := range Languages() {
				if entry.Title.exactly(language) == "" {
					n.find(kind+".yaml", entryPath(kind, key), "%q has no title in %s", key, language)
				}
			}
		}
	}
}

// entryPath is where an entry stands in its file.
func entryPath(kind, key string) []string {
	if kind+".yaml" == filePersonas {
		return []string{"labels", key}
	}
	if kind+".yaml" == fileRetention {
		if slices.Contains(RecordKinds(), RecordKind(key)) {
			return []string{"records", key}
		}
		return []string{"exceptions", key}
	}
	return []string{key}
}

func (n *linter) groups() {
	for _, g := range n.catalogue.groupOrder {
		id := string(g.ID)
		if g.Reveals() && !g.Tainted {
			n.find(fileGroups, []string{id}, "%q gives something away by itself and is not tainted: its name may be told", id)
		}
		for _, language := range Languages() {
			if len(g.Terms.In(language)) == 0 {
				n.find(fileGroups, []string{id, "terms"}, "%q has no term in %s: free text never finds it", id, language)
			}
		}
	}
}

// inferences wants a product group for each, so that a shop's data can point to it, and
// weights that can reach the threshold at all.
func (n *linter) inferences() {
	for _, inference := range n.catalogue.inferenceOrder {
		id := string(inference.ID)
		if len(inference.Groups) == 0 {
			n.find(fileInferences, []string{id}, "no product group points to %q: purchases never count", id)
		}
		for _, key := range sortedKeys(inference.Thresholds) {
			sum := 0
			for _, weight := range inference.Groups {
				sum += weight
			}
			for _, signal := range inference.Attributes {
				sum += signal.Weight
			}
			if sum < inference.Thresholds[key] {
				n.find(fileInferences, []string{id, "thresholds", key}, "%q is never reached: all weights are %d together", id, sum)
			}
		}
	}
}

// unused finds purposes and categories that nothing refers to. Obligations may be owed by
// a rule.
func (n *linter) unused() {
	c := n.catalogue
	purposes, categories := map[string]bool{string(GeneralMarketing): true}, map[string]bool{}
	for _, r := range c.recipients {
		for _, p := range r.Purposes {
			purposes[string(p)] = true
		}
	}
	for _, p := range c.purposes {
		if p.Reidentification {
			purposes[string(p.ID)] = true // ordered by law or the person, not by contract
		}
	}
	for _, a := range c.attributes {
		categories[string(a.Category)] = true
	}
	for _, id := range c.Purposes() {
		if !purposes[string(id)] {
			n.find(filePurposes, []string{string(id)}, "no recipient is contracted for %q", id)
		}
	}
	for _, id := range c.Categories() {
		if !categories[string(id)] {
			n.find(fileCategories, []string{string(id)}, "no attribute is of category %q", id)
		}
	}
}
