package verdict

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
)

// WriteTo writes the verdict for people, beginning with the one line that matters.
func (v *Verdict) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	v.write(&b)
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (v *Verdict) write(b *strings.Builder) {
	if v.OwnKeys {
		b.WriteString("NO KEY WAS GIVEN: the keys that lie in the bundle were used. This shows that the bundle is one piece,\nand not whose it is. Give the key that you got from the operator by a way that you trust with --key.\n\n")
	}
	for _, r := range v.Restored {
		fmt.Fprintf(b, "RESTORED at index %d, %s: an older database was restored, and later entries were lost.\n", r.Index, r.Time.UTC().Format(time.RFC3339))
	}
	if v.ClockSetBack > 0 {
		fmt.Fprintf(b, "The clock was set back %d times; entries stand in the order in which they were written.\n", v.ClockSetBack)
	}
	if v.IsBroken() {
		v.writeDamages(b)
		return
	}
	word := "OK"
	if !v.Whole {
		word = "NOT ALL CHECKED; what is here fits"
	}
	fmt.Fprintf(b, "%s, %d entries, checkpoint %s %d %s\n", word, v.Entries-v.Begin, audit.Printable(v.Origin), v.Signed, v.Root[:16])
	if v.Begin > 0 || v.Entries < v.Signed {
		fmt.Fprintf(b, "PART OF A LOG: they are those from index %d to %d of %d.\n", v.Begin, v.Entries-1, v.Signed)
	}
	for _, what := range v.Undecided {
		fmt.Fprintf(b, "Could not be checked: %s.\n", what)
	}
	if v.Files > 0 {
		fmt.Fprintf(b, "%d files, none missing, none more; %d checkpoints of the same log.\n", v.Files, v.Checkpoints)
	}
	if v.Kept > 0 {
		fmt.Fprintf(b, "It begins with the checkpoint of %d entries that was kept.\n", v.Kept)
	}
	if len(v.Cosigned) > 0 {
		fmt.Fprintf(b, "Cosigned by %s", strings.Join(v.Cosigned, ", "))
		if v.CosignedAt != nil {
			fmt.Fprintf(b, ", enough since %s", v.CosignedAt.UTC().Format(time.RFC3339))
		}
		b.WriteString(".\n")
	}
	for _, what := range v.NotChecked {
		fmt.Fprintf(b, "Not checked: %s.\n", what)
	}
}

func (v *Verdict) writeDamages(b *strings.Builder) {
	fmt.Fprintf(b, "NOT WHOLE, first bad index %d\n\n", *v.FirstBad)
	for i := range v.Damages {
		d := &v.Damages[i]
		where := fmt.Sprint(d.Index)
		switch d.Kind {
		case bundle.FileMissing, bundle.FileExtra, bundle.FileAltered, bundle.SignatureWrong:
			if d.Index >= v.Entries || d.Kind == bundle.SignatureWrong {
				where = "-" // of no entry
			}
		}
		fmt.Fprintf(b, "%12s  %s", where, d.Kind)
		for _, detail := range []string{d.Path, d.Detail} {
			if detail != "" {
				b.WriteString("  " + audit.Printable(detail))
			}
		}
		b.WriteByte('\n')
	}
	if v.MoreDamages > 0 {
		fmt.Fprintf(b, "and %d more\n", v.MoreDamages)
	}
}
