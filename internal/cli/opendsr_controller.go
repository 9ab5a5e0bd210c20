package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) controllerList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List controllers whose requests are taken", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			controllers, err := house.OpenDSR.Controllers.Controllers(cmd.Context(), all)
			if err != nil {
				return err
			}
			documents := []controllerDocument{}
			for i := range controllers {
				documents = append(documents, newControllerDocument(&controllers[i]))
			}
			t := table{header: []string{"controller", "recipient", "law of", "may be told at", "retired"}}
			for _, d := range documents {
				t.add(d.Controller, d.Recipient, d.Jurisdiction, strings.Join(d.Callbacks, "\n"), dayOf(d.RetiredAt))
			}
			return a.screen.printList(map[string]any{"controllers": documents}, &t, "no controllers; mahrem opendsr controller add registers one")
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "those who are retired too")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) controllerRetire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retire NAME", Short: "Take no more requests of a controller", Args: cobra.ExactArgs(1),
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		c, err := house.OpenDSR.Controllers.Controller(cmd.Context(), args[0])
		var receipt audit.Receipt
		if err == nil {
			receipt, err = house.OpenDSR.Controllers.RetireController(cmd.Context(), c.ID, retired(by, c.Recipient, c.ID))
		}
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("there is no controller of this name, or it is retired already: %w", privacy.ErrNotFound)
		}
		if err != nil {
			return err
		}
		document := newControllerDocument(&c)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) { document.writeTo(w) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// acceptController takes the step that says that the controller has made sure of the person.
func acceptController(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
	request, err := house.Requests.Find(ctx, id)
	if err != nil {
		return dsar.Request{}, audit.Receipt{}, err
	}
	if request.Via != dsar.ViaOpenDSR {
		return dsar.Request{}, audit.Receipt{}, usagef("no controller handed this request over; mahrem dsar verify asks the person")
	}
	return house.Requests.Take(ctx, by, id, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofAttested, Version: request.Version})
}
