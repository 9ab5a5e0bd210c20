package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/internal/assembly"
)

// checkedPlace is the document of audit verify for one directory or address.
type checkedPlace struct {
	verdict.Verdict
	Replay *replayedPlace `json:"replay,omitempty"`
}

// replayedPlace is what came of making the decisions of a bundle again.
type replayedPlace struct {
	Decisions uint64         `json:"decisions"`
	Same      uint64         `json:"same"`
	Undecided uint64         `json:"undecided"`
	Pairs     int            `json:"distinct_facts"`
	Policies  int            `json:"policies"`
	Findings  []placeFinding `json:"findings"`
}

type placeFinding struct {
	Why       string `json:"why"`
	First     string `json:"first_decision"`
	Index     uint64 `json:"first_index"`
	Decisions uint64 `json:"decisions"`
}

// cannotReplay are reasons that say nothing against a decision.
func cannotReplay(why string) bool {
	return why == archive.RecordMissing || why == archive.BundleMissing
}

// exitCode is that of the log, and of the decisions: what could not be made again was not checked.
func (c *checkedPlace) exitCode() int {
	code := c.ExitCode()
	if c.Replay == nil || code != exitOK {
		return code
	}
	for _, f := range c.Replay.Findings {
		if !cannotReplay(f.Why) {
			return exitFailure
		}
		code = exitUsage
	}
	return code
}

// verifyPlaces checks bundles and logs that are served.
func (a *app) verifyPlaces(ctx context.Context, places []string, options verdict.Options, replay bool) error {
	collectLess()
	progress := newBar(a.screen.err, "verifying", "entries", -1)
	options.Progress = func(done, total uint64) { progress.set(int64(done), int64(total)) }
	var checked []checkedPlace
	var err error
	if replay {
		checked, err = a.replayPlaces(ctx, places, options)
	} else {
		var verdicts []verdict.Verdict
		verdicts, err = verdict.OfAll(ctx, places, options)
		for i := range verdicts {
			verdicts[i].NotChecked = append(verdicts[i].NotChecked, "whether the decisions follow from the policies that are named: --replay does that")
			checked = append(checked, checkedPlace{Verdict: verdicts[i]})
		}
	}
	progress.finish()
	if err != nil {
		return err
	}
	document := any(checked)
	if len(checked) == 1 {
		document = checked[0]
	}
	err = a.screen.print(document, func(w io.Writer) {
		for i := range checked {
			if len(checked) > 1 {
				_, _ = fmt.Fprintln(w, checked[i].Place)
			}
			_, _ = checked[i].WriteTo(w)
			checked[i].Replay.write(w)
		}
	})
	// What is broken outweighs what could not be checked.
	code := exitOK
	for i := range checked {
		if c := checked[i].exitCode(); code != exitFailure && c != exitOK {
			code = c
		}
	}
	if err == nil && code != exitOK {
		err = exitWith(code)
	}
	return err
}

// replayPlaces checks each directory and makes its decisions again.
func (a *app) replayPlaces(ctx context.Context, places []string, options verdict.Options) ([]checkedPlace, error) {
	if len(places) > 1 {
		return nil, usagef("--replay takes one directory at a time")
	}
	files, err := verdict.Open(places[0], options.Token)
	if err != nil {
		return nil, err
	}
	settings, err := a.config()
	if err != nil {
		return nil, err
	}
	replayer := assembly.NewBundleReplayer(files, settings.Patience)
	options.Visit = func(first uint64, entries []audit.Entry) error {
		for i := range entries {
			replayer.Add(first+uint64(i), &entries[i])
		}
		return nil
	}
	v, err := verdict.Of(ctx, places[0], options)
	if err != nil {
		return nil, err
	}
	checked := checkedPlace{Verdict: v}
	if !v.IsBroken() { // of a log that is, decisions prove nothing
		result, err := replayer.Run(ctx)
		if err != nil {
			return nil, err
		}
		checked.Replay = newReplayedPlace(&result)
	}
	return []checkedPlace{checked}, nil
}

func newReplayedPlace(r *archive.Replay) *replayedPlace {
	p := &replayedPlace{Decisions: r.Decisions, Same: r.Same, Undecided: r.Undecided, Pairs: r.Pairs, Policies: r.Policies, Findings: []placeFinding{}}
	for i := range r.Findings {
		f := &r.Findings[i]
		p.Findings = append(p.Findings, placeFinding{f.Why, f.First.String(), f.First.Index, f.Decisions})
	}
	return p
}

func (p *replayedPlace) write(w io.Writer) {
	if p == nil {
		return
	}
	_, _ = fmt.Fprintf(w, "%d of %d decisions came out as they are in the log: %d different facts, %d policies.\n", p.Same, p.Decisions, p.Pairs, p.Policies)
	if p.Undecided > 0 {
		_, _ = fmt.Fprintf(w, "In %d of them the policies came to no plan, and nothing was released.\n", p.Undecided)
	}
	if len(p.Findings) == 0 {
		return
	}
	t := table{header: []string{"first index", "why", "decisions", "first decision"}}
	for _, f := range p.Findings {
		t.add(fmt.Sprint(f.Index), f.Why, fmt.Sprint(f.Decisions), f.First)
	}
	_, _ = fmt.Fprintln(w)
	t.writeTo(w, "")
}
