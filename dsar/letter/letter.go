package letter

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// Kind is what a letter tells.
type Kind string

// The kinds.
const (
	Acknowledge Kind = "acknowledge"
	Extend      Kind = "extend"
	Fulfil      Kind = "fulfil"
	Deny        Kind = "deny"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Acknowledge, Extend, Fulfil, Deny} }

// ParseKind returns the kind that text names, or an error wrapping [privacy.ErrInvalid].
func ParseKind(text string) (Kind, error) {
	if k := Kind(text); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", fmt.Errorf("parsing kind of letter: %w", privacy.ErrInvalid)
}

// Letter is what goes into a letter.
type Letter struct {
	Kind     Kind
	Language string
	Regime   clock.Regime
	Right    dsar.Kind
	Request  dsar.RequestID
	// Controller is who answers, on one line, and Contact how they are reached, on one or
	// more.
	Controller, Contact string
	// Today is the day of the letter.
	Today    time.Time
	Received time.Time
	// Due is the last moment for the answer. An acknowledgement may lack it while the
	// clock stands still; [Extend] needs it.
	Due time.Time
	// Waiting is what the person is asked for in an acknowledgement; empty: nothing.
	Waiting clock.Ground
	// Reason is why the answer takes longer; for [Extend].
	Reason clock.ExtensionReason
	// Denial is why the request is denied; for [Deny].
	Denial dsar.DenialReason
	// Number and Category are those of a complaint; every letter about one needs them.
	Number   dsar.ComplaintNumber
	Category dsar.Category
	// Outcome is what came of a complaint; for [Fulfil].
	Outcome dsar.ComplaintOutcome
	// Evidence is the SHA-256 of what is handed over or certified; for [Fulfil], and zero
	// if there is none.
	Evidence [32]byte
	// Further is what the controller adds, in its own words. A denial for
	// [dsar.OtherReason] needs it, since that gives no reason.
	Further string
}

// maxFurther bounds what can be added, and maxLine the controller and a line of contact.
const (
	maxFurther = 4000
	maxLine    = 200
	maxContact = 6
)

// filling is what the templates see. All of it is text.
type filling struct {
	Controller, Contact, Today, Request, Right, Law string
	Received, Due, Article                          string
	Ground, Effect                                  string
	ExtensionReason, Reason, Complaint, Done        string
	Evidence, Further                               string
	Number, Category, Outcome                       string
}

// Render writes the letter as plain text. Errors wrap [privacy.ErrInvalid] and name what
// is missing or cannot stand in a letter, without repeating it. That a law has no such
// extension or denial is among them.
func (l Letter) Render() (string, error) {
	all, err := embedded()
	if err != nil {
		return "", fmt.Errorf("reading the words of letters: %w", err)
	}
	w := all[l.Language]
	if w == nil {
		return "", invalid("language", "must be en, tr or cs")
	}
	f, err := l.fill(w)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := w.letters.ExecuteTemplate(&b, l.template(), f); err != nil {
		return "", fmt.Errorf("writing letter: %w", err)
	}
	return tidy(b.String()), nil
}

// template is the name of what the letter is written with.
func (l Letter) template() string {
	switch {
	case l.Right == dsar.Complaint && l.Kind == Acknowledge:
		return complaintAcknowledge
	case l.Right == dsar.Complaint && l.Kind == Fulfil:
		return complaintFulfil
	}
	return string(l.Kind)
}

// fill checks the letter and puts it into words.
func (l Letter) fill(w *words) (filling, error) {
	if !slices.Contains(Kinds(), l.Kind) {
		return filling{}, invalid("kind", "must be acknowledge, extend, fulfil or deny")
	}
	if l.Request == (dsar.RequestID{}) || l.Received.IsZero() || l.Today.IsZero() {
		return filling{}, invalid("request", "needs an id, the time of receipt and today")
	}
	if (l.Right == dsar.Complaint) != (!l.Number.IsZero() && l.Category.IsKnown()) {
		return filling{}, invalid("number", "and category belong to a complaint, and it needs them")
	}
	law, err := clock.LawOf(l.Regime, clock.Right(l.Right), l.Received)
	if err != nil {
		return filling{}, fmt.Errorf("finding the law of a letter: %w", err)
	}
	if err := l.checkTexts(); err != nil {
		return filling{}, err
	}
	f := filling{
		Controller: l.Controller, Contact: l.Contact, Today: w.day(l.Today.In(law.Place())), Request: l.Request.String(),
		Right: w.Rights[l.Right], Law: law.Title(l.Language), Received: w.day(l.Received.In(law.Place())),
		Article: law.Article(), Complaint: w.complaint(l.Regime), Further: strings.TrimSpace(l.Further),
		Number: l.Number.String(), Category: w.Categories[l.Category],
	}
	if !l.Due.IsZero() {
		f.Due = w.day(l.Due.In(law.Place()))
	}
	if err := l.fillKind(w, law, &f); err != nil {
		return filling{}, err
	}
	f.Article = w.citations.Replace(f.Article)
	return f, nil
}

// fillKind adds what belongs to one kind.
func (l Letter) fillKind(w *words, law *clock.Law, f *filling) error {
	switch l.Kind {
	case Acknowledge:
		if l.Right == dsar.Complaint && (f.Due == "" || l.Waiting != "") {
			return invalid("due", "is missing: nothing is waited for before a complaint is looked into")
		}
		if l.Waiting != "" {
			if f.Ground = w.Grounds[l.Waiting]; f.Ground == "" {
				return invalid("waiting", "must be identity, fee or clarification")
			}
			effect, _ := law.Pause(l.Waiting)
			f.Effect = w.Effects[effect]
		}
		if f.Due == "" && l.Waiting == "" {
			return invalid("due", "is missing, and nothing is waited for")
		}
	case Extend:
		exists, article := law.Extends()
		if !exists {
			return &clock.Refusal{Check: clock.CheckExtensionExists, Article: article, Reason: "the period cannot be extended"}
		}
		f.Article, f.ExtensionReason = article, w.Extension[l.Reason]
		if f.ExtensionReason == "" || f.Due == "" {
			return invalid("reason", "must be complexity or number_of_requests, with the new day")
		}
	case Fulfil:
		if f.Outcome = w.Outcomes[l.Outcome]; (l.Right == dsar.Complaint) != (f.Outcome != "") {
			return invalid("outcome", "belongs to a complaint, and it needs one")
		}
		f.Done = w.Done[l.Right]
		if l.Evidence != ([32]byte{}) {
			f.Evidence = hex.EncodeToString(l.Evidence[:])
		}
	case Deny:
		article, has := l.Denial.Article(string(l.Regime), l.Right)
		if !has {
			return invalid("denial", "is not a reason of this law")
		}
		f.Reason, f.Article = w.Reasons[l.Denial], article
		if l.Denial == dsar.OtherReason && f.Further == "" {
			return invalid("further", "must say why, since the reason is none of the list")
		}
	}
	return nil
}

// checkTexts refuses what cannot stand in a letter: nothing, too much, and characters that
// a reader does not see or a terminal obeys.
func (l Letter) checkTexts() error {
	switch {
	case !oneLine(l.Controller):
		return invalid("controller", "must be one line that can be read, of at most 200 characters")
	case l.Further != "" && !readable(l.Further, maxFurther):
		return invalid("further", "must be text that can be read, of at most 4000 characters")
	}
	lines := strings.Split(l.Contact, "\n")
	if len(lines) > maxContact || slices.ContainsFunc(lines, func(line string) bool { return !oneLine(line) }) {
		return invalid("contact", "must be one to six lines that can be read")
	}
	return nil
}

func oneLine(text string) bool {
	return strings.TrimSpace(text) != "" && !strings.Contains(text, "\n") && readable(text, maxLine)
}

// readable reports whether a text is what it looks like: no control characters but the end
// of a line, and nothing that turns the direction or hides.
func readable(text string, most int) bool {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most {
		return false
	}
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp)) {
			return false
		}
	}
	return true
}

// tidy takes out the empty lines that a template leaves where there was nothing to say.
func tidy(text string) string {
	for strings.Contains(text, "\n\n\n") {
		text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
	}
	return strings.TrimLeft(text, "\n")
}

func invalid(field, reason string) error {
	return fmt.Errorf("writing letter: %w", &privacy.FieldError{Pointer: "/" + field, Reason: reason})
}

// Of makes the letter about a request as it stands. The controller, the contact, the day
// and what is added are the caller's. Errors: a [privacy.FieldError] if the request is not
// where the letter says it is, such as a denial of one that is open.
func Of(kind Kind, r *dsar.Request, steps []dsar.ShownStep) (Letter, error) {
	l := Letter{
		Kind: kind, Language: r.Language, Regime: clock.Regime(r.Regime), Right: r.Kind, Request: r.ID,
		Received: r.ReceivedAt, Due: r.DueAt, Denial: r.Denial, Number: r.Number, Category: r.Category, Outcome: r.Outcome,
	}
	for _, pause := range r.Pauses {
		if pause.Until.IsZero() {
			l.Waiting = pause.Ground
		}
	}
	for i := range steps {
		if detail := &steps[i].Detail; detail.Extension != "" {
			l.Reason = clock.ExtensionReason(detail.Extension)
		}
		if digest, err := hex.DecodeString(steps[i].Detail.Evidence); err == nil && len(digest) == len(l.Evidence) {
			l.Evidence = [32]byte(digest)
		}
	}
	var err error
	switch {
	case kind == Acknowledge && r.State.Closed():
		err = errors.New("is closed")
	case kind == Extend && (r.ExtendedAt.IsZero() || r.State.Closed()):
		err = errors.New("has not been extended")
	case kind == Fulfil && r.State != dsar.Fulfilled:
		err = errors.New("has not been fulfilled")
	case kind == Deny && r.State != dsar.Denied:
		err = errors.New("has not been denied")
	}
	if err != nil {
		return Letter{}, invalid("request", err.Error())
	}
	return l, nil
}
