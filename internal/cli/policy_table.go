package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) policyTable() *cobra.Command {
	var purposes, kinds []string
	var full, rooms bool
	cmd := &cobra.Command{
		Use: "table", Short: "Show what the policies decide, in every case that there can be", Args: cobra.NoArgs,
		Long: `Show what the policies decide in every cell of the finite space of facts: every purpose,
recipient, channel, age, jurisdiction, state of consent and so on, each with one word
that nobody knows. Without flags it prints one line for each purpose, and the hash of
the table: two bundles with one hash decide alike. With --purpose it prints each check
and each effect with the facts under which it holds. A fact that is not named can be
anything. With --full it prints the whole table as it is hashed, in a form in which a
changed cell is a changed line.

With --rooms it prints what they say about clean rooms instead: each act by purpose,
relationship of whoever acts and category of a column, with the checks that stand
against it; everything else is taken to be in order.`,
		Example: `  mahrem policy table
  mahrem policy table --purpose recommendations --kind check
  mahrem policy table --full > table.txt
  mahrem policy table --rooms --purpose campaign_measurement`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			engine, err := assembly.OpenPolicies(cmd.Context(), settings.Policies, settings.Patience)
			if err != nil {
				return err
			}
			revision := engine.Revision()
			for _, purpose := range purposes {
				if _, known := revision.Catalogue().Purpose(privacy.Purpose(purpose)); !known {
					return usagef("purpose %s is not in the catalogue", purpose)
				}
			}
			if rooms {
				return a.printRoomTable(cmd.Context(), revision, purposes)
			}
			table, err := revision.Table(cmd.Context())
			if err != nil {
				return err
			}
			if full {
				_, err := a.screen.out.Write(table.Text())
				return err
			}
			document := table.Document()
			narrow(&document, purposes, kinds)
			violations := table.Violations()
			err = a.screen.print(document, func(w io.Writer) {
				if len(purposes)+len(kinds) > 0 {
					writeTableLines(w, &document, revision)
				} else {
					writeTableSummary(w, &document, revision.Catalogue())
				}
				_, _ = fmt.Fprintf(w, "\n%s cells, %s open; %d invariants, %d violated\n%s\n", document.Cells, document.Open, len(table.Invariants()), len(violations), document.Hash)
			})
			if err == nil && len(violations) > 0 {
				err = violations[0]
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&purposes, "purpose", nil, "purposes to show in detail (default: one line for each)")
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "what to show: check, basis, at_most, opens, clears, obliges, level (default: all)")
	cmd.Flags().BoolVar(&full, "full", false, "print the whole table as it is hashed")
	cmd.Flags().BoolVar(&rooms, "rooms", false, "show what is decided about clean rooms")
	cmd.MarkFlagsMutuallyExclusive("rooms", "kind")
	cmd.MarkFlagsMutuallyExclusive("rooms", "full")
	a.jsonFlag(cmd)
	return cmd
}

// narrow leaves what was asked for.
func narrow(document *policies.TableDocument, purposes, kinds []string) {
	unwanted := func(line policies.TableLine) bool { return len(kinds) > 0 && !slices.Contains(kinds, line.Kind) }
	document.Purposes = slices.DeleteFunc(document.Purposes, func(s policies.TableSection) bool {
		return len(purposes) > 0 && !slices.Contains(purposes, s.Purpose)
	})
	document.Common = slices.DeleteFunc(document.Common, unwanted)
	for i := range document.Purposes {
		document.Purposes[i].Lines = slices.DeleteFunc(document.Purposes[i].Lines, unwanted)
	}
}

func writeTableSummary(w io.Writer, document *policies.TableDocument, catalogue *policies.Catalogue) {
	t := table{header: []string{"purpose", "legal bases, and how much each carries", "ages", "channels", "data categories", "open cells"}}
	for _, section := range document.Purposes {
		purpose, _ := catalogue.Purpose(privacy.Purpose(section.Purpose))
		var bases, categories []string
		for _, basis := range []privacy.LegalBasis{privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.LegitimateInterests} {
			level, admitted := purpose.Bases[basis]
			if !admitted {
				continue
			}
			text := fmt.Sprintf("%s: %s", basis, level)
			if basis == privacy.Consent && purpose.Explicit {
				text = "explicit " + text
			}
			bases = append(bases, text)
		}
		for _, category := range catalogue.Categories() {
			if _, used := purpose.Categories[category]; used {
				categories = append(categories, string(category))
			}
		}
		t.add(section.Purpose, strings.Join(bases, "\n"), wrap(purpose.Ages, 2), wrap(purpose.Channels, 3), wrap(categories, 3), section.Open)
	}
	t.writeTo(w, "")
}

// wrap writes some words a line.
func wrap[T ~string](words []T, perLine int) string {
	var lines []string
	for some := range slices.Chunk(words, perLine) {
		line := make([]string, len(some))
		for i, word := range some {
			line[i] = string(word)
		}
		lines = append(lines, strings.Join(line, ", "))
	}
	return strings.Join(lines, "\n")
}

func writeTableLines(w io.Writer, document *policies.TableDocument, revision *policies.Revision) {
	section := func(title string, lines []policies.TableLine) {
		if len(lines) == 0 {
			return
		}
		t := table{header: []string{"kind", "what", "holds for", "in words"}}
		for _, line := range lines {
			words := revision.Reason(line.Names[0]).Title
			names, when := wrap(line.Names, 4), ""
			switch {
			case len(line.When) > 0:
				var products []string
				for _, product := range line.When {
					products = append(products, policies.DescribeProduct(product, document.Words))
				}
				when = strings.Join(products, "\n")
			case line.When != nil:
				when = "never"
			default:
				names, when = line.Names[0], wrap(line.Names[1:], 4)
			}
			t.add(line.Kind, names, when, words)
		}
		_, _ = fmt.Fprintf(w, "%s\n", title)
		t.writeTo(w, "  ")
		_, _ = fmt.Fprintln(w)
	}
	section("every purpose", document.Common)
	for _, s := range document.Purposes {
		section(fmt.Sprintf("%s (%s), %s cells open", s.Purpose, s.Title, s.Open), s.Lines)
	}
}
