package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/mahrem/mahrem/consent/proof"
)

// writeConsentProof says how the consent ledger compares with the log.
func writeConsentProof(w io.Writer, r *proof.Report) {
	if r.Archived > 0 {
		_, _ = fmt.Fprintf(w, "Of %d rows and remains of the consent ledger the entries may be among those that were archived: only the archive shows them.\n", r.Archived)
	}
	if r.Nameless > 0 {
		_, _ = fmt.Fprintf(w, "%d entries about consent are from before rows had commitments: they name no row.\n", r.Nameless)
	}
	if r.Bare > 0 {
		_, _ = fmt.Fprintf(w, "%d rows of the consent ledger have no commitment. They are from a release before rows had one, or were written past Mahrem;\n"+
			"no entry says what they were. How to tell these apart, and what to do with them: docs/operations.md, \"Consents without a commitment\".\n", r.Bare)
	}
	if r.Whole() {
		_, _ = fmt.Fprintf(w, "OK, consent ledger: %d rows, %d erased, as the log says\n", r.Rows, r.Gone)
		return
	}
	_, _ = fmt.Fprint(w, "THE CONSENT LEDGER IS NOT AS THE LOG SAYS\n\n")
	t := table{header: []string{"index", "what is wrong", "detail"}}
	for _, damage := range r.Damages {
		index := ""
		if damage.Index != nil {
			index = strconv.FormatUint(*damage.Index, 10)
		}
		t.add(index, string(damage.Kind), damage.Detail)
	}
	t.writeTo(w, "")
	if r.MoreDamages > 0 {
		_, _ = fmt.Fprintf(w, "and %d more\n", r.MoreDamages)
	}
}
