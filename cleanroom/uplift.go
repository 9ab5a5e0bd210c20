package cleanroom

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/privacy"
)

// ErrNotComparable is wrapped by the error of [Uplift] about two answers of which the one is
// not about a part of the people of the other.
var ErrNotComparable = errors.New("the answers cannot be compared")

// GroupUplift is what a group spends (or does) on average, against everybody else.
type GroupUplift struct {
	// Key are the words of the group, by column; empty if there is but one.
	Key map[string]string `json:"key"`
	// Suppressed is whether one of the answers does not tell the group; then there are no
	// numbers.
	Suppressed bool `json:"suppressed,omitempty"`
	// People and Others are how many there are inside and outside of the group.
	People int64 `json:"people"`
	Others int64 `json:"others"`
	// Inside and Outside are averages a person, each with its interval.
	Inside  Estimate `json:"inside"`
	Outside Estimate `json:"outside"`
	// Uplift is by how much the group is above everybody else.
	Uplift Estimate `json:"uplift"`
}

// Estimate is a number with the interval that holds the true one.
type Estimate struct {
	Value int64 `json:"value"`
	Low   int64 `json:"low"`
	High  int64 `json:"high"`
}

// answerNumbers are what is needed of an answer.
type answerNumbers struct {
	Confidence int `json:"confidence_percent"`
	Groups     []struct {
		Key        map[string]string          `json:"key"`
		Suppressed bool                       `json:"suppressed"`
		Values     map[string]json.RawMessage `json:"values"`
	} `json:"groups"`
	Metrics []struct {
		Name  string `json:"name"`
		Lo    int64  `json:"lo"`
		Hi    int64  `json:"hi"`
		Sigma int64  `json:"noise_sd"`
	} `json:"metrics"`
	Query *struct {
		GroupBy []string `json:"group_by"`
		Mode    Mode     `json:"mode"`
		Privacy struct {
			Groups int `json:"max_groups_per_person"`
		} `json:"privacy"`
		Room  RoomID        `json:"room"`
		Where []answerLimit `json:"where"`
	} `json:"query"`
	Snapshots []struct {
		Dataset  string     `json:"dataset"`
		Snapshot SnapshotID `json:"snapshot"`
	} `json:"snapshots"`
}

// answerLimit is what an answer was limited by.
type answerLimit struct {
	Column string   `json:"col"`
	In     []string `json:"in"`
	From   string   `json:"from"`
	To     string   `json:"to"`
}

// readAnswer reads an answer, or a document that has one as its answer.
func readAnswer(document []byte) (*answerNumbers, error) {
	var outer struct {
		Answer json.RawMessage `json:"answer"`
	}
	if err := json.Unmarshal(document, &outer); err != nil {
		return nil, fmt.Errorf("reading an answer: it is no JSON: %w", privacy.ErrInvalid)
	}
	if outer.Answer != nil {
		document = outer.Answer
	}
	var a answerNumbers
	if err := json.Unmarshal(document, &a); err != nil || a.Query == nil || a.Groups == nil {
		return nil, fmt.Errorf("reading an answer: this is none: %w", privacy.ErrInvalid)
	}
	if a.Query.Mode == Private && a.Confidence != noise.Confidence {
		return nil, fmt.Errorf("reading an answer: its intervals are not of %d %%: %w", noise.Confidence, privacy.ErrInvalid)
	}
	return &a, nil
}

// Uplift compares a group of people with everybody else, from two answers: that about the
// group (or several, by group), and that about everybody. It reads nothing else and costs
// nothing. measure is the full name of the summed column; it may be empty if there is but one.
//
// The group must be a part of everybody: the answers are of one room and of the same
// snapshots, and what limits everybody limits the group. And it must be people who are left
// out of it, and not a part of what they do: what chooses the group and is in the dataset of
// the measure must be named in ofPeople (by its full name), which says that it is the same in all rows of
// a person. A difference is no effect: whoever chose the group may have chosen those who would
// have bought anyway.
func Uplift(group, everybody []byte, measure string, ofPeople ...string) ([]GroupUplift, error) {
	part, err := readAnswer(group)
	if err != nil {
		return nil, err
	}
	all, err := readAnswer(everybody)
	if err != nil {
		return nil, err
	}
	if err := part.isPartOf(all); err != nil {
		return nil, err
	}
	if measure, err = part.measure(measure); err != nil {
		return nil, err
	}
	if _, err := all.measure(measure); err != nil {
		return nil, err
	}
	if err := part.leavesOutPeople(all, measure, ofPeople); err != nil {
		return nil, err
	}
	uplifts := make([]GroupUplift, 0, len(part.Groups))
	for i := range part.Groups {
		u := GroupUplift{Key: part.Groups[i].Key}
		j := 0
		if len(all.Query.GroupBy) > 0 {
			j = all.find(u.Key)
		}
		if j < 0 || j >= len(all.Groups) {
			return nil, fmt.Errorf("comparing answers: everybody has no such group: %w", ErrNotComparable)
		}
		if u.Suppressed = part.Groups[i].Suppressed || all.Groups[j].Suppressed; !u.Suppressed {
			if err := u.compute(part, i, all, j, measure); err != nil {
				return nil, err
			}
		}
		uplifts = append(uplifts, u)
	}
	return uplifts, nil
}

func (u *GroupUplift) compute(part *answerNumbers, i int, all *answerNumbers, j int, measure string) error {
	var numbers [4]noise.Noisy
	lo, hi := int64(math.MinInt64/4), int64(math.MaxInt64/4)
	for n, from := range []struct {
		answer *answerNumbers
		group  int
	}{{part, i}, {all, j}} {
		for m, name := range []string{"sum(" + measure + ")", "people"} {
			var value struct {
				Drawn *int64 `json:"drawn"`
				Value *int64 `json:"value"`
			}
			if json.Unmarshal(from.answer.Groups[from.group].Values[name], &value) != nil || value.Value == nil {
				return fmt.Errorf("reading an answer: a group lacks %s: %w", name, privacy.ErrInvalid)
			}
			number := &numbers[2*n+m]
			if number.Value = *value.Value; value.Drawn != nil {
				number.Value = *value.Drawn
			}
			for _, metric := range from.answer.Metrics {
				if metric.Name == name {
					number.Sigma = float64(metric.Sigma)
					if m == 0 {
						lo, hi = max(lo, metric.Lo), min(hi, metric.Hi)
					}
				}
			}
			if from.answer.Query.Mode != ThresholdOnly && number.Sigma <= 0 {
				return fmt.Errorf("reading an answer: it does not say how noisy %s is: %w", name, privacy.ErrInvalid)
			}
		}
	}
	if lo > hi {
		return fmt.Errorf("comparing answers: what one person adds is bounded otherwise: %w", ErrNotComparable)
	}
	d := noise.Uplift(numbers[0], numbers[1], numbers[2], numbers[3], lo, hi)
	u.People, u.Others = d.PeopleIn, d.PeopleOut
	u.Inside = Estimate{d.Inside, d.LowestIn, d.HighestIn}
	u.Outside = Estimate{d.Outside, d.LowestOut, d.HighestOut}
	u.Uplift = Estimate{d.Value, d.Low, d.High}
	return nil
}

// find returns the place of a group, or -1.
func (a *answerNumbers) find(key map[string]string) int {
	for i := range a.Groups {
		same := true
		for column, word := range a.Groups[i].Key {
			same = same && key[column] == word
		}
		if same {
			return i
		}
	}
	return -1
}

// measure returns the name of the summed column that is meant.
func (a *answerNumbers) measure(name string) (string, error) {
	sums := map[string]bool{}
	for i := range a.Groups {
		for value := range a.Groups[i].Values {
			if column, ok := strings.CutPrefix(value, "sum("); ok {
				sums[strings.TrimSuffix(column, ")")] = true
			}
		}
	}
	for _, metric := range a.Metrics {
		if column, ok := strings.CutPrefix(metric.Name, "sum("); ok {
			sums[strings.TrimSuffix(column, ")")] = true
		}
	}
	switch {
	case name == "" && len(sums) == 1:
		return slices.Collect(maps.Keys(sums))[0], nil
	case name == "":
		return "", fmt.Errorf("comparing answers: of %d sums one must be named: %w", len(sums), ErrNotComparable)
	case !sums[name]:
		return "", fmt.Errorf("comparing answers: an answer has no sum of %s: %w", name, ErrNotComparable)
	}
	return name, nil
}

// isPartOf returns an error unless everybody in a is in all as well.
func (a *answerNumbers) isPartOf(all *answerNumbers) error {
	if a.Query.Room != all.Query.Room || a.Query.Mode != all.Query.Mode {
		return fmt.Errorf("comparing answers: they are of two rooms: %w", ErrNotComparable)
	}
	for _, snapshot := range all.Snapshots {
		if !slices.Contains(a.Snapshots, snapshot) {
			return fmt.Errorf("comparing answers: the group does not come from everybody's snapshot of %s: %w", snapshot.Dataset, ErrNotComparable)
		}
	}
	for _, limit := range all.Query.Where {
		found := false
		for _, other := range a.Query.Where {
			found = found || limit.Column == other.Column && limit.From == other.From && limit.To == other.To && slices.Equal(limit.In, other.In)
		}
		if !found {
			return fmt.Errorf("comparing answers: everybody is limited by %s in a way in which the group is not: %w", limit.Column, ErrNotComparable)
		}
	}
	for _, column := range all.Query.GroupBy {
		if !slices.Contains(a.Query.GroupBy, column) {
			return fmt.Errorf("comparing answers: everybody is grouped by %s, and the group is not: %w", column, ErrNotComparable)
		}
	}
	return nil
}

// leavesOutPeople returns an error if what is in all and not in a may be rows of people who are
// in a as well: then the difference is nobody's.
func (a *answerNumbers) leavesOutPeople(all *answerNumbers, measure string, ofPeople []string) error {
	dataset := measure[:strings.LastIndexByte(measure, '.')+1]
	choosing := slices.DeleteFunc(slices.Clone(a.Query.GroupBy), func(column string) bool { return slices.Contains(all.Query.GroupBy, column) })
	for _, limit := range a.Query.Where {
		limits := func(other answerLimit) bool { return other.Column == limit.Column }
		if !slices.ContainsFunc(all.Query.Where, limits) {
			choosing = append(choosing, limit.Column)
		}
	}
	for _, column := range choosing {
		if strings.HasPrefix(column, dataset) && !slices.Contains(ofPeople, column) {
			return fmt.Errorf("comparing answers: %s is in the dataset of the sum and may differ from row to row: of people in the group some rows alone are summed; name it if it is the same in all rows of a person: %w", column, ErrNotComparable)
		}
	}
	for _, column := range all.Query.GroupBy {
		if all.Query.Privacy.Groups < len(all.Groups) && !slices.Contains(ofPeople, column) {
			return fmt.Errorf("comparing answers: people count in %d of the %d groups of everybody, and perhaps in others than in the group; name %s if nobody is in several: %w", all.Query.Privacy.Groups, len(all.Groups), column, ErrNotComparable)
		}
	}
	return nil
}
