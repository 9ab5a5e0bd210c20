package postgres

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ageCases makes every case of the database 31 days old.
func ageCases(t testing.TB, owner *pgxpool.Pool) {
	t.Helper()
	_, err := owner.Exec(t.Context(), `update gate.case_file set opened_at = opened_at - interval '31 days', ends_at = ends_at - interval '31 days'`)
	if err != nil {
		t.Fatal(err)
	}
}

// TestConversationsOpenWithTheCase plays a support desk: the history is open to whoever
// handles the person's case, while it is open, and to nobody else.
func TestConversationsOpenWithTheCase(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	if _, err := b.keys.EnsureRecipient("support_desk"); err != nil {
		t.Fatal(err)
	}
	cases := NewCaseStore(b.db, b.log)
	open := func(key *vault.PersonKey, recipient privacy.RecipientID, n byte) casework.Case {
		t.Helper()
		c := newCase(key.DataSubject(), n)
		c.Recipient = recipient
		c, _, err := cases.Open(t.Context(), c, caseEvent(audit.CaseOpened, c.DataSubject))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ayşe, jana := b.person(t, "ayşe"), b.person(t, "jana")
	for _, key := range []*vault.PersonKey{ayşe, jana} {
		b.record(t, key, "conversations", map[privacy.AttributeName]string{"conversations.last_topic": "late parcel"})
	}
	ask := func(key *vault.PersonKey, number string) gate.Answer {
		t.Helper()
		return b.mustAsk(t, service("support_desk"), gate.Query{
			DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "support_desk", key)}, Purpose: "support", Channel: "support",
			Attributes: []privacy.AttributeName{"first_name", "conversations.last_topic"}, Case: number,
		})
	}
	refused := func(why string, answer gate.Answer) {
		t.Helper()
		told := revealed(answer)
		if len(told) != 1 || told["first_name"] == nil || hasReason(answer, gate.CheckCase) == (why == "no case") {
			t.Errorf("%s: %v, %v", why, told, answer.Reasons)
		}
	}
	refused("no case", ask(ayşe, ""))
	first := open(ayşe, "support_desk", 1)
	answer := ask(ayşe, first.ID.String())
	if revealed(answer)["conversations.last_topic"] != "late parcel" || len(answer.Obligations) != 1 || answer.Obligations[0].ID != "case_only" ||
		hasReason(answer, gate.CheckCase) {
		t.Errorf("while the case is open: %v, %v", revealed(answer), answer.Obligations)
	}
	evaluated := func(number string) gate.Evaluation {
		t.Helper()
		return b.mustEvaluate(t, service("support_desk"), gate.Question{Query: gate.Query{
			DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "support_desk", ayşe)}, Purpose: "support", Channel: "support",
			Attributes: []privacy.AttributeName{"conversations.last_topic"}, Case: number,
		}})
	}
	if e := evaluated(first.ID.String()); e.Decision != gate.Allow || levels(e)["conversations.last_topic"] != "exact" {
		t.Errorf("an evaluation while the case is open: %s, %v, %v", e.Decision, levels(e), e.Reasons)
	}
	if e := evaluated(casework.ID{9}.String()); e.Decision != gate.Deny || !hasReason(e.Answer, gate.CheckCase) {
		t.Errorf("an evaluation of an invented case: %s, %v", e.Decision, e.Reasons)
	}
	refused("somebody else's case", ask(jana, first.ID.String()))
	refused("another recipient's case", ask(ayşe, open(ayşe, "web_shop", 2).ID.String()))
	refused("an invented case", ask(ayşe, casework.ID{9}.String()))
	if _, err := cases.Close(t.Context(), first, caseEvent(audit.CaseClosed, ayşe.DataSubject())); err != nil {
		t.Fatal(err)
	}
	refused("closed", ask(ayşe, first.ID.String()))
	second := open(ayşe, "support_desk", 3)
	if len(revealed(ask(ayşe, second.ID.String()))) != 2 {
		t.Error("a second case does not open")
	}
	ageCases(t, b.database.OwnerPool(t))
	refused("after 31 days", ask(ayşe, second.ID.String()))

	// Nobody finds out who is known by naming a case.
	only := gate.Query{
		DataSubject: gate.Ref{Pseudonym: b.pseudonym(t, "support_desk", ayşe)}, Purpose: "support", Channel: "support",
		Attributes: []privacy.AttributeName{"conversations.last_topic"}, Case: second.ID.String(),
	}
	known := b.mustAsk(t, service("support_desk"), only)
	only.DataSubject.Pseudonym = "nobody"
	if unknown := b.mustAsk(t, service("support_desk"), only); !reflect.DeepEqual(apart(unknown), apart(known)) || known.Decision != gate.Deny {
		t.Errorf("unknown: %+v, known: %+v", apart(unknown), apart(known))
	}
	for _, malformed := range []string{"x", strings.Repeat("0", 32), strings.Repeat("A", 32), strings.Repeat("a", 33)} {
		only.Case = malformed
		if _, err := b.Ask(t.Context(), service("support_desk"), only); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("case %q: %v, want ErrInvalid", malformed, err)
		}
	}
}

func hasReason(answer gate.Answer, check string) bool {
	return slices.ContainsFunc(answer.Reasons, func(r policies.Reason) bool { return r.Check == check })
}
