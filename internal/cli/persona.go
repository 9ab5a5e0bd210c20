package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom/persona"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
)

func (a *app) personaCommand() *cobra.Command {
	return group("persona", "Behavioural types of the house's people, told without anybody's data",
		a.personaDefine(),
		a.personaBuild(),
		a.personaShow(),
		a.personaList(),
	)
}

// personaDocument is a definition and what was told of it.
type personaDocument struct {
	Persona   string               `json:"persona"`
	Version   int                  `json:"version"`
	Purpose   string               `json:"purpose,omitempty"`
	Cost      int64                `json:"cost_nanorho,omitempty"`
	Cap       int64                `json:"cap_nanorho,omitempty"`
	Spent     int64                `json:"spent_nanorho,omitempty"`
	DefinedAt *time.Time           `json:"defined_at,omitempty"`
	BuiltAt   *time.Time           `json:"built_at,omitempty"`
	Again     bool                 `json:"told_before,omitempty"`
	Described *persona.Description `json:"description,omitempty"`
	Log       *logPointer          `json:"log,omitempty"`
}

func (a *app) personaDefine() *cobra.Command {
	cmd := &cobra.Command{
		Use: "define FILE", Short: "Keep a definition of personas, or a new version of one", Args: cobra.ExactArgs(1),
		Long: `Keep a definition of personas: which shares of people's purchases are looked at, and how
types come of them, by rules or by k-means. Product groups that could give away what is
protected are refused, and the policies decide about the rest. FILE is YAML (docs/personas.md);
- reads it from stdin. Nobody's data is read.`,
		Example: `  mahrem persona define personas.yaml`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := a.readSmall(args[0], persona.MaxDefinition)
		if err != nil {
			return usagef("%s: %w", args[0], err)
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		d, version, receipt, err := house.Personas().Define(cmd.Context(), by, text)
		if err != nil {
			return err
		}
		document := personaDocument{Persona: d.Name, Version: version, Purpose: string(d.Purpose), Cost: int64(d.Cost()), Log: pointTo(receipt)}
		if document.Cap, document.Spent, err = personaBudget(cmd.Context(), house); err != nil {
			return err
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("personas", fmt.Sprintf("%s, version %d", d.Name, version))
			t.add("purpose", document.Purpose)
			t.add("building costs", fmt.Sprintf("%s of %s rho that are left", rho(document.Cost), rho(document.Cap-document.Spent)))
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func personaBudget(ctx context.Context, house *assembly.House) (limit, spent int64, err error) {
	l, s, err := house.PersonaStore().Left(ctx)
	return int64(l), int64(s), err
}

// rho writes billionths.
func rho(nano int64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%09d", nano/1e9, nano%1e9), "0"), ".")
}

func (a *app) personaBuild() *cobra.Command {
	cmd := &cobra.Command{
		Use: "build NAME", Short: "Tell people apart, describe the types, and label everybody", Args: cobra.ExactArgs(1),
		Long: `Look at what everybody buys whose consent covers the purpose of a definition, tell them
apart, describe each type by noisy numbers, and seal its label into the record of whoever is
of it, where the gate offers it in place of data. A type of too few people is not told and
its label given to nobody.

The description is charged before anybody is looked at, to a privacy budget that nobody can
refill, and made once for a version: asked again, the same is told for nothing, and labels
are brought up to date. Another version costs again.`,
		Example: `  mahrem persona build shoppers`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		bar := newBar(a.screen.err, "looking", "people", -1)
		built, err := house.Personas().Build(cmd.Context(), by, args[0], bar.set)
		bar.finish()
		if err != nil {
			return err
		}
		d := built.Description
		return a.printPersonas(house, &personaDocument{Persona: d.Persona, Version: d.Version, Again: built.Again, Described: d})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) personaShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show what was told of personas", Args: cobra.ExactArgs(1),
		Long: `Show the newest version of a definition, and the description of its types if it was
built. Numbers have noise; each has an interval that holds the true one in 95 of 100 cases.`,
		Example: `  mahrem persona show shoppers`,
	}
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
		stored, err := house.PersonaStore().Definition(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		document := newPersonaDocument(stored)
		if stored.Description != nil {
			if document.Described, err = persona.ParseDescription(stored.Description); err != nil {
				return err
			}
		}
		if document.Cap, document.Spent, err = personaBudget(cmd.Context(), house); err != nil {
			return err
		}
		return a.printPersonas(house, &document)
	})
	a.jsonFlag(cmd)
	return cmd
}

func newPersonaDocument(s *persona.Stored) personaDocument {
	return personaDocument{Persona: s.Name, Version: s.Version, DefinedAt: optional(s.DefinedAt), BuiltAt: optional(s.BuiltAt)}
}

func (a *app) personaList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List definitions of personas", Args: cobra.NoArgs,
		Long:    `List the newest version of each definition of personas, and whether it was built.`,
		Example: `  mahrem persona list`,
	}
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
		all, err := house.PersonaStore().Definitions(cmd.Context())
		if err != nil {
			return err
		}
		documents := make([]personaDocument, len(all))
		for i := range all {
			documents[i] = newPersonaDocument(&all[i])
		}
		t := table{}
		for _, d := range documents {
			state := "not built"
			if d.BuiltAt != nil {
				state = "built on " + d.BuiltAt.Format(time.DateOnly)
			}
			t.add(d.Persona, fmt.Sprintf("version %d", d.Version), state)
		}
		return a.screen.printList(documents, &t, "no personas are defined")
	})
	a.jsonFlag(cmd)
	return cmd
}

// printPersonas shows a table of types: a line each, and the features by which they differ.
func (a *app) printPersonas(house *assembly.House, document *personaDocument) error {
	return a.screen.print(document, func(w io.Writer) {
		d := document.Described
		if d == nil {
			_, _ = fmt.Fprintf(w, "%s, version %d: not built\n", document.Persona, document.Version)
			return
		}
		var catalogue *policies.Catalogue
		if revision := house.Engine.Revision(); revision != nil {
			catalogue = revision.Catalogue()
		}
		_, _ = fmt.Fprintf(w, "%s, version %d: at least %d people each, noise of %d people, %s rho\n\n", d.Persona, d.Version, d.MinimumPeople, d.NoisePeople, rho(int64(d.Cost)))
		t := table{}
		t.add("type", "people (95 %)", "share of purchases, percent (95 %)")
		for i := range d.Types {
			kind := &d.Types[i]
			title := string(kind.Label)
			if catalogue != nil {
				if label, known := catalogue.Persona(kind.Label); known {
					title = label.Title.In("en")
				}
			}
			if !kind.Told {
				t.add(title, "too few", "")
				continue
			}
			var shares []string
			for _, s := range kind.Shares {
				shares = append(shares, fmt.Sprintf("%s %d (%d to %d)", s.Feature, s.Percent, s.Low, s.High))
			}
			t.add(title, fmt.Sprintf("%d (%d to %d)", kind.People, kind.PeopleLow, kind.PeopleHigh), strings.Join(shares, ", "))
		}
		t.writeTo(w, "")
		if document.Again {
			_, _ = fmt.Fprintln(w, "\ntold before, and so for nothing")
		}
	})
}
