package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarList() *cobra.Command {
	var kind, state, after string
	var limit int
	var all, overdue bool
	cmd := &cobra.Command{
		Use: "list", Short: "List requests, what is due first before the others", Args: cobra.NoArgs,
		Long: `List open requests: what is due first comes first, what waits for somebody else comes
last. The list names nobody. With --all those that are closed are listed too, the
newest first.`,
		Example: `  mahrem dsar list --overdue
  mahrem dsar list --kind erasure --limit 20`,
	}
	person := a.whoFlags(cmd)
	acting := a.actingAs(cmd, privacy.RoleAuditor)
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "only of this kind")
	flags.StringVar(&state, "state", "", "only in this state")
	flags.BoolVar(&overdue, "overdue", false, "only those whose period has passed")
	flags.BoolVar(&all, "all", false, "also those that are closed, the newest first")
	flags.IntVar(&limit, "limit", 50, fmt.Sprintf("how many, at most %d", dsar.MaxListed))
	flags.StringVar(&after, "after", "", "begin after this request: the next page")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter := dsar.Filter{Kind: dsar.Kind(kind), State: dsar.State(state), All: all}
		if overdue {
			filter.Overdue = time.Now()
		}
		var err error
		if after != "" {
			if filter.After, err = parseRequest(after); err != nil {
				return err
			}
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if person.isGiven() {
			if by.Role != privacy.RoleDPO {
				return fmt.Errorf("looking for the requests of a person: %w", privacy.ErrForbidden)
			}
			if filter.DataSubject, err = person.resolve(cmd.Context(), house, a.stdin); err != nil {
				return err
			}
		}
		page, err := house.Requests.Queue(cmd.Context(), by, filter, limit)
		if err != nil {
			return err
		}
		if person.isGiven() {
			if err := house.LogShown(cmd.Context(), by, filter.DataSubject); err != nil {
				return err
			}
		}
		return a.printQueue(page)
	}
	a.jsonFlag(cmd)
	return cmd
}

// confirmBy is the last day on which receipt can be confirmed, where the law wants that,
// until the work has begun.
func confirmBy(r *dsar.Request) string {
	if r.State != dsar.Received && r.State != dsar.IdentityPending {
		return ""
	}
	return day(r.AcknowledgeBy)
}

func (a *app) printQueue(page dsar.Page) error {
	document := struct {
		Totals   dsar.Totals       `json:"totals"`
		Requests []requestDocument `json:"requests"`
		Next     string            `json:"next,omitempty"`
	}{page.Totals, []requestDocument{}, ""}
	t := table{header: []string{"request", "kind", "state", "person", "law", "due", "left", "confirm by"}}
	for i := range page.Requests {
		d := newRequestDocument(&page.Requests[i], page.At)
		document.Requests = append(document.Requests, d)
		remaining := left(d.DaysLeft)
		if remaining == "" && d.ClosedAt == nil {
			remaining = "waiting"
		}
		t.add(d.Request, d.Kind, d.State, d.Person, d.Regime, day(page.Requests[i].DueAt), remaining, confirmBy(&page.Requests[i]))
	}
	if page.More {
		document.Next = document.Requests[len(document.Requests)-1].Request
	}
	err := a.screen.print(document, func(w io.Writer) {
		if len(page.Requests) == 0 {
			_, _ = fmt.Fprintln(w, "no requests")
		} else {
			t.writeTo(w, "")
		}
		_, _ = fmt.Fprintf(w, "\n%d open, %d overdue, %d waiting for somebody else\n", page.Totals.Open, page.Totals.Overdue, page.Totals.Waiting)
	})
	if page.More && !a.screen.json {
		a.screen.notef("there are more: --after %s", document.Next)
	}
	return err
}
