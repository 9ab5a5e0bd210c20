package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/assembly"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Look at the log and verify it",
		a.auditVerify(),
		a.auditExport(),
		a.auditDiff(),
		a.auditTail(),
		a.auditKey(),
		a.auditStatus(),
		a.auditProve(),
		a.auditVerifyProof(),
		a.auditDoctor(),
		a.auditReport(),
		a.auditPage(), a.auditGrowth(),
		a.auditAnchor(),
		a.auditReconcile(),
		a.auditRetention(),
		a.auditArchive(),
	)
}

// entry is one line of audit tail. There is no personal data in the log, so there is
// none here.
type entry struct {
	Index      uint64    `json:"index"`
	ID         string    `json:"entry_id"`
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"`
	Outcome    string    `json:"outcome"`
	Role       string    `json:"role,omitempty"`
	Recipient  string    `json:"recipient,omitempty"`
	Concerning string    `json:"concerning,omitempty"`
	Minted     string    `json:"minted_role,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	Channel    string    `json:"channel,omitempty"`
	Person     string    `json:"person_tag,omitempty"`
	Checks     []string  `json:"failed_checks,omitempty"`
	Attributes []string  `json:"attributes,omitempty"`
	Count      string    `json:"count,omitempty"`
	LeafHash   string    `json:"leaf_hash"`
}

func newEntry(stored audit.StoredEntry) (entry, error) {
	parsed, err := audit.ParseEntry(stored.Leaf)
	if err != nil {
		return entry{}, fmt.Errorf("reading entry %d: %w", stored.Index, err)
	}
	e := entry{
		Index: stored.Index, ID: hex.EncodeToString(parsed.ID[:]), Time: parsed.Time, Kind: string(parsed.Kind),
		Outcome: string(parsed.Outcome), Role: string(parsed.Role), Recipient: string(parsed.Recipient),
		Concerning: string(parsed.Concerning), Minted: string(parsed.Minted), Purpose: string(parsed.Purpose), Channel: string(parsed.Channel),
		Checks: parsed.Checks, Count: string(parsed.Count), LeafHash: hex.EncodeToString(stored.LeafHash[:]),
	}
	for _, name := range parsed.Attributes {
		e.Attributes = append(e.Attributes, string(name))
	}
	if !parsed.Person.IsZero() {
		e.Person = hex.EncodeToString(parsed.Person[:])
	}
	return e, nil
}

// tail is the document of audit tail.
type tail struct {
	Entries []entry `json:"entries"`
	// LastCosigned is what witnesses vouch for.
	LastCosigned assembly.LastCosigned `json:"last_cosigned"`
}

// detail is what fits on a line of the table.
func (e *entry) detail() string {
	var parts []string
	if e.Minted != "" {
		parts = append(parts, strings.TrimSpace("for "+e.Minted+" "+e.Concerning))
	}
	if e.Count != "" {
		parts = append(parts, e.Count+" things")
	}
	if len(e.Attributes) > 0 {
		parts = append(parts, strings.Join(e.Attributes, ", "))
	}
	if len(e.Checks) > 0 {
		parts = append(parts, "not passed: "+strings.Join(e.Checks, ", "))
	}
	return strings.Join(parts, "; ")
}

func (a *app) auditTail() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the last entries of the log", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > 10_000 {
				return usagef("-n must be between 1 and 10000")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			stored, err := house.Log.Tail(cmd.Context(), n)
			if err != nil {
				return err
			}
			entries := make([]entry, len(stored))
			t := table{header: []string{"index", "time", "kind", "outcome", "by", "purpose", "channel", "person", "detail"}}
			for i := range stored {
				e, err := newEntry(stored[i])
				if err != nil {
					return err
				}
				entries[i] = e
				by := e.Role
				if e.Recipient != "" {
					by += " " + e.Recipient
				}
				t.add(strconv.FormatUint(e.Index, 10), e.Time.Format(time.DateTime), e.Kind, e.Outcome, by,
					e.Purpose, e.Channel, e.Person[:min(8, len(e.Person))], e.detail())
			}
			document := tail{Entries: entries, LastCosigned: house.LastCosigned(cmd.Context())}
			return a.screen.print(document, func(w io.Writer) {
				t.writeTo(w, "")
				writeCosigned(w, &document.LastCosigned)
			})
		},
	}
	cmd.Flags().IntVarP(&n, "entries", "n", 10, "how many entries")
	a.jsonFlag(cmd)
	return cmd
}
