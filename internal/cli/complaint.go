package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) complaintCommand() *cobra.Command {
	return group("complaint", "Take complaints about how personal data are treated, and answer them",
		a.complaintFile(), a.complaintList(), a.complaintShow(), a.complaintClose())
}

// complaintDocument is a complaint with the letter about it.
type complaintDocument struct {
	requestDocument
	CategoryTitle string `json:"category_title"`
	Letter        string `json:"letter,omitempty"`
}

// signature is in whose name a letter is written; without it there is none.
type signature struct{ controller, contact string }

func (a *app) signatureFlags(cmd *cobra.Command) *signature {
	s := &signature{}
	cmd.Flags().StringVar(&s.controller, "controller", "", "who writes the letter, on one line; without it none is written")
	cmd.Flags().StringVar(&s.contact, "controller-contact", "", "how they are reached, on one to six lines")
	return s
}

func (s *signature) check() error {
	if (s.controller == "") != (s.contact == "") {
		return usagef("a letter needs --controller and --controller-contact: who writes, and how they are reached")
	}
	return nil
}

// write writes the letter, or nothing if nobody signs it.
func (s *signature) write(kind letter.Kind, r *dsar.Request, steps []dsar.ShownStep, further string) (string, error) {
	if s.controller == "" {
		return "", nil
	}
	l, err := letter.Of(kind, r, steps)
	if err != nil {
		return "", err
	}
	l.Controller, l.Contact, l.Today, l.Further = s.controller, s.contact, time.Now(), further
	return l.Render()
}

func (a *app) printComplaint(r *dsar.Request, receipt audit.Receipt, text string) error {
	document := complaintDocument{newRequestDocument(r, time.Now()), letter.CategoryTitle(r.Language, r.Category), text}
	document.Log = pointTo(receipt)
	return a.screen.print(document, func(w io.Writer) {
		t := document.rows()
		t.writeTo(w, "")
		if text != "" {
			_, _ = fmt.Fprintf(w, "\n%s", text)
		}
	})
}

func (a *app) complaintFile() *cobra.Command {
	var category string
	cmd := &cobra.Command{
		Use: "file --category CATEGORY --jurisdiction PLACE", Short: "File a complaint, which gets a number and an acknowledgement", Args: cobra.NoArgs,
		Long: `File a complaint about how personal data are treated. It gets a number that people can
quote, is a request in the queue of mahrem dsar list, and needs no proof of anything. With
--controller the letter is printed that acknowledges it, with the number, by when there will
be an answer, and where else to complain. In the United Kingdom it must be acknowledged
within 30 days (Data Protection Act 2018 s. 164A).

The categories are ` + strings.Join(texts(dsar.Categories()), ", ") + `.`,
		Example: `  mahrem complaint file --category unwanted_marketing --jurisdiction UK --email - \
    --controller 'Shop Ltd' --controller-contact privacy@shop.example`,
	}
	person := a.whoFlags(cmd)
	acting := a.actingAs(cmd)
	said := a.openingFlags(cmd)
	sign := a.signatureFlags(cmd)
	cmd.Flags().StringVar(&category, "category", "", "what it is about")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !dsar.Category(category).IsKnown() {
			return usagef("--category must be one of %s", strings.Join(texts(dsar.Categories()), ", "))
		}
		if err := sign.check(); err != nil {
			return err
		}
		opening, err := a.opening(said)
		if err != nil {
			return err
		}
		opening.Kind, opening.Category = dsar.Complaint, dsar.Category(category)
		if opening.Identifiers, err = person.identifiers(a.stdin); err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		opened, err := house.Requests.Open(cmd.Context(), by, opening)
		if err != nil {
			return ofRequest(err)
		}
		text, err := sign.write(letter.Acknowledge, &opened.Request, nil, "")
		if err != nil {
			return fmt.Errorf("complaint %s is filed, but the letter could not be written: %w", opened.Number, err)
		}
		return a.printComplaint(&opened.Request, opened.Receipt, text)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) complaintList() *cobra.Command {
	var category string
	var limit int
	var all, overdue bool
	cmd := &cobra.Command{
		Use: "list", Short: "List complaints, what is due first before the others", Args: cobra.NoArgs,
		Long: `List open complaints: what is due first comes first. The list names nobody. With --all those
that are answered are listed too, the newest first, each with its outcome.`,
	}
	acting := a.actingAs(cmd, privacy.RoleAuditor)
	flags := cmd.Flags()
	flags.StringVar(&category, "category", "", "only about this")
	flags.BoolVar(&overdue, "overdue", false, "only those whose period has passed")
	flags.BoolVar(&all, "all", false, "also those that are answered, the newest first")
	flags.IntVar(&limit, "limit", 50, fmt.Sprintf("how many, at most %d", dsar.MaxListed))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if category != "" && !dsar.Category(category).IsKnown() {
			return usagef("--category must be one of %s", strings.Join(texts(dsar.Categories()), ", "))
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		filter := dsar.Filter{Kind: dsar.Complaint, Category: dsar.Category(category), All: all}
		if overdue {
			filter.Overdue = time.Now()
		}
		page, err := house.Requests.Queue(cmd.Context(), by, filter, limit)
		if err != nil {
			return err
		}
		document := struct {
			Complaints []requestDocument `json:"complaints"`
			More       bool              `json:"more"`
		}{[]requestDocument{}, page.More}
		t := table{header: []string{"complaint", "category", "state", "outcome", "law", "due", "left", "confirm by"}}
		for i := range page.Requests {
			d := newRequestDocument(&page.Requests[i], page.At)
			document.Complaints = append(document.Complaints, d)
			t.add(d.Complaint, d.Category, d.State, d.Outcome, d.Regime, day(page.Requests[i].DueAt), left(d.DaysLeft), confirmBy(&page.Requests[i]))
		}
		return a.screen.print(document, func(w io.Writer) {
			if len(page.Requests) == 0 {
				_, _ = fmt.Fprintln(w, "no complaints")
				return
			}
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// ofComplaint makes cmd one that does something with the complaint that it names.
func (a *app) ofComplaint(cmd *cobra.Command, do func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error, also ...privacy.Role) *cobra.Command {
	acting := a.actingAs(cmd, also...)
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		number, err := dsar.ParseComplaintNumber(args[0])
		if err != nil {
			return usagef("a complaint is named by its number, such as 2026-000123, as mahrem complaint list prints it")
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		id, err := house.Requests.FindComplaint(cmd.Context(), by, number)
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("there is no such complaint: %w", privacy.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return do(cmd.Context(), house, by, id)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) complaintShow() *cobra.Command {
	return a.ofComplaint(&cobra.Command{
		Use: "show NUMBER", Short: "Show a complaint with its steps and what the person wrote",
		Long: `Show a complaint: by when it must be answered, each step that it took, and what the person
wrote. That it was shown is in the log first. With an auditor's token what anybody wrote is
left out.`,
	}, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error {
		shown, err := house.Requests.Show(ctx, by, id)
		if err != nil {
			return ofRequest(err)
		}
		document := newShownDocument(&shown)
		return a.screen.print(document, func(w io.Writer) { writeShown(w, &document) })
	}, privacy.RoleAuditor)
}

func (a *app) complaintClose() *cobra.Command {
	var outcome, textFile string
	cmd := &cobra.Command{
		Use: "close NUMBER --outcome OUTCOME --text-file FILE", Short: "Answer a complaint: what came of it",
		Long: `Close a complaint with its outcome, upheld, partly_upheld or not_upheld, and what the
complainant is told, which is kept sealed with the step and digested as evidence. With
--controller the letter with it is printed.`,
		Example: `  mahrem complaint close 2026-000123 --outcome upheld --text-file answer.txt`,
	}
	sign := a.signatureFlags(cmd)
	cmd.Flags().StringVar(&outcome, "outcome", "", "what came of it: "+strings.Join(texts(dsar.ComplaintOutcomes()), ", "))
	cmd.Flags().StringVar(&textFile, "text-file", "-", "file with what the complainant is told; - reads it from stdin")
	return a.ofComplaint(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error {
		if !dsar.ComplaintOutcome(outcome).IsKnown() {
			return usagef("--outcome must be one of %s", strings.Join(texts(dsar.ComplaintOutcomes()), ", "))
		}
		if err := sign.check(); err != nil {
			return err
		}
		text, err := a.readSmall(textFile, 8000)
		if err != nil {
			return err
		}
		r, err := house.Requests.Find(ctx, id)
		if err != nil {
			return ofRequest(err)
		}
		if r.State == dsar.Received || r.State == dsar.IdentityPending {
			if _, _, err := house.Requests.Start(ctx, by, id); err != nil {
				return ofRequest(err)
			}
		}
		answered, receipt, err := house.Requests.Answer(ctx, by, id, dsar.ComplaintOutcome(outcome), privacy.NewPlain(string(text)))
		if err != nil {
			return ofRequest(err)
		}
		written, err := sign.write(letter.Fulfil, &answered, nil, strings.TrimSpace(string(text)))
		if err != nil {
			return fmt.Errorf("complaint %s is closed, but the letter could not be written: %w", answered.Number, err)
		}
		return a.printComplaint(&answered, receipt, written)
	})
}
