package policies

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mahrem/mahrem/privacy"
)

// MutateCatalogue attacks the catalogue: each value and each collection in each of its
// files is deleted, made null, given other types, or replaced by a word that names
// nothing. A mutant that is loaded at all must open nothing: no request that was denied,
// no data category, no attribute at a higher level, no age, and no way around an
// objection. A catalogue that says less without opening a request, because an obligation,
// a window or a weight is gone, is counted apart. With names of files only those are
// attacked.
func (r *Revision) MutateCatalogue(ctx context.Context, files ...string) (Mutation, error) {
	a := &catalogueAttack{revision: r, total: Mutation{What: "catalogue"}, verdicts: map[pair]Verdict{}, questions: map[privacy.Purpose][]Facts{}, before: map[privacy.Purpose][]Plan{}}
	var err error
	if a.expand, err = prepare(ctx, r.compiler, r.store, verdictQuery); err != nil {
		return a.total, err
	}
	purposes := r.catalogue.Purposes()
	for _, id := range purposes {
		if a.questions[id], err = r.questionsAbout(ctx, r.catalogue.purposes[id]); err != nil {
			return a.total, err
		}
		a.before[id] = make([]Plan, len(a.questions[id]))
	}
	err = inParallel(len(purposes), func(i int) error {
		for n := range a.questions[purposes[i]] {
			plan, err := r.evaluateRules(ctx, &a.questions[purposes[i]][n])
			if err != nil {
				return err
			}
			a.before[purposes[i]][n] = plan
		}
		return nil
	})
	if err != nil {
		return a.total, err
	}
	a.document = r.catalogue.document()
	if a.held, err = hold(r.content); err != nil {
		return a.total, err
	}
	type job struct {
		file  catalogueFile
		entry int
	}
	var jobs []job
	for _, name := range r.content.names() {
		if path.Dir(name) != catalogueDir || len(files) > 0 && !slices.Contains(files, path.Base(name)) {
			continue
		}
		file, err := takeApart(path.Base(name), r.content[name])
		if err != nil {
			return a.total, err
		}
		for i := range file.entries {
			jobs = append(jobs, job{file, i})
		}
	}
	err = inParallel(len(jobs), func(i int) error { return a.entry(ctx, jobs[i].file, jobs[i].entry) })
	slices.Sort(a.total.Openings)
	return a.total, err
}

// Outcomes of a mutant.
const (
	outcomeRefused = iota
	outcomeIrrelevant
	outcomeDenied
	outcomeWeakened
	outcomeOpened
)

type catalogueAttack struct {
	held      *held
	revision  *Revision
	document  map[string]any
	questions map[privacy.Purpose][]Facts
	before    map[privacy.Purpose][]Plan
	expand    rego.PreparedEvalQuery

	mu       sync.Mutex
	total    Mutation
	verdicts map[pair]Verdict
}

// questionsAbout are requests for a purpose that are denied or leave something closed:
// the near misses, and people of every kind who agreed to nothing in particular.
func (r *Revision) questionsAbout(ctx context.Context, purpose *Purpose) ([]Facts, error) {
	good, _, err := r.welcome(ctx, purpose)
	if err != nil {
		return nil, err
	}
	good.Trigger, good.Case = NoTrigger, NoCase
	if purpose.Trigger == TriggerRequired {
		good.Trigger = FreshTrigger
	}
	var questions []Facts
	vary := func(change func(f *Facts)) {
		varied := good
		change(&varied)
		questions = append(questions, varied)
	}
	for _, spoil := range spoilers {
		vary(func(f *Facts) { spoil.apply(f, purpose) })
	}
	questions = slices.DeleteFunc(questions, func(f Facts) bool { return f.Validate() != nil })
	all := r.catalogue.Categories()
	for _, j := range r.catalogue.Jurisdictions() {
		vary(func(f *Facts) { f.Subject.Jurisdiction, f.Categories, f.Grants = j, all, nil })
		vary(func(f *Facts) {
			f.Subject.Jurisdiction, f.Categories, f.Grants, f.Consent.Explicit = j, all, nil, No
		})
	}
	vary(func(f *Facts) { f.Categories, f.Grants = all, all })
	for _, id := range r.catalogue.Recipients() {
		vary(func(f *Facts) { f.Recipient = id })
	}
	for _, id := range r.catalogue.Channels() {
		vary(func(f *Facts) { f.Channel, f.Subject.Household = id, SharedHousehold })
	}
	for _, age := range []AgeGroup{Child, Youth, Adult, AgeUnknown} {
		vary(func(f *Facts) { f.Subject.Age = age })
	}
	for _, kind := range privacy.IdentifierKinds() {
		vary(func(f *Facts) { f.Reference = ByIdentifier(kind) })
	}
	for _, action := range []Action{Personalize, Audience, Reidentify} {
		vary(func(f *Facts) { f.Action = action })
	}
	return questions, nil
}

// entry attacks one entry of one file.
func (a *catalogueAttack) entry(ctx context.Context, file catalogueFile, entry int) error {
	before, err := entryOf(file.name, file.entries[entry])
	if err != nil {
		return fmt.Errorf("mutating %s: %w", file.name, err)
	}
	return yamlMutants(file.entries[entry], func(where, what, mutant string) error {
		if ctx.Err() != nil {
			return fmt.Errorf("mutating catalogue: %w", ctx.Err())
		}
		outcome, because := a.try(ctx, file, entry, before, mutant)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.total.Mutants++
		switch outcome {
		case outcomeRefused:
			a.total.Refused++
		case outcomeIrrelevant:
			a.total.Irrelevant++
		case outcomeDenied:
			a.total.Denied++
		case outcomeWeakened:
			a.total.Weakened++
		default:
			a.total.open("%s %s %s: %s", file.name, where[1:], what, because)
		}
		return nil
	})
}

// try loads a mutant and looks whether it opens anything.
func (a *catalogueAttack) try(ctx context.Context, file catalogueFile, entry int, before any, mutant string) (outcome int, what string) {
	if mutant != "" {
		after, err := entryOf(file.name, mutant)
		if err != nil {
			return outcomeRefused, ""
		}
		if reflect.DeepEqual(before, after) {
			return outcomeIrrelevant, ""
		}
	}
	catalogue, err := a.held.load(a.revision.content, file.name, file.with(entry, mutant))
	if err != nil {
		return outcomeRefused, ""
	}
	opens := ""
	if opens = a.revision.catalogue.factsOpen(catalogue); opens == "" {
		opens, err = a.decides(ctx, catalogue)
	}
	if err != nil {
		return outcomeRefused, ""
	}
	if opens != "" {
		return outcomeOpened, opens
	}
	if less := a.revision.catalogue.tellsLess(catalogue); less != "" {
		return outcomeWeakened, less
	}
	return outcomeDenied, ""
}

// decides compares the decisions under another catalogue with those under this one.
func (a *catalogueAttack) decides(ctx context.Context, catalogue *Catalogue) (string, error) {
	for purpose, questions := range a.verdictsOf(catalogue) {
		for attribute, p := range questions {
			verdict, err := a.verdict(ctx, p)
			if err != nil {
				return "", err
			}
			if old := a.revision.Verdict(purpose, attribute); verdict.Max > old.Max {
				return fmt.Sprintf("%s under %s goes from %s to %s", attribute, purpose, old.Max, verdict.Max), nil
			}
		}
	}
	document := catalogue.document()
	purposes := a.affected(document, catalogue)
	if len(purposes) == 0 {
		return "", nil
	}
	plan, err := prepare(ctx, a.revision.compiler, newStore(document), planQuery)
	if err != nil {
		return "", err
	}
	other := &Revision{catalogue: catalogue, plan: plan, words: a.revision.words, limit: a.revision.limit}
	for _, purpose := range purposes {
		for i := range a.questions[purpose] {
			facts := &a.questions[purpose][i]
			now, err := other.evaluateRules(ctx, facts)
			if err != nil {
				if errors.Is(err, ErrPolicy) {
					continue // a decision that fails is a denial
				}
				return "", err
			}
			if more := opensMore(&a.before[purpose][i], &now); more != "" {
				return fmt.Sprintf("%s for %s", more, facts.Canonical()), nil
			}
		}
	}
	return "", nil
}

// affected are the purposes whose decisions can differ under another document.
func (a *catalogueAttack) affected(document map[string]any, catalogue *Catalogue) []privacy.Purpose {
	part := func(document map[string]any, kind, key string) any {
		entries, ok := document[kind].(map[string]any)
		if !ok {
			return document[kind]
		}
		return entries[key]
	}
	changed := func(kind, key string) bool {
		return !reflect.DeepEqual(part(a.document, kind, key), part(document, kind, key))
	}
	jurisdictions := changed("jurisdictions", "")
	var purposes []privacy.Purpose
	for _, id := range a.revision.catalogue.Purposes() {
		purpose := a.revision.catalogue.purposes[id]
		affects := jurisdictions || changed("purposes", string(id))
		for _, category := range a.revision.catalogue.Categories() {
			_, uses := purpose.Categories[category]
			affects = affects || uses && changed("categories", string(category))
		}
		for _, recipient := range a.revision.catalogue.Recipients() {
			uses := contains(a.revision.catalogue.recipients[recipient].Purposes, id)
			if r, ok := catalogue.recipients[recipient]; ok {
				uses = uses || contains(r.Purposes, id)
			}
			affects = affects || uses && changed("recipients", string(recipient))
		}
		for _, channel := range purpose.Channels {
			affects = affects || changed("channels", string(channel))
		}
		if affects {
			purposes = append(purposes, id)
		}
	}
	return purposes
}

// verdictsOf returns the pairs of a catalogue whose verdicts can differ.
func (a *catalogueAttack) verdictsOf(catalogue *Catalogue) map[privacy.Purpose]map[privacy.AttributeName]pair {
	pairs := map[privacy.Purpose]map[privacy.AttributeName]pair{}
	old := a.revision.catalogue
	for id, purpose := range catalogue.purposes {
		for name, attribute := range catalogue.attributes {
			if _, ok := catalogue.categories[attribute.Category]; !ok {
				continue
			}
			now := catalogue.pair(purpose, attribute)
			if p, q := old.purposes[id], old.attributes[name]; p != nil && q != nil && old.pair(p, q) == now {
				continue
			}
			if pairs[id] == nil {
				pairs[id] = map[privacy.AttributeName]pair{}
			}
			pairs[id][name] = now
		}
	}
	return pairs
}

func (a *catalogueAttack) verdict(ctx context.Context, p pair) (Verdict, error) {
	a.mu.Lock()
	verdict, ok := a.verdicts[p]
	a.mu.Unlock()
	if ok {
		return verdict, nil
	}
	value, err := evaluate(ctx, &a.expand, p.value(), a.revision.activating())
	if err == nil {
		verdict, err = decodeVerdict(value)
	}
	if err == nil {
		a.mu.Lock()
		a.verdicts[p] = verdict
		a.mu.Unlock()
	}
	return verdict, err
}

// opensMore says what a plan opens that another left closed, empty if nothing.
func opensMore(before, now *Plan) string {
	if !now.Allow {
		return ""
	}
	if !before.Allow {
		return "a denied request opens"
	}
	for _, category := range now.Granted {
		if !slices.Contains(before.Granted, category) {
			return "category " + string(category) + " opens"
		}
	}
	for _, category := range now.Cleared {
		if !slices.Contains(before.Cleared, category) {
			return "inferences about " + string(category) + " are told"
		}
	}
	switch {
	case now.Ceiling > before.Ceiling:
		return "the basis carries more"
	case now.Persona && !before.Persona:
		return "a persona is offered"
	}
	for _, obligation := range before.Obligations {
		if !slices.Contains(now.Obligations, obligation) {
			return "obligation " + string(obligation) + " is gone"
		}
	}
	return ""
}
