package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

type deliveryDocument struct {
	Delivery    string     `json:"delivery"`
	Kind        string     `json:"kind"`
	Destination string     `json:"destination"`
	Topic       string     `json:"topic"`
	Request     string     `json:"request,omitempty"`
	State       string     `json:"state"`
	Attempts    int        `json:"attempts"`
	Failure     string     `json:"failure,omitempty"`
	EnqueuedAt  time.Time  `json:"enqueued_at"`
	NextAttempt *time.Time `json:"next_attempt_at,omitempty"`
	GivesUpAt   time.Time  `json:"gives_up_at"`
	SettledAt   *time.Time `json:"settled_at,omitempty"`
}

func newDeliveryDocument(d *outbox.Delivery) deliveryDocument {
	document := deliveryDocument{
		Delivery: d.ID.String(), Kind: string(d.Kind), Destination: d.Destination, Topic: d.Topic, State: string(d.State),
		Attempts: d.Attempts, Failure: d.Failure, EnqueuedAt: d.EnqueuedAt, GivesUpAt: d.GivesUpAt, SettledAt: optional(d.SettledAt),
	}
	if d.Request != [16]byte{} {
		document.Request = outbox.ID(d.Request).String()
	}
	if d.State == outbox.Pending {
		document.NextAttempt = &d.NextAttemptAt
	}
	return document
}

// maxDeliveries bounds a list.
const maxDeliveries = 1000

func (a *app) dsarDeliveries() *cobra.Command {
	var state, request, revive string
	var deliver bool
	cmd := &cobra.Command{
		Use: "deliveries", Short: "See what was sent because of requests, and what was not",
		Args: cobra.NoArgs,
		Long: fmt.Sprintf(`List deliveries, the newest first and at most %d: codes, letters, messages to
processors. One that is dead was given up, and somebody must look why. void are those of
people who are unknown: they are never sent.

mahrem serve makes deliveries as they become due, again after a failure with growing
pauses. Without it, --send makes one attempt at each that is due now.`, maxDeliveries),
		Example: `  mahrem dsar deliveries --state dead
  mahrem dsar deliveries --revive 1b4e…`,
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "only those in this state: pending, delivered, dead or void")
	flags.StringVar(&request, "request", "", "only those of this request")
	flags.BoolVar(&deliver, "send", false, "first make one attempt at each that is due")
	flags.StringVar(&revive, "revive", "", "first make this dead delivery pending again, for seven days")
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter := outbox.Filter{State: outbox.State(state)}
		switch filter.State {
		case "", outbox.Pending, outbox.Delivered, outbox.Dead, outbox.Void:
		default:
			return usagef("--state is one of %v", outbox.States())
		}
		if request != "" {
			id, err := parseRequest(request)
			if err != nil {
				return err
			}
			filter.Request = id
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if revive != "" {
			if err := a.revive(cmd, house.Outbox, by, revive); err != nil {
				return err
			}
		}
		if deliver {
			arrived, failed, err := house.Deliver(cmd.Context())
			if err != nil {
				return err
			}
			a.screen.notef("%d arrived, %d did not", arrived, failed)
		}
		list, err := house.Outbox.List(cmd.Context(), filter, maxDeliveries)
		if err != nil {
			return err
		}
		return a.printDeliveries(list)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) revive(cmd *cobra.Command, registry outbox.Registry, by privacy.Principal, text string) error {
	id, err := outbox.ParseID(text)
	if err != nil {
		return usagef("a delivery is named by its id, 36 characters in lower case")
	}
	d := outbox.Delivery{ID: id}
	_, err = registry.Revive(cmd.Context(), id, outbox.DefaultPatience, audit.Event{
		Kind: audit.RequestNoted, Outcome: audit.Done, Principal: by, List: d.Digest(),
	})
	if err != nil {
		return fmt.Errorf("the delivery is not dead, or its payload is destroyed: %w", err)
	}
	return nil
}

func (a *app) printDeliveries(list []outbox.Delivery) error {
	document := struct {
		Deliveries []deliveryDocument `json:"deliveries"`
	}{[]deliveryDocument{}}
	t := table{header: []string{"delivery", "topic", "by", "to", "state", "attempts", "failure", "since"}}
	for i := range list {
		d := newDeliveryDocument(&list[i])
		document.Deliveries = append(document.Deliveries, d)
		t.add(d.Delivery, d.Topic, d.Kind, d.Destination, d.State, fmt.Sprint(d.Attempts), d.Failure, d.EnqueuedAt.Format(time.RFC3339))
	}
	return a.screen.printList(document, &t, "no deliveries")
}
