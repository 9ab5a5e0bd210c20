package verdict

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/witness"
)

// Options are what an auditor brings along.
type Options struct {
	// Keys, Kept, Visit and Progress are those of [bundle.VerifyConfig].
	Keys     []string
	Kept     [][]byte
	Visit    func(first uint64, entries []audit.Entry) error
	Progress func(done, total uint64)
	// Policy is a C2SP tlog-policy: whose cosignatures the checkpoint must have. Empty
	// demands none.
	Policy []byte
	// Token is for a log that is served.
	Token string
	// Part says that the auditor knows that entries before or behind are not there. Without it
	// a part of a log is not whole.
	Part bool
}

// Verdict is what is said about a log, or about a part of it.
type Verdict struct {
	// Whole is true if nothing is wrong and nothing that was asked for is unchecked.
	Whole bool `json:"whole"`
	// Place is what was checked.
	Place  string `json:"place"`
	Origin string `json:"origin"`
	// Begin and Entries are the part: from which index on, and up to where.
	Begin   uint64 `json:"begin"`
	Entries uint64 `json:"entries"`
	// Signed is the size of the checkpoint, and Root its root.
	Signed      uint64 `json:"signed_entries"`
	Root        string `json:"root"`
	Checkpoints uint64 `json:"checkpoints"`
	Files       uint64 `json:"files,omitempty"`
	// Kept is the largest checkpoint that was kept elsewhere and with which the log begins.
	Kept uint64 `json:"kept_entries"`
	// OwnKeys is true if no key was given: then only that the bundle is one piece was checked.
	OwnKeys bool `json:"own_keys"`
	// Cosigned are the witnesses whose cosignatures the checkpoint has. They are only known
	// with a policy.
	Cosigned   []string   `json:"cosigned_by"`
	CosignedAt *time.Time `json:"cosigned_at,omitempty"`
	// Restored is where the log lost its end in a restore to which somebody admitted.
	Restored     []audit.Restored `json:"restored"`
	ClockSetBack uint64           `json:"clock_set_back"`
	FirstBad     *uint64          `json:"first_bad_index,omitempty"`
	Damages      []audit.Damage   `json:"damages"`
	MoreDamages  int              `json:"more_damages,omitempty"`
	// Undecided says what was asked for and could not be checked with what is there.
	Undecided []string `json:"undecided"`
	// NotChecked says what nobody asked for, and was not checked.
	NotChecked []string `json:"not_checked"`
}

// ExitCode is 0 for a whole log, 1 for a broken one, and 2 if something that was asked for
// could not be checked.
func (v *Verdict) ExitCode() int {
	switch {
	case v.Whole:
		return 0
	case v.IsBroken():
		return 1
	}
	return 2
}

// IsBroken reports whether something is wrong.
func (v *Verdict) IsBroken() bool { return len(v.Damages) > 0 }

// Open returns the files of a bundle in a directory, or of a log that is served if the place
// begins with http. The error wraps [privacy.ErrInvalid].
func Open(place, token string) (bundle.Files, error) {
	if strings.Contains(place, "://") {
		return newServed(place, token)
	}
	return bundle.Dir(place), nil
}

// Of checks a place. An error says that it could not be checked, and nothing about the log.
func Of(ctx context.Context, place string, options Options) (Verdict, error) {
	v, report, err := of(ctx, place, &options)
	if err != nil {
		return Verdict{}, err
	}
	for _, i := range report.KeptUnchecked {
		v.undecided("%s: its last entries are not in this part of the log", keptName(options.Kept[i]))
	}
	if !options.Part {
		v.wantFirst()
		v.wantLast()
	}
	return v, nil
}

// wantFirst and wantLast say that entries before and behind are not there.
func (v *Verdict) wantFirst() {
	if v.Begin > 0 && !v.IsBroken() {
		v.undecided("entries 0 to %d: they are not here", v.Begin-1)
	}
}

func (v *Verdict) wantLast() {
	if v.Entries < v.Signed && !v.IsBroken() {
		v.undecided("entries %d to %d: they are not here", v.Entries, v.Signed-1)
	}
}

func (v *Verdict) undecided(format string, args ...any) {
	v.Undecided = append(v.Undecided, fmt.Sprintf(format, args...))
	v.note()
}

// keptName says which checkpoint was kept.
func keptName(signed []byte) string {
	c, err := audit.PeekCheckpoint(signed)
	if err != nil {
		return "a checkpoint that was kept"
	}
	return fmt.Sprintf("the checkpoint of size %d that was kept", c.Size)
}

func of(ctx context.Context, place string, options *Options) (Verdict, bundle.Report, error) {
	files, err := Open(place, options.Token)
	if err != nil {
		return Verdict{}, bundle.Report{}, err
	}
	config := bundle.VerifyConfig{Keys: options.Keys, Kept: options.Kept, Visit: options.Visit, Progress: options.Progress}
	if _, ok := files.(*served); ok {
		config.Workers = atOnce
	}
	var cosigned witness.Cosigned
	if len(options.Policy) > 0 {
		policy, err := witness.ParsePolicy(options.Policy)
		if err != nil {
			return Verdict{}, bundle.Report{}, err
		}
		for line := range strings.Lines(string(options.Policy)) {
			if f := strings.Fields(line); len(options.Keys) == 0 && len(f) > 1 && f[0] == "log" {
				config.Keys = append(config.Keys, f[1])
			}
		}
		config.Witnessed = func(signed []byte, logs []note.Verifier) (err error) {
			if cosigned, err = policy.Check(signed, logs...); err != nil {
				return err
			}
			if !cosigned.Quorum {
				return fmt.Errorf("%d of %d witnesses", len(cosigned.Cosignatures), len(policy.Witnesses()))
			}
			return nil
		}
	}
	report, err := bundle.Verify(ctx, files, config)
	if err != nil {
		return Verdict{}, bundle.Report{}, err
	}
	v := newVerdict(place, &report)
	for i := range cosigned.Cosignatures {
		v.Cosigned = append(v.Cosigned, cosigned.Cosignatures[i].Witness)
	}
	if !cosigned.At.IsZero() {
		v.CosignedAt = &cosigned.At
	}
	if len(options.Policy) == 0 {
		v.NotChecked = append(v.NotChecked, "cosignatures of witnesses: no policy of witnesses was given")
	}
	if len(options.Kept) == 0 {
		v.NotChecked = append(v.NotChecked, "whether this is the log that was shown to others: no checkpoint that somebody kept was given")
	}
	return v, report, nil
}

func newVerdict(place string, r *bundle.Report) Verdict {
	v := Verdict{
		Whole: r.Whole(), Place: place, Origin: r.Origin, Begin: r.Range.Begin, Entries: r.Size, Signed: r.Signed.Size, Root: hex.EncodeToString(r.Root[:]),
		Checkpoints: r.Checkpoints, Files: r.Files, Kept: r.Kept.Size, OwnKeys: r.OwnKeys, Restored: r.Restored, ClockSetBack: r.ClockSetBack,
		Damages: r.Damages, MoreDamages: r.MoreDamages, Cosigned: []string{}, Undecided: []string{}, NotChecked: r.NotChecked,
	}
	if v.Damages == nil {
		v.Damages = []audit.Damage{}
	}
	if v.Restored == nil {
		v.Restored = []audit.Restored{}
	}
	if v.NotChecked == nil {
		v.NotChecked = []string{}
	}
	v.note()
	return v
}

// note sets what follows from the damages.
func (v *Verdict) note() {
	slices.SortStableFunc(v.Damages, func(a, b audit.Damage) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Path, b.Path))
	})
	if v.Whole = !v.IsBroken() && len(v.Undecided) == 0; v.IsBroken() {
		v.FirstBad = &v.Damages[0].Index
	}
}
