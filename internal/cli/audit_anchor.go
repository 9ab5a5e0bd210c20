package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit/anchor"
	"github.com/mahrem/mahrem/internal/assembly"
)

// anchoredDocument is one anchor as it is printed.
type anchoredDocument struct {
	To      string      `json:"to"`
	At      time.Time   `json:"at"`
	Entries uint64      `json:"entries"`
	Root    string      `json:"root"`
	Note    string      `json:"note"`
	Log     *logPointer `json:"log"`
}

func newAnchoredDocument(d *assembly.Anchored) anchoredDocument {
	return anchoredDocument{
		string(d.Way), d.Anchor.At, d.Checkpoint.Size, hex.EncodeToString(d.Checkpoint.Root[:]), string(d.Anchor.Note), pointTo(d.Receipt),
	}
}

func (a *app) auditAnchor() *cobra.Command {
	var toPrint, now bool
	var language string
	cmd := &cobra.Command{
		Use: "anchor", Short: "Put a checkpoint where nobody here can take it back", Args: cobra.NoArgs,
		Long: `Put the newest checkpoint of the log where the settings say: as a line at the end of
anchor_file, and by POST to anchor_url. mahrem serve does so by itself. It is done at most
once in the time of anchor_every (an hour), and if the log has grown, unless --now is given.

With --print a page is printed instead, with text that a notary can read and sign, in
English, Turkish or Czech. That a checkpoint was anchored is in the log.`,
		Example: `  mahrem audit anchor --print --language tr >denetim-noktasi.txt
  mahrem audit verify --anchors /mnt/partner/mahrem.anchors`,
	}
	flags := cmd.Flags()
	flags.BoolVar(&toPrint, "print", false, "print a page for a notary")
	flags.StringVar(&language, "language", "en", "of the page: en, tr or cs")
	flags.BoolVar(&now, "now", false, "even if it was done a short while ago")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(anchor.Languages(), language) {
			return usagef("--language must be en, tr or cs")
		}
		settings, err := a.config()
		if err != nil {
			return err
		}
		if s := settings.Anchoring; !toPrint && s.AnchorFile == "" && s.AnchorURL == "" {
			return usagef("nowhere to put it: set anchor_file or anchor_url in mahrem.yaml, or use --print")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if toPrint {
			done, err := house.AnchorPrint(cmd.Context(), operator())
			if err != nil {
				return err
			}
			page, err := done.Anchor.Print(language, done.Checkpoint)
			if err != nil {
				return err
			}
			return a.screen.print(newAnchoredDocument(&done), func(w io.Writer) { _, _ = io.WriteString(w, page) })
		}
		done, err := house.Anchor(cmd.Context(), operator(), now)
		document := struct {
			Anchored []anchoredDocument `json:"anchored"`
		}{[]anchoredDocument{}}
		for i := range done {
			document.Anchored = append(document.Anchored, newAnchoredDocument(&done[i]))
		}
		if err != nil {
			return err
		}
		return a.screen.print(document, func(w io.Writer) {
			if len(document.Anchored) == 0 {
				_, _ = fmt.Fprintln(w, "nothing to do: a checkpoint was anchored a short while ago, or the log has not grown; --now does it all the same")
			}
			for _, d := range document.Anchored {
				_, _ = fmt.Fprintf(w, "%s: checkpoint of %d entries, log entry %d\n", d.To, d.Entries, d.Log.Index)
			}
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// readAnchors reads the file of --anchors; no file has none.
func readAnchors(path string) ([]anchor.Anchor, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, usagef("--anchors: %w", err)
	}
	defer func() { _ = file.Close() }()
	anchors, err := anchor.Read(file)
	if err != nil {
		return nil, usagef("--anchors: %s: %w", path, err)
	}
	if len(anchors) == 0 {
		return nil, usagef("--anchors: %s has no anchor", path)
	}
	return anchors, nil
}

// checkAnchors makes sure that the log's key signed each anchor and that they follow one
// another.
func (a *app) checkAnchors(house *assembly.House, path string, anchors []anchor.Anchor) error {
	if len(anchors) == 0 {
		return nil
	}
	if err := house.CheckAnchors(anchors); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	a.screen.notef("%d anchors of %s are signed by the log's key; the log must begin with each", len(anchors), path)
	return nil
}

// instant reads a day or a moment of RFC 3339; empty is the zero time.
func instant(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, usagef("%s must be a day such as 2026-11-22, or a moment such as 2026-11-22T15:04:05Z", flag)
}
