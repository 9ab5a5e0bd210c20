package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

// taskDocument is one request at one processor.
type taskDocument struct {
	Processor    string     `json:"processor"`
	State        string     `json:"state"`
	Acknowledged bool       `json:"acknowledged"`
	Settled      bool       `json:"settled"`
	QueuedAt     time.Time  `json:"queued_at"`
	AcceptedAt   *time.Time `json:"accepted_at,omitempty"`
	ExpectedAt   *time.Time `json:"expected_at,omitempty"`
	SettledAt    *time.Time `json:"settled_at,omitempty"`
	ResultsCount *int64     `json:"results_count,omitempty"`
	PartsFailed  int        `json:"parts_failed"`
	PartsSkipped int        `json:"parts_skipped"`
	PartsOpen    int        `json:"parts_open"`
	ListedOpen   string     `json:"listed_open,omitempty"`
}

func newTaskDocument(t *opendsr.Task) taskDocument {
	return taskDocument{
		Processor: t.Processor, State: string(t.State), Acknowledged: t.Acknowledged(), Settled: t.Settled(), QueuedAt: t.QueuedAt,
		AcceptedAt: optional(t.AcceptedAt), ExpectedAt: optional(t.ExpectedAt), SettledAt: optional(t.SettledAt), ResultsCount: t.ResultsCount,
		PartsFailed: t.PartsFailed, PartsSkipped: t.PartsSkipped, PartsOpen: t.PartsOpen, ListedOpen: string(t.Listing),
	}
}

// remark says what the state alone does not.
func (d *taskDocument) remark() string {
	switch {
	case d.ListedOpen != "":
		return "listed as open: " + d.ListedOpen
	case d.PartsFailed+d.PartsSkipped+d.PartsOpen > 0:
		return fmt.Sprintf("passed on: %d failed, %d skipped, %d open", d.PartsFailed, d.PartsSkipped, d.PartsOpen)
	case !d.Settled && d.ExpectedAt != nil:
		return "expected by " + d.ExpectedAt.Format(time.DateOnly)
	}
	return ""
}

func (a *app) printTasks(request dsar.RequestID, tasks []opendsr.Task) error {
	document := struct {
		Request    string         `json:"request"`
		Settled    bool           `json:"settled"`
		Processors []taskDocument `json:"processors"`
	}{request.String(), opendsr.AllSettled(tasks), []taskDocument{}}
	for i := range tasks {
		document.Processors = append(document.Processors, newTaskDocument(&tasks[i]))
	}
	return a.screen.print(document, func(w io.Writer) {
		if len(tasks) == 0 {
			_, _ = fmt.Fprintln(w, "no processor was told of this request")
			return
		}
		t := table{header: []string{"processor", "state", ""}}
		for _, d := range document.Processors {
			t.add(d.Processor, d.State, d.remark())
		}
		t.writeTo(w, "")
	})
}

func (a *app) processorStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status REQUEST", Short: "Show how a request stands at each processor", Args: cobra.ExactArgs(1),
		Long: `Show how a request stands at each processor. Acknowledged is who says that all was
done; incomplete is who says so although a part failed or was skipped, which is not an
erasure. A request is settled when each has acknowledged or is listed as open.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseRequest(args[0])
			if err != nil {
				return err
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			if _, err := house.Requests.Find(cmd.Context(), id); err != nil {
				return ofRequest(err)
			}
			tasks, err := house.OpenDSR.Processors.Tasks(cmd.Context(), id)
			if err != nil {
				return err
			}
			return a.printTasks(id, tasks)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) processorTell() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tell REQUEST", Short: "Pass a request for access or portability on to all processors", Args: cobra.ExactArgs(1),
		Long: `Pass a request for access or portability on to all processors that were not told of
it. Erasures are told by themselves, when the key is destroyed.`,
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
		request, err := house.Requests.Find(cmd.Context(), id)
		if err != nil {
			return ofRequest(err)
		}
		switch {
		case request.Kind != dsar.Access && request.Kind != dsar.Portability:
			return usagef("only access and portability are passed on by hand; this request is for %s", request.Kind)
		case request.DataSubject.IsZero():
			return fmt.Errorf("nobody is known by this request: %w", privacy.ErrNotFound)
		case request.VerifiedAt.IsZero() || request.State.Closed():
			return fmt.Errorf("a request is passed on once the person has proved who they are, and before it is closed: %w", privacy.ErrConflict)
		}
		event := audit.Event{Kind: audit.ProcessorNotified, Outcome: audit.Done, Principal: by, List: dsar.StepDigest(id, request.Version, dsar.ActionNotify, audit.Digest{})}
		told, _, err := house.OpenDSR.Teller.Tell(cmd.Context(), id, request.DataSubject, event)
		if errors.Is(err, privacy.ErrConflict) && told == 0 {
			return fmt.Errorf("every processor was told already, or there is none: %w", privacy.ErrConflict)
		}
		if err != nil {
			return err
		}
		tasks, err := house.OpenDSR.Processors.Tasks(cmd.Context(), id)
		if err != nil {
			return err
		}
		return a.printTasks(id, tasks)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) processorLeaveOpen() *cobra.Command {
	var processor, reason string
	cmd := &cobra.Command{
		Use: "leave-open REQUEST --processor NAME --reason REASON", Short: "Wait for a processor no longer, and say so in the evidence", Args: cobra.ExactArgs(1),
		Long: `Wait for a processor no longer. The certificate of the erasure lists it as open, with
what it said: it never counts as erased. Reasons: no_answer, cannot_erase,
contract_ended, handled_by_letter.`,
	}
	acting := a.actingAs(cmd)
	cmd.Flags().StringVar(&processor, "processor", "", "which processor (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "why (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseRequest(args[0])
		if err != nil {
			return err
		}
		if err := needs(cmd, "processor", "reason"); err != nil {
			return err
		}
		if !slices.Contains(opendsr.Listings(), opendsr.Listing(reason)) {
			return usagef("--reason must be one of %v", opendsr.Listings())
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		request, err := house.Requests.Find(cmd.Context(), id)
		if err != nil {
			return ofRequest(err)
		}
		event := audit.Event{Kind: audit.RequestNoted, Outcome: audit.Done, Principal: by, List: dsar.StepDigest(id, request.Version, dsar.ActionNote, audit.Digest{})}
		_, err = house.OpenDSR.Processors.ListOpen(cmd.Context(), id, processor, house.Keys.ActorTag(by), opendsr.Listing(reason), event)
		switch {
		case errors.Is(err, privacy.ErrNotFound):
			return fmt.Errorf("this processor was not told of the request: %w", privacy.ErrNotFound)
		case errors.Is(err, privacy.ErrConflict):
			return fmt.Errorf("the processor has acknowledged, or is listed already: %w", privacy.ErrConflict)
		case err != nil:
			return err
		}
		tasks, err := house.OpenDSR.Processors.Tasks(cmd.Context(), id)
		if err != nil {
			return err
		}
		return a.printTasks(id, tasks)
	}
	a.jsonFlag(cmd)
	return cmd
}
