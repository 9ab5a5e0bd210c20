package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/archive"
)

// replayDocument is the outcome of decision replay.
type replayDocument struct {
	Decisions uint64          `json:"decisions"`
	Same      uint64          `json:"same"`
	Undecided uint64          `json:"undecided"`
	Facts     int             `json:"different_facts"`
	Policies  int             `json:"policies"`
	Findings  []replayFinding `json:"findings"`
	Shown     logPointer      `json:"shown"`
}

type replayFinding struct {
	Why       string          `json:"why"`
	First     string          `json:"first_decision_id"`
	Decisions uint64          `json:"decisions"`
	Kept      json.RawMessage `json:"kept_plan,omitempty"`
	Again     json.RawMessage `json:"plan_again,omitempty"`
}

// findingTexts say in words what a finding means.
var findingTexts = map[string]string{
	archive.PlanDiffers:   "the kept policy decides otherwise on the kept facts",
	archive.EntryDiffers:  "the log says something else than the kept plan",
	archive.RecordMissing: "facts and plan were not kept",
	archive.RecordDamaged: "what was kept is not what the log has the digest of",
	archive.BundleMissing: "the policy was not kept",
	archive.BundleDamaged: "the kept policy does not compile, or is another",
	archive.PolicyFails:   "the kept policy comes to no plan now",
}

func (a *app) decisionReplay() *cobra.Command {
	var since string
	cmd := &cobra.Command{
		Use: "replay [DECISION_ID | --since DURATION]", Short: "Make decisions again with the policy that made them", Args: cobra.MaximumNArgs(1),
		Long: `Make decisions again: the policy that the log names is compiled from what was kept, it
decides again on the kept facts, and its plan must be the kept one byte by byte and
agree with the entry in the log. The exit code is 1 if one is not, or cannot be made
again.`,
		Example: `  mahrem decision replay 1742-6f1c2d3e4f5061728394a5b6c7d8e9f0
  mahrem decision replay --since 30d`,
	}
	cmd.Flags().StringVar(&since, "since", "", "all decisions of this time until now, such as 12h, 30d or 4w")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (since != "") {
			return usagef("name one decision by its id, or many by --since; see mahrem decision replay --help")
		}
		var replay func(*archive.Archive) (archive.Replay, error)
		if len(args) == 1 {
			id, err := decisionID(args[0])
			if err != nil {
				return err
			}
			replay = func(kept *archive.Archive) (archive.Replay, error) {
				return kept.ReplayOne(cmd.Context(), operator(), id)
			}
		} else {
			window, err := window("--since", since)
			if err != nil {
				return err
			}
			replay = func(kept *archive.Archive) (archive.Replay, error) {
				return kept.ReplaySince(cmd.Context(), operator(), time.Now().Add(-window))
			}
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		result, err := replay(house.Archive)
		if err != nil {
			return noSuchDecision(err)
		}
		return a.printReplay(result)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printReplay(r archive.Replay) error {
	leaf := r.Receipt.LeafHash()
	document := replayDocument{
		Decisions: r.Decisions, Same: r.Same, Undecided: r.Undecided, Facts: r.Pairs, Policies: r.Policies,
		Findings: []replayFinding{}, Shown: logPointer{r.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	t := table{header: []string{"decisions", "first", "what is wrong"}}
	for _, f := range r.Findings {
		document.Findings = append(document.Findings, replayFinding{f.Why, f.First.String(), f.Decisions, f.Kept, f.Again})
		t.add(fmt.Sprint(f.Decisions), f.First.String(), f.Why+": "+findingTexts[f.Why])
	}
	err := a.screen.print(document, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%d decisions, %d different facts, %d policies: %d came out as they were, byte by byte\n",
			r.Decisions, r.Pairs, r.Policies, r.Same)
		if r.Undecided > 0 {
			_, _ = fmt.Fprintf(w, "%d of them had no plan, because the policies failed then\n", r.Undecided)
		}
		if len(t.rows) > 0 {
			_, _ = fmt.Fprintln(w)
			t.writeTo(w, "")
		}
	})
	if err == nil && r.Same != r.Decisions {
		err = fmt.Errorf("%d of %d decisions are not what they were, or cannot be made again", r.Decisions-r.Same, r.Decisions)
	}
	return err
}

// window reads a length of time: what Go writes, and days (d) and weeks (w).
func window(name, text string) (time.Duration, error) {
	if number, ok := strings.CutSuffix(text, "w"); ok {
		if weeks, err := strconv.ParseUint(number, 10, 16); err == nil && weeks > 0 && weeks <= 5200 {
			return time.Duration(weeks) * 7 * 24 * time.Hour, nil
		}
	}
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.ParseUint(number, 10, 16); err == nil && days > 0 && days <= 36500 {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	}
	if length, err := time.ParseDuration(text); err == nil && length > 0 {
		return length, nil
	}
	return 0, usagef("%s must be a length of time such as 12h, 30d or 4w", name)
}
