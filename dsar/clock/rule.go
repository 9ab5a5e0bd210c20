package clock

import (
	"errors"
	"fmt"
	"slices"
)

// version is what a law said during some time.
type version struct {
	// From and Until are the first and the last day on which a request came under it;
	// without Until it is in force.
	From  Date    `yaml:"from"`
	Until Date    `yaml:"until"`
	Start sourced `yaml:"start"`
	Roll  rolling `yaml:"roll"`
	Rules []*rule `yaml:"rules"`
}

// sourced is where a rule stands.
type sourced struct {
	Source string `yaml:"source"`
	Note   string `yaml:"note"`
}

// rolling says on which days of the week, beside holidays, a period cannot end.
type rolling struct {
	Weekdays []weekday `yaml:"weekdays"`
	sourced  `yaml:",inline"`
}

// rule is what a version says about some rights.
type rule struct {
	Rights        []Right    `yaml:"rights"`
	Acknowledge   *timeLimit `yaml:"acknowledge"`
	Answer        *timeLimit `yaml:"answer"`
	Extension     *extending `yaml:"extension"`
	Identity      *pausing   `yaml:"identity"`
	Fee           *pausing   `yaml:"fee"`
	Clarification *pausing   `yaml:"clarification"`
}

// period is a length of time. Exactly one of its fields is not zero.
type period struct {
	Months       int `yaml:"months"`
	Days         int `yaml:"days"`
	BusinessDays int `yaml:"business_days"`
}

type timeLimit struct {
	Period  period `yaml:"period"`
	sourced `yaml:",inline"`
}

// extending is how long an answer may take at most. Without a total there is no extension,
// and the source is why.
type extending struct {
	Total   period            `yaml:"total"`
	Reasons []ExtensionReason `yaml:"reasons"`
	sourced `yaml:",inline"`
}

func (e *extending) exists() bool { return e.Total != period{} }

// pausing is what becomes of the clock when the controller must ask for something.
type pausing struct {
	Effect Effect `yaml:"effect"`
	// Count says which days a suspension takes: "between" asking and answer, or also
	// "both" of them.
	Count string `yaml:"count"`
	// Prompt is how long after receipt the controller may ask; zero: at any time of the
	// period.
	Prompt  period `yaml:"prompt"`
	sourced `yaml:",inline"`
}

func (r *rule) pause(g Ground) *pausing {
	switch g {
	case Identity:
		return r.Identity
	case Fee:
		return r.Fee
	case Clarification:
		return r.Clarification
	}
	return nil
}

// checkVersions holds the versions of a law to what [Compute] relies on.
func checkVersions(versions []*version) error {
	if len(versions) == 0 {
		return errors.New("no versions")
	}
	for i, v := range versions {
		last := i == len(versions)-1
		switch {
		case v.From.IsZero() || last != v.Until.IsZero():
			return fmt.Errorf("version %d: from is missing, or until on another than the last", i+1)
		case i > 0 && versions[i-1].Until.AddDays(1) != v.From:
			return fmt.Errorf("version of %s does not begin the day after the one before it ends", v.From)
		case v.Start.Source == "" || v.Roll.Source == "":
			return fmt.Errorf("version of %s: start or roll has no source", v.From)
		}
		covered := make(map[Right]bool)
		for _, r := range v.Rules {
			if err := r.check(); err != nil {
				return fmt.Errorf("version of %s: %w", v.From, err)
			}
			for _, right := range r.Rights {
				if !slices.Contains(Rights(), right) || covered[right] {
					return fmt.Errorf("version of %s: right %q is unknown or stands twice", v.From, right)
				}
				covered[right] = true
			}
		}
		if len(covered) != len(Rights()) {
			return fmt.Errorf("version of %s: %d of %d rights", v.From, len(covered), len(Rights()))
		}
	}
	return nil
}

func (r *rule) check() error {
	switch {
	case r.Answer == nil || r.Extension == nil:
		return errors.New("answer or extension is missing")
	case !r.Answer.Period.valid() || r.Answer.Source == "":
		return errors.New("answer has no period or no source")
	case r.Acknowledge != nil && (!r.Acknowledge.Period.valid() || r.Acknowledge.Source == ""):
		return errors.New("acknowledge has no period or no source")
	case r.Extension.Source == "":
		return errors.New("extension has no source")
	case r.Extension.exists() != (len(r.Extension.Reasons) > 0) || r.Extension.exists() && !r.Extension.Total.valid():
		return errors.New("an extension has a total and reasons, or neither")
	}
	for _, g := range Grounds() {
		p := r.pause(g)
		switch {
		case p == nil || p.Source == "":
			return fmt.Errorf("%s is missing or has no source", g)
		case p.Effect != Forbidden && p.Effect != Suspends && p.Effect != Starts:
			return fmt.Errorf("%s has effect %q", g, p.Effect)
		case (p.Effect == Suspends) != (p.Count == countBetween || p.Count == countBoth):
			return fmt.Errorf("%s counts %q", g, p.Count)
		case p.Prompt != period{} && !p.Prompt.valid():
			return fmt.Errorf("%s has two limits", g)
		}
	}
	return nil
}

// The ways to count a suspension.
const (
	countBetween = "between"
	countBoth    = "both"
)

func (p period) valid() bool {
	given := 0
	for _, n := range []int{p.Months, p.Days, p.BusinessDays} {
		if n < 0 {
			return false
		}
		if n > 0 {
			given++
		}
	}
	return given == 1
}

// String says the period in words.
func (p period) String() string {
	n, unit := p.Days, "calendar day"
	switch {
	case p.Months > 0:
		n, unit = p.Months, "calendar month"
	case p.BusinessDays > 0:
		n, unit = p.BusinessDays, "business day"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
