package cli

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
)

func (a *app) catalogueCommand() *cobra.Command {
	return group("catalogue", "Read and check the words that the policies speak about",
		a.catalogueShow(), a.catalogueFind(), a.catalogueLint(), a.catalogueSchema())
}

// bundleFiles are the files of the policy bundle that the settings name.
func (a *app) bundleFiles(cmd *cobra.Command) (fs.FS, error) {
	settings, err := a.config()
	if err != nil {
		return nil, err
	}
	return assembly.Bundle(cmd.Context(), settings.Policies)
}

func (a *app) catalogue(cmd *cobra.Command) (*policies.Catalogue, error) {
	bundle, err := a.bundleFiles(cmd)
	if err != nil {
		return nil, err
	}
	return policies.LoadCatalogue(bundle, "catalogue")
}

// catalogueEntry is one entry of the catalogue.
type catalogueEntry struct {
	Kind   string         `json:"kind"`
	Key    string         `json:"key"`
	Title  string         `json:"title"`
	Fields map[string]any `json:"fields,omitempty"`
}

// catalogueColumns are the fields that say most about the entries of a kind.
var catalogueColumns = map[string][]string{
	"purposes":       {"bases", "marketing", "profiling", "explicit", "special"},
	"categories":     {"special", "sensitive", "case", "explicit_in"},
	"attributes":     {"category", "source", "max_age", "derived"},
	"channels":       {"discloses_to", "obligations"},
	"recipients":     {"relationship", "purposes"},
	"obligations":    {"laws"},
	"jurisdictions":  {"majority", "consent_age", "default"},
	"inferences":     {"category", "thresholds"},
	"personas":       {"features"},
	"product_groups": {"parent", "tainted", "points_to"},
	"retention":      {"keep", "from", "years", "jurisdictions", "article"},
}

func (a *app) catalogueShow() *cobra.Command {
	language := ""
	cmd := &cobra.Command{
		Use: "show [KIND [KEY]]", Short: "Show purposes, categories, attributes, inferences and all other words", Args: cobra.MaximumNArgs(2),
		Long: `Show the catalogue: which kinds of words there are, all of one kind, or all that is
said about one of them. Of a product group that includes what it points to, by its own
weights and those that it inherits. No database is needed.`,
		Example: `  mahrem catalogue show
  mahrem catalogue show inferences
  mahrem catalogue show product_groups health.minerals --language tr`,
	}
	cmd.Flags().StringVar(&language, "language", "en", "language of the titles: en, tr or cs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(policies.Languages(), language) {
			return usagef("--language is one of %s", strings.Join(policies.Languages(), ", "))
		}
		if len(args) > 0 && !slices.Contains(policies.Schemas(), args[0]) {
			return usagef("the kinds of words are %s", strings.Join(policies.Schemas(), ", "))
		}
		c, err := a.catalogue(cmd)
		if err != nil {
			return err
		}
		switch len(args) {
		case 0:
			return a.showKinds(c)
		case 1:
			return a.showKind(c, args[0], language)
		}
		entry, err := c.Entry(args[0], args[1])
		if err != nil {
			return usagef("%s has no such key; see mahrem catalogue show %s", args[0], args[0])
		}
		document := catalogueEntry{entry.Kind, entry.Key, entry.Title.In(language), entry.Fields}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add(entry.Key, document.Title)
			for _, name := range slices.Sorted(maps.Keys(entry.Fields)) {
				t.add(name, oneOverOther(entry.Fields[name]))
			}
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// kindLine is how many entries a kind has.
type kindLine struct {
	Kind    string `json:"kind"`
	Entries int    `json:"entries"`
}

func (a *app) showKinds(c *policies.Catalogue) error {
	lines := []kindLine{}
	t := table{header: []string{"kind", "entries"}}
	for _, kind := range c.Kinds() {
		lines = append(lines, kindLine{kind, len(c.Keys(kind))})
		t.add(kind, fmt.Sprint(len(c.Keys(kind))))
	}
	return a.screen.print(lines, func(w io.Writer) { t.writeTo(w, "") })
}

func (a *app) showKind(c *policies.Catalogue, kind, language string) error {
	entries := []catalogueEntry{}
	columns := catalogueColumns[kind]
	t := table{header: append([]string{"key", "title"}, columns...)}
	for _, key := range c.Keys(kind) {
		entry, err := c.Entry(kind, key)
		if err != nil {
			return err
		}
		entries = append(entries, catalogueEntry{kind, key, entry.Title.In(language), entry.Fields})
		cells := []string{key, entry.Title.In(language)}
		for _, column := range columns {
			cells = append(cells, inOneLine(entry.Fields[column]))
		}
		t.add(cells...)
	}
	return a.screen.print(entries, func(w io.Writer) { t.writeTo(w, "") })
}

// inOneLine writes a field as short as it can be read: "consent exact, contract exact".
func inOneLine(value any) string { return strings.Join(parts(value), ", ") }

// oneOverOther writes a field with each of its keys on a line of its own.
func oneOverOther(value any) string {
	if _, list := value.([]any); list {
		return inOneLine(value)
	}
	return strings.Join(parts(value), "\n")
}

func parts(value any) []string {
	switch v := value.(type) {
	case nil:
		return nil
	case bool:
		return []string{"yes"} // a field that is false is not there
	case []any:
		var list []string
		for _, item := range v {
			list = append(list, strings.Join(parts(item), " "))
		}
		return list
	case map[string]any:
		var list []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = append(list, key+" "+inOneLine(v[key]))
		}
		return list
	}
	return []string{fmt.Sprint(value)}
}

// foundGroup is which product group a text means.
type foundGroup struct {
	Found bool   `json:"found"`
	Group string `json:"product_group,omitempty"`
	Title string `json:"title,omitempty"`
	// PointsTo are weights by inference.
	PointsTo map[string]int `json:"points_to,omitempty"`
	Reveals  bool           `json:"reveals_by_itself"`
}

func (a *app) catalogueFind() *cobra.Command {
	cmd := &cobra.Command{
		Use: "find TEXT", Short: "Say which product group a shop's free text means, and what it points to", Args: cobra.MinimumNArgs(1),
		Example: `  mahrem catalogue find "Bebek bezi 4 numara"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.catalogue(cmd)
			if err != nil {
				return err
			}
			var found foundGroup
			id, ok := c.GroupByTerm(strings.Join(args, " "))
			if ok {
				g, _ := c.Group(id)
				found = foundGroup{Found: true, Group: string(id), Title: g.Title.EN, Reveals: g.Reveals(), PointsTo: map[string]int{}}
				for _, weight := range g.Weights {
					found.PointsTo[string(weight.Inference.ID)] = weight.Weight
				}
			}
			return a.screen.print(found, func(w io.Writer) {
				if !ok {
					_, _ = fmt.Fprintln(w, "no term of the catalogue is in this text")
					return
				}
				t := table{}
				t.add(found.Group, found.Title)
				for _, inference := range slices.Sorted(maps.Keys(found.PointsTo)) {
					t.add("points to "+inference, fmt.Sprint(found.PointsTo[inference]))
				}
				if found.Reveals {
					t.add("told", "to nobody without explicit consent: it reveals something by itself")
				}
				t.writeTo(w, "")
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// lintDocument is the outcome of catalogue lint.
type lintDocument struct {
	Refused  []string               `json:"refused"`
	Findings []policies.LintFinding `json:"findings"`
	Passed   bool                   `json:"passed"`
}

func (a *app) catalogueLint() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lint", Short: "Check a catalogue and find what is allowed and hardly meant", Args: cobra.NoArgs,
		Long: `Check the catalogue as activation does (unknown keys, references to what is not there,
values outside their list), with file and line, and find what is allowed and hardly
meant: a title that a language lacks, a group that gives something away and whose name
may be told, an inference that is never reached, a purpose that nobody is contracted
for. The exit code is 1 if there is anything.`,
		Example: `  mahrem catalogue lint --policies ./our-policies`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bundle, err := a.bundleFiles(cmd)
			if err != nil {
				return err
			}
			document := lintDocument{Refused: []string{}, Findings: []policies.LintFinding{}}
			findings, err := policies.LintCatalogue(bundle, "catalogue")
			if err != nil {
				document.Refused = strings.Split(err.Error(), "\n")
			}
			document.Findings = append(document.Findings, findings...)
			bad := len(document.Refused) + len(document.Findings)
			document.Passed = bad == 0
			err = a.screen.print(document, func(w io.Writer) {
				for _, text := range document.Refused {
					_, _ = fmt.Fprintln(w, text)
				}
				for _, finding := range document.Findings {
					_, _ = fmt.Fprintln(w, finding)
				}
				if document.Passed {
					_, _ = fmt.Fprintln(w, "nothing found")
				}
			})
			if err == nil && !document.Passed {
				err = fmt.Errorf("%d findings", bad)
			}
			return err
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) catalogueSchema() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema KIND", Short: "Print the JSON Schema of a catalogue file, for an editor", Args: cobra.ExactArgs(1),
		Long: `Print the JSON Schema (draft 2020-12) of a catalogue file. Editors complete and check
YAML by it: # yaml-language-server: $schema=purposes.json`,
		Example: `  mahrem catalogue schema purposes > purposes.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := policies.Schema(args[0])
			if err != nil {
				return usagef("there are schemas of %s", strings.Join(policies.Schemas(), ", "))
			}
			_, err = a.screen.out.Write(text)
			return err
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
