package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// consentAt shows the state at a moment: by what is known now, or by what was known then.
func (a *app) consentAt() *cobra.Command {
	cmd := &cobra.Command{
		Use: "at --time TIME", Short: "Show what a person's consents amounted to at a moment", Args: cobra.NoArgs,
		Long: "Shows what a person's consents amounted to at a moment, computed from the ledger. What was recorded\n" +
			"late counts from when it was said; --known-at leaves out what the ledger had not learned by then, which\n" +
			"is what decisions of that time went by.",
	}
	var at, known string
	cmd.Flags().StringVar(&at, "time", "", "the moment, RFC 3339")
	cmd.Flags().StringVar(&known, "known-at", "", "leave out what was recorded after this moment, RFC 3339")
	a.consentMoment(cmd, func() (consent.Moment, error) {
		if at == "" {
			return consent.Moment{}, usagef("--time must be given; mahrem consent show tells what holds now")
		}
		return momentFlags(at, known)
	}, func(w io.Writer, s consent.Statement) {
		if len(s.Standings) == 0 {
			_, _ = fmt.Fprintln(w, "never asked: there was no record, so every purpose that needs consent was closed")
			return
		}
		t := table{header: []string{"purpose", "channel", "state", "since", "until"}}
		for _, line := range s.Standings {
			t.add(string(line.Purpose), string(line.Channel), string(line.Current.State), day(line.Current.Since), day(line.Current.Until))
		}
		t.writeTo(w, "")
	})
	return cmd
}

// consentHistory shows every record, with when it was said and when the ledger learned of it.
func (a *app) consentHistory() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "Show everything a person ever said, and when we learned of it", Args: cobra.NoArgs}
	var known string
	cmd.Flags().StringVar(&known, "known-at", "", "leave out what was recorded after this moment, RFC 3339")
	a.consentMoment(cmd, func() (consent.Moment, error) { return momentFlags("", known) }, func(w io.Writer, s consent.Statement) {
		t := table{header: []string{"said at", "recorded at", "purpose", "channel", "action", "by", "law", "language", "notice", "source", "evidence"}}
		for _, r := range s.Records {
			by := string(r.Actor)
			if r.GuardianVerified {
				by += ", verified"
			}
			t.add(r.EffectiveAt.UTC().Format(time.DateTime), r.RecordedAt.UTC().Format(time.DateTime), string(r.Purpose), string(r.Channel),
				string(r.Action), by, string(r.Jurisdiction), r.Language, r.NoticeVersion, r.Source, r.EvidenceRef)
		}
		t.writeTo(w, "")
	})
	return cmd
}

func momentFlags(at, known string) (m consent.Moment, err error) {
	if m.At, err = timeFlag("--time", at); err != nil {
		return m, err
	}
	m.Known, err = timeFlag("--known-at", known)
	return m, err
}

func (a *app) consentMoment(cmd *cobra.Command, moment func() (consent.Moment, error), write func(io.Writer, consent.Statement)) {
	var wanted consent.Moment
	a.aboutPerson(cmd, func(ctx context.Context, house *assembly.House, id privacy.DataSubjectID) error {
		statement, err := house.Consent.ShowAt(ctx, id, wanted)
		if err != nil {
			return err
		}
		if err := house.LogShown(ctx, operator(), id); err != nil {
			return err
		}
		return a.screen.print(consentDocument(statement), func(w io.Writer) { write(w, statement) })
	})
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if wanted, err = moment(); err != nil {
			return err
		}
		return run(cmd, args)
	}
	a.jsonFlag(cmd)
}
