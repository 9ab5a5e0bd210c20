package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// drawnDocument is a snapshot that was admitted, or waits for the other party.
type drawnDocument struct {
	Room      string     `json:"room"`
	Dataset   string     `json:"dataset"`
	Snapshot  int64      `json:"snapshot"`
	State     string     `json:"state"`
	Members   int64      `json:"members"`
	Rows      int64      `json:"rows"`
	Directory string     `json:"directory,omitempty"`
	Manifest  string     `json:"manifest,omitempty"`
	Log       logPointer `json:"log"`
}

// drawSecrets are what a party of the house has for itself.
type drawSecrets struct{ shared, pair, key, output string }

func (a *app) roomDraw() *cobra.Command {
	var mapping string
	secrets := drawSecrets{}
	cmd := &cobra.Command{
		Use: "draw ROOM OWNER.DATASET --map FILE", Short: "Bring the house's own people into a room", Args: cobra.ExactArgs(2),
		Long: `Draw everybody whose consent covers the room's purpose right now: granted on every channel,
nothing objected to, processing not restricted, of an age that the purpose admits, and
explicit where purpose or law ask for that. Whoever shares the identifier with somebody else
of whom that is true is left out, and so is the other one: otherwise one person who comes or
goes would put another one in or out. What is drawn waits for the next match and takes the
place of what was drawn before.

Whoever withdraws, objects, has processing restricted or is erased later leaves at once,
whether the match has come or not. How many were not drawn is not said.

In a room that matches blindly --shared-file is the secret that the parties share. In oprf
mode the house masks its own people itself, counted as those of a party are.

In pair mode the house's party masks first, with the salt (--shared-file) and a scalar of
its own (--pair-file), and signs with --key. --output is a new directory with its manifest
and members.ndjson: give it to the other party, which masks it once more with mahrem room
remask and brings it with mahrem room send, or mahrem room admit takes what it returns.
Until then the people wait, for a week at most, and whoever leaves is gone. Rows never
leave the house. Mask the other party's list, too: mahrem room remask, mahrem room admit.

--map names a file that says where the columns of the contract come from; see docs/cleanroom.md.`,
		Example: `  mahrem room draw spring_campaign retail_media.purchases --map purchases.yaml
  mahrem room draw duo retail_media.purchases --map purchases.yaml --shared-file salt --pair-file scalar --key shop.key --output for-brand`,
	}
	flags := cmd.Flags()
	flags.StringVar(&mapping, "map", "", "YAML: where the columns of the contract come from (required)")
	flags.StringVar(&secrets.shared, "shared-file", "", "blind: the shared secret; pair: the salt")
	flags.StringVar(&secrets.pair, "pair-file", "", "pair: the scalar of the house's party")
	flags.StringVar(&secrets.key, "key", "", "pair: the signing key of the house's party")
	flags.StringVarP(&secrets.output, "output", "o", "", "pair: directory to make, for the other party")
	actor := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if mapping == "" {
			return usagef("a draw needs --map; see mahrem room draw --help")
		}
		ref, err := cleanroom.ParseDatasetRef(args[1])
		if err != nil {
			return usagef("%q is not OWNER.DATASET", args[1])
		}
		text, err := a.readSmall(mapping, 64<<10)
		if err != nil {
			return err
		}
		order := draw.Order{Room: cleanroom.RoomID(args[0]), Dataset: ref}
		if order.Mapping, err = draw.ParseMapping(text); err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), actor)
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := a.drawSecrets(cmd, house, &secrets, &order); err != nil {
			return err
		}
		drawer, err := house.Drawer(cmd.Context())
		if err != nil {
			return err
		}
		step, finish := a.benching("people")
		telling := func(title string) func(done, total int64) {
			return func(done, total int64) { step(title, int(done), int(total)) }
		}
		order.Looking, order.Progress, order.Masking = telling("looking"), telling("drawing"), telling("masking")
		drawn, err := drawer.Draw(cmd.Context(), by, order)
		finish()
		if err != nil {
			return err
		}
		document := drawnDocument{
			Room: args[0], Dataset: args[1], Snapshot: int64(drawn.Snapshot), State: "staged", Members: drawn.Members, Rows: drawn.Rows,
			Log: *pointTo(drawn.Receipt),
		}
		if drawn.Waiting {
			document.State, document.Directory, document.Manifest = "waiting", secrets.output, fmt.Sprintf("%x", drawn.Manifest)
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("snapshot", fmt.Sprint(document.Snapshot))
			t.add("members", fmt.Sprint(document.Members))
			t.add("rows", fmt.Sprint(document.Rows))
			if drawn.Waiting {
				t.add("state", "waiting: the other party masks the members in "+document.Directory+" once more, and brings them")
				t.add("manifest", document.Manifest)
			}
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// drawSecrets reads what the room's way of matching takes.
func (a *app) drawSecrets(cmd *cobra.Command, house *assembly.House, s *drawSecrets, order *draw.Order) error {
	room, err := house.Rooms.Reader.RoomOf(cmd.Context(), order.Room)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil // the draw is refused, with an entry
	}
	if err != nil {
		return err
	}
	switch room.Matching {
	case cleanroom.MatchBlind:
		if err := needs(cmd, "shared-file"); err != nil {
			return err
		}
		order.Secret, err = a.sharedSecret("shared-file", s.shared)
		return err
	case cleanroom.MatchPair:
		if err := needs(cmd, "shared-file", "pair-file", "key", "output"); err != nil {
			return err
		}
		if _, err := os.Lstat(s.output); err == nil {
			return usagef("--output is there already; name a new directory")
		}
		if order.Pair, err = a.pairKey(s.shared, s.pair); err != nil {
			return err
		}
		signer, err := a.partySigner(s.key)
		if err != nil {
			return err
		}
		order.Hand = func(list draw.List, commit func(manifest audit.Digest) error) error {
			l := prepare.HouseList{
				Room: list.Room, Epoch: list.Epoch, Contract: list.Contract, Identifier: list.Identifier, Signer: signer, Now: time.Now,
			}
			_, err := l.Write(s.output, list.Tokens, commit)
			return err
		}
	}
	return nil
}
