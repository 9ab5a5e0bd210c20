package verdict

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
)

// OfParts checks several bundles that are parts of one log, such as an archive of old entries
// and the rest: each by itself, that each begins where the one before ends, and that the
// checkpoint of each is one of the log that a later part is of. One verdict for each comes
// back, in the order of the log.
func OfParts(ctx context.Context, places []string, options Options) ([]Verdict, error) {
	type part struct {
		place string
		begin uint64
	}
	var parts []part
	for _, place := range places {
		files, err := Open(place, options.Token)
		if err != nil {
			return nil, err
		}
		begin, err := bundle.BeginOf(ctx, files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		parts = append(parts, part{place, begin})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.begin, b.begin) })
	var verdicts []Verdict
	kept := slices.Clone(options.Kept)
	compared := make([]bool, len(kept), len(kept)+len(parts)) // with some part
	for i, p := range parts {
		o := options
		o.Kept = kept
		v, report, err := of(ctx, p.place, &o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.place, err)
		}
		for k := range kept {
			if !slices.Contains(report.KeptUnchecked, k) {
				compared[k] = true
			}
		}
		if i > 0 && v.Begin != verdicts[i-1].Entries {
			kind := audit.EntryMissing
			if v.Begin < verdicts[i-1].Entries {
				kind = audit.EntryRepeated
			}
			v.Damages = append(v.Damages, audit.Damage{Index: verdicts[i-1].Entries, Kind: kind, Detail: fmt.Sprintf("%s begins with entry %d", p.place, v.Begin)})
			v.note()
		}
		verdicts = append(verdicts, v)
		// What a part was signed with must be in those that follow it.
		if i < len(parts)-1 && report.Note != nil {
			kept = append(kept, report.Note)
			compared = append(compared, false)
		}
	}
	first, last := &verdicts[0], &verdicts[len(verdicts)-1]
	for k, signed := range kept {
		if !compared[k] {
			last.undecided("%s: no part of the log has its last entries", keptName(signed))
		}
	}
	if !options.Part {
		first.wantFirst()
		last.wantLast()
	}
	return verdicts, nil
}
