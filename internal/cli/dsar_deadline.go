package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar/clock"
)

func (a *app) dsarDeadline() *cobra.Command {
	var f deadlineFlags
	var explain bool
	cmd := &cobra.Command{
		Use: "deadline", Short: "Say by when a request must be answered, and on which law", Args: cobra.NoArgs,
		Long: `Say by when a request must be answered under a law, from when it came and from what was
asked and answered since. --explain prints each step with the article or the guideline
behind it. What the law does not allow (an extension that comes late, or where there is
none; a pause where the clock runs on) is refused with the article.

A day is YYYY-MM-DD and one where the law is; a time is as in RFC 3339. It needs no
database and says nothing of requests that are recorded: those keep the day that was
computed when it was set, see mahrem dsar show.

Laws: ` + strings.Join(texts(clock.Regimes()), ", ") + `.`,
		Example: `  mahrem dsar deadline --regime gdpr_cz --received 2026-03-05 --explain
  mahrem dsar deadline --regime uk_england --received 2026-03-02 \
    --identity-asked 2026-03-03 --identity-proved 2026-03-20
  mahrem dsar deadline --regime ccpa --kind erasure --received 2026-03-02 \
    --extended 2026-04-16 --reason complexity`,
		RunE: func(*cobra.Command, []string) error {
			in, err := f.input()
			if err != nil {
				return err
			}
			deadline, err := clock.Compute(in)
			if err != nil {
				return err
			}
			law, err := clock.LawOf(in.Regime, in.Right, in.Received)
			if err != nil {
				return err
			}
			document := deadlineDocument{Law: law.Title("en"), Article: law.Article(), Deadline: deadline}
			return a.screen.print(document, func(w io.Writer) { writeDeadline(w, document, explain) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&explain, "explain", false, "print each step with its source; --json always has them")
	a.jsonFlag(cmd)
	return cmd
}

// deadlineFlags is what happened to a request, as it is typed.
type deadlineFlags struct {
	regime, kind, received     string
	asked, proved              string
	feeAsked, feePaid          string
	clarifyAsked, clarifyGiven string
	extended, reason           string
}

func (f *deadlineFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.regime, "regime", "", "the law: "+strings.Join(texts(clock.Regimes()), ", "))
	flags.StringVar(&f.kind, "kind", string(clock.Access), "what is asked for: "+strings.Join(texts(clock.Rights()), ", "))
	flags.StringVar(&f.received, "received", "", "when the request reached the controller")
	flags.StringVar(&f.asked, "identity-asked", "", "when the person was asked to prove who they are")
	flags.StringVar(&f.proved, "identity-proved", "", "when they did (default: not yet)")
	flags.StringVar(&f.feeAsked, "fee-asked", "", "when a fee was asked for")
	flags.StringVar(&f.feePaid, "fee-paid", "", "when it was paid (default: not yet)")
	flags.StringVar(&f.clarifyAsked, "clarification-asked", "", "when the person was asked which data they mean")
	flags.StringVar(&f.clarifyGiven, "clarification-given", "", "when they said so (default: not yet)")
	flags.StringVar(&f.extended, "extended", "", "when the person was told that it takes longer")
	flags.StringVar(&f.reason, "reason", "", "why it takes longer: "+string(clock.Complexity)+" or "+string(clock.NumberOfRequests))
}

// input reads the flags.
func (f *deadlineFlags) input() (clock.Input, error) {
	var in clock.Input
	var err error
	if in.Regime, err = clock.ParseRegime(f.regime); err != nil {
		return in, usagef("--regime must be one of %s", strings.Join(texts(clock.Regimes()), ", "))
	}
	if in.Right, err = clock.ParseRight(f.kind); err != nil {
		return in, usagef("--kind must be one of %s", strings.Join(texts(clock.Rights()), ", "))
	}
	// Where the law is does not depend on the day; any day of it tells.
	law, err := clock.LawOf(in.Regime, in.Right, time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		return in, err
	}
	if in.Received, err = moment("received", f.received, law.Place()); err != nil {
		return in, err
	}
	if in.Received.IsZero() {
		return in, usagef("a deadline needs --received")
	}
	for _, p := range []struct {
		ground                     clock.Ground
		askedFlag, asked           string
		answeredFlag, answeredText string
	}{
		{clock.Identity, "identity-asked", f.asked, "identity-proved", f.proved},
		{clock.Fee, "fee-asked", f.feeAsked, "fee-paid", f.feePaid},
		{clock.Clarification, "clarification-asked", f.clarifyAsked, "clarification-given", f.clarifyGiven},
	} {
		pause := clock.Pause{Ground: p.ground}
		if pause.From, err = moment(p.askedFlag, p.asked, law.Place()); err != nil {
			return in, err
		}
		if pause.Until, err = moment(p.answeredFlag, p.answeredText, law.Place()); err != nil {
			return in, err
		}
		switch {
		case !pause.From.IsZero():
			in.Pauses = append(in.Pauses, pause)
		case !pause.Until.IsZero():
			return in, usagef("--%s needs --%s", p.answeredFlag, p.askedFlag)
		}
	}
	told, err := moment("extended", f.extended, law.Place())
	switch {
	case err != nil:
		return in, err
	case !told.IsZero():
		in.Extension = &clock.Extension{Notified: told, Reason: clock.ExtensionReason(f.reason)}
	case f.reason != "":
		return in, usagef("--reason needs --extended")
	}
	return in, nil
}

// moment reads a time, or a day as its noon where the law is; nothing is no time.
func moment(flag, text string, place *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		if _, err := clock.ParseDate(t.Format(time.DateOnly)); err == nil {
			return t, nil
		}
	}
	day, err := clock.ParseDate(text)
	if err != nil {
		return time.Time{}, usagef("--%s must be a day (YYYY-MM-DD) or a time (RFC 3339)", flag)
	}
	return day.In(place, 12, 0, 0), nil
}

// deadlineDocument is a deadline as it is printed.
type deadlineDocument struct {
	Law     string `json:"law"`
	Article string `json:"article"`
	clock.Deadline
}

func writeDeadline(w io.Writer, d deadlineDocument, explain bool) {
	t := table{}
	t.add("law", d.Law)
	t.add("article", d.Article)
	t.add("received", dayText(d.Received))
	if !d.Started.IsZero() {
		t.add("clock started", dayText(d.Started))
	}
	if !d.AcknowledgeBy.IsZero() {
		t.add("confirm receipt by", momentText(d.AcknowledgeBy, d.AcknowledgeByAt))
	}
	switch {
	case d.Waiting != "" && d.Started.IsZero():
		t.add("due", "not yet: the clock starts with "+string(d.Waiting))
	case d.Waiting != "":
		t.add("due", fmt.Sprintf("the clock stands still for %s, with %d days left", d.Waiting, d.Remaining))
	default:
		t.add("due", momentText(d.Due, d.DueAt))
	}
	if !d.ExtendBy.IsZero() {
		t.add("extend by", momentText(d.ExtendBy, d.ExtendByAt))
	}
	if d.Extended {
		t.add("extended", "yes")
	}
	t.writeTo(w, "")
	if !explain {
		return
	}
	steps := table{}
	for _, step := range d.Steps {
		what := step.Text + "\n  " + step.Source
		if step.Note != "" {
			what += "\n  note: " + step.Note
		}
		steps.add(step.Name, dayText(step.Date), what)
	}
	_, _ = fmt.Fprintln(w)
	steps.writeTo(w, "")
}

func dayText(d clock.Date) string {
	if d.IsZero() {
		return ""
	}
	return d.Weekday().String()[:3] + " " + d.String()
}

func momentText(d clock.Date, at time.Time) string {
	return dayText(d) + " " + at.Format("15:04") + " (" + at.Location().String() + ")"
}
