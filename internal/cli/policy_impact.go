package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// impactDocument is the outcome of policy impact.
type impactDocument struct {
	Policy    string         `json:"policy_revision"`
	Since     time.Time      `json:"since"`
	Decisions uint64         `json:"decisions"`
	Changed   uint64         `json:"changed"`
	Unknown   uint64         `json:"unknown"`
	People    peopleOutput   `json:"people"`
	Changes   []changeOutput `json:"changes"`
	Shown     logPointer     `json:"shown"`
}

type peopleOutput struct {
	Count uint64 `json:"count"`
	Bound string `json:"bound"`
}

type changeOutput struct {
	Purpose   string        `json:"purpose"`
	Who       whoOutput     `json:"who"`
	Opens     []string      `json:"opens"`
	Closes    []string      `json:"closes"`
	Duties    []string      `json:"obligations"`
	Levels    []levelOutput `json:"levels"`
	Failed    []string      `json:"failed_checks"`
	Decisions uint64        `json:"decisions"`
	People    peopleOutput  `json:"people"`
}

type levelOutput struct {
	Attribute string `json:"attribute"`
	From      string `json:"from"`
	To        string `json:"to"`
	Decisions uint64 `json:"decisions"`
}

type whoOutput struct {
	Known        string `json:"known"`
	Age          string `json:"age"`
	Jurisdiction string `json:"jurisdiction"`
	Restricted   string `json:"restricted"`
	Objected     string `json:"objected"`
	Consent      string `json:"consent"`
	Explicit     string `json:"explicit"`
	Basis        string `json:"legal_basis"`
}

func (a *app) policyImpact() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use: "impact NEW --since DURATION", Short: "Say which real decisions another policy would change", Args: cobra.ExactArgs(1),
		Long: `Say which real decisions another policy would change, for whom, and for how many people.
NEW is a directory or a file with a policy bundle; it is compiled and not activated.
Every decision since the beginning of the first day (UTC) is made again under it, from
the facts that were kept. What opens, what closes and which obligations come (+) or go
(-) is told by purpose and kind of person. What inference control takes away depends on
values, which are not kept, and is not compared.

People are counted by keyed tags that an erasure takes out of reach: exactly up to 511,
beyond that within a few percent. That decisions were gone through is in the log.`,
		Example: `  mahrem policy impact ./policies-next --since 30d`,
	}
	cmd.Flags().StringVar(&since, "since", "30d", "decisions of this time until now, such as 12h, 30d or 4w")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		length, err := window("--since", since)
		if err != nil {
			return err
		}
		settings, err := a.config()
		if err != nil {
			return err
		}
		candidate, err := assembly.CompilePolicies(cmd.Context(), args[0], settings.Patience)
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		impact, err := house.Archive.Impact(cmd.Context(), operator(), candidate, time.Now().Add(-length))
		if err != nil {
			return err
		}
		document := newImpactDocument(impact)
		return a.screen.print(document, func(w io.Writer) { writeImpact(w, document, impact, candidate) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func newImpactDocument(i archive.Impact) impactDocument {
	leaf := i.Receipt.LeafHash()
	d := impactDocument{
		Policy: "sha256:" + hex.EncodeToString(i.Policy[:]), Since: i.Since, Decisions: i.Decisions, Changed: i.Changed,
		Unknown: i.Unknown, People: newPeople(i.People), Changes: []changeOutput{},
		Shown: logPointer{i.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	for _, c := range i.Changes {
		levels := []levelOutput{}
		for _, l := range c.Levels {
			levels = append(levels, levelOutput{string(l.Attribute), l.From.String(), l.To.String(), l.Decisions})
		}
		d.Changes = append(d.Changes, changeOutput{
			Levels:  levels,
			Purpose: string(c.Purpose), Opens: notNil(c.Opens), Closes: notNil(c.Closes), Duties: notNil(c.Duties), Failed: notNil(c.Failed),
			Decisions: c.Decisions, People: newPeople(c.People),
			Who: whoOutput{
				string(c.Who.Known), string(c.Who.Age), string(c.Who.Jurisdiction), string(c.Who.Restricted), string(c.Who.Objected),
				string(c.Who.Consent), string(c.Who.Explicit), string(c.Who.Basis),
			},
		})
	}
	return d
}

func newPeople(p archive.People) peopleOutput { return peopleOutput{p.Count, string(p.Bound)} }

func notNil(list []string) []string { return append([]string{}, list...) }

func writeImpact(w io.Writer, d impactDocument, i archive.Impact, candidate *policies.Revision) {
	_, _ = fmt.Fprintf(w, "of %d decisions since %s, %d would come out otherwise, for %s people\n",
		d.Decisions, d.Since.Format(time.DateOnly), d.Changed, peopleText(i.People))
	if d.Unknown > 0 {
		_, _ = fmt.Fprintf(w, "of %d nothing is known: their facts were not kept\n", d.Unknown)
	}
	if len(i.Changes) == 0 {
		return
	}
	t := table{header: []string{"purpose", "who", "opens", "closes", "obligations", "because", "decisions", "people"}}
	for _, c := range i.Changes {
		var why []string
		for _, check := range c.Failed {
			text := "not: " + check
			if title := candidate.Reason(check).Title; title != "" {
				text = "not: " + title
			}
			why = append(why, text)
		}
		opens, closes := notNil(c.Opens), notNil(c.Closes)
		for _, l := range c.Levels {
			line := fmt.Sprintf("%s: %s → %s (%d)", l.Attribute, l.From, l.To, l.Decisions)
			if l.To > l.From {
				opens = append(opens, line)
			} else {
				closes = append(closes, line)
			}
		}
		t.add(string(c.Purpose), whoText(c.Who), strings.Join(opens, "\n"), strings.Join(closes, "\n"), strings.Join(c.Duties, "\n"),
			strings.Join(why, "\n"), fmt.Sprint(c.Decisions), peopleText(c.People))
	}
	_, _ = fmt.Fprintln(w)
	t.writeTo(w, "")
}

func peopleText(p archive.People) string {
	return strings.ReplaceAll(string(p.Bound), "_", " ") + " " + fmt.Sprint(p.Count)
}

// whoText says whom a change is about, leaving out what goes without saying.
func whoText(w archive.Who) string {
	if w.Known != policies.Yes {
		return "nobody who is known"
	}
	age := string(w.Age)
	if w.Age == policies.AgeUnknown {
		age = "age unknown"
	}
	parts := []string{age, string(w.Jurisdiction), "consent " + strings.ReplaceAll(string(w.Consent), "_", " ")}
	if w.Explicit == policies.Yes {
		parts = append(parts, "explicit")
	}
	if w.Basis != privacy.Consent && w.Basis != policies.NoBasis {
		parts = append(parts, "basis "+strings.ReplaceAll(string(w.Basis), "_", " "))
	}
	if w.Restricted != policies.No {
		parts = append(parts, "restricted: "+string(w.Restricted))
	}
	if w.Objected != policies.No {
		parts = append(parts, "objected: "+string(w.Objected))
	}
	return strings.Join(parts, ", ")
}
