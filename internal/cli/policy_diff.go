package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
)

// bundledPlace names the bundle in the binary where a place is asked for.
const bundledPlace = "bundled"

func (a *app) policyDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Say what another bundle opens and closes, for whom", Args: cobra.ExactArgs(2),
		Long: `Compare two bundles in every cell of the table and say what the new one opens and closes:
under which purpose, for people of which age, in which jurisdiction, with which consent,
and how much of what. A fact that is not named makes no difference. What changes in clean
rooms follows: which party may do what there that it might not, or the other way round,
and which limits move. Values of the catalogue that changed are listed as well. OLD and
NEW are directories or files; the word bundled stands for the bundle in the binary.`,
		Example: `  mahrem policy diff bundled ./our-policies
  mahrem policy diff ./in-force ./proposed --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			before, err := revisionAt(cmd.Context(), args[0], settings.Patience)
			if err != nil {
				return err
			}
			after, err := revisionAt(cmd.Context(), args[1], settings.Patience)
			if err != nil {
				return err
			}
			difference, err := policies.Diff(cmd.Context(), before, after)
			if err != nil {
				return err
			}
			return a.screen.print(difference, func(w io.Writer) { writeDifference(w, &difference) })
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// revisionAt compiles and attacks the bundle at a place.
func revisionAt(ctx context.Context, place string, patience config.Patience) (*policies.Revision, error) {
	if place == bundledPlace {
		place = ""
	}
	engine, err := assembly.OpenPolicies(ctx, place, patience)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return engine.Revision(), nil
}

func writeDifference(w io.Writer, d *policies.Difference) {
	t := table{header: []string{"purpose", "change", "what", "who", "consent", "where else it matters"}}
	for _, change := range d.Changes {
		direction := "CLOSES"
		if change.Opens {
			direction = "OPENS"
		}
		for i, product := range change.When {
			purpose, what := "", ""
			if i == 0 {
				purpose, what = string(change.Purpose), describeChange(change)
			} else {
				direction = ""
			}
			t.add(purpose, direction, what, pick(product, d.Words, "age", "jurisdiction"), pick(product, d.Words, "consent", "record", "explicit", "agreed"),
				strings.ReplaceAll(pick(product, d.Words, "action", "role", "recipient", "reference", "channel", "household", "known", "restricted", "objected", "incentive", "trigger", "case"), ", ", "\n"))
		}
	}
	if len(t.rows) == 0 {
		_, _ = fmt.Fprintln(w, "no cell about people changes")
	} else {
		t.writeTo(w, "")
	}
	_, _ = fmt.Fprintf(w, "\n%s cells open, %s close\n", d.Opened, d.Closed)
	writeRoomDifference(w, d)
	if len(d.Also) > 0 {
		_, _ = fmt.Fprintf(w, "\nIn the catalogue:\n")
		for _, change := range d.Also {
			_, _ = fmt.Fprintf(w, "  %s\n", printable(change.String()))
		}
	}
	_, _ = fmt.Fprintf(w, "\nold %s\nnew %s\n", d.Old, d.New)
}

func describeChange(change policies.Change) string {
	switch {
	case change.Obligation != "" && change.Opens:
		return "no longer obliges to " + string(change.Obligation)
	case change.Obligation != "":
		return "obliges to " + string(change.Obligation)
	case len(change.Attributes) == 0 && change.Opens:
		return "an answer at all"
	case len(change.Attributes) == 0:
		return "any answer"
	}
	return fmt.Sprintf("%s\n(%s, was %s)", wrap(change.Attributes, 2), change.To, change.From)
}

// pick describes some facts of a product.
func pick(product, words map[string][]string, fields ...string) string {
	some := map[string][]string{}
	for _, field := range fields {
		values, named := product[field]
		if field == "jurisdiction" && len(values)+2 == len(words[field]) && !slices.Contains(values, string(policies.UnknownJurisdiction)) {
			named = false // wherever the law is known
		}
		if field == "explicit" && len(values) == 2 {
			named = false // yes or no
		}
		if named {
			some[field] = values
		}
	}
	if len(some) == 0 {
		return "any"
	}
	return strings.ReplaceAll(policies.DescribeProduct(some, words), ", ", "\n")
}
