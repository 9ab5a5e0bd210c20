package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

// auditSchema is the document of audit doctor.
type auditSchema struct {
	AsShipped   bool                        `json:"as_shipped"`
	Differences []assembly.SchemaDifference `json:"differences"`
}

func (a *app) auditDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Compare triggers, functions and grants of log and consent ledger with those that were shipped", Args: cobra.NoArgs,
		Long: `Compare everything that decides what can happen to the log and to the consent ledger in
the database with what the migrations of this release make: tables, columns and
constraints of the schemas audit and consent, the functions of an erasure, triggers and whether they always fire, rules, row policies, the text of
functions, owners, grants, what the database roles of the application may do, and
settings that would let an entry be lost after it was acknowledged. Each difference is
named, and the exit code is then 1. Nothing is changed.

The database is asked about itself: this finds what was switched off or opened up and
left so. What was done meanwhile, audit verify and kept checkpoints find.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			house, err := a.openWith(cmd.Context(), assembly.Options{Base: true})
			if err != nil {
				return err
			}
			defer a.close(house)
			differences, err := house.LogSchema(cmd.Context())
			if err != nil {
				return err
			}
			document := auditSchema{AsShipped: len(differences) == 0, Differences: differences}
			if document.AsShipped {
				document.Differences = []assembly.SchemaDifference{}
			}
			if err := a.screen.print(document, func(w io.Writer) { writeSchemaDifferences(w, differences) }); err != nil {
				return err
			}
			if !document.AsShipped {
				return fmt.Errorf("%d facts about the schema of log and consent ledger are not as shipped", len(differences))
			}
			return nil
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeSchemaDifferences(w io.Writer, differences []assembly.SchemaDifference) {
	if len(differences) == 0 {
		_, _ = fmt.Fprintln(w, "OK, the schemas of log and consent ledger, their triggers, functions and grants are as shipped")
		return
	}
	t := table{header: []string{"object", "", "fact"}}
	for _, d := range differences {
		state := "MISSING"
		if d.Found {
			state = "NOT SHIPPED"
		}
		t.add(d.Object, state, d.Fact)
	}
	t.writeTo(w, "")
}
