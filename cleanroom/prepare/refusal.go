package prepare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// Fault is a row that cannot be used: where and why, and never what it holds.
type Fault struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	// Column is the contract's column, if it is about one.
	Column string `json:"column,omitempty"`
}

// The reasons that the intake of files does not have.
const (
	Duplicate   = "duplicate"    // the person is in an earlier row
	OutOfDomain = "not_provided" // a value that the contract does not provide for
)

// maximumFaults is how many rows a refusal names.
const maximumFaults = 20

// Refusal is the error of a file of which rows cannot be used. It wraps [privacy.ErrInvalid].
type Refusal struct {
	Total  int
	Faults []Fault // the first ones
}

func (r *Refusal) Error() string {
	lines := make([]string, len(r.Faults))
	for i, f := range r.Faults {
		lines[i] = fmt.Sprintf("line %d: %s", f.Line, strings.TrimSpace(f.Reason+" "+f.Column))
	}
	more := ""
	if r.Total > len(r.Faults) {
		more = fmt.Sprintf(" and %d more", r.Total-len(r.Faults))
	}
	return fmt.Sprintf("preparing: rows that cannot be used: %s%s: %s", strings.Join(lines, ", "), more, privacy.ErrInvalid)
}

// Unwrap returns [privacy.ErrInvalid].
func (r *Refusal) Unwrap() error { return privacy.ErrInvalid }

// faults gathers what is wrong with rows.
type faults struct {
	all        []Fault
	total      int
	reasons    map[string]int
	duplicates int
}

func (f *faults) add(line int64, reason, column string) {
	f.total++
	if f.reasons == nil {
		f.reasons = map[string]int{}
	}
	f.reasons[reason]++
	if reason == Duplicate {
		f.duplicates++
	}
	if len(f.all) < maximumFaults {
		f.all = append(f.all, Fault{line, reason, column})
	}
}

// refusal is the error, if rows that do not read may be left out or not.
func (f *faults) refusal(dropBad bool) error {
	if f.total == 0 || dropBad && f.duplicates == 0 {
		return nil
	}
	shown := f.all
	if dropBad {
		shown = slices.DeleteFunc(slices.Clone(shown), func(f Fault) bool { return f.Reason != Duplicate })
		return &Refusal{Total: f.duplicates, Faults: shown}
	}
	return &Refusal{Total: f.total, Faults: shown}
}

// reasonOf is the word for a row that has no usable identifier.
const (
	missing = string(intake.MissingIdentifier)
	bad     = string(intake.BadIdentifier)
)
