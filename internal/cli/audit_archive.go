package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// logPolicy is the document of audit retention.
type logPolicy struct {
	Keep         string    `json:"keep"`
	Cosignatures int       `json:"cosignatures"`
	Digest       string    `json:"digest"`
	SetAt        time.Time `json:"set_at"`
	Text         string    `json:"policy"`
}

func (a *app) auditRetention() *cobra.Command {
	cmd := &cobra.Command{
		Use: "retention [FILE]", Short: "Show the written policy on old entries, or put one in force", Args: cobra.MaximumNArgs(1),
		Long: `Old entries are dropped from the log only under a written policy whose digest stands in the
log, and only those that an archive has. Without one everything stays. The file begins with

  mahrem.log-retention/v1
  keep 3 years
  cosignatures 1

for how long entries stay at least (days, months or years; 90 days or more), and how many
witnesses must have signed a checkpoint above them; then an empty line and the reasons.
docs/spec/log.md has it in full.`,
		Example: "  mahrem audit retention\n  mahrem audit retention policy.txt",
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			if len(args) == 1 {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return usagef("%w", err)
				}
				policy, err := audit.ParseRetentionPolicy(string(text))
				if err != nil {
					return usagef("%s: %w", args[0], err)
				}
				now, _, err := house.Log.Retention(cmd.Context())
				if err != nil && !errors.Is(err, privacy.ErrNotFound) {
					return err
				}
				if now != policy {
					if _, err := house.Log.SetRetention(cmd.Context(), audit.Event{Principal: operator()}, policy); err != nil {
						return err
					}
				}
			}
			policy, at, err := house.Log.Retention(cmd.Context())
			if errors.Is(err, privacy.ErrNotFound) {
				return fmt.Errorf("there is no written policy on old entries, so that all of them stay: %w", privacy.ErrNotFound)
			}
			if err != nil {
				return err
			}
			digest := policy.Digest()
			document := logPolicy{policy.Keep.String(), policy.Cosignatures, hex.EncodeToString(digest[:]), at.UTC(), policy.Text}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s\nin force since %s, SHA-256 %s\n", policy.Text, at.UTC().Format(time.RFC3339), document.Digest)
			})
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

// logArchive is the document of audit archive.
type logArchive struct {
	Directory string `json:"directory,omitempty"`
	Begin     uint64 `json:"begin"`
	End       uint64 `json:"end"`
	Manifest  string `json:"manifest,omitempty"`
	Index     uint64 `json:"log_index,omitempty"`
	LogBegins uint64 `json:"log_begins"`
}

func (a *app) auditArchive() *cobra.Command {
	var prune bool
	cmd := &cobra.Command{
		Use: "archive DIR", Short: "Copy old entries out, verify the copy, and drop them if you say so", Args: cobra.ExactArgs(1),
		Long: `Copy the entries that are older than the written policy (mahrem audit retention), in whole
partitions of 1,048,576, into a bundle of their own below DIR, verify it from its files, and
have the log say so. With --prune they are then dropped from the database.

The log goes on as before: it proves the entries that remain, and that it extends every
checkpoint that it ever signed. What was dropped is in the archive alone: keep it, and more
than one copy of it. "mahrem audit verify --part DIR/BEGIN-END" verifies it, and
"mahrem audit verify --part REST --kept DIR/BEGIN-END/checkpoint" that the rest goes on from it.

Broken off at any point, it is done again with the same DIR.`,
		Example: "  mahrem audit archive /mnt/archive\n  mahrem audit archive /mnt/archive --prune",
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			bar, title := newBar(a.screen.err, "archiving", "entries", -1), "archiving"
			done, err := house.ArchiveLog(cmd.Context(), operator(), args[0], prune, func(what string, n, total uint64) {
				if what != title {
					title = what
					bar.describe(what)
				}
				bar.set(int64(n), int64(total))
			})
			bar.finish()
			if errors.Is(err, privacy.ErrNotFound) {
				return fmt.Errorf("there is no written policy on old entries; write one and put it in force with: mahrem audit retention FILE: %w", err)
			}
			if err != nil {
				return err
			}
			document := logArchive{Directory: done.Directory, Begin: done.Begin, End: done.End, LogBegins: done.LogBegins}
			if done.Directory != "" {
				document.Manifest, document.Index = hex.EncodeToString(done.Manifest[:]), done.Archived.Index()
			}
			return a.screen.print(document, func(w io.Writer) {
				if done.Directory == "" {
					_, _ = fmt.Fprintf(w, "No whole partition is older than the policy; the log begins with entry %d.\n", done.LogBegins)
					return
				}
				_, _ = fmt.Fprintf(w, "Entries %d to %d are in %s, whole.\nManifest SHA-256 %s, logged at index %d.\nThe log begins with entry %d.\n",
					done.Begin, done.End-1, done.Directory, document.Manifest, document.Index, done.LogBegins)
			})
		}),
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "drop what was archived from the database")
	a.jsonFlag(cmd)
	return cmd
}
