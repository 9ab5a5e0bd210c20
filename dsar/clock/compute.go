package clock

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Compute says by when the request must be answered, with each step. What the law does not
// allow is a [Refusal]; other input that makes no sense is an error that wraps
// [privacy.ErrInvalid].
func Compute(in Input) (Deadline, error) {
	law, err := lawOf(in.Regime, in.Right, in.Received, in.Place)
	if err != nil {
		return Deadline{}, err
	}
	if in.Right == "" {
		in.Right = Access
	}
	c := &computation{
		law: law, rule: law.rule, calendar: law.regime.calendar, in: in,
		out: Deadline{Regime: in.Regime, Right: in.Right, Received: DateIn(in.Received, law.place)},
	}
	if err := c.run(); err != nil {
		return Deadline{}, fmt.Errorf("computing deadline: %w", err)
	}
	return c.out, nil
}

// computation is one deadline in the making.
type computation struct {
	law      *Law
	rule     *rule
	calendar *calendar
	in       Input
	out      Deadline
	// suspended are the days that do not count, each from its first to the day after its
	// last.
	suspended [][2]Date
	open      *asked // that the clock stands still for
}

// asked is a pause by its days.
type asked struct {
	ground      Ground
	rule        *pausing
	from, until Date // until is zero while nothing came
}

func (c *computation) run() error {
	c.step("received", c.out.Received, "the request reached the controller", c.law.version.Start)
	if err := c.acknowledge(); err != nil {
		return err
	}
	pauses, err := c.pauses()
	if err != nil {
		return err
	}
	if err := c.start(pauses); err != nil || c.out.Waiting != "" {
		return err
	}
	answer := c.rule.Answer
	end, err := c.after(c.out.Started, answer.Period)
	if err != nil {
		return err
	}
	c.step("period", end, fmt.Sprintf("%s from %s", answer.Period, c.out.Started), answer.sourced)

	var extended Date
	if c.in.Extension != nil {
		if extended, err = c.extends(); err != nil {
			return err
		}
	}
	if err := c.suspend(pauses, end, extended); err != nil {
		return err
	}
	notice, err := c.extendBy(pauses, end)
	if err != nil {
		return err
	}
	if c.in.Extension != nil {
		if err := c.extend(notice, extended); err != nil {
			return err
		}
		end = extended
	}
	end = c.push(end, c.suspended)
	if c.open != nil {
		c.out.Waiting, c.out.Remaining = c.open.ground, max(0, c.open.from.DaysUntil(end))
		c.step("standing still", c.open.from, fmt.Sprintf("the clock stands still for %s with %d days left", c.open.ground, c.out.Remaining), c.open.rule.sourced)
		return nil
	}
	if err := c.finish(end); err != nil {
		return err
	}
	if c.rule.Extension.exists() && c.in.Extension == nil {
		c.out.ExtendBy = notice
		c.out.ExtendByAt = c.lastMoment(notice)
		c.step("extension", notice, fmt.Sprintf("the last day to tell the person, with the reason, that it takes up to %s", c.rule.Extension.Total), c.rule.Extension.sourced)
	}
	return nil
}

// step writes down one step.
func (c *computation) step(name string, day Date, text string, source sourced) {
	c.out.Steps = append(c.out.Steps, Step{name, day, text, source.Source, source.Note})
}

func (c *computation) refuse(check Check, article, format string, args ...any) error {
	return &Refusal{check, article, fmt.Sprintf(format, args...)}
}

// acknowledge finds the last day on which receipt can be confirmed, where that is a duty.
func (c *computation) acknowledge() error {
	limit := c.rule.Acknowledge
	if limit == nil {
		return nil
	}
	day, err := c.after(c.out.Received, limit.Period)
	if err != nil {
		return err
	}
	if day, _, err = c.roll(day); err != nil {
		return err
	}
	c.out.AcknowledgeBy, c.out.AcknowledgeByAt = day, c.lastMoment(day)
	c.step("acknowledgement", day, fmt.Sprintf("the last day to confirm receipt: %s", limit.Period), limit.sourced)
	return nil
}

// pauses returns what was asked for, in the order of asking, and refuses what the law does
// not wait for.
func (c *computation) pauses() ([]asked, error) {
	var list []asked
	for _, p := range c.in.Pauses {
		rule := c.rule.pause(p.Ground)
		if rule == nil || p.From.IsZero() {
			return nil, fmt.Errorf("a pause has a ground and the time of asking: %w", privacy.ErrInvalid)
		}
		a := asked{ground: p.Ground, rule: rule, from: DateIn(p.From, c.law.place)}
		if !p.Until.IsZero() {
			a.until = DateIn(p.Until, c.law.place)
		}
		switch {
		case p.From.Before(c.in.Received) && a.from != c.out.Received, !p.Until.IsZero() && p.Until.Before(p.From):
			return nil, c.refuse(CheckOrder, c.law.version.Start.Source, "asking for %s comes after receipt, and the answer after asking", p.Ground)
		case rule.Effect == Forbidden:
			return nil, c.refuse(CheckPauseAllowed, rule.Source, "the clock does not wait for %s", p.Ground)
		case p.Ground != Clarification && slices.ContainsFunc(list, func(b asked) bool { return b.ground == p.Ground }):
			return nil, c.refuse(CheckPauseOnce, rule.Source, "the clock waits for %s once", p.Ground)
		}
		if rule.Prompt != (period{}) {
			last, err := c.after(c.out.Received, rule.Prompt)
			if err != nil {
				return nil, err
			}
			if a.from.After(last) {
				return nil, c.refuse(CheckPausePrompt, rule.Source, "asking for %s without undue delay was possible until %s", p.Ground, last)
			}
		}
		list = append(list, a)
	}
	slices.SortStableFunc(list, func(a, b asked) int { return a.from.Compare(b.from) })
	return list, nil
}

// start finds the day on which the clock started, or what it still waits for.
func (c *computation) start(pauses []asked) error {
	start := c.out.Received
	for _, p := range pauses {
		if p.rule.Effect != Starts {
			continue
		}
		if err := c.inTime(p, start, c.rule.Answer.Period); err != nil {
			return err
		}
		if p.until.IsZero() {
			if c.in.Extension != nil {
				return c.refuse(CheckExtensionRunning, c.rule.Extension.Source, "there is no period to extend before the clock has started")
			}
			if c.out.Waiting == "" {
				c.out.Waiting = p.ground
				c.step("waiting", p.from, fmt.Sprintf("the clock has not started: it waits for %s", p.ground), p.rule.sourced)
			}
			continue
		}
		if p.until.After(start) {
			start = p.until
		}
		c.step("asked", p.from, fmt.Sprintf("the person was asked for %s, and answered on %s", p.ground, p.until), p.rule.sourced)
	}
	if c.out.Waiting != "" {
		return nil
	}
	c.out.Started = start
	c.step("start", start, "the clock starts", c.law.version.Start)
	return nil
}

// inTime refuses a pause that began when the period was over.
func (c *computation) inTime(p asked, start Date, length period) error {
	end, err := c.after(start, length)
	if err != nil {
		return err
	}
	if end, _, err = c.roll(c.push(end, c.suspended)); err != nil {
		return err
	}
	if p.from.After(end) {
		return c.refuse(CheckPauseInTime, p.rule.Source, "the period ended on %s, before the person was asked for %s", end, p.ground)
	}
	return nil
}

// suspend adds up the days that do not count.
func (c *computation) suspend(pauses []asked, end, extended Date) error {
	length := c.rule.Answer.Period
	if !extended.IsZero() {
		length = c.rule.Extension.Total
	}
	for i := range pauses {
		p := &pauses[i]
		if p.rule.Effect != Suspends {
			continue
		}
		if c.open != nil && p.from.Compare(c.open.from) >= 0 {
			continue // the clock stands still already
		}
		if err := c.inTime(*p, c.out.Started, length); err != nil {
			return err
		}
		if p.until.IsZero() {
			c.open = p
			continue
		}
		days := p.interval(c.out.Started)
		c.suspended = append(c.suspended, days)
		c.step("suspended", p.until, fmt.Sprintf("the clock stood still for %s from %s: %d days", p.ground, p.from, max(0, days[0].DaysUntil(days[1]))), p.rule.sourced)
	}
	return nil
}

// interval is the days that a pause takes out of the period.
func (p *asked) interval(start Date) [2]Date {
	from, to := p.from, p.until
	if p.rule.Count == countBoth {
		to = to.AddDays(1)
	}
	if from.Before(start) {
		from = start
	}
	return [2]Date{from, to}
}

// push moves the end of a period by the days that do not count, each once.
func (c *computation) push(end Date, suspended [][2]Date) Date {
	var until Date
	for _, s := range suspended { // in the order in which they begin
		from := s[0]
		if !until.IsZero() && from.Before(until) {
			from = until
		}
		if s[1].After(from) {
			end, until = end.AddDays(from.DaysUntil(s[1])), s[1]
		}
	}
	return end
}

// extends refuses an extension that the law does not have or not for this reason, and
// returns the end that it gives.
func (c *computation) extends() (Date, error) {
	e, rule := c.in.Extension, c.rule.Extension
	switch {
	case !rule.exists():
		return Date{}, c.refuse(CheckExtensionExists, rule.Source, "the period cannot be extended")
	case !slices.Contains(rule.Reasons, e.Reason):
		return Date{}, c.refuse(CheckExtensionReason, rule.Source, "the reason is complexity or number_of_requests")
	case e.Notified.Before(c.in.Received) && DateIn(e.Notified, c.law.place) != c.out.Received:
		return Date{}, c.refuse(CheckOrder, rule.Source, "the notice of an extension comes after receipt")
	}
	return c.after(c.out.Started, rule.Total)
}

// extendBy returns the last day for the notice of an extension: the end of the first
// period, moved by the pauses that began within it.
func (c *computation) extendBy(pauses []asked, end Date) (Date, error) {
	var within [][2]Date
	for _, p := range pauses {
		if p.rule.Effect != Suspends || p.until.IsZero() {
			continue
		}
		last, _, err := c.roll(c.push(end, within))
		if err != nil {
			return Date{}, err
		}
		if p.from.After(last) {
			break
		}
		within = append(within, p.interval(c.out.Started))
	}
	last, _, err := c.roll(c.push(end, within))
	return last, err
}

// extend refuses an extension that was told too late.
func (c *computation) extend(last, extended Date) error {
	rule, told := c.rule.Extension, DateIn(c.in.Extension.Notified, c.law.place)
	// While the clock stands still in the first period, that period does not end.
	standing := c.open != nil && !c.open.from.After(last)
	if told.After(last) && !standing {
		return c.refuse(CheckExtensionInTime, rule.Source, "the last day to tell the person was %s", last)
	}
	c.out.Extended = true
	c.step("extended", extended, fmt.Sprintf("the person was told on %s, by %s at the latest: %s from %s", told, last, rule.Total, c.out.Started), rule.sourced)
	return nil
}

// finish rolls the end to a day on which a period can end.
func (c *computation) finish(end Date) error {
	due, skipped, err := c.roll(end)
	if err != nil {
		return err
	}
	for _, s := range skipped {
		c.step("not a working day", s.day, s.name, s.source)
	}
	text, source := "the last day", c.law.version.Roll.sourced
	if hour, name, early := c.calendar.ends(due); early {
		text = fmt.Sprintf("the last day, until %s: %s", hour.Format("15:04"), name)
		source = sourced{Source: c.calendar.source, Note: source.Note}
	}
	if due.Year > c.calendar.announced {
		source.Note = fmt.Sprintf("the holidays of %d are those of the statute; more may be proclaimed", due.Year)
	}
	c.out.Due, c.out.DueAt = due, c.lastMoment(due)
	c.step("due", due, text, source)
	return nil
}

// after returns the end of a period that begins on a day. A business day is counted from
// the day after.
func (c *computation) after(from Date, p period) (Date, error) {
	switch {
	case p.Months > 0:
		return from.AddMonths(p.Months), nil
	case p.Days > 0:
		return from.AddDays(p.Days), nil
	}
	day := from
	for n := 0; n < p.BusinessDays; {
		day = day.AddDays(1)
		name, err := c.calendar.holiday(day)
		if err != nil {
			return Date{}, err
		}
		if name == "" && !weekend(day) {
			n++
		}
	}
	return day, nil
}

// skippedDay is a day on which a period cannot end.
type skippedDay struct {
	day    Date
	name   string
	source sourced
}

// roll returns the first day, from day on, on which a period can end.
func (c *computation) roll(day Date) (Date, []skippedDay, error) {
	var skipped []skippedDay
	for ; ; day = day.AddDays(1) {
		name, err := c.calendar.holiday(day)
		switch {
		case err != nil:
			return Date{}, nil, err
		case name != "":
			skipped = append(skipped, skippedDay{day, name, sourced{Source: c.calendar.source}})
		case slices.Contains(c.law.version.Roll.Weekdays, weekday(day.Weekday())):
			skipped = append(skipped, skippedDay{day, day.Weekday().String(), c.law.version.Roll.sourced})
		default:
			return day, skipped, nil
		}
	}
}

// lastMoment is when a day ends: at midnight, or when work does.
func (c *computation) lastMoment(day Date) time.Time {
	if hour, _, early := c.calendar.ends(day); early {
		return day.In(c.law.place, hour.Hour(), hour.Minute(), 0)
	}
	return day.In(c.law.place, 23, 59, 59)
}
