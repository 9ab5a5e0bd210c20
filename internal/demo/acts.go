package demo

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// wide is the question that everybody asks in the first act.
var wide = []privacy.AttributeName{
	"first_name", "email", "birth_date", "location.city", "purchases.product_groups", "spend.band", "social.interests",
}

// sameQuestion: who asks, and what for, decides what they get.
func (s *stage) sameQuestion(ctx context.Context, act *Act) error {
	m := s.first(regular)
	act.Title = "The same question, asked by different people"
	act.Text = fmt.Sprintf("%s agreed to recommendations, newsletter, chosen content, personal prices and offers by post. "+
		"Everybody below asks for the same seven things: name, e-mail, birth date, city, purchases, spending, and what social networks say.", m.Name())
	t := act.table("", "who asks", "what for", "gets", "must")
	answers := map[string]gate.Answer{}
	for _, asker := range []struct {
		recipient privacy.RecipientID
		purpose   privacy.Purpose
		channel   privacy.Channel
	}{
		{"web_shop", "greeting", "web"},
		{"newsletter_service", "newsletter", "email"},
		{"recommender", "recommendations", "web"},
		{"content_engine", "content", "web"},
		{"price_engine", "pricing", "web"},
		{"mail_house", "postal_offers", "postal"},
		{"ad_network", "audience_sync", "partner"},
		{"recommender", "pricing", "web"},
	} {
		answer, err := s.ask(ctx, m, question{
			recipient: asker.recipient, purpose: asker.purpose, channel: asker.channel, attributes: wide,
		})
		if err != nil {
			return err
		}
		key := string(asker.recipient) + "/" + string(asker.purpose)
		answers[key] = answer
		gets := released(answer)
		if answer.Decision != gate.Allow {
			gets += ":\n" + why(answer)
		}
		t.row(string(asker.recipient), string(asker.purpose), gets, mustDo(answer))
		t.row("", "", "", "")
	}
	t.Rows = t.Rows[:len(t.Rows)-1]
	has := func(key string, name privacy.AttributeName) bool { return values(answers[key], name) != nil }
	act.claim(has("web_shop/greeting", "first_name") && len(answers["web_shop/greeting"].Attributes) == 1,
		"a greeting gets the first name and nothing else")
	act.claim(has("newsletter_service/newsletter", "email") && !has("newsletter_service/newsletter", "purchases.product_groups"),
		"the newsletter gets the address and no purchases")
	act.claim(has("recommender/recommendations", "purchases.product_groups") && !has("recommender/recommendations", "first_name"),
		"recommendations get purchases and no name")
	act.claim(answers["ad_network/audience_sync"].Decision == gate.Deny && answers["recommender/pricing"].Decision == gate.Deny,
		"who has no consent or no contract for a purpose gets nothing at all")
	if err := s.unlinkable(act, m); err != nil {
		return err
	}
	return nil
}

// unlinkable shows what two recipients call the same person.
func (s *stage) unlinkable(act *Act, m *Member) error {
	a, err := s.pseudonym("recommender", m)
	if err != nil {
		return err
	}
	b, err := s.pseudonym("newsletter_service", m)
	if err != nil {
		return err
	}
	act.After = fmt.Sprintf("The recommender knows this person as …%s and the newsletter service as …%s: the two cannot put their lists together.",
		a[len(a)-12:], b[len(b)-12:])
	act.claim(a != b, "two recipients have two different pseudonyms for the same person")
	return nil
}

// withdrawal: it binds the very next query.
func (s *stage) withdrawal(ctx context.Context, act *Act) error {
	m := s.first(regular)
	q := question{recipient: "recommender", purpose: "recommendations", channel: "app", attributes: []privacy.AttributeName{"purchases.product_groups", "location.city"}}
	act.Title = "A withdrawal binds the very next query"
	act.Text = fmt.Sprintf("%s changes their mind about recommendations. The withdrawal is durable, with its entry in the log, before it is acknowledged; "+
		"it comes with a token, and a query that carries the token is never answered from an older state.", m.Name())
	before, err := s.ask(ctx, m, q)
	if err != nil {
		return err
	}
	receipt, err := s.house.Consent.Withdraw(ctx, s.dpo, withdrawalOf(m, q.purpose))
	if err != nil {
		return err
	}
	q.token = receipt.Token.String()
	after, err := s.ask(ctx, m, q)
	if err != nil {
		return err
	}
	t := act.table("", "step", "log entry", "decision", "recipient gets")
	t.row("query", fmt.Sprint(before.Receipt.Index()), string(before.Decision), released(before))
	t.row("withdrawal", fmt.Sprint(receipt.Index()), "", "")
	t.row("the same query", fmt.Sprint(after.Receipt.Index()), string(after.Decision), released(after)+":\n"+why(after))
	act.claim(before.Decision == gate.Allow, "before the withdrawal the query was answered")
	act.claim(after.Decision == gate.Deny && len(after.Attributes) == 0, "the query right after it got nothing")
	act.claim(after.Receipt.Index() > receipt.Index(), "the log has the withdrawal before the denial")
	return nil
}

// greeting: the harmless case stays effortless (S17).
func (s *stage) greeting(ctx context.Context, act *Act) error {
	act.Title = "A greeting by name just works"
	act.Text = "Nobody has to consent to being called by their name in the shop they are a customer of: it belongs to the contract (GDPR 6(1)(b)). " +
		"It works right after a withdrawal, and for a child too."
	t := act.table("", "for", "decision", "recipient gets", "on the basis of")
	list := []*Member{s.first(regular), s.first(control), s.first(teenager)}
	for _, m := range list {
		if m == nil {
			continue
		}
		answer, err := s.ask(ctx, m, question{recipient: "web_shop", purpose: "greeting", channel: "web", attributes: []privacy.AttributeName{"first_name"}})
		if err != nil {
			return err
		}
		t.row(m.Name(), string(answer.Decision), released(answer), why(answer))
		names := values(answer, "first_name")
		act.claim(len(names) == 1 && names[0] == m.FirstName, "%s is greeted by name", m.FirstName)
	}
	return nil
}

// manners: S2 (nothing quoted from social networks) and S10 (no precise location).
func (s *stage) manners(ctx context.Context, act *Act) error {
	m := s.first(sporty)
	act.Title = "Good manners: what was overheard is not quoted"
	act.Text = fmt.Sprintf("A social network says that %s likes %s, and the shop's app knows where the phone is. "+
		"What was observed elsewhere is told only in general and never with its source; a position is told as a city.", m.FirstName, m.Interest)
	t := act.table("", "who asks", "asks for", "is held", "recipient gets", "must")
	social, err := s.ask(ctx, m, question{recipient: "social_listening", purpose: "social_engagement", channel: "web", attributes: []privacy.AttributeName{"social.interests"}})
	if err != nil {
		return err
	}
	t.row("social_listening", "social.interests", m.Interest, released(social), mustDo(social))
	place, err := s.ask(ctx, m, question{recipient: "recommender", purpose: "recommendations", channel: "app", attributes: []privacy.AttributeName{"location.precise"}})
	if err != nil {
		return err
	}
	t.row("recommender", "location.precise", m.Position, released(place), mustDo(place))
	told := values(social, "social.interests")
	act.claim(len(told) == 1 && told[0] == "sports", "“%s” is told as “sports”", m.Interest)
	act.claim(obliged(social, "no_source_reference"), "the recipient must not say where it comes from")
	where := values(place, "location.precise")
	act.claim(len(where) == 1 && where[0] == m.City, "a position is told as the city")
	return nil
}

func obliged(answer gate.Answer, id string) bool {
	for _, o := range answer.Obligations {
		if string(o.ID) == id {
			return true
		}
	}
	return false
}
