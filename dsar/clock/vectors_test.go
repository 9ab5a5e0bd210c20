package clock_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
)

// at is noon of a day where the regime is.
func at(t testing.TB, regime clock.Regime, text string) time.Time {
	t.Helper()
	law, err := clock.LawOf(regime, clock.Access, time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatalf("finding the law of %s: %v", regime, err)
	}
	return day(t, text).In(law.Place(), 12, 0, 0)
}

// vector reads what happened, as testdata/vectors.txt writes it.
func vector(t testing.TB, regime clock.Regime, right, happened string) clock.Input {
	t.Helper()
	in := clock.Input{Regime: regime, Right: clock.Right(right)}
	for event := range strings.SplitSeq(happened, "; ") {
		words := strings.Fields(event)
		switch words[0] {
		case "received":
			in.Received = at(t, regime, words[1])
		case "extended":
			in.Extension = &clock.Extension{Notified: at(t, regime, words[1])}
			if len(words) > 2 {
				in.Extension.Reason = clock.ExtensionReason(words[2])
			}
		default:
			asked, answered, found := strings.Cut(words[1], "..")
			if !found {
				t.Fatalf("%q is no event", event)
			}
			pause := clock.Pause{Ground: clock.Ground(words[0]), From: at(t, regime, asked)}
			if answered != "" {
				pause.Until = at(t, regime, answered)
			}
			in.Pauses = append(in.Pauses, pause)
		}
	}
	return in
}

// outcome writes what follows, as testdata/vectors.txt does.
func outcome(d clock.Deadline, err error) string {
	if refusal, ok := errors.AsType[*clock.Refusal](err); ok {
		return "refused " + string(refusal.Check)
	}
	if err != nil {
		return err.Error()
	}
	var parts []string
	if !d.AcknowledgeBy.IsZero() {
		parts = append(parts, "acknowledge "+d.AcknowledgeBy.String())
	}
	if d.Waiting != "" {
		waiting := "waiting " + string(d.Waiting)
		if !d.Started.IsZero() {
			waiting += fmt.Sprintf(" %d", d.Remaining)
		}
		parts = append(parts, waiting)
	}
	if !d.Due.IsZero() {
		due := "due " + d.Due.String()
		if hour := d.DueAt.Format("15:04:05"); hour != "23:59:59" {
			due += " " + strings.TrimSuffix(hour, ":00")
		}
		parts = append(parts, due)
	}
	if !d.ExtendBy.IsZero() {
		parts = append(parts, "extend "+d.ExtendBy.String())
	}
	return strings.Join(parts, "; ")
}

// TestVectors holds the clock to days that were derived by other means.
func TestVectors(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	vectors, seen := 0, map[clock.Regime]int{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) < 4 {
			t.Fatalf("line %d has %d fields", number, len(fields))
		}
		regime, err := clock.ParseRegime(fields[0])
		if err != nil {
			t.Fatalf("line %d: %v", number, err)
		}
		vectors++
		seen[regime]++
		got := outcome(clock.Compute(vector(t, regime, fields[1], fields[2])))
		if got != fields[3] {
			t.Errorf("line %d: %s %s %s\n got %s\nwant %s", number, regime, fields[1], fields[2], got, fields[3])
		}
	}
	if vectors < 700 {
		t.Errorf("only %d vectors", vectors)
	}
	for _, regime := range clock.Regimes() {
		if seen[regime] < 10 {
			t.Errorf("%s has only %d vectors", regime, seen[regime])
		}
	}
}
