package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
)

// admittedDocument is what came of a delivery.
type admittedDocument struct {
	Room     string      `json:"room"`
	Dataset  string      `json:"dataset"`
	Epoch    int         `json:"epoch"`
	Manifest string      `json:"manifest"`
	State    string      `json:"state"`
	Log      *logPointer `json:"log,omitempty"`
}

func (d *admittedDocument) print(s *screen) error {
	return s.print(d, func(w io.Writer) {
		t := table{}
		t.add("dataset", fmt.Sprintf("%s, for epoch %d of %s", d.Dataset, d.Epoch, d.Room))
		t.add("manifest", d.Manifest)
		switch {
		case d.State == "waiting":
			t.add("state", d.State+": the other party masks the members once more, and sends them")
		case d.Log == nil:
			t.add("state", d.State+": all of it was there before")
		default:
			t.add("state", d.State)
			t.add("log entry", strconv.FormatUint(d.Log.Index, 10))
		}
		t.writeTo(w, "")
	})
}

func (a *app) roomSend() *cobra.Command {
	house, tries := houseFlags{}, 0
	cmd := &cobra.Command{
		Use: "send DIR --server URL --token-file FILE", Short: "Bring a prepared list to the house", Args: cobra.ExactArgs(1),
		Long: `Bring what mahrem room prepare or mahrem room remask has completed to the house, which
checks all of it before it lets it into the room.

The house keeps each chunk that has come. When the line breaks, or the house is away for a
while, this asks how much is there and goes on from that, waiting longer each time; after
--tries without any progress it gives up. Run the same command again then: it goes on, too.
What is half there for a week is forgotten, and so is one that the room's match overtook.

In pair mode the owner sends first, and without the list of members: that comes from the
other party, which has masked it once more.`,
		Example: `  mahrem room send spring-1 --server https://mahrem.example --token-file brand.token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "server", "token-file"); err != nil {
				return err
			}
			if tries < 1 {
				return usagef("--tries is 1 at least")
			}
			client, err := a.houseClient(&house)
			if err != nil {
				return err
			}
			delivery, err := prepare.OpenDelivery(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = delivery.Close() }()
			bar := newBytesBar(a.screen.err, "sending", delivery.Size)
			sending := sending{client: client, delivery: delivery, bar: bar, tries: tries, wait: cleanroom.Sleep, waiting: func(why error, while time.Duration) {
				if isTerminal(a.screen.err) {
					bar.describe("waiting " + while.Round(time.Second).String())
					return
				}
				a.screen.notef("%s; trying again in %s", message(why), while.Round(time.Second))
			}}
			document, err := sending.run(cmd.Context())
			bar.finish()
			if err != nil {
				return err
			}
			return document.print(&a.screen)
		},
	}
	house.add(cmd, "")
	cmd.Flags().IntVar(&tries, "tries", 8, "how often to try before giving up, when nothing more gets through")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomAdmit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "admit DIR", Short: "Let a prepared list into its room, at the house", Args: cobra.ExactArgs(1),
		Long: `Let what mahrem room prepare or mahrem room remask has completed into its room, at the
house: for parties of the same company, or for lists that came in another way than over
mahrem room send. Checked is the same: the signatures, the contract in force, the epoch,
the sizes, every chunk and every value, and the policies. What breaks off is taken up when
the same command is run again.`,
		Example: `  mahrem room admit spring-1`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		delivery, err := prepare.OpenDelivery(args[0])
		if err != nil {
			return err
		}
		defer func() { _ = delivery.Close() }()
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		return a.admit(cmd.Context(), func(ctx context.Context, tell func(done, total int64)) (*admittedDocument, error) {
			admitted, err := house.Rooms.Admissions.AdmitWithProgress(ctx, by, cleanroom.RoomID(delivery.Room), delivery, tell)
			if err != nil {
				return nil, err
			}
			document := &admittedDocument{
				Room: string(admitted.Room), Dataset: admitted.Dataset.String(), Epoch: admitted.Epoch,
				Manifest: fmt.Sprintf("%x", admitted.Manifest), State: "staged", Log: nil,
			}
			switch {
			case admitted.Waiting:
				document.State = "waiting"
			case !admitted.Before:
				document.Log = pointTo(admitted.Receipt)
			}
			return document, nil
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// admit shows how far it is, and what came of it.
func (a *app) admit(ctx context.Context, do func(ctx context.Context, tell func(done, total int64)) (*admittedDocument, error)) error {
	bar := newBar(a.screen.err, "admitting", "records", -1)
	document, err := do(ctx, bar.set)
	bar.finish()
	if err != nil {
		return err
	}
	return document.print(&a.screen)
}
