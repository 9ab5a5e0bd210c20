package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit/page"
)

// pageDocument is the document of audit page.
type pageDocument struct {
	File   string `json:"file"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (a *app) auditPage() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "page", Short: "Write the page that checks proofs and checkpoints in a browser", Args: cobra.NoArgs,
		Long: `Write one HTML file that checks proofs of entries, checkpoints with their cosignatures, and
proofs that the log only grew, in a browser, from files. It needs no server and talks to
none. Its bytes are the same for everybody who has this release: compare the digest.`,
		Example: `  mahrem audit page --out verify.html`,
		RunE: func(*cobra.Command, []string) error {
			html := page.Verifier()
			sum := sha256.Sum256(html)
			d := pageDocument{File: out, Bytes: len(html), SHA256: hex.EncodeToString(sum[:])}
			if out == "" {
				if a.screen.json {
					return a.screen.print(d, nil)
				}
				_, err := a.screen.out.Write(html)
				return err
			}
			if err := writeOut(out, func(w io.Writer) error { _, err := w.Write(html); return err }); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			return a.screen.print(d, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s  %s\n", d.SHA256, d.File) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to this new file, and print its digest")
	a.jsonFlag(cmd)
	return cmd
}
