package gate

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// CaseResult is what became of one case.
type CaseResult struct {
	// File, Scenario and Name say which case it is; Situation is the market situation
	// behind it, in one line.
	File, Scenario, Situation, Name string
	// Decision, Obligations and Reasons are the answer's.
	Decision    Decision
	Obligations []policies.ObligationID
	Reasons     []string
	// Failures say what differs from the expectation; empty if nothing does.
	Failures []string
}

// Passed reports whether the case came out as expected.
func (r CaseResult) Passed() bool { return len(r.Failures) == 0 }

// NearMiss reports whether the case is about what is almost but not quite another: its
// name says so.
func (r CaseResult) NearMiss() bool { return strings.HasPrefix(r.Name, "near miss") }

// caseClock is when every case takes place.
var caseClock = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// RunCases plays every case in the YAML files of fsys, or of its folder cases if it has
// one, against a policy revision, through the same decision and ladder that answers
// queries. The error is about cases that cannot be read; a case that comes out
// otherwise than expected is a result.
func RunCases(ctx context.Context, fsys fs.FS, revision *policies.Revision) ([]CaseResult, error) {
	dir := "."
	if info, err := fs.Stat(fsys, "cases"); err == nil && info.IsDir() {
		dir = "cases"
	}
	files, err := fs.Glob(fsys, path.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("finding cases: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("finding cases: there are none: %w", privacy.ErrNotFound)
	}
	s := newSheet(revision)
	var results []CaseResult
	for _, name := range files {
		file, err := readCases(fsys, name)
		if err != nil {
			return nil, err
		}
		played, err := file.play(ctx, s, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, played...)
	}
	return results, nil
}

func (f *caseFile) play(ctx context.Context, s *sheet, name string) ([]CaseResult, error) {
	var results []CaseResult
	answers := map[string]Answer{}
	for i := range f.Cases {
		c := &f.Cases[i]
		person, ok := f.People[c.Person]
		if ok == (c.Room != nil) || c.Name == "" {
			return nil, fmt.Errorf("case %d (%q): name and either a person of this file or a room are required: %w", i+1, c.Name, privacy.ErrInvalid)
		}
		if _, twice := answers[c.Name]; twice {
			return nil, fmt.Errorf("case %q is there twice: %w", c.Name, privacy.ErrInvalid)
		}
		person.sharing = f.Sharing
		var answer Answer
		var event audit.Event
		var limits []string
		var err error
		if c.Room != nil {
			answer, event, limits, err = c.Room.play(ctx, s, &c.Expect)
		} else {
			answer, event, err = c.play(ctx, s, &person)
		}
		if err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Name, err)
		}
		answers[c.Name] = answer
		r := CaseResult{
			File: path.Base(name), Scenario: f.Scenario, Situation: strings.TrimSpace(f.Situation), Name: c.Name,
			Decision: answer.Decision, Obligations: answer.obligations(), Reasons: answer.checks(),
		}
		if r.Failures, err = c.Expect.compare(answer, event); err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Name, err)
		}
		r.Failures = append(r.Failures, limits...)
		if c.Expect.SameAs != "" {
			other, ok := answers[c.Expect.SameAs]
			if !ok {
				return nil, fmt.Errorf("case %q: same_as names no earlier case: %w", c.Name, privacy.ErrInvalid)
			}
			if !reflect.DeepEqual(answer, other) {
				r.Failures = append(r.Failures, fmt.Sprintf("the answer differs from that of %q", c.Expect.SameAs))
			}
		}
		results = append(results, r)
	}
	return results, nil
}
