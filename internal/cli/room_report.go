package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
)

type toldDocument struct {
	Run      cleanroom.RunID   `json:"run"`
	Room     cleanroom.RoomID  `json:"room"`
	Consumer cleanroom.PartyID `json:"consumer"`
	State    string            `json:"state"`
	Audience bool              `json:"audience,omitempty"`
	Cost     cleanroom.Rho     `json:"cost_nanorho"`
	Datasets []string          `json:"datasets"`
	Question string            `json:"question"`
	Answer   string            `json:"answer,omitempty"`
	At       time.Time         `json:"at"`
}

type accountDocument struct {
	Dataset     string            `json:"dataset"`
	Cap         cleanroom.Rho     `json:"cap_nanorho"`
	Spent       cleanroom.Rho     `json:"spent_nanorho"`
	Consumer    cleanroom.PartyID `json:"consumer,omitempty"`
	ConsumerCap cleanroom.Rho     `json:"consumer_cap_nanorho"`
	Consumed    cleanroom.Rho     `json:"consumer_spent_nanorho"`
	Left        cleanroom.Rho     `json:"left_nanorho"`
}

// personaToldDocument is a definition of personas that was charged for.
type personaToldDocument struct {
	Personas string        `json:"personas"`
	Version  int           `json:"version"`
	Cost     cleanroom.Rho `json:"cost_nanorho"`
	Answer   string        `json:"answer,omitempty"` // not before it was described
	At       time.Time     `json:"at"`
}

type personaBudgetDocument struct {
	Cap   cleanroom.Rho         `json:"cap_nanorho"`
	Spent cleanroom.Rho         `json:"spent_nanorho"`
	Told  []personaToldDocument `json:"told"`
}

func newPersonaBudget(account *cleanroom.PersonaAccount) personaBudgetDocument {
	document := personaBudgetDocument{Cap: account.Cap, Spent: account.Spent, Told: []personaToldDocument{}}
	for i := range account.Described {
		described := &account.Described[i]
		d := personaToldDocument{Personas: described.Name, Version: described.Version, Cost: described.Cost, At: described.At}
		if described.Answer != [32]byte{} {
			d.Answer = hex.EncodeToString(described.Answer[:])
		}
		document.Told = append(document.Told, d)
	}
	return document
}

func (d *personaBudgetDocument) writeTo(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\npersonas: %s of %s spent\n", rhoText(d.Spent), rhoText(d.Cap))
	if len(d.Told) == 0 {
		return
	}
	t := table{header: []string{"personas", "version", "privacy loss", "answer", "when"}}
	for _, told := range d.Told {
		t.add(told.Personas, fmt.Sprint(told.Version), rhoText(told.Cost), told.Answer[:min(16, len(told.Answer))], told.At.Format(time.DateOnly))
	}
	t.writeTo(w, "")
}

type roomReportDocument struct {
	Told    []toldDocument    `json:"told"`
	Budgets []accountDocument `json:"budgets"`
	// Personas of the house are in no room, and have a budget of their own.
	Personas personaBudgetDocument `json:"personas"`
	Entries  uint64                `json:"log_entries"`
	Begin    uint64                `json:"log_begin"`
	Compared bool                  `json:"compared"`
	Faults   []string              `json:"faults"`
}

func (a *app) roomReport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report [ROOM]", Short: "What rooms have told, at what privacy loss, to whom, and what is left", Args: cobra.MaximumNArgs(1),
		Long: `Report what a room, or all of them, have told: each question that was charged and each answer
that was handed out, to whom, at what privacy loss; and of each dataset what is left, in all
and for each consumer; and what was told of personas, which have a budget of their own. It
is for a data protection officer.

Every charge, every answer and whatever came into a room is compared with the log, and every
budget with its charges. If anything differs, the command says what, and fails. Ask nothing
of the rooms meanwhile.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		var room cleanroom.RoomID
		if len(args) > 0 {
			room = cleanroom.RoomID(args[0])
		}
		progress := newBar(a.screen.err, "comparing", "entries", -1)
		report, err := house.ReportRooms(cmd.Context(), by, room, func(done, total uint64) { progress.set(int64(done), int64(total)) })
		progress.finish()
		if err != nil {
			return err
		}
		document := roomReportDocument{
			Told: []toldDocument{}, Budgets: []accountDocument{}, Entries: report.Entries, Begin: report.Begin,
			Personas: newPersonaBudget(report.Personas), Compared: report.Begin == 0, Faults: append([]string{}, report.Faults...),
		}
		told := table{header: []string{"run", "room", "to", "state", "privacy loss", "datasets", "answer", "when"}}
		for i := range report.Told {
			t := &report.Told[i]
			d := toldDocument{
				Run: t.Run, Room: t.Room, Consumer: t.Consumer, State: t.State, Audience: t.Activation, Cost: t.Cost, Datasets: []string{},
				Question: hex.EncodeToString(t.Question[:]), At: t.At,
			}
			for _, ref := range t.Datasets {
				d.Datasets = append(d.Datasets, ref.String())
			}
			short := ""
			if t.Answer != t.Question && t.Answer != [32]byte{} {
				d.Answer = hex.EncodeToString(t.Answer[:])
				short = d.Answer[:16]
			}
			document.Told = append(document.Told, d)
			told.add(fmt.Sprint(d.Run), string(d.Room), string(d.Consumer), d.State, rhoText(d.Cost), strings.Join(d.Datasets, "\n"), short, d.At.Format(time.DateOnly))
		}
		budgets := table{header: []string{"dataset", "budget", "spent", "consumer", "of its", "has spent", "left"}}
		for _, account := range report.Accounts {
			d := accountDocument{
				Dataset: account.Dataset.String(), Cap: account.Cap, Spent: account.Spent, Consumer: account.Consumer,
				ConsumerCap: account.ConsumerCap, Consumed: account.Consumed, Left: account.Rho(),
			}
			document.Budgets = append(document.Budgets, d)
			budgets.add(d.Dataset, rhoText(d.Cap), rhoText(d.Spent), string(d.Consumer), rhoText(d.ConsumerCap), rhoText(d.Consumed), rhoText(d.Left))
		}
		if err := a.screen.print(document, func(w io.Writer) {
			if len(document.Told) == 0 {
				_, _ = fmt.Fprintln(w, "nothing was told")
			} else {
				told.writeTo(w, "")
			}
			_, _ = fmt.Fprintln(w)
			budgets.writeTo(w, "")
			document.Personas.writeTo(w)
			_, _ = fmt.Fprintln(w)
			switch {
			case !document.Compared:
				_, _ = fmt.Fprintf(w, "not compared: the log begins with entry %d, older ones are archived\n", document.Begin)
			case len(document.Faults) == 0:
				_, _ = fmt.Fprintf(w, "charges, answers and budgets agree with the log (%d entries)\n", document.Entries)
			}
			for _, fault := range document.Faults {
				_, _ = fmt.Fprintln(w, "DIFFERS  "+fault)
			}
		}); err != nil {
			return err
		}
		if len(document.Faults) > 0 {
			return fmt.Errorf("the ledger of rooms and the log differ in %d places", len(document.Faults))
		}
		return nil
	}
	a.jsonFlag(cmd)
	return cmd
}
