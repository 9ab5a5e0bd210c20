package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarCommand() *cobra.Command {
	return group("dsar", "Answer data subjects who exercise their rights",
		a.dsarOpen(),
		a.dsarList(),
		a.dsarShow(),
		a.dsarVerify(),
		a.dsarDeliveries(),
		a.dsarStart(),
		a.dsarPause(),
		a.dsarResume(),
		a.dsarExtend(),
		a.dsarDeny(),
		a.dsarWithdraw(),
		a.dsarRectify(),
		a.dsarRestrict(),
		a.dsarObject(),
		a.dsarReview(),
		a.dsarFulfil(),
		a.dsarNote(),
		a.dsarExport(),
		a.dsarOpenExport(),
		a.dsarPlan(),
		a.dsarApprove(),
		a.dsarErase(),
		a.dsarReadmit(),
		a.dsarDeadline(),
		a.dsarLetter(),
	)
}

// requestDocument is one request as it is printed.
type requestDocument struct {
	Request       string      `json:"request"`
	Kind          string      `json:"kind"`
	State         string      `json:"state"`
	Person        string      `json:"person"` // known, unknown or erased; never who
	Regime        string      `json:"regime"`
	Jurisdiction  string      `json:"jurisdiction"`
	Language      string      `json:"language"`
	Via           string      `json:"received_via"`
	ReceivedAt    time.Time   `json:"received_at"`
	AcknowledgeBy *time.Time  `json:"acknowledge_by,omitempty"`
	DueAt         *time.Time  `json:"due_at,omitempty"`
	DaysLeft      *int        `json:"days_left,omitempty"`
	Waiting       string      `json:"waiting_for,omitempty"`
	ExtendedAt    *time.Time  `json:"extended_at,omitempty"`
	VerifiedAt    *time.Time  `json:"verified_at,omitempty"`
	ErasedAt      *time.Time  `json:"erased_at,omitempty"`
	ClosedAt      *time.Time  `json:"closed_at,omitempty"`
	Denial        string      `json:"denial_reason,omitempty"`
	Article       string      `json:"denial_article,omitempty"`
	Complaint     string      `json:"complaint,omitempty"` // its number
	Category      string      `json:"category,omitempty"`
	Outcome       string      `json:"outcome,omitempty"`
	DuplicateOf   string      `json:"duplicate_of,omitempty"`
	Version       int64       `json:"version"`
	Log           *logPointer `json:"log,omitempty"`
}

func newRequestDocument(r *dsar.Request, at time.Time) requestDocument {
	d := requestDocument{
		Request: r.ID.String(), Kind: string(r.Kind), State: string(r.State), Person: "unknown", Regime: r.Regime,
		Jurisdiction: string(r.Jurisdiction), Language: r.Language, Via: string(r.Via), ReceivedAt: r.ReceivedAt,
		AcknowledgeBy: optional(r.AcknowledgeBy), DueAt: optional(r.DueAt), ExtendedAt: optional(r.ExtendedAt),
		VerifiedAt: optional(r.VerifiedAt), ErasedAt: optional(r.ErasedAt), ClosedAt: optional(r.ClosedAt),
		Denial: string(r.Denial), Version: r.Version,
		Complaint: r.Number.String(), Category: string(r.Category), Outcome: string(r.Outcome),
	}
	switch {
	case !r.ErasedAt.IsZero():
		d.Person = "erased"
	case !r.DataSubject.IsZero():
		d.Person = "known"
	}
	if days, due := r.DaysLeft(at); due {
		d.DaysLeft = &days
	}
	for _, pause := range r.Pauses {
		if pause.Until.IsZero() {
			d.Waiting = string(pause.Ground)
		}
	}
	if article, ok := r.Denial.Article(r.Regime, r.Kind); ok {
		d.Article = article
	}
	if r.DuplicateOf != (dsar.RequestID{}) {
		d.DuplicateOf = r.DuplicateOf.String()
	}
	return d
}

func pointTo(receipt audit.Receipt) *logPointer {
	leaf := receipt.LeafHash()
	return &logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}
}

// left says how much time there is, in words.
func left(days *int) string {
	switch {
	case days == nil:
		return ""
	case *days == -1:
		return "1 day late"
	case *days < 0:
		return fmt.Sprintf("%d days late", -*days)
	case *days == 0:
		return "today"
	case *days == 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", *days)
}

func (d *requestDocument) rows() table {
	t := table{}
	for _, row := range []struct{ name, value string }{
		{"request", d.Request},
		{"complaint", d.Complaint},
		{"kind", d.Kind},
		{"category", d.Category},
		{"state", d.State},
		{"person", d.Person},
		{"law", d.Regime},
		{"received", d.ReceivedAt.Format(time.RFC3339) + " by " + d.Via},
		{"acknowledge by", instantOf(d.AcknowledgeBy)},
		{"due", instantOf(d.DueAt)},
		{"left", left(d.DaysLeft)},
		{"waiting for", d.Waiting},
		{"extended", instantOf(d.ExtendedAt)},
		{"identity proved", instantOf(d.VerifiedAt)},
		{"erased", instantOf(d.ErasedAt)},
		{"closed", instantOf(d.ClosedAt)},
		{"outcome", d.Outcome},
		{"denied because", d.Denial},
		{"article", d.Article},
		{"duplicate of", d.DuplicateOf},
	} {
		if row.value != "" {
			t.add(row.name, row.value)
		}
	}
	if d.Log != nil {
		t.add("log entry", fmt.Sprint(d.Log.Index))
	}
	return t
}

func instantOf(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// stepCommand makes cmd one that takes a step of the request that it names: do takes it.
func (a *app) stepCommand(cmd *cobra.Command, do func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error)) *cobra.Command {
	return a.requestCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error {
		r, receipt, err := do(ctx, house, by, id)
		if err != nil {
			return ofRequest(err)
		}
		return a.printRequest(&r, receipt)
	})
}

// requestCommand makes cmd one that does something with the request that it names, as an
// officer.
func (a *app) requestCommand(cmd *cobra.Command, do func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error) *cobra.Command {
	acting := a.actingAs(cmd)
	cmd.Args = cobra.ExactArgs(1)
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
		return do(cmd.Context(), house, by, id)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printRequest(r *dsar.Request, receipt audit.Receipt) error {
	document := newRequestDocument(r, time.Now())
	document.Log = pointTo(receipt)
	return a.screen.print(document, func(w io.Writer) {
		t := document.rows()
		t.writeTo(w, "")
	})
}

func parseRequest(text string) (dsar.RequestID, error) {
	id, err := dsar.ParseRequestID(text)
	if err != nil {
		return id, usagef("a request is named by its id, 36 characters in lower case, as mahrem dsar list prints it")
	}
	return id, nil
}

// ofRequest says what an error about one request means to the person at the terminal.
func ofRequest(err error) error {
	if refusal, ok := errors.AsType[*dsar.Refusal](err); ok {
		return refusal
	}
	if errors.Is(err, privacy.ErrNotFound) {
		return fmt.Errorf("there is no such request: %w", privacy.ErrNotFound)
	}
	return err
}
