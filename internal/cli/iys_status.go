package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

type iysExchange struct {
	Name      string    `json:"name"`
	Rows      int64     `json:"rows"`
	Recorded  int64     `json:"recorded"`
	Known     int64     `json:"known"`
	HeldBack  int64     `json:"held_back"`
	Nobody    int64     `json:"nobody"`
	Rejected  int64     `json:"rejected"`
	Done      bool      `json:"done"`
	UpdatedAt time.Time `json:"updated_at"`
}

type iysSent struct {
	Outcome string    `json:"outcome"`
	Code    string    `json:"code,omitempty"`
	Count   int64     `json:"count"`
	Oldest  time.Time `json:"oldest"`
}

func (a *app) iysStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show how far the exchange with the registry is", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			room, err := house.IYSRoom()
			if err != nil {
				return err
			}
			exchanges, tally, err := room.Store.Overview(cmd.Context(), room.Brand)
			if err != nil {
				return err
			}
			document := struct {
				Brand     int64         `json:"brand"`
				Exchanges []iysExchange `json:"exchanges"`
				Sent      []iysSent     `json:"sent"`
			}{room.Brand, []iysExchange{}, []iysSent{}}
			for i := range exchanges {
				e := &exchanges[i]
				document.Exchanges = append(document.Exchanges, iysExchange{
					e.Name, e.Read, e.Recorded, e.Known, e.HeldBack, e.Nobody, e.Rejected, e.Done, e.UpdatedAt.UTC(),
				})
			}
			for _, s := range tally {
				document.Sent = append(document.Sent, iysSent{s.Outcome, s.Code, s.Count, s.Oldest.UTC()})
			}
			return a.screen.print(document, func(w io.Writer) { writeIYSStatus(w, document.Exchanges, document.Sent) })
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeIYSStatus(w io.Writer, exchanges []iysExchange, sent []iysSent) {
	if len(exchanges) == 0 {
		_, _ = fmt.Fprintln(w, "nothing was exchanged yet")
		return
	}
	t := table{header: []string{"exchange", "last", "rows", "recorded", "known", "held back", "nobody", "rejected"}}
	for _, e := range exchanges {
		t.add(e.Name, e.UpdatedAt.Format(time.DateTime), fmt.Sprint(e.Rows), fmt.Sprint(e.Recorded), fmt.Sprint(e.Known),
			fmt.Sprint(e.HeldBack), fmt.Sprint(e.Nobody), fmt.Sprint(e.Rejected))
	}
	t.writeTo(w, "")
	if len(sent) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	t = table{header: []string{"sent", "code", "consents", "oldest"}}
	for _, s := range sent {
		t.add(s.Outcome, s.Code, fmt.Sprint(s.Count), s.Oldest.Format(time.DateTime))
	}
	t.writeTo(w, "")
}
