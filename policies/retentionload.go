package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// retentionFile is retention.yaml. Bundles from before there was one have none.
type retentionFile struct {
	present     bool
	ReportEvery Period                                    `yaml:"report_every"`
	Periods     map[privacy.DataCategory]*RetentionPeriod `yaml:"periods"`
	Exceptions  map[ExceptionID]*RetentionException       `yaml:"exceptions"`
	Records     map[RecordKind]*RetentionRecord           `yaml:"records"`
}

// readRetention reads retention.yaml, if there is one.
func readRetention(l *loader) retentionFile {
	if held, ok := l.held[fileRetention].(retentionFile); ok {
		return held
	}
	if _, err := fs.Stat(l.bundle, path.Join(l.dir, fileRetention)); errors.Is(err, fs.ErrNotExist) {
		return retentionFile{}
	}
	file := readFile[retentionFile](l, fileRetention)
	file.present = true
	return file
}

// copy returns the file with entries of its own: loading writes into them.
func (f retentionFile) copy() retentionFile {
	f.Periods, f.Exceptions, f.Records = freshEntries(f.Periods), freshEntries(f.Exceptions), freshEntries(f.Records)
	return f
}

func freshEntries[K ~string, V any](entries map[K]*V) map[K]*V {
	fresh := make(map[K]*V, len(entries))
	for key, entry := range entries {
		if entry != nil {
			own := *entry
			entry = &own
		}
		fresh[key] = entry
	}
	return fresh
}

// nameRetention copies keys into entries and refuses those that are empty or malformed.
func (l *loader) nameRetention(c *Catalogue) {
	if !c.retention.present {
		return
	}
	r := &c.retention
	for _, section := range [...]struct {
		name  string
		empty bool
	}{{"periods", len(r.Periods) == 0}, {"records", len(r.Records) == 0}} {
		if section.empty {
			l.fail(fileRetention, []string{section.name}, "there are no %s", section.name)
		}
	}
	for _, id := range sortedKeys(r.Periods) {
		category, known := c.categories[id]
		switch p := r.Periods[id]; {
		case p == nil:
			l.fail(fileRetention, []string{"periods", string(id)}, "%q is empty", id)
		case !known || category == nil:
			l.fail(fileRetention, []string{"periods", string(id)}, "unknown category %q", id)
		default:
			p.Category, p.Title = id, category.Title
		}
	}
	for _, id := range sortedKeys(r.Exceptions) {
		e := r.Exceptions[id]
		if e == nil || !isLowerKey(string(id)) || e.Title.EN == "" || has(c.categories, privacy.DataCategory(id)) {
			l.fail(fileRetention, []string{"exceptions", string(id)}, "an exception needs a lower-case key that is no category's, and an English title")
			continue
		}
		e.ID = id
	}
	for _, kind := range sortedKeys(r.Records) {
		record := r.Records[kind]
		if record == nil || record.Title.EN == "" {
			l.fail(fileRetention, []string{"records", string(kind)}, "%q has no English title", kind)
			continue
		}
		oneOf(l, fileRetention, kind, RecordKinds(), "records", string(kind))
		record.Kind = kind
	}
}

// checkRetention refuses periods that say nothing, contradict each other or speak of what
// is not there.
func (l *loader) checkRetention(c *Catalogue) {
	if !c.retention.present {
		return
	}
	r := &c.retention
	if r.ReportEvery.IsZero() || r.ReportEvery.days() > 186 {
		l.fail(fileRetention, []string{"report_every"}, "want a period of at most six months")
	}
	for _, id := range c.Categories() {
		if p, ok := r.Periods[id]; ok {
			l.checkPeriod(c, p)
		} else {
			l.fail(fileRetention, []string{"periods"}, "category %q has no period", id)
		}
	}
	for _, id := range sortedKeys(r.Exceptions) {
		l.checkException(c, r.Exceptions[id])
	}
	for _, kind := range RecordKinds() {
		record, ok := r.Records[kind]
		if !ok {
			l.fail(fileRetention, []string{"records"}, "rows of kind %q have no period", kind)
			continue
		}
		l.requireKeep(record.Keep, "records", string(kind))
	}
	for _, id := range c.Recipients() {
		longest := max(c.recipients[id].Lookback.Duration, DefaultLookback)
		if e := r.Records[Exposures]; e != nil && 24*float64(e.Keep.Years*365+e.Keep.Months*30+e.Keep.Days) < longest.Hours() {
			l.fail(fileRetention, []string{"records", string(Exposures), "keep"}, "recipient %q has a longer look-back", id)
		}
	}
}

func (l *loader) requireKeep(p Period, keys ...string) {
	if p.IsZero() {
		l.fail(fileRetention, keys, "there is no period to keep")
	}
}

func (l *loader) checkPeriod(c *Catalogue, p *RetentionPeriod) {
	at := []string{"periods", string(p.Category)}
	l.requireKeep(p.Keep, at...)
	oneOf(l, fileRetention, p.From, []RetentionStart{FromEvent, FromLastContact}, append(at, "from")...)
	if (len(p.Purposes) > 0) == p.AfterRefusal.IsZero() {
		l.fail(fileRetention, at, "purposes and after_refusal need each other")
	}
	if p.AfterRefusal.days() > p.Keep.days() {
		l.fail(fileRetention, append(at, "after_refusal"), "want no longer than keep")
	}
	longest := 0
	for _, id := range sortedKeys(p.Purposes) {
		where := append(at[:2:2], "purposes", string(id))
		purpose, known := c.purposes[id]
		l.known(fileRetention, known, "purpose", string(id), where...)
		if known && !has(purpose.Categories, p.Category) {
			l.fail(fileRetention, where, "purpose %q has no use for category %q", id, p.Category)
		}
		l.requireKeep(p.Purposes[id], where...)
		if p.Purposes[id].days() > p.Keep.days() {
			l.fail(fileRetention, where, "purpose %q needs it longer than it is kept", id)
		}
		longest = max(longest, p.Purposes[id].days())
	}
	if len(p.Purposes) > 0 && longest < p.Keep.days() {
		l.fail(fileRetention, append(at, "keep"), "no purpose needs it as long as it is kept")
	}
}

func (l *loader) checkException(c *Catalogue, e *RetentionException) {
	at := func(keys ...string) []string { return append([]string{"exceptions", string(e.ID)}, keys...) }
	oneOf(l, fileRetention, e.Ground,
		[]RetentionGround{GroundLegalObligation, GroundPublicHealth, GroundArchiving, GroundLegalClaims}, at("ground")...)
	for name, text := range map[string]string{"article": e.Article, "exemption": e.Exemption} {
		if text == "" || len(text) > maxWord || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			l.fail(fileRetention, at(name), "want an article such as GDPR-17-3-b")
		}
	}
	if rest, ok := strings.CutPrefix(e.Source, "https://"); !ok || rest == "" || strings.ContainsAny(rest, " \"<>") {
		l.fail(fileRetention, at("source"), "want the https address where the law can be read")
	}
	if len(e.Jurisdictions) == 0 || len(e.Events) == 0 {
		l.fail(fileRetention, at(), "%q needs jurisdictions and events", e.ID)
	}
	for _, j := range e.Jurisdictions {
		l.known(fileRetention, has(c.jurisdictions, j), "jurisdiction", string(j), at("jurisdictions", string(j))...)
	}
	for _, category := range e.Events {
		l.known(fileRetention, has(c.categories, category), "category", string(category), at("events", string(category))...)
	}
	for _, eventType := range e.Types {
		if !isLowerKey(eventType) {
			l.fail(fileRetention, at("types", eventType), "%q is not a well-formed type of event", eventType)
		}
	}
	for _, name := range e.Attributes {
		a, known := c.attributes[name]
		l.known(fileRetention, known, "attribute", string(name), at("attributes", string(name))...)
		if known && a.Derived != "" {
			l.fail(fileRetention, at("attributes", string(name)), "attribute %q is made of events and not kept", name)
		}
	}
	if e.Years < 1 || e.Years > maxPeriodYears {
		l.fail(fileRetention, at("years"), "want years from 1 to %d", maxPeriodYears)
	}
	oneOf(l, fileRetention, e.CountsFrom, []RetentionCount{CountFromEvent, CountFromYearEnd}, at("counts_from")...)
	if e.InForce.IsZero() || !e.Until.IsZero() && e.Until.Before(e.InForce.Time) {
		l.fail(fileRetention, at("in_force"), "want the first day of the rule, and no end before it")
	}
}

// keepsMore says what another catalogue keeps longer than this one. It is empty if nothing
// is.
func (c *Catalogue) keepsMore(other *Catalogue) string {
	for _, id := range sortedKeys(c.retention.Periods) {
		before, now := c.retention.Periods[id], other.retention.Periods[id]
		if now == nil || now.Keep.days() > before.Keep.days() {
			return fmt.Sprintf("%s is kept longer", id)
		}
	}
	for _, kind := range sortedKeys(c.retention.Records) {
		before, now := c.retention.Records[kind], other.retention.Records[kind]
		if now == nil || now.Keep.days() > before.Keep.days() {
			return fmt.Sprintf("rows of kind %s are kept longer", kind)
		}
	}
	return ""
}
