package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) roomCommand() *cobra.Command {
	return chapters("room", "Clean rooms: companies learn about groups of people, and never about a person",
		`A room is where companies learn what their people have in common, as numbers of groups with
noise, and never anything about a person. The commands stand in the order of the work: the
house lets parties in and opens a room; owners sign what may be asked; a party masks its list
on its own side and brings it, and the house brings its own people; the house matches them;
parties ask. mahrem demo plays it; docs/cleanroom.md says what it protects, and what not.`,
		chapter{"The house opens rooms between parties", []*cobra.Command{
			group("party", "Companies that take part in rooms",
				a.roomPartyAdd(),
				a.roomPartyList(),
				a.roomPartyRemove(),
			),
			a.roomOpen(),
			a.roomList(),
			a.roomShow(),
			a.roomClose(),
		}},
		chapter{"Parties sign on their own side what may be asked, and file it at the house", []*cobra.Command{
			group("contract", "What may be asked of a dataset, signed by its owner",
				a.roomContractDraft(),
				a.roomContractSign(),
				a.roomContractSend(),
				a.roomContractAdd(),
				a.roomContractShow(),
				a.roomContractList(),
			),
			group("template", "Questions that parties have agreed on",
				a.roomTemplateSign(),
				a.roomTemplateSend(),
				a.roomTemplateAdd(),
				a.roomTemplateList(),
			),
		}},
		chapter{"A party masks its people on its own side, and brings them", []*cobra.Command{
			a.roomKey(),
			a.roomPrepare(),
			a.roomRemask(),
			a.roomSend(),
		}},
		chapter{"The house brings people in and matches them", []*cobra.Command{
			a.roomDraw(),
			a.roomAdmit(),
			a.roomMatch(),
			a.roomSnapshots(),
			a.roomDrop(),
		}},
		chapter{"A party asks, over HTTP or at the house", []*cobra.Command{
			a.roomBudget(),
			a.roomQuery(),
			a.roomUplift(),
			a.roomActivate(),
		}},
		chapter{"The house answers for what was told", []*cobra.Command{
			a.roomReport(),
		}},
	)
}

// roomEntry is a room with the entry of what was done to it.
type roomEntry struct {
	cleanroom.RoomDocument
	// PublicKey is by which parties see, in oprf mode, that all of them are served with one key.
	PublicKey []byte      `json:"public_key,omitempty"`
	Log       *logPointer `json:"log,omitempty"`
}

func (a *app) roomOpen() *cobra.Command {
	var purpose, mode, matching, epoch string
	var members, datasets []string
	var minimum int
	cmd := &cobra.Command{
		Use: "open ROOM --purpose PURPOSE --member PARTY:ROLE,… --dataset PARTY.DATASET", Short: "Open a room between parties", Args: cobra.ExactArgs(1),
		Long: `Open a room: for one purpose of the catalogue, between parties that mahrem room party add
has let in, over the datasets that are named. A member has roles: owns_data, may_query,
may_receive, may_activate; who asks must be one that may query and receive.

--matching says how people are found that the parties have in common, by whom one has to
trust: operator, blind, pair or oprf (docs/cleanroom.md). --mode dp, the default, adds noise
and charges budgets. --mode k_only tells exact numbers of groups of at least k people, which
does not protect against differencing, and is for parties within the house alone.

What a room was opened with does not change. A dataset is let in when its owner has signed a
contract (mahrem room contract).`,
		Example: `  mahrem room open spring --purpose campaign_measurement --matching operator \
    --member retail_media:owns_data,may_query,may_receive --member brand_partner:owns_data,may_query,may_receive \
    --dataset retail_media.purchases --dataset brand_partner.audience`,
	}
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&purpose, "purpose", "", "purpose of the catalogue (required)")
	flags.StringVar(&matching, "matching", string(cleanroom.MatchPair), "operator, blind, pair or oprf")
	flags.StringVar(&mode, "mode", string(cleanroom.Private), "dp or k_only")
	flags.StringArrayVar(&members, "member", nil, "a party and its roles, PARTY:ROLE,…; once for each (required)")
	flags.StringArrayVar(&datasets, "dataset", nil, "a dataset that is let in, PARTY.DATASET; once for each (required)")
	flags.StringVar(&epoch, "minimum-epoch", "7d", "how long people stay matched at least, such as 12h or 7d")
	flags.IntVar(&minimum, "minimum-members", cleanroom.DefaultMinimumMembers,
		"how many people a dataset must have to be admitted; below 1000 somebody who knows most of them is close to knowing all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "purpose", "member", "dataset"); err != nil {
			return err
		}
		room := &cleanroom.Room{
			ID: cleanroom.RoomID(args[0]), Purpose: privacy.Purpose(purpose), Mode: cleanroom.Mode(mode), Matching: cleanroom.Matching(matching),
			MinimumMembers: minimum,
		}
		var err error
		if room.MinimumEpoch, err = window("--minimum-epoch", epoch); err != nil {
			return err
		}
		for _, text := range members {
			party, roles, ok := strings.Cut(text, ":")
			if !ok {
				return usagef("--member is PARTY:ROLE,…")
			}
			member := cleanroom.Member{Party: cleanroom.PartyID(party)}
			for _, role := range strings.Split(roles, ",") {
				member.Roles = append(member.Roles, cleanroom.Role(role))
			}
			room.Members = append(room.Members, member)
		}
		for _, text := range datasets {
			ref, err := cleanroom.ParseDatasetRef(text)
			if err != nil {
				return usagef("--dataset is PARTY.DATASET")
			}
			room.Datasets = append(room.Datasets, ref)
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		receipt, err := house.Rooms.Register.OpenRoom(cmd.Context(), by, room)
		if errors.Is(err, privacy.ErrConflict) {
			return fmt.Errorf("there is a room of this name, or was: %w", err)
		}
		if err != nil {
			return err
		}
		return a.printRoom(roomEntry{RoomDocument: room.Document(), Log: pointTo(receipt)})
	}
	a.jsonFlag(cmd)
	return cmd
}

// printRoom prints a room.
func (a *app) printRoom(entry roomEntry) error {
	return a.screen.print(entry, func(w io.Writer) {
		d := entry.RoomDocument
		t := table{}
		t.add("room", string(d.Room))
		t.add("purpose", d.Purpose)
		t.add("mode", string(d.Mode))
		t.add("matching", string(d.Matching))
		for _, m := range d.Members {
			text := m.Party + ": " + rolesText(m.Roles)
			if m.Removed {
				text += " (takes no part any more)"
			}
			t.add("member", text)
		}
		t.add("datasets", strings.Join(d.Datasets, ", "))
		t.add("an epoch lasts", (time.Duration(d.MinimumEpoch)*time.Second).String()+" at least")
		t.add("a dataset has", fmt.Sprintf("%d people at least", d.MinimumCount))
		t.add("epoch", fmt.Sprint(d.Epoch))
		if entry.PublicKey != nil {
			t.add("public key", base64.StdEncoding.EncodeToString(entry.PublicKey))
		}
		if d.ClosedAt != nil {
			t.add("closed", dayOf(d.ClosedAt))
		}
		if entry.Log != nil {
			t.add("log entry", fmt.Sprint(entry.Log.Index))
		}
		t.writeTo(w, "")
	})
}

func rolesText(roles []cleanroom.Role) string {
	words := make([]string, len(roles))
	for i, role := range roles {
		words[i] = string(role)
	}
	return strings.Join(words, ", ")
}

func (a *app) roomList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the rooms", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			rooms, err := house.Rooms.Reader.Rooms(cmd.Context(), all)
			if err != nil {
				return err
			}
			documents := []cleanroom.RoomDocument{}
			t := table{header: []string{"room", "purpose", "mode", "matching", "members", "datasets", "epoch", "closed"}}
			for _, room := range rooms {
				d := room.Document()
				documents = append(documents, d)
				members := make([]string, len(room.Members))
				for i, m := range room.Members {
					members[i] = string(m.Party)
				}
				t.add(string(d.Room), d.Purpose, string(d.Mode), string(d.Matching), strings.Join(members, "\n"), strings.Join(d.Datasets, "\n"),
					fmt.Sprint(d.Epoch), dayOf(d.ClosedAt))
			}
			return a.screen.printList(map[string]any{"rooms": documents}, &t, "no rooms; mahrem room open opens one")
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones too")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ROOM", Short: "Show a room", Args: cobra.ExactArgs(1),
		Long: `Show a room. In oprf mode that is with the public key under which the house masks: tell it
to the parties, which compare it among each other and give it to mahrem room prepare.`,
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			room, err := house.Rooms.Reader.RoomOf(cmd.Context(), cleanroom.RoomID(args[0]))
			if err != nil {
				return err
			}
			entry := roomEntry{RoomDocument: room.Document()}
			if room.Matching == cleanroom.MatchOPRF {
				if entry.PublicKey, err = house.RoomPublicKey(cmd.Context(), room.ID); err != nil {
					return err
				}
			}
			return a.printRoom(entry)
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomClose() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close ROOM", Short: "Close a room for good", Args: cobra.ExactArgs(1),
		Long: `Close a room: nothing is asked of it from then on, and its snapshots are dropped. Answers
that were given stay, and so do the budgets, which count for every room. Its name is not
given to another one.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		id := cleanroom.RoomID(args[0])
		receipt, err := house.Rooms.Register.CloseRoom(cmd.Context(), by, id)
		if errors.Is(err, privacy.ErrConflict) {
			return fmt.Errorf("the room is closed already: %w", err)
		}
		if err != nil {
			return err
		}
		room, err := house.Rooms.Reader.RoomOf(cmd.Context(), id)
		if err != nil {
			return err
		}
		return a.printRoom(roomEntry{RoomDocument: room.Document(), Log: pointTo(receipt)})
	}
	a.jsonFlag(cmd)
	return cmd
}
