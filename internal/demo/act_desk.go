package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// topic is what the conversation was about.
const topic = "the parcel came late"

// desk: S13, what was said in a conversation opens with the case and closes with it.
func (s *stage) desk(ctx context.Context, act *Act) error {
	m := s.first(regular)
	act.Title = "What was said stays with the case"
	act.Text = fmt.Sprintf("%s complained that %s, and the desk keeps the conversation. Whoever handles the case sees what was said, for as long as the case "+
		"is open, at most 30 days. Nobody else does: not the desk without a case, and not marketing.", m.Name(), topic)
	if err := s.deliverConversation(ctx, m); err != nil {
		return err
	}
	t := act.table("", "who asks", "case", "recipient gets", "must")
	said := question{recipient: "support_desk", purpose: "support", channel: "support", attributes: []privacy.AttributeName{"first_name", "conversations.last_topic"}}
	look := func(q question, which string) (gate.Answer, error) {
		answer, err := s.ask(ctx, m, q)
		if err == nil {
			t.row(string(q.recipient), which, released(answer), mustDo(answer))
		}
		return answer, err
	}
	before, err := look(said, "none")
	if err != nil {
		return err
	}
	principal := privacy.Principal{ID: "demo-desk", Role: privacy.RoleService, Recipient: said.recipient}
	opened, err := s.house.Cases.Open(ctx, principal, casework.Request{DataSubject: m.id, Kind: casework.Complaint})
	if err != nil {
		return err
	}
	said.caseNumber = opened.ID.String()
	during, err := look(said, "a complaint, log entry "+fmt.Sprint(opened.Receipt.Index()))
	if err != nil {
		return err
	}
	marketing := said
	marketing.recipient, marketing.purpose, marketing.channel = "newsletter_service", "newsletter", "email"
	sold, err := look(marketing, "the same")
	if err != nil {
		return err
	}
	receipt, err := s.house.Cases.Close(ctx, principal, opened.ID)
	if err != nil {
		return err
	}
	after, err := look(said, "closed, log entry "+fmt.Sprint(receipt.Index()))
	if err != nil {
		return err
	}
	told := func(answer gate.Answer) bool { return values(answer, "conversations.last_topic") != nil }
	act.claim(!told(before) && values(before, "first_name") != nil, "without a case the desk knows the name and not what was said")
	act.claim(told(during) && values(during, "conversations.last_topic")[0] == topic, "whoever handles the case knows it")
	act.claim(obliged(during, "case_only"), "and must use it for this case only")
	act.claim(!told(sold), "marketing does not, whatever case it names")
	act.claim(!told(after), "when the case is closed so is the conversation")
	return nil
}

// deliverConversation brings a conversation in, like any delivery.
func (s *stage) deliverConversation(ctx context.Context, m *Member) error {
	line, err := json.Marshal(map[string]any{
		"identifiers":  []map[string]string{{"kind": string(privacy.CustomerNumber), "value": m.Customer}},
		"jurisdiction": m.Jurisdiction,
		"attributes":   map[string]string{"conversations.last_topic": topic},
	})
	if err != nil {
		return err
	}
	result, err := s.house.Loader.LoadStream(ctx, strings.NewReader(string(line)+"\n"), intake.StreamOptions{
		Principal: privacy.Principal{ID: "demo-desk", Role: privacy.RoleIngest},
	})
	if err == nil && result.Rejected > 0 {
		err = fmt.Errorf("delivering a conversation: %s: %w", result.Rejects[0].Reason, privacy.ErrInvalid)
	}
	return err
}
