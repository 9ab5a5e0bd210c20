package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
)

func (a *app) roomRemask() *cobra.Command {
	var from, key, sharedFile, pairFile, output string
	cmd := &cobra.Command{
		Use: "remask DIR", Short: "Mask another party's list once more, in pair mode", Args: cobra.ExactArgs(1),
		Long: `Mask the list of members that another party has prepared in pair mode once more, in its
order, into a new directory. DIR has the other party's manifest and members.ndjson; its
rows stay with it. The signature, the digests, and that nobody is there twice, are checked.

Send the result to the house with mahrem room send, and never back to its owner: who has
both lists masked by both finds out whom both parties have.

Work that breaks off is taken up when the same command is run again.`,
		Example: `  mahrem room remask from-brand --from brand.key.pub --key retailer.key --shared-file salt --pair-file scalar --output for-the-house`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "from", "key", "shared-file", "pair-file", "output"); err != nil {
				return err
			}
			signer, err := a.partySigner(key)
			if err != nil {
				return err
			}
			public, err := a.readSmall(from, maxKeyFile)
			if err != nil {
				return usagef("--from: %w", err)
			}
			name, _, _ := strings.Cut(strings.TrimSpace(string(public)), "+")
			party := cleanroom.PartyID(name)
			verifier, err := cleanroom.ParseVerifier(string(public), party)
			if err != nil {
				return err
			}
			pair, err := a.pairKey(sharedFile, pairFile)
			if err != nil {
				return err
			}
			stages := a.newStages()
			statement, err := prepare.Remask(cmd.Context(), args[0], output, prepare.RemaskConfig{
				Remasker: pair, From: verifier, Signer: signer, Now: time.Now, Progress: stages.set,
			})
			stages.finish()
			if err != nil {
				return err
			}
			_, list, err := prepare.ReadManifest(args[0], verifier)
			if err != nil {
				return err
			}
			document := struct {
				Directory string `json:"directory"`
				Dataset   string `json:"dataset"`
				Room      string `json:"room"`
				Epoch     int    `json:"epoch"`
				Members   int    `json:"members"`
				Manifest  string `json:"manifest"`
				Chunks    int    `json:"chunks"`
			}{
				output, string(list.Owner) + "." + string(list.Dataset), string(list.Room), list.Epoch, list.Members,
				fmt.Sprintf("%x", statement.Manifest), len(statement.MemberChunks),
			}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("masked once more", output)
				t.add("list of", string(party))
				t.add("dataset", fmt.Sprintf("%s, for epoch %d of %s", document.Dataset, document.Epoch, document.Room))
				t.add("members", strconv.Itoa(document.Members))
				t.add("manifest", document.Manifest)
				t.add("chunks", strconv.Itoa(document.Chunks))
				t.writeTo(w, "")
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "the public half of the other party's key (required)")
	flags.StringVar(&key, "key", "", "one's own signing key (required)")
	flags.StringVar(&sharedFile, "shared-file", "", "the salt that both parties have (required)")
	flags.StringVar(&pairFile, "pair-file", "", "one's own scalar (required)")
	flags.StringVarP(&output, "output", "o", "", "directory to make, or in which this was begun (required)")
	a.jsonFlag(cmd)
	return cmd
}
