package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// expectingBaby is the inference that the act is about.
const expectingBaby policies.InferenceID = "pregnancy"

// asking is what the recommender asks in this act.
var asking = []privacy.AttributeName{"purchases.product_groups", "purchases.last_product"}

// figures are what is computed from purchases.
var figures = []privacy.AttributeName{"spend.total", "spend.band", "purchases.frequency", "purchases.last_at", "purchases.last_product"}

// watched is one person of the act: what is held, and what was released.
type watched struct {
	*Member
	part   role
	held   []string // distinct product groups of the last year that are held
	told   []string // distinct product groups that the recommender was told
	answer gate.Answer
	limit  int
	// home is single or shared: an obligation about post depends on it.
	home string
}

// pregnancy is scenario S1: nothing that points to a pregnancy, and nothing that adds up
// to it, without a trace for the recipient.
func (s *stage) pregnancy(ctx context.Context, act *Act) error {
	act.Title = "A basket that gives a pregnancy away"
	act.Text = "A supermarket once learned from a girl's basket that she was pregnant, posted baby coupons to the family home, and told her father. " +
		"The people below agreed to recommendations; none agreed to conclusions about their health. What is special is never released, and of " +
		"what only adds up (unscented lotion, cotton wool, minerals) as much is left out as is needed to stay below the threshold."
	before := s.house.Gate.Counters()
	var people []*watched
	for _, part := range []role{expecting, testOnly, twin, hinting, control} {
		for _, m := range s.members[part] {
			w, err := s.watch(ctx, m, part)
			if err != nil {
				return err
			}
			people = append(people, w)
		}
	}
	after := s.house.Gate.Counters()
	catalogue := s.catalogue()
	operator := act.table("What the operator holds (a data protection officer looked, and that is in the log)",
		"person", "bought, pointing to a pregnancy", "adds up to", "threshold")
	recipient := act.table("What the recommender was told, over three queries", "person", "product groups", "adds up to", "reasons")
	for _, w := range people {
		operator.row(w.Name(), orNone(wrapped(pointing(catalogue, w.held), 60)), fmt.Sprint(score(catalogue, expectingBaby, w.held)), fmt.Sprint(w.limit))
		recipient.row(w.Name(), strings.Join(wrapped(w.told, 60), "\n"), fmt.Sprint(score(catalogue, expectingBaby, w.told)), checks(w.answer))
	}
	if err := s.claimPregnancy(ctx, act, people); err != nil {
		return err
	}
	if err := s.sameInLog(ctx, act, people); err != nil {
		return err
	}
	act.After = fmt.Sprintf("The operator's own counter says that something was left out of %d of %d answers. Of whom, no log and no counter says.",
		after.Suppressed-before.Suppressed, after.Allowed-before.Allowed)
	if err := s.personaInstead(ctx, act, people[0].Member); err != nil {
		return err
	}
	return s.family(ctx, act)
}

// watch looks at what is held about somebody and asks three times, because what adds up
// may be asked for in parts. The last question is for a list that everybody has, so that
// the answers to it can be compared.
func (s *stage) watch(ctx context.Context, m *Member, part role) (*watched, error) {
	dossier, err := s.house.Dossier(ctx, s.dpo, m.id)
	if err != nil {
		return nil, err
	}
	w := &watched{Member: m, part: part}
	inference, _ := s.catalogue().Inference(expectingBaby)
	w.limit = inference.Threshold(s.catalogue().JurisdictionOf(string(dossier.Jurisdiction)))
	for _, value := range dossier.Records["core"]["household"].Values {
		w.home = value.RevealPersonalData()
	}
	for _, event := range dossier.Streams["purchases"] {
		w.held = append(w.held, event.Fields["product_group"].RevealPersonalData())
	}
	w.held = distinct(w.held)
	for _, attributes := range [][]privacy.AttributeName{asking[1:], asking, asking[:1]} {
		w.answer, err = s.ask(ctx, m, question{recipient: "recommender", purpose: "recommendations", channel: "web", attributes: attributes})
		if err != nil {
			return nil, err
		}
		for _, name := range attributes {
			w.told = append(w.told, values(w.answer, name)...)
		}
	}
	w.told = distinct(w.told)
	return w, nil
}

func distinct(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// pointing are the groups with a weight.
func pointing(catalogue *policies.Catalogue, groups []string) []string {
	var list []string
	for _, group := range groups {
		if weight := score(catalogue, expectingBaby, []string{group}); weight > 0 {
			list = append(list, fmt.Sprintf("%s (%d)", group, weight))
		}
	}
	return list
}

// checks are the names of an answer's reasons.
func checks(answer gate.Answer) string {
	var names []string
	for _, reason := range answer.Reasons {
		names = append(names, reason.Check)
	}
	return strings.Join(names, "\n")
}

func orNone(lines []string) string {
	text := strings.Join(lines, "\n")
	if text == "" {
		return "nothing"
	}
	return text
}

func (s *stage) claimPregnancy(ctx context.Context, act *Act, people []*watched) error {
	catalogue := s.catalogue()
	telling, adding, shapes, homes := 0, 0, map[string]bool{}, map[string]bool{}
	var alone, pair *watched
	for _, w := range people {
		if strongest(catalogue, expectingBaby, w.told) >= w.limit {
			telling++
		}
		if score(catalogue, expectingBaby, w.told) >= w.limit {
			adding++
		}
		shapes[w.home+shape(w.answer)], homes[w.home] = true, true
		switch w.part {
		case testOnly:
			alone = w
		case twin:
			pair = w
		}
	}
	over := 0
	for _, w := range people {
		if score(catalogue, expectingBaby, w.held) >= w.limit {
			over++
		}
	}
	act.claim(over > 0, "what is held would give %d of these %d people away", over, len(people))
	act.claim(telling == 0, "no product group that gives a pregnancy away by itself was released")
	act.claim(adding == 0, "nor does anything add up to it, over three queries")
	act.claim(len(shapes) == len(homes), "levels, obligations and reasons are the same for everybody in the same kind of home, with and without the trait")
	if alone == nil || pair == nil {
		return nil
	}
	act.claim(slices.Equal(alone.told, pair.told),
		"%s bought a test and %s did not, and otherwise the same: the recommender was told the same", alone.Name(), pair.Name())
	// Money and days could give the test away just as well.
	var told [2]string
	for i, w := range []*watched{alone, pair} {
		answer, err := s.ask(ctx, w.Member, question{recipient: "recommender", purpose: "recommendations", channel: "web", attributes: figures})
		if err != nil {
			return err
		}
		told[i] = released(answer)
	}
	act.claim(told[0] == told[1] && strings.Contains(told[0], "spend.total"), "nor do spending, frequency and the day of the last purchase tell them apart")
	return nil
}

// sameInLog compares what the log says about the last question to the first person and
// to the last.
func (s *stage) sameInLog(ctx context.Context, act *Act, people []*watched) error {
	t := act.table("What the log says about their last answers", "person (not in the log)", "person tag", "kind", "failed or special checks", "released")
	stored, err := s.house.Log.Tail(ctx, 4*len(people)+16)
	if err != nil {
		return err
	}
	said := map[string]int{}
	for _, w := range []*watched{people[0], people[len(people)-1]} {
		for _, e := range stored {
			if e.Index != w.answer.Receipt.Index() {
				continue
			}
			entry, err := audit.ParseEntry(e.Leaf)
			if err != nil {
				return err
			}
			var names []string
			for _, name := range entry.Attributes {
				names = append(names, string(name))
			}
			text := fmt.Sprintf("%s|%s|%s|%s", entry.Kind, entry.Outcome, strings.Join(entry.Checks, ","), strings.Join(names, ","))
			said[text]++
			t.row(w.Name(), hex.EncodeToString(entry.Person[:4])+"…", string(entry.Kind), strings.Join(entry.Checks, ", "), strings.Join(names, "\n"))
		}
	}
	act.claim(len(said) == 1 && len(t.Rows) == 2, "the log does not tell the two apart either")
	return nil
}

// personaInstead: where no consent opens individual data, a label of many people's
// habits is offered.
func (s *stage) personaInstead(ctx context.Context, act *Act, m *Member) error {
	answer, err := s.ask(ctx, m, question{recipient: "price_engine", purpose: "pricing", channel: "web", attributes: []privacy.AttributeName{"purchases.product_groups", "spend.band"}})
	if err != nil {
		return err
	}
	t := act.table("The persona instead of the basket", "who asks", "what for", "asks for", "gets", "must")
	t.row("price_engine", "pricing", "purchases.product_groups\nspend.band", released(answer), mustDo(answer))
	label := values(answer, "purchases.product_groups")
	persona, known := policies.PersonaID(""), false
	if len(label) == 1 {
		persona = policies.PersonaID(label[0])
		_, known = s.catalogue().Persona(persona)
	}
	given := answer.Attributes["purchases.product_groups"]
	act.claim(known && given.Level == policies.Persona, "instead of %s's basket the price engine gets a persona that at least %d people share", m.FirstName, s.catalogue().PersonaMinimum())
	return nil
}

// family: the girl herself, and post to the family home.
func (s *stage) family(ctx context.Context, act *Act) error {
	girl, adult := s.first(teenager), s.first(parent)
	if girl == nil || adult == nil {
		return nil
	}
	t := act.table("The girl, and the family home", "about", "who asks", "what for", "decision", "is told why")
	minor, err := s.ask(ctx, girl, question{recipient: "recommender", purpose: "recommendations", channel: "web", attributes: asking})
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("%s, %d", girl.Name(), girl.age), "recommender", "recommendations", string(minor.Decision), why(minor))
	post, err := s.ask(ctx, adult, question{recipient: "mail_house", purpose: "postal_offers", channel: "postal", attributes: []privacy.AttributeName{"first_name", "postal_address", "purchases.product_groups"}})
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("%s, %d (consented)", adult.Name(), adult.age), "mail_house", "postal_offers", string(post.Decision), why(post))
	act.claim(minor.Decision == gate.Deny, "nobody profiles %s, who is %d", girl.FirstName, girl.age)
	act.claim(post.Decision == gate.Deny, "nobody sends personal offers by post to a home that is shared")
	return nil
}
