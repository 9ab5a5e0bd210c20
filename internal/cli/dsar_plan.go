package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
)

// planDocument is the plan of an erasure as it is printed.
type planDocument struct {
	Hash      string      `json:"plan"`
	Plan      *dsar.Plan  `json:"document"`
	Held      bool        `json:"legal_hold"`
	Exposures int64       `json:"exposures"`
	Cases     int64       `json:"cases"`
	Approvals int         `json:"approvals"`
	Needed    int         `json:"approvals_needed"`
	Deferred  *time.Time  `json:"deferred_at,omitempty"`
	Log       *logPointer `json:"log,omitempty"`
}

func (a *app) dsarPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan REQUEST", Short: "Say what an erasure would destroy and what it would leave", Args: cobra.ExactArgs(1),
		Long: `Say what carrying out a request for erasure would destroy, and what a law or a legal
hold orders to keep. Nothing is destroyed. The plan has a hash: that is what is
approved, and an erasure destroys exactly what was approved. As soon as anything
about the person changes there is another plan.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseRequest(args[0])
		if err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		planned, err := house.Eraser.Plan(cmd.Context(), by, id)
		if err != nil {
			return ofRequest(err)
		}
		document := planDocument{
			Hash: hex.EncodeToString(planned.Hash[:]), Plan: planned.Plan, Held: planned.Held, Exposures: planned.Exposures,
			Cases: planned.Cases, Approvals: planned.Approvals, Needed: planned.Needed, Deferred: optional(planned.DeferredAt),
		}
		if !planned.Receipt.IsZero() {
			document.Log = pointTo(planned.Receipt)
		}
		err = a.screen.print(document, func(w io.Writer) { writePlan(w, &document) })
		if left := document.Needed - document.Approvals; left > 0 {
			a.screen.notef("nothing was erased; it takes %s: mahrem dsar approve %s --plan %s", approvals(left), args[0], document.Hash)
		} else {
			a.screen.notef("nothing was erased; to erase: mahrem dsar erase %s", args[0])
		}
		return err
	}
	a.jsonFlag(cmd)
	return cmd
}

func approvals(n int) string {
	if n == 1 {
		return "1 more approval"
	}
	return fmt.Sprintf("%d more approvals, by different people", n)
}

func writePlan(w io.Writer, d *planDocument) {
	t := table{header: []string{"would be destroyed", ""}}
	t.add("key", "the only one; it exists nowhere else")
	for _, line := range d.Plan.Categories {
		amount := fmt.Sprintf("%d attributes", line.Attributes)
		if line.Attributes < 0 {
			amount = "does not open any more"
		}
		t.add("category "+string(line.Category), amount)
	}
	for _, line := range d.Plan.Streams {
		t.add("stream "+string(line.Category), fmt.Sprintf("%d events", line.Events))
	}
	for _, line := range d.Plan.Identifiers {
		t.add("identifier "+string(line.Kind), fmt.Sprint(line.Count))
	}
	t.add("consent records", fmt.Sprint(d.Plan.Consents))
	t.add("exposure records", fmt.Sprint(d.Exposures))
	t.add("cases", fmt.Sprint(d.Cases))
	t.writeTo(w, "")
	if len(d.Plan.Withheld) > 0 {
		_, _ = fmt.Fprintln(w)
		writeWithheld(w, "would be kept", d.Plan.Withheld)
	}
	for _, processor := range d.Plan.Processors {
		_, _ = fmt.Fprintf(w, "\n%s will be told", processor)
	}
	if d.Held {
		_, _ = fmt.Fprintln(w, "\na legal hold is in force: the erasure would be deferred until it is released")
	}
	_, _ = fmt.Fprintf(w, "\nplan %s, approved by %d of %d\n", d.Hash, d.Approvals, d.Needed)
}

func writeWithheld(w io.Writer, title string, list []dsar.Withheld) {
	t := table{header: []string{title, "items", "ground", "article", "until"}}
	for _, line := range list {
		what, until := string(line.Category), "the hold is released"
		if line.Attribute != "" {
			what += " " + string(line.Attribute)
		}
		if !line.Until.IsZero() {
			until = line.Until.Format(time.DateOnly)
		}
		t.add(what, fmt.Sprint(line.Items), line.Ground, line.Article, until)
	}
	t.writeTo(w, "")
}
