package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) outboxCommand() *cobra.Command {
	return group("outbox", "What leaves the house: letters, codes, messages to processors and recipients",
		a.outboxList(),
		a.outboxRetry(),
	)
}

func (a *app) outboxList() *cobra.Command {
	var state, destination string
	cmd := &cobra.Command{
		Use: "list", Short: "List deliveries, and those that were given up", Args: cobra.NoArgs,
		Long: fmt.Sprintf(`List deliveries of every kind, the newest first and at most %d, without what is in
them. One that is dead was given up: somebody must look why, and mahrem outbox retry has
it tried again.`, maxDeliveries),
		Example: `  mahrem outbox list --state dead
  mahrem outbox list --to mailer`,
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "only those in this state: pending, delivered, dead or void")
	flags.StringVar(&destination, "to", "", "only those that go there: a subscriber, a processor, or what the settings name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := deliveryFilter(state, destination)
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		list, err := house.Outbox.List(cmd.Context(), filter, maxDeliveries)
		if err != nil {
			return err
		}
		return a.printDeliveries(list)
	}
	a.jsonFlag(cmd)
	return cmd
}

func deliveryFilter(state, destination string) (outbox.Filter, error) {
	filter := outbox.Filter{State: outbox.State(state), Destination: destination}
	switch filter.State {
	case "", outbox.Pending, outbox.Delivered, outbox.Dead, outbox.Void:
		return filter, nil
	}
	return filter, usagef("--state is one of %v", outbox.States())
}

func (a *app) outboxRetry() *cobra.Command {
	var destination string
	var dead, deliver bool
	cmd := &cobra.Command{
		Use: "retry [DELIVERY]...", Short: "Have deliveries that were given up tried again",
		Long: `Have deliveries that were given up tried again, for seven days: those that are named,
or with --dead all, or all that go to one place. What is in them is kept for thirty days
after they were given up, and is destroyed then.

mahrem serve makes the attempts. Without it, --send makes one at each that is due now.`,
		Example: `  mahrem outbox retry 1b4e…
  mahrem outbox retry --dead --to mailer --send`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&dead, "dead", false, fmt.Sprintf("all that were given up, at most %d at a time", maxDeliveries))
	flags.StringVar(&destination, "to", "", "with --dead: only those that go there")
	flags.BoolVar(&deliver, "send", false, "make one attempt at each that is due")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 0) == !dead || destination != "" && !dead {
			return usagef("name deliveries, or give --dead, with or without --to")
		}
		var ids []outbox.ID
		for _, text := range args {
			id, err := outbox.ParseID(text)
			if err != nil {
				return usagef("a delivery is named by its id, 36 characters in lower case")
			}
			ids = append(ids, id)
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if dead {
			if ids, err = deadDeliveries(cmd, house, destination); err != nil {
				return err
			}
		}
		return a.retry(cmd, house, by, ids, dead, deliver)
	}
	a.jsonFlag(cmd)
	return cmd
}

// deadDeliveries are those of one place, or all.
func deadDeliveries(cmd *cobra.Command, house *assembly.House, destination string) ([]outbox.ID, error) {
	list, err := house.Outbox.List(cmd.Context(), outbox.Filter{State: outbox.Dead, Destination: destination}, maxDeliveries)
	if err != nil {
		return nil, err
	}
	ids := make([]outbox.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids, nil
}

// retry revives deliveries, each with an entry of its own. Of many, those that cannot be
// revived any more are counted and left alone.
func (a *app) retry(cmd *cobra.Command, house *assembly.House, by privacy.Principal, ids []outbox.ID, many, deliver bool) error {
	document := struct {
		Retried []string `json:"retried"`
		Gone    int      `json:"gone"`
		Arrived int      `json:"arrived"`
		Failed  int      `json:"failed"`
	}{Retried: []string{}}
	for _, id := range ids {
		d := outbox.Delivery{ID: id}
		_, err := house.Outbox.Revive(cmd.Context(), id, outbox.DefaultPatience, audit.Event{
			Kind: audit.DeliveryRetried, Outcome: audit.Done, Principal: by, List: d.Digest(),
		})
		switch {
		case err == nil:
			document.Retried = append(document.Retried, id.String())
		case many && errors.Is(err, privacy.ErrConflict):
			document.Gone++
		default:
			return fmt.Errorf("the delivery is not dead, or its payload is destroyed: %w", err)
		}
	}
	if deliver {
		var err error
		if document.Arrived, document.Failed, err = house.Deliver(cmd.Context()); err != nil {
			return err
		}
	}
	return a.screen.print(document, func(w io.Writer) {
		t := table{}
		t.add("to be tried again", fmt.Sprint(len(document.Retried)))
		if document.Gone > 0 {
			t.add("destroyed already", fmt.Sprint(document.Gone))
		}
		if deliver {
			t.add("arrived now", fmt.Sprint(document.Arrived))
			t.add("did not", fmt.Sprint(document.Failed))
		}
		t.writeTo(w, "")
	})
}
