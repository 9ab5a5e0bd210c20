package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarVerify() *cobra.Command {
	var send bool
	var codeFile, ground string
	cmd := &cobra.Command{
		Use: "verify REQUEST (--send-code | --code-file FILE | --ground GROUND)", Short: "Find out whether a request comes from its person",
		Long: `Find out whether a request comes from the person it is about, with as little data as
that takes (GDPR Article 12(6)):

  --send-code   send a one-time code to an address that is known to be the person's.
                It is of use for ten minutes; mahrem serve delivers it, by the ways that
                the settings delivery_webhook and delivery_smtp name
  --code-file   take the code that the person gave back
  --ground      record your judgement. Grounds are:

` + groundLines() + `
No copy of a document is asked for, and there is no place to keep one.`,
		Example: `  mahrem dsar verify 7f1c… --send-code
  echo "1234 5678" | mahrem dsar verify 7f1c… --code-file -
  mahrem dsar verify 7f1c… --ground called_back_on_known_number`,
	}
	cmd.Flags().BoolVar(&send, "send-code", false, "send a code to a known address")
	cmd.Flags().StringVar(&codeFile, "code-file", "", "file with the code; - reads it from stdin")
	cmd.Flags().StringVar(&ground, "ground", "", "why you are convinced")
	acting := a.actingAs(cmd)
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ways := 0
		for _, given := range []bool{send, codeFile != "", ground != ""} {
			if given {
				ways++
			}
		}
		if ways != 1 {
			return usagef("say one of --send-code, --code-file and --ground")
		}
		id, err := parseRequest(args[0])
		if err != nil {
			return err
		}
		var code privacy.Plain
		if codeFile != "" {
			text, err := a.readSmall(codeFile, 64)
			if err != nil {
				return err
			}
			if code, err = identity.ParseCode(strings.TrimSpace(string(text))); err != nil {
				return usagef("a code is eight digits")
			}
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		var verified identity.Verified
		switch {
		case send:
			return a.sendCode(cmd.Context(), house, by, id)
		case ground != "":
			verified, err = house.Identity.Judge(cmd.Context(), by, id, identity.Ground(ground))
		default:
			verified, err = house.Identity.VerifyCode(cmd.Context(), by, id, code)
		}
		if err != nil {
			return ofRequest(err)
		}
		return a.printRequest(&verified.Request, verified.Receipt)
	}
	a.jsonFlag(cmd)
	return cmd
}

func groundLines() string {
	var b strings.Builder
	for _, ground := range identity.Grounds() {
		fmt.Fprintf(&b, "    %s\n", ground)
	}
	return b.String()
}

type sentDocument struct {
	Request      string      `json:"request"`
	ExpiresAt    time.Time   `json:"expires_at"`
	AddressKnown bool        `json:"address_known"`
	Log          *logPointer `json:"log"`
}

func (a *app) sendCode(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) error {
	sent, err := house.Identity.SendCode(ctx, by, id)
	if err != nil {
		return ofRequest(err)
	}
	document := sentDocument{id.String(), sent.ExpiresAt, sent.Reached, pointTo(sent.Receipt)}
	return a.screen.print(document, func(w io.Writer) {
		t := table{}
		t.add("request", document.Request)
		if sent.Reached {
			t.add("code", "waits to be delivered")
			t.add("expires", document.ExpiresAt.Format(time.RFC3339))
		} else {
			t.add("code", "not sent: no address of the person is known; judge in another way")
		}
		t.add("log entry", fmt.Sprint(document.Log.Index))
		t.writeTo(w, "")
	})
}
