package dsar

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

var (
	came   = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	later3 = came.Add(72 * time.Hour)
)

// asState returns a request of a kind in a state, with what it must have to be in it.
func asState(kind Kind, state State) Request {
	r := Request{
		ID: RequestID{1}, Kind: kind, State: state, Regime: string(clock.GDPRCZ), Jurisdiction: "CZ", Language: "cs", Via: ViaCLI,
		DataSubject: privacy.DataSubjectID{7}, ReceivedAt: came, Version: 5,
	}
	if _, err := r.compute(clock.Compute, nil); err != nil {
		panic(err)
	}
	switch state {
	case InProgress, Extended, Fulfilled:
		r.VerifiedAt = came
	}
	if state == Extended {
		r.ExtendedAt = came
	}
	if state.Closed() {
		r.ClosedAt = later3
	}
	if state == Denied {
		r.Denial = NoMatch
	}
	return r
}

// goodMove is a move that has everything that an action may want.
func goodMove(action Action) Move {
	return Move{
		Action: action, Ground: clock.Identity, Extension: clock.Complexity, Denial: NoMatch, Proof: ProofSession,
		Evidence: audit.Digest{1}, Note: privacy.NewPlain("why"),
	}
}

// allowed is the machine written down a second time, action by state: what must happen is
// not to change by accident. "=" stays, a letter is the state that it leads to, "." is
// refused. The columns are received, identity_pending, in_progress, extended, fulfilled,
// denied, withdrawn.
var allowed = map[Action]string{
	ActionAskIdentity: "ii.....",
	ActionMistrust:    "==.....",
	ActionVerify:      "pp.....",
	ActionStart:       "pp.....",
	ActionPause:       "====...",
	ActionResume:      ".......", // the clock runs; see TestClockStandsStill
	ActionExtend:      "..e....",
	ActionNote:        "=======",
	ActionNotify:      "=======",
	ActionExport:      "..==...",
	ActionRectify:     "..==...",
	ActionRestrict:    "..==...",
	ActionUnrestrict:  "..=====", // it lasts longer than the work on the request
	ActionDispute:     "..==...",
	ActionObject:      "..==...",
	ActionReview:      "..==...",
	ActionPlan:        "..==...",
	ActionApprove:     "..==...",
	ActionDefer:       "..==...",
	ActionErase:       "..==...",
	ActionFulfil:      "..ff...",
	ActionDeny:        "dddd...",
	ActionWithdraw:    "wwww...",
}

// kindsOf are the kinds that know an action, where not all do.
var kindsOf = map[Action][]Kind{
	ActionStart:      {Restriction, Objection, Complaint},
	ActionPause:      {Access, Rectification, Erasure, Restriction, Portability, Objection, Review}, // nobody is asked anything before their complaint is looked into
	ActionExport:     {Access, Portability},
	ActionRectify:    {Rectification},
	ActionRestrict:   {Restriction, Rectification, Objection, Erasure},
	ActionUnrestrict: {Restriction, Rectification, Objection, Erasure},
	ActionDispute:    {Rectification, Restriction},
	ActionObject:     {Objection},
	ActionReview:     {Review},
	ActionPlan:       {Erasure},
	ActionApprove:    {Erasure},
	ActionDefer:      {Erasure},
	ActionErase:      {Erasure},
}

func TestEveryActionInEveryState(t *testing.T) {
	t.Parallel()
	letters := map[byte]State{'i': IdentityPending, 'p': InProgress, 'e': Extended, 'f': Fulfilled, 'd': Denied, 'w': Withdrawn}
	tried := 0
	for _, rule := range Machine() {
		row, ok := allowed[rule.Action]
		if rule.Action == ActionOpen {
			continue
		}
		if !ok {
			t.Errorf("nobody has said when %s is allowed", rule.Action)
			continue
		}
		for _, kind := range Kinds() {
			for column, state := range always {
				tried++
				r := asState(kind, state)
				if kind == Erasure && rule.Action == ActionFulfil {
					r.ErasedAt = came
				}
				move := goodMove(rule.Action)
				if kind == Complaint && rule.Action == ActionFulfil {
					move.Outcome = PartlyUpheld
				}
				next, _, err := advance(clock.Compute, &r, &move, later3)
				want := row[column]
				if kinds := kindsOf[rule.Action]; kinds != nil && !slices.Contains(kinds, kind) {
					want = '.'
				}
				where := fmt.Sprintf("%s, %s, %s", rule.Action, kind, state)
				if want == '.' {
					if _, refused := errors.AsType[*Refusal](err); !refused || !errors.Is(err, privacy.ErrConflict) {
						t.Errorf("%s: went to %s, %v", where, next.State, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", where, err)
					continue
				}
				to := state
				if want != '=' {
					to = letters[want]
				}
				if next.State != to || next.Version != r.Version+1 || to.Closed() != !next.ClosedAt.IsZero() || (to == Denied) != (next.Denial != "") || next.Outcome != move.Outcome {
					t.Errorf("%s: became %+v", where, next)
				}
			}
		}
	}
	if tried != 23*8*7 {
		t.Errorf("tried %d cells", tried)
	}
	// Opening is no step, and what nobody knows is none.
	for _, action := range []Action{ActionOpen, "reopen", ""} {
		r, move := asState(Access, InProgress), goodMove(action)
		if _, _, err := advance(clock.Compute, &r, &move, later3); err == nil {
			t.Errorf("%q was taken", action)
		}
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request func() Request
		move    Move
		check   Check
		article string
	}{
		"unproved export":       {func() Request { r := asState(Access, InProgress); r.VerifiedAt = time.Time{}; return r }, goodMove(ActionExport), CheckIdentityProved, "GDPR Article 12(6)"},
		"unproved fulfilment":   {func() Request { r := asState(Access, InProgress); r.VerifiedAt = time.Time{}; return r }, goodMove(ActionFulfil), CheckIdentityProved, "GDPR Article 12(6)"},
		"no proof named":        {func() Request { return asState(Access, Received) }, Move{Action: ActionVerify}, CheckProof, "GDPR Article 12(6)"},
		"copy of a passport":    {func() Request { return asState(Access, Received) }, Move{Action: ActionVerify, Proof: "passport"}, CheckProof, "GDPR Article 12(6)"},
		"no evidence":           {func() Request { return asState(Access, InProgress) }, Move{Action: ActionFulfil}, CheckEvidence, "GDPR Article 5(2)"},
		"nothing erased":        {func() Request { return asState(Erasure, InProgress) }, goodMove(ActionFulfil), CheckErased, "GDPR Article 17(1)"},
		"deny what is erased":   {func() Request { r := asState(Erasure, InProgress); r.ErasedAt = came; return r }, goodMove(ActionDeny), CheckNotErased, "GDPR Article 17(1)"},
		"withdraw what is gone": {func() Request { r := asState(Erasure, Extended); r.ErasedAt = came; return r }, goodMove(ActionWithdraw), CheckNotErased, "GDPR Article 17(1)"},
		"erase twice":           {func() Request { r := asState(Erasure, Extended); r.ErasedAt = came; return r }, goodMove(ActionErase), CheckNotErased, "GDPR Article 17(1)"},
		"reason of nobody":      {func() Request { return asState(Access, InProgress) }, Move{Action: ActionDeny, Denial: "because"}, CheckReason, "GDPR Article 12(4)"},
		"complaint without end": {func() Request { return asState(Complaint, InProgress) }, goodMove(ActionFulfil), CheckOutcome, "GDPR Article 5(2)"},
		"outcome of nobody":     {func() Request { return asState(Complaint, InProgress) }, Move{Action: ActionFulfil, Evidence: audit.Digest{1}, Outcome: "won"}, CheckOutcome, "GDPR Article 5(2)"},
		"outcome of access":     {func() Request { return asState(Access, InProgress) }, Move{Action: ActionFulfil, Evidence: audit.Digest{1}, Outcome: Upheld}, CheckOutcome, "GDPR Article 5(2)"},
		"empty note":            {func() Request { return asState(Access, InProgress) }, Move{Action: ActionNote}, CheckText, ""},
		"another version":       {func() Request { return asState(Access, InProgress) }, Move{Action: ActionNote, Version: 4, Note: privacy.NewPlain("x")}, CheckVersion, ""},
		"paused twice": {func() Request {
			r := asState(Access, InProgress)
			r.PausedAt = came
			return r
		}, goodMove(ActionPause), CheckRunning, "GDPR Article 12(3)"},
		"resume a clock that runs": {func() Request { return asState(Access, InProgress) }, goodMove(ActionResume), CheckPaused, "GDPR Article 12(3)"},
		"the wrong kind":           {func() Request { return asState(Access, InProgress) }, goodMove(ActionErase), CheckKind, ""},
		"law that has no ground": {func() Request {
			r := asState(Access, InProgress)
			r.Regime = string(clock.KVKK)
			return r
		}, Move{Action: ActionDeny, Denial: TooManyRequests}, CheckReason, "KVKK Article 13(3)"},
	} {
		r := c.request()
		before := fmt.Sprint(r)
		_, _, err := advance(clock.Compute, &r, &c.move, later3)
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok || refusal.Check != string(c.check) || refusal.Article != c.article {
			t.Errorf("%s: %v", name, err)
		}
		if fmt.Sprint(r) != before {
			t.Errorf("%s: the request was changed", name)
		}
	}
}

// TestLawRefuses: what a law does not allow is refused by the clock with its article.
func TestLawRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		regime  clock.Regime
		move    Move
		at      time.Time
		check   clock.Check
		article string
	}{
		"late extension":               {clock.GDPRCZ, goodMove(ActionExtend), came.AddDate(0, 2, 0), clock.CheckExtensionInTime, "12(3)"},
		"extension under the KVKK":     {clock.KVKK, goodMove(ActionExtend), later3, clock.CheckExtensionExists, "13"},
		"pause in California":          {clock.CCPA, Move{Action: ActionPause, Ground: clock.Identity}, later3, clock.CheckPauseAllowed, "7021"},
		"pause under the KVKK":         {clock.KVKK, Move{Action: ActionPause, Ground: clock.Identity}, later3, clock.CheckPauseAllowed, ""},
		"extension for convenience":    {clock.GDPRCZ, Move{Action: ActionExtend, Extension: "holidays"}, later3, clock.CheckExtensionReason, ""},
		"late pause":                   {clock.GDPRCZ, Move{Action: ActionPause, Ground: clock.Identity}, came.AddDate(0, 2, 0), "", ""},
		"extension of LGPD has no law": {clock.LGPD, goodMove(ActionExtend), later3, clock.CheckExtensionExists, ""},
	} {
		r := asState(Access, InProgress)
		r.Regime = string(c.regime)
		if _, err := r.compute(clock.Compute, nil); err != nil {
			t.Fatal(err)
		}
		due := r.DueAt
		_, _, err := advance(clock.Compute, &r, &c.move, c.at)
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok || c.check != "" && refusal.Check != string(c.check) || !strings.Contains(refusal.Article, c.article) || refusal.Article == "" {
			t.Errorf("%s: %v", name, err)
		}
		if !r.DueAt.Equal(due) || len(r.Pauses) != 0 || !r.ExtendedAt.IsZero() {
			t.Errorf("%s: left a trace in the request", name)
		}
	}
}

// TestClockStandsStill: in Czechia for as long as is decided, in the United Kingdom until
// the proof comes, and in California never.
func TestClockStandsStill(t *testing.T) {
	t.Parallel()
	step := func(r Request, m Move, at time.Time) Request {
		t.Helper()
		before := fmt.Sprint(r)
		next, _, err := advance(clock.Compute, &r, &m, at)
		if fmt.Sprint(r) != before {
			t.Errorf("%s changed the request that it started from", m.Action)
		}
		if err != nil {
			t.Fatalf("%s: %v", m.Action, err)
		}
		return next
	}
	r := asState(Access, Received)
	due := r.DueAt
	r = step(r, Move{Action: ActionAskIdentity}, came.Add(time.Hour))
	if r.State != IdentityPending || !r.DueAt.Equal(due) || !r.PausedAt.IsZero() {
		t.Errorf("to ask stopped a clock that the law lets run: %+v", r)
	}
	r = step(r, Move{Action: ActionPause, Ground: clock.Identity}, came.Add(time.Hour))
	if !r.DueAt.IsZero() || r.PausedAt.IsZero() || r.State != IdentityPending {
		t.Errorf("paused: %+v", r)
	}
	proved := came.AddDate(0, 0, 10)
	r = step(r, Move{Action: ActionVerify, Proof: ProofCode}, proved)
	if r.State != InProgress || !r.PausedAt.IsZero() || !r.DueAt.After(due) || r.VerifiedAt != proved || r.Pauses[0].Until != proved {
		t.Errorf("went on: due %v, before %v, %+v", r.DueAt, due, r)
	}
	r = step(r, Move{Action: ActionExtend, Extension: clock.Complexity}, proved.Add(time.Hour))
	if r.State != Extended || !r.DueAt.After(due.AddDate(0, 1, 20)) {
		t.Errorf("extended to %v", r.DueAt)
	}

	uk := asState(Access, Received)
	uk.Regime = string(clock.UKEngland)
	uk = step(uk, Move{Action: ActionAskIdentity}, came.Add(time.Hour))
	if !uk.DueAt.IsZero() || !uk.StartedAt.IsZero() || uk.PausedAt.IsZero() {
		t.Errorf("the clock of the United Kingdom runs without proof: %+v", uk)
	}
	uk = step(uk, Move{Action: ActionAskIdentity}, came.Add(2*time.Hour))
	uk = step(uk, Move{Action: ActionVerify, Proof: ProofSession}, proved)
	if len(uk.Pauses) != 1 || uk.DueAt.Before(proved.AddDate(0, 1, 0).Truncate(24*time.Hour)) || uk.StartedAt.IsZero() {
		t.Errorf("the clock of the United Kingdom started at %v, due %v", uk.StartedAt, uk.DueAt)
	}

	ca := asState(Access, Received)
	ca.Regime = string(clock.CCPA)
	if _, err := ca.compute(clock.Compute, nil); err != nil {
		t.Fatal(err)
	}
	if ca.AcknowledgeBy.IsZero() {
		t.Error("nothing is to be confirmed in California")
	}
	due = ca.DueAt
	ca = step(ca, Move{Action: ActionAskIdentity}, came.Add(time.Hour))
	ca = step(ca, Move{Action: ActionVerify, Proof: ProofCode}, proved)
	if !ca.DueAt.Equal(due) || len(ca.Pauses) != 0 {
		t.Errorf("California waited: due %v, want %v", ca.DueAt, due)
	}
}

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	r := asState(Access, InProgress)
	for at, want := range map[time.Time]int{
		r.DueAt:                           0,
		r.DueAt.Add(time.Nanosecond):      -1,
		r.DueAt.Add(-24 * time.Hour):      1,
		r.DueAt.Add(-24*time.Hour + 1):    0,
		r.DueAt.Add(24 * time.Hour):       -2,
		r.DueAt.Add(24*time.Hour - 1):     -1,
		r.DueAt.Add(-30 * 24 * time.Hour): 30,
	} {
		if days, due := r.DaysLeft(at); !due || days != want || r.IsOverdue(at) != at.After(r.DueAt) {
			t.Errorf("%v before it is due: %d, want %d", r.DueAt.Sub(at), days, want)
		}
	}
	r.DueAt = time.Time{}
	if _, due := r.DaysLeft(came); due || r.IsOverdue(came.AddDate(9, 0, 0)) {
		t.Error("something is due while the clock stands still")
	}
	closed := asState(Access, Fulfilled)
	if _, due := closed.DaysLeft(came); due || closed.IsOverdue(came.AddDate(9, 0, 0)) {
		t.Error("something is due that was done")
	}
}

// TestStepDigest: known answers, see docs/dsar.md.
func TestStepDigest(t *testing.T) {
	t.Parallel()
	id := RequestID{0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f, 0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e}
	for _, c := range []struct {
		number   int64
		action   Action
		evidence audit.Digest
		want     string
	}{
		{1, ActionOpen, audit.Digest{}, "6994dc525cb0ca05c86dc2147187ff38cd6ddf668a83e652d4664bfa5aeb3eff"},
		{7, ActionFulfil, audit.Digest{0: 0xab, 31: 0x01}, "e734c49ffc7e7b2d1b0f8d5a4089c959a3f4e3cc60d3e8011293fe8886127144"},
	} {
		digest := StepDigest(id, c.number, c.action, c.evidence)
		if got := hex.EncodeToString(digest[:]); got != c.want {
			t.Errorf("step %d: %s, want %s", c.number, got, c.want)
		}
	}
}

// TestMachineIsPrinted holds docs/dsar.md to the machine.
func TestMachineIsPrinted(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../docs/dsar.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(list any) string { return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(list), "[]")), ", ") }
	table := "| action | from | to | by | kinds | checks | log |\n|---|---|---|---|---|---|---|\n"
	for _, rule := range Machine() {
		from, to, kinds := names(rule.From), string(rule.To), names(rule.Kinds)
		switch {
		case len(rule.From) == 0:
			from = "–"
		case len(rule.From) == len(always):
			from = "any"
		}
		if to == "" {
			to = "stays"
		}
		if kinds == "" {
			kinds = "all"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s | %s | %s | `%s` |\n", rule.Action, from, to, names(rule.By), kinds, names(rule.Checks), rule.Event)
	}
	if !strings.Contains(string(content), table) {
		t.Errorf("docs/dsar.md lacks:\n%s", table)
	}
	table = "| reason | GDPR | KVKK | CCPA | LGPD |\n|---|---|---|---|---|\n"
	for _, reason := range DenialReasons() {
		table += "| " + string(reason)
		for _, regime := range []string{"gdpr_eu", "kvkk", "ccpa", "lgpd"} {
			article, ok := reason.Article(regime, Erasure)
			if !ok {
				article = "no ground"
			}
			table += " | " + article
		}
		table += " |\n"
	}
	if !strings.Contains(string(content), table) {
		t.Errorf("docs/dsar.md lacks:\n%s", table)
	}
}
