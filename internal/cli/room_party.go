package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// maxKeyFile bounds a file with a key.
const maxKeyFile = 4096

type partyDocument struct {
	Party     string      `json:"party"`
	Key       string      `json:"key"`
	AddedAt   *time.Time  `json:"added_at,omitempty"`
	RemovedAt *time.Time  `json:"removed_at,omitempty"`
	Log       *logPointer `json:"log,omitempty"`
}

func (a *app) roomPartyAdd() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use: "add PARTY --key FILE", Short: "Let a recipient of the catalogue take part in rooms", Args: cobra.ExactArgs(1),
		Long: `Let a recipient of the catalogue take part in rooms, with the public half of the key by
which it signs contracts, templates and what it brings. mahrem room key new makes the key, at
the party; compare the public half with it over another way than the one it came by.

A party that loses its key is removed and added with another one: what the old key has signed
stays in force where it is the newest contract, and its signatures under templates do not.`,
		Example: `  mahrem room party add brand_partner --key brand_partner.pub`,
	}
	acting := a.actingAs(cmd)
	cmd.Flags().StringVar(&key, "key", "", "file with the public half of the party's key (required); - reads it from stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "key"); err != nil {
			return err
		}
		text, err := a.readSmall(key, maxKeyFile)
		if err != nil {
			return usagef("--key: %w", err)
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		party := cleanroom.PartyID(args[0])
		receipt, err := house.Rooms.Register.AddParty(cmd.Context(), by, party, string(text))
		if errors.Is(err, privacy.ErrConflict) {
			return fmt.Errorf("the party takes part already, or had this key before: %w", err)
		}
		if err != nil {
			return err
		}
		added, err := house.Rooms.Reader.PartyOf(cmd.Context(), party)
		if err != nil {
			return err
		}
		document := partyDocument{Party: string(party), Key: added.Key, AddedAt: &added.AddedAt, Log: pointTo(receipt)}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("party", document.Party)
			t.add("key", document.Key)
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomPartyList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the parties", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			parties, err := house.Rooms.Reader.Parties(cmd.Context(), all)
			if err != nil {
				return err
			}
			documents := []partyDocument{}
			t := table{header: []string{"party", "key", "removed"}}
			for _, p := range parties {
				d := partyDocument{Party: string(p.ID), Key: p.Key, AddedAt: &p.AddedAt, RemovedAt: optional(p.RemovedAt)}
				documents = append(documents, d)
				t.add(d.Party, d.Key, dayOf(d.RemovedAt))
			}
			return a.screen.printList(map[string]any{"parties": documents}, &t, "no parties; mahrem room party add lets one in")
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "those who were removed too")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomPartyRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove PARTY", Short: "End a party's part in all rooms", Args: cobra.ExactArgs(1),
		Long: `End a party's part in all rooms, at once: it can neither ask nor sign, its contracts are not
in force any more, and its signatures under templates do not count. Its key is not accepted
again.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		receipt, err := house.Rooms.Register.RemoveParty(cmd.Context(), by, cleanroom.PartyID(args[0]))
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("there is no such party, or it was removed already: %w", privacy.ErrNotFound)
		}
		if err != nil {
			return err
		}
		document := struct {
			Party string      `json:"party"`
			Log   *logPointer `json:"log"`
		}{args[0], pointTo(receipt)}
		return a.screen.printDone(document, "removed", document.Party, document.Log)
	}
	a.jsonFlag(cmd)
	return cmd
}
