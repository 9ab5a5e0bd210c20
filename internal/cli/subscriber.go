package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) subscriberCommand() *cobra.Command {
	return group("subscriber", "Recipients who are told when choices change",
		a.subscriberAdd(),
		a.subscriberList(),
		a.subscriberRemove(),
	)
}

// maxWebhookSecret bounds a file with a secret.
const maxWebhookSecret = 4096

type subscriberDocument struct {
	Subscriber string      `json:"subscriber"`
	Recipient  string      `json:"recipient"`
	URL        string      `json:"url"`
	Purposes   []string    `json:"purposes"`
	AddedAt    *time.Time  `json:"added_at,omitempty"`
	RemovedAt  *time.Time  `json:"removed_at,omitempty"`
	Secret     string      `json:"secret,omitempty"`
	Log        *logPointer `json:"log,omitempty"`
}

func newSubscriberDocument(s *subscriber.Subscriber) subscriberDocument {
	d := subscriberDocument{
		Subscriber: s.ID, Recipient: string(s.Recipient), URL: s.URL, AddedAt: optional(s.AddedAt), RemovedAt: optional(s.RemovedAt),
	}
	for _, p := range s.Purposes {
		d.Purposes = append(d.Purposes, string(p))
	}
	return d
}

func (a *app) subscriberAdd() *cobra.Command {
	var recipient, url, secretFile string
	var purposes []string
	cmd := &cobra.Command{
		Use: "add NAME --recipient RECIPIENT --url URL", Short: "Have a recipient told of changes of consent", Args: cobra.ExactArgs(1),
		Long: `Have a recipient of the catalogue told, from now on, whenever a choice changes that
concerns it: by calls that are signed as Standard Webhooks are. A call is made in the
transaction of the change and sent behind it, again after a failure with growing pauses
for seven days; mahrem outbox list shows what did not arrive.

People are named by the recipient's own pseudonyms. It is told about its purposes in the
catalogue, or those of them that --purpose names, and about objections to all marketing
if any of them is marketing. What stood before is not told: ask for it, or start afresh.

The secret is shown once. Both sides need it, and docs/spec/webhook.md says how.`,
		Example: `  mahrem subscriber add mailer --recipient newsletter_service --url https://mailer.example/consents`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "which recipient of the catalogue it is (required)")
	flags.StringVar(&url, "url", "", "https address that is called (required)")
	flags.StringSliceVar(&purposes, "purpose", nil, "purposes that it is told about (default: all of the recipient's own)")
	flags.StringVar(&secretFile, "secret-file", "", "file with a secret, whsec_…, that it has already (default: one is drawn); - reads it from stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "recipient", "url"); err != nil {
			return err
		}
		order := assembly.SubscriberOrder{ID: args[0], Recipient: privacy.RecipientID(recipient), URL: url}
		for _, p := range purposes {
			order.Purposes = append(order.Purposes, privacy.Purpose(p))
		}
		if secretFile != "" {
			text, err := a.readSmall(secretFile, maxWebhookSecret)
			if err != nil {
				return usagef("--secret-file: %w", err)
			}
			order.Secret = privacy.NewPlain(string(text))
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		who, secret, receipt, err := house.AddSubscriber(cmd.Context(), by, order)
		if err != nil {
			return err
		}
		document := newSubscriberDocument(&who)
		document.Log = pointTo(receipt)
		if secretFile == "" {
			document.Secret = secret.RevealPersonalData()
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("subscriber", document.Subscriber)
			t.add("recipient", document.Recipient)
			t.add("address", document.URL)
			t.add("told about", strings.Join(document.Purposes, ", "))
			if document.Secret != "" {
				t.add("secret", document.Secret)
			}
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) subscriberList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List those who are told of changes of consent", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			list, err := house.Subscribers.List(cmd.Context(), all)
			if err != nil {
				return err
			}
			documents := []subscriberDocument{}
			t := table{header: []string{"subscriber", "recipient", "told about", "address", "removed"}}
			for i := range list {
				d := newSubscriberDocument(&list[i])
				documents = append(documents, d)
				t.add(d.Subscriber, d.Recipient, strings.Join(d.Purposes, ", "), d.URL, dayOf(d.RemovedAt))
			}
			return a.screen.printList(map[string]any{"subscribers": documents}, &t, "no subscribers; mahrem subscriber add registers one")
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "those who were removed too")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) subscriberRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Tell a recipient of no more changes", Args: cobra.ExactArgs(1),
		Long: `Tell a recipient of no more changes of consent. Calls that wait for it are given up, and
show as dead in mahrem outbox list. Its name is not given to another one.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		receipt, err := house.RemoveSubscriber(cmd.Context(), by, args[0])
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("there is no subscriber of this name, or it was removed already: %w", privacy.ErrNotFound)
		}
		if err != nil {
			return err
		}
		document := struct {
			Subscriber string      `json:"subscriber"`
			Log        *logPointer `json:"log"`
		}{args[0], pointTo(receipt)}
		return a.screen.printDone(document, "removed", document.Subscriber, document.Log)
	}
	a.jsonFlag(cmd)
	return cmd
}
