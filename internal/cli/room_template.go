package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
)

type templateDocument struct {
	Room     cleanroom.RoomID    `json:"room"`
	Template string              `json:"template"`
	Digest   string              `json:"digest"`
	Signers  []cleanroom.PartyID `json:"signed_by"`
	Holes    []string            `json:"holes"`
	Query    *cleanroom.Query    `json:"query"`
	Log      *logPointer         `json:"log,omitempty"`
}

func newTemplateDocument(s *cleanroom.SignedTemplate) templateDocument {
	d := templateDocument{
		Room: s.Template.Query.Room, Template: s.Template.String(), Digest: hex.EncodeToString(s.Digest[:]), Signers: s.Signers,
		Holes: s.Template.Holes(), Query: &s.Template.Query,
	}
	if d.Holes == nil {
		d.Holes = []string{}
	}
	return d
}

func (a *app) roomTemplateSign() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use: "sign FILE --key FILE --out FILE", Short: "Sign a template, or put a second signature under one", Args: cobra.ExactArgs(1),
		Long: `Sign a template: a question with holes, which its signers agree to have asked with any values
that its columns have. FILE is the template, or one that another party has signed, which gets
this signature too. It binds when every owner of data in the room and whoever asks have signed
it. This happens at the party: it needs no house, and the key goes nowhere. What was signed is
shown; whether signatures of others fit, the house checks.`,
		Example: `  mahrem room template sign reach.json --key retail_media.key --out reach.note
  mahrem room template sign reach.note --key brand_partner.key --out reach.both.note`,
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "file with the secret half of the party's key (required)")
	flags.StringVar(&out, "out", "", "file that the signed template is written to (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "key", "out"); err != nil {
			return err
		}
		signer, err := a.partySigner(key)
		if err != nil {
			return err
		}
		text, err := a.readSmall(args[0], cleanroom.MaximumDocument)
		if err != nil {
			return err
		}
		var template *cleanroom.Template
		var signed []byte
		if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
			if template, err = cleanroom.ParseTemplate(text); err == nil {
				signed, err = cleanroom.SignTemplate(template, signer)
			}
		} else if template, err = cleanroom.ReadTemplate(text); err == nil {
			signed, err = cleanroom.CosignTemplate(text, signer)
		}
		if err != nil {
			return err
		}
		if err := writeNew(out, string(signed), 0o644); err != nil {
			return err
		}
		// What somebody else has written is shown to whoever has signed it.
		query, err := json.MarshalIndent(&template.Query, "", "  ")
		if err != nil {
			return fmt.Errorf("showing the template: %w", err)
		}
		document := map[string]any{
			"room": template.Query.Room, "template": template.String(), "signed_by": signer.Party(), "file": out, "query": json.RawMessage(query),
		}
		return a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "signed %s of room %s for %s\n%s\n", template, template.Query.Room, signer.Party(), query)
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomTemplateAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "add FILE", Short: "File a template that members of a room have signed", Args: cobra.ExactArgs(1),
		Long: `File a template that members of its room have signed. Signatures may come one after the
other: each filing adds those that are under it. What a version says does not change.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		signed, err := a.readSmall(args[0], cleanroom.MaximumDocument)
		if err != nil {
			return err
		}
		template, err := cleanroom.ReadTemplate(signed)
		if err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		_, receipt, err := house.Rooms.Register.AddTemplate(cmd.Context(), by, template.Query.Room, signed)
		if err != nil {
			return err
		}
		filed, err := house.Rooms.Reader.Template(cmd.Context(), template.Query.Room, template.Name, template.Version)
		if err != nil {
			return err
		}
		document := newTemplateDocument(filed)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("template", document.Template)
			t.add("room", string(document.Room))
			t.add("signed by", joinWords(document.Signers))
			t.add("digest", document.Digest)
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomTemplateList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list ROOM", Short: "List the templates of a room", Args: cobra.ExactArgs(1),
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			room, err := house.Rooms.Reader.RoomOf(cmd.Context(), cleanroom.RoomID(args[0]))
			if err != nil {
				return err
			}
			list, err := house.Rooms.Reader.Templates(cmd.Context(), room.ID)
			if err != nil {
				return err
			}
			documents := []templateDocument{}
			t := table{header: []string{"template", "signed by", "holes"}}
			for _, s := range list {
				d := newTemplateDocument(s)
				documents = append(documents, d)
				t.add(d.Template, joinWords(d.Signers), strings.Join(d.Holes, ", "))
			}
			return a.screen.printList(map[string]any{"templates": documents}, &t, "no templates; mahrem room template add files one")
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}
