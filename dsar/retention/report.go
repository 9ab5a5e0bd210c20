package retention

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Report is the record of the periodic destruction in a time (KVKK by-law on erasure,
// Articles 7(3) and 11). It names nobody.
type Report struct {
	Origin   string    `json:"origin"`
	Language string    `json:"language"`
	MadeAt   time.Time `json:"made_at"`
	// Policy is the digest of the policy bundle in force, Every how often its catalogue
	// wants a report and a run.
	Policy string `json:"policy"`
	Every  string `json:"every"`
	// Overdue is whether the time since the last report, or a time without a run, was
	// longer.
	Overdue     bool        `json:"overdue"`
	Destruction Destruction `json:"destruction"`
	// Titles are the names of categories and kinds of rows, in the language.
	Titles map[string]string `json:"titles"`
}

const (
	// reportHeader is the first line of what is signed. No checkpoint begins so, and
	// nothing else that the log's key signs.
	reportHeader = "mahrem destruction report v1"
	reportData   = "data "
	// MaxReport is the longest report that is read, in bytes.
	MaxReport = 1 << 20
)

// SignerName is the name under which the log of origin signs reports.
func SignerName(origin string) string { return origin + "/retention" }

// Languages are those in which a report can be written.
func Languages() []string { return []string{"en", "tr", "cs"} }

// Status is how long ago the last run and the last report are.
type Status struct {
	LastRun    time.Time // zero: none came to its end
	LastReport time.Time // zero: there is none
	Every      policies.Period
	// Overdue is whether one of them is longer ago than Every, or than the first run is.
	Overdue bool
}

// Status looks whether the periodic destruction and its report are in time.
func (r *Runner) Status(ctx context.Context) (Status, error) {
	s := Status{Every: r.config.Policy().Catalogue.ReportEvery()}
	now, err := r.store.Now(ctx)
	if err != nil {
		return s, err
	}
	if s.LastRun, err = r.store.LastFinished(ctx); err != nil {
		return s, err
	}
	if s.LastReport, err = r.store.LastReport(ctx); err != nil {
		return s, err
	}
	first, err := r.store.FirstRun(ctx)
	if err != nil {
		return s, err
	}
	since := func(at time.Time) bool {
		if at.IsZero() {
			at = first
		}
		return !at.IsZero() && !s.Every.IsZero() && s.Every.After(at).Before(now)
	}
	s.Overdue = since(s.LastRun) || since(s.LastReport)
	return s, nil
}

// Report writes, signs and records the report of all that was destroyed since the last
// one. It writes one that is late, too, and says so in it. Errors wrap:
//
//   - [privacy.ErrForbidden]: the principal is no data protection officer;
//   - [privacy.ErrNotFound]: there has been no run yet;
//   - [privacy.ErrInvalid]: there is no such language.
func (r *Runner) Report(ctx context.Context, by privacy.Principal, language string) (*Report, []byte, audit.Receipt, error) {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return nil, nil, audit.Receipt{}, fmt.Errorf("reporting destruction: %w", privacy.ErrForbidden)
	}
	if !slices.Contains(Languages(), language) {
		return nil, nil, audit.Receipt{}, fmt.Errorf("reporting destruction: %w",
			&privacy.FieldError{Pointer: "/language", Reason: "is none of en, tr, cs"})
	}
	if r.config.Signer == nil {
		return nil, nil, audit.Receipt{}, fmt.Errorf("reporting destruction without a signer: %w", privacy.ErrInvalid)
	}
	report, err := r.compose(ctx, language)
	if err != nil {
		return nil, nil, audit.Receipt{}, fmt.Errorf("reporting destruction: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: report.text()}, r.config.Signer)
	if err != nil {
		return nil, nil, audit.Receipt{}, fmt.Errorf("signing report of destruction: %w", err)
	}
	id, err := privacy.NewDataSubjectID(r.config.Random)
	if err != nil {
		return nil, nil, audit.Receipt{}, err
	}
	receipt, err := r.store.AddReport(ctx, id, report.Destruction.From, report.Destruction.To, signed, audit.Event{
		Kind: audit.RetentionApplied, Outcome: audit.Done, Principal: by, Policy: r.config.Policy().Digest, List: sha256.Sum256(signed),
	})
	if err != nil {
		return nil, nil, audit.Receipt{}, err
	}
	return report, signed, receipt, nil
}

func (r *Runner) compose(ctx context.Context, language string) (*Report, error) {
	policy := r.config.Policy()
	status, err := r.Status(ctx)
	if err != nil {
		return nil, err
	}
	from := status.LastReport
	if from.IsZero() {
		if from, err = r.store.FirstRun(ctx); err != nil {
			return nil, err
		}
	}
	if from.IsZero() {
		return nil, fmt.Errorf("there has been no run yet: %w", privacy.ErrNotFound)
	}
	to, err := r.store.Now(ctx)
	if err != nil {
		return nil, err
	}
	d, err := r.store.Destruction(ctx, from, to)
	if err != nil {
		return nil, err
	}
	d.From, d.To = from.UTC().Truncate(time.Millisecond), to.UTC().Truncate(time.Millisecond)
	if !d.To.After(d.From) {
		d.To = d.From.Add(time.Millisecond)
	}
	report := &Report{
		Origin: r.config.Origin, Language: language, MadeAt: d.To, Policy: hex.EncodeToString(policy.Digest[:]),
		Every: status.Every.String(), Destruction: d, Titles: map[string]string{},
		Overdue: status.Overdue || !status.Every.IsZero() && status.Every.After(d.From).Before(d.From.AddDate(0, 0, int(d.LongestGap))),
	}
	for _, c := range d.Counts {
		if category, ok := policy.Catalogue.Category(c.Category); ok {
			report.Titles[string(c.Category)] = oneLine(category.Title.In(language))
		}
		if kind, ok := policy.Catalogue.RetentionRecord(policies.RecordKind(c.What)); ok {
			report.Titles[c.What] = oneLine(kind.Title.In(language))
		}
	}
	return report, nil
}

// oneLine keeps a title of a catalogue from breaking the report's lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// ParseReport reads a signed report, and believes nothing that the verifier does not. Only
// the bytes that a [Runner] writes are read; errors wrap [privacy.ErrDamaged].
func ParseReport(signed []byte, verifier note.Verifier) (*Report, error) {
	damaged := func(what string) error {
		return fmt.Errorf("reading report of destruction: %s: %w", what, privacy.ErrDamaged)
	}
	if len(signed) > MaxReport {
		return nil, damaged("too long")
	}
	text, err := audit.OpenNote(signed, verifier)
	if err != nil {
		return nil, damaged("the signature is not the log's")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	data, ok := strings.CutPrefix(lines[len(lines)-1], reportData)
	if lines[0] != reportHeader || !ok {
		return nil, damaged("it is no report")
	}
	var report Report
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || !slices.Contains(Languages(), report.Language) {
		return nil, damaged("its data do not read")
	}
	if report.text() != text {
		return nil, damaged("its words are not those of its data")
	}
	return &report, nil
}
