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
		size  uint64 // of its checkpoint; zero if it has none
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
		signed, err := files.Read(ctx, bundle.CheckpointPath, 1<<16)
		if err != nil {
			signed = nil // whoever verifies the part says so
		}
		parts = append(parts, part{place, begin, sizeOf(signed)})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.begin, b.begin) })
	var verdicts []Verdict
	kept := slices.Clone(options.Kept)
	compared := make([]bool, len(kept), len(kept)+len(parts)) // with some part
	for i, p := range parts {
		o := options
		// What was signed later than a part is compared with those behind it.
		var with []int
		o.Kept = nil
		for k := range kept {
			if i == len(parts)-1 || p.size == 0 || sizeOf(kept[k]) <= p.size {
				with, o.Kept = append(with, k), append(o.Kept, kept[k])
			}
		}
		v, report, err := of(ctx, p.place, &o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.place, err)
		}
		for n, k := range with {
			if !slices.Contains(report.KeptUnchecked, n) {
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

// sizeOf is the size that a signed checkpoint names, whoever signed it; zero if it is none.
func sizeOf(signed []byte) uint64 {
	c, err := audit.PeekCheckpoint(signed)
	if err != nil {
		return 0 // whoever checks it says so
	}
	return c.Size
}
