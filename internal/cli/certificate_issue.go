package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/privacy"
)

// listedErasure is one line of certificate list.
type listedErasure struct {
	Erasure  string     `json:"erasure_id"`
	Request  string     `json:"request_id,omitempty"`
	ErasedAt time.Time  `json:"erased_at"`
	SweptAt  *time.Time `json:"rows_gone_at,omitempty"`
	Revision int64      `json:"certificate_revision"`
}

func (a *app) certificateList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List erasures and their certificates", Args: cobra.NoArgs,
		Long: `List erasures, the newest first, with the revision of the certificate of each. Nobody is
named: what was erased is not known any more.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10000 {
				return usagef("--limit is between 1 and 10000")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			erasures, err := house.Erasures.Erasures(cmd.Context(), [16]byte{}, limit)
			if err != nil {
				return err
			}
			document := struct {
				Erasures []listedErasure `json:"erasures"`
			}{[]listedErasure{}}
			t := table{header: []string{"erasure", "request", "erased", "last row gone", "certificate"}}
			for _, e := range erasures {
				line := newListedErasure(&e)
				document.Erasures = append(document.Erasures, line)
				gone, revision := "not yet", "none yet"
				if line.SweptAt != nil {
					gone = line.SweptAt.Format(time.DateTime)
				}
				if e.Revision > 0 {
					revision = fmt.Sprintf("revision %d", e.Revision)
				}
				t.add(line.Erasure, line.Request, line.ErasedAt.Format(time.DateTime), gone, revision)
			}
			return a.screen.print(document, func(w io.Writer) {
				if len(erasures) == 0 {
					_, _ = fmt.Fprintln(w, "nobody was erased so far")
					return
				}
				t.writeTo(w, "")
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "list at most this many")
	a.jsonFlag(cmd)
	return cmd
}

func newListedErasure(e *certificate.Erased) listedErasure {
	line := listedErasure{Erasure: dsar.ErasureID(e.ID).String(), ErasedAt: e.ErasedAt.UTC(), Revision: e.Revision}
	if request := dsar.RequestID(e.Request); request != (dsar.RequestID{}) {
		line.Request = request.String()
	}
	if !e.SweptAt.IsZero() {
		at := e.SweptAt.UTC()
		line.SweptAt = &at
	}
	return line
}

func (a *app) certificateIssue() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "issue ID -o FILE", Short: "Write the certificate of an erasure to a file", Args: cobra.ExactArgs(1),
		Long: `Write the certificate of an erasure as it stands to a new file. ID is that of the erasure
or of its request. If something has changed since the last one (rows are gone, a
processor has answered) a new revision is signed and logged first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := dsar.ParseRequestID(args[0])
			if err != nil {
				return usagef("ID is that of a request or an erasure: %w", err)
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			erasures, err := house.Erasures.Erasures(cmd.Context(), id, 1)
			if err != nil {
				return err
			}
			if len(erasures) == 0 {
				return fmt.Errorf("finding the erasure of %s: %w", id, privacy.ErrNotFound)
			}
			signed, err := house.Certificates.Issue(cmd.Context(), erasures[0].ID)
			if err != nil {
				return err
			}
			if err := writeNew(out, string(signed), 0o600); err != nil {
				return usagef("--out: %w", err)
			}
			c, err := certificate.Parse(signed)
			if err != nil {
				return err
			}
			document := struct {
				Erasure  string `json:"erasure_id"`
				Revision int64  `json:"revision"`
				File     string `json:"file"`
			}{c.Erasure.ID, c.Revision, out}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s: revision %d of the certificate of erasure %s\n", out, c.Revision, c.Erasure.ID)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the new file to write")
	_ = cmd.MarkFlagRequired("out")
	a.jsonFlag(cmd)
	return cmd
}
