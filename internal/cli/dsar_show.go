package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// stepDocument is one step of a request.
type stepDocument struct {
	Step      int64     `json:"step"`
	Action    string    `json:"action"`
	From      string    `json:"from_state,omitempty"`
	To        string    `json:"to_state"`
	At        time.Time `json:"at"`
	By        string    `json:"by_actor"`
	Ground    string    `json:"ground,omitempty"`
	Extension string    `json:"extension_reason,omitempty"`
	Proof     string    `json:"proof,omitempty"`
	Evidence  string    `json:"evidence,omitempty"`
	Note      string    `json:"note,omitempty"`
}

type identifierDocument struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type shownDocument struct {
	requestDocument
	Contact     string               `json:"contact,omitempty"`
	Text        string               `json:"text,omitempty"`
	Identifiers []identifierDocument `json:"identifiers,omitempty"`
	Duplicates  []string             `json:"duplicates,omitempty"`
	Steps       []stepDocument       `json:"steps"`
}

func (a *app) dsarShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show REQUEST", Short: "Show a request with its steps and what the person wrote", Args: cobra.ExactArgs(1),
		Long: `Show a request: by when it must be answered, each step that it took, and what the
person wrote. That it was shown is in the log first. With an auditor's token what
anybody wrote is left out.`,
	}
	acting := a.actingAs(cmd, privacy.RoleAuditor)
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
		shown, err := house.Requests.Show(cmd.Context(), by, id)
		if err != nil {
			return ofRequest(err)
		}
		document := newShownDocument(&shown)
		return a.screen.print(document, func(w io.Writer) { writeShown(w, &document) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func newShownDocument(shown *dsar.Shown) shownDocument {
	d := shownDocument{
		requestDocument: newRequestDocument(&shown.Request, shown.At),
		Contact:         shown.Contents.Contact.RevealPersonalData(), Text: shown.Contents.Text.RevealPersonalData(),
	}
	if shown.Opened {
		d.Log = pointTo(shown.Receipt)
	}
	for _, i := range shown.Contents.Identifiers {
		d.Identifiers = append(d.Identifiers, identifierDocument{string(i.Kind), i.Value.RevealPersonalData()})
	}
	for _, id := range shown.Duplicates {
		d.Duplicates = append(d.Duplicates, id.String())
	}
	for i := range shown.Steps {
		s := &shown.Steps[i]
		d.Steps = append(d.Steps, stepDocument{
			s.Number, string(s.Action), string(s.From), string(s.To), s.At, fmt.Sprintf("%x", s.By[:]),
			s.Detail.Ground, s.Detail.Extension, s.Detail.Proof, s.Detail.Evidence, s.Detail.Note.RevealPersonalData(),
		})
	}
	return d
}

func writeShown(w io.Writer, d *shownDocument) {
	t := d.rows()
	for _, i := range d.Identifiers {
		t.add("named by "+i.Kind, i.Value)
	}
	for _, id := range d.Duplicates {
		t.add("duplicate", id)
	}
	if d.Contact != "" {
		t.add("answer to", d.Contact)
	}
	if d.Text != "" {
		t.add("they wrote", d.Text)
	}
	t.writeTo(w, "")
	_, _ = fmt.Fprintln(w)
	steps := table{header: []string{"step", "at", "action", "state", "detail"}}
	for _, s := range d.Steps {
		detail := ""
		for _, word := range []string{s.Ground, s.Extension, s.Proof, s.Evidence, s.Note} {
			if word != "" && detail != "" {
				detail += "\n"
			}
			detail += word
		}
		steps.add(fmt.Sprint(s.Step), s.At.Format(time.RFC3339), s.Action, s.To, detail)
	}
	steps.writeTo(w, "")
}
