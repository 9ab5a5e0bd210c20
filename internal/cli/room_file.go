package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
)

// filedDocument is what the house says of a signed note that a party has filed.
type filedDocument struct {
	Room      string      `json:"room,omitempty"`
	Dataset   string      `json:"dataset,omitempty"`
	Version   int         `json:"version,omitempty"`
	Template  string      `json:"template,omitempty"`
	Digest    string      `json:"digest"`
	SignedBy  []string    `json:"signed_by,omitempty"`
	NewlyDone bool        `json:"filed"`
	Log       *logPointer `json:"log,omitempty"`
}

func (d *filedDocument) print(s *screen) error {
	return s.print(d, func(w io.Writer) {
		t := table{}
		if d.Template != "" {
			t.add("template", d.Template)
			t.add("room", d.Room)
			t.add("signed by", joinWords(d.SignedBy))
		} else {
			t.add("dataset", d.Dataset)
			t.add("version", strconv.Itoa(d.Version))
		}
		t.add("digest", d.Digest)
		if d.NewlyDone && d.Log != nil {
			t.add("log entry", strconv.FormatUint(d.Log.Index, 10))
		} else {
			t.add("state", "was filed before")
		}
		t.writeTo(w, "")
	})
}

// file brings a signed note to the house.
func (c *houseClient) file(ctx context.Context, path string, query url.Values, signed []byte) (*filedDocument, error) {
	to := c.base.JoinPath(path)
	to.RawQuery = query.Encode()
	ctx, cancel := c.wait(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(signed))
	if err != nil {
		return nil, fmt.Errorf("calling the house: %w", err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	document := &filedDocument{}
	if err := c.do(request, document); err != nil {
		return nil, err
	}
	document.NewlyDone = document.Log != nil
	return document, nil
}

func (a *app) roomContractSend() *cobra.Command {
	house, room, reason := houseFlags{}, "", ""
	cmd := &cobra.Command{
		Use: "send FILE --room ROOM --server URL --token-file FILE", Short: "File a signed contract at the house, as the owner of the data", Args: cobra.ExactArgs(1),
		Long: `File a contract that mahrem room contract sign has made at the house, over HTTP and with the
owner's own token, for a room that lets the dataset in. The house checks it as mahrem room
contract add does, and it binds from then on, in every room. The same again changes nothing.`,
		Example: `  mahrem room contract send audience.note --room spring --server https://mahrem.example --token-file brand.token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "room", "server", "token-file"); err != nil {
				return err
			}
			signed, err := a.readSmall(args[0], cleanroom.MaximumDocument)
			if err != nil {
				return err
			}
			if _, err := cleanroom.ContractOwner(signed); err != nil {
				return err
			}
			client, err := a.houseClient(&house)
			if err != nil {
				return err
			}
			query := url.Values{}
			if reason != "" {
				query.Set("reason", reason)
			}
			document, err := client.file(cmd.Context(), roomPath(cleanroom.RoomID(room), "contracts"), query, signed)
			if err != nil {
				return err
			}
			return document.print(&a.screen)
		},
	}
	house.add(cmd, "")
	cmd.Flags().StringVar(&room, "room", "", "a room that lets the dataset in (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "why a cap is raised, without personal data")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomTemplateSend() *cobra.Command {
	house := houseFlags{}
	cmd := &cobra.Command{
		Use: "send FILE --server URL --token-file FILE", Short: "File a signed template at the house, as one of its signers", Args: cobra.ExactArgs(1),
		Long: `File a template that mahrem room template sign has made at the house, over HTTP and with the
own token of a party that has signed it. The room is in the template. Each filing adds the
signatures that are under it; the same again changes nothing.`,
		Example: `  mahrem room template send reach.both.note --server https://mahrem.example --token-file brand.token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "server", "token-file"); err != nil {
				return err
			}
			signed, err := a.readSmall(args[0], cleanroom.MaximumDocument)
			if err != nil {
				return err
			}
			template, err := cleanroom.ReadTemplate(signed)
			if err != nil {
				return err
			}
			client, err := a.houseClient(&house)
			if err != nil {
				return err
			}
			document, err := client.file(cmd.Context(), roomPath(template.Query.Room, "templates"), nil, signed)
			if err != nil {
				return err
			}
			return document.print(&a.screen)
		},
	}
	house.add(cmd, "")
	a.jsonFlag(cmd)
	return cmd
}
