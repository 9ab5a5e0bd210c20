package demo

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func withdrawalOf(m *Member, purpose privacy.Purpose) consent.Change {
	return consent.Change{DataSubject: m.id, Purpose: purpose, Channel: privacy.AnyChannel, Source: "privacy_centre"}
}

// reidentification: S14, from a contact to a profile and from a pseudonym to a person.
func (s *stage) reidentification(ctx context.Context, act *Act) error {
	m := s.first(control)
	act.Title = "From an address to a profile, and from a pseudonym to a person"
	act.Text = "Somebody with an e-mail address would like the profile that belongs to it. And somebody with a pseudonym would like to know who it is. " +
		"Both are acts of their own, and both are in the log whatever becomes of them."
	t := act.table("", "who", "has", "wants", "outcome")
	address := privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(m.Email)}
	enriched, err := s.ask(ctx, m, question{
		recipient: "ad_network", purpose: "audience_sync", channel: "partner", attributes: []privacy.AttributeName{"persona", "location.city"}, identifier: address,
	})
	if err != nil {
		return err
	}
	t.row("ad_network", "an e-mail address", "a profile", string(enriched.Decision)+"\n"+why(enriched))
	text, err := s.pseudonym("recommender", m)
	if err != nil {
		return err
	}
	request := gate.Reidentification{Recipient: "recommender", Pseudonym: text, Purpose: "data_subject_request"}
	service := privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "recommender"}
	_, refused := s.house.Gate.Reidentify(ctx, service, request)
	t.row("recommender", "a pseudonym", "the person", outcome(refused))
	curious := request
	curious.Purpose = "recommendations"
	_, marketing := s.house.Gate.Reidentify(ctx, s.dpo, curious)
	t.row("data protection officer", "a pseudonym", "the person, for marketing", outcome(marketing))
	found, allowed := s.house.Gate.Reidentify(ctx, s.dpo, request)
	t.row("data protection officer", "a pseudonym", "the person, to answer their request", outcome(allowed))
	act.claim(enriched.Decision == gate.Deny, "an address does not buy a profile")
	act.claim(errors.Is(refused, privacy.ErrForbidden), "a service cannot turn its pseudonyms back into people")
	act.claim(errors.Is(marketing, privacy.ErrForbidden), "nor can a data protection officer, for marketing")
	act.claim(allowed == nil && found.DataSubject == m.id, "to answer the person's own request it is allowed, and logged")
	return nil
}

func outcome(err error) string {
	if err == nil {
		return "allowed, and logged"
	}
	return "refused, and logged"
}

// erasure: a person is forgotten for good.
func (s *stage) erasure(ctx context.Context, act *Act) error {
	m := s.first(leaver)
	act.Title = "A person is forgotten"
	act.Text = fmt.Sprintf("%s asks to be erased (GDPR 17, KVKK 7). There was one key to the sealed data; with it gone, every copy of that data is noise, in a backup too, unless somebody still keeps an old backup of the keys.", m.Name())
	q := question{recipient: "web_shop", purpose: "greeting", channel: "web", attributes: []privacy.AttributeName{"first_name"}}
	before, err := s.ask(ctx, m, q)
	if err != nil {
		return err
	}
	second := privacy.Principal{ID: "demo-dpo-2", Role: privacy.RoleDPO}
	// Whoever asks says where they are; in Dublin that is the law of the Union.
	result, err := s.house.EraseAtOnce(ctx, s.dpo, second, m.customerNumber(), "EU")
	if err != nil {
		return err
	}
	after, err := s.ask(ctx, m, q)
	if err != nil {
		return err
	}
	_, lookup := s.house.People.ResolveIdentifier(ctx, m.customerNumber())
	_, key := s.house.People.PersonKey(ctx, m.id, vault.UseShow)
	never := q
	never.identifier = privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("nobody-has-this-number")}
	stranger, err := s.ask(ctx, m, never)
	if err != nil {
		return err
	}
	c := result.Counts
	comesBack, err := s.comesBack(ctx, m)
	if err != nil {
		return err
	}
	t := act.table("", "destroyed", "rows")
	for _, line := range []struct {
		what string
		n    int64
	}{
		{"key", c.Keys},
		{"identifiers", c.Identifiers},
		{"sealed records", c.Records},
		{"chunks of events", c.Chunks},
		{"consent records", c.Consents},
		{"exposure records", c.Exposures},
	} {
		t.row(line.what, fmt.Sprint(line.n))
	}
	t = act.table("", "query for the first name", "decision", "recipient is told")
	t.row("before", string(before.Decision), "")
	t.row("after", string(after.Decision), why(after))
	t.row("about somebody who never existed", string(stranger.Decision), why(stranger))
	act.claim(before.Decision == gate.Allow && after.Decision == gate.Deny, "known before, unknown after")
	act.claim(result.Suppressed > 0 && comesBack == intake.Suppressed, "the next file that brings them back is refused")
	act.claim(c.Keys == 1 && errors.Is(key, privacy.ErrNotFound), "the key is destroyed")
	act.claim(errors.Is(lookup, privacy.ErrNotFound), "nobody is found under the customer number any more")
	act.claim(shape(after) == shape(stranger), "to a recipient, erased and never existed look the same")
	return nil
}

// comesBack brings an erased member again, as the next export of a shop would, and returns
// why the row is refused.
func (s *stage) comesBack(ctx context.Context, m *Member) (intake.Reason, error) {
	row, err := json.Marshal(map[string]any{
		"identifiers":  []map[string]string{{"kind": "customer_number", "value": m.Customer}},
		"jurisdiction": m.Jurisdiction, "attributes": map[string]string{"first_name": m.FirstName},
	})
	if err != nil {
		return "", err
	}
	summary, err := s.house.Loader.LoadStream(ctx, strings.NewReader(string(row)+"\n"), intake.StreamOptions{Principal: s.dpo})
	if err != nil || len(summary.Rejects) == 0 {
		return "", err
	}
	return summary.Rejects[0].Reason, nil
}

// log: everything above is in the log, and the log proves itself.
func (s *stage) log(ctx context.Context, act *Act) error {
	act.Title = "The log proves itself"
	act.Text = "Every load, answer, denial, change of consent and the erasure are entries of one append-only Merkle log (RFC 6962). " +
		"All of it was recomputed just now: leaf hashes, tiles, committed roots, signed checkpoints."
	if err := s.house.Log.SignCheckpoint(ctx); err != nil {
		return err
	}
	report, err := s.house.VerifyLog(ctx, nil)
	if err != nil {
		return err
	}
	signed, err := s.house.Log.LatestCheckpoint(ctx)
	if err != nil {
		return err
	}
	kinds, leaks, err := s.readLog(ctx, int(report.Size))
	if err != nil {
		return err
	}
	t := act.table("", "kind of entry", "entries")
	for _, kind := range sortedKinds(kinds) {
		t.row(string(kind), fmt.Sprint(kinds[kind]))
	}
	act.After = fmt.Sprintf("OK, %d entries, root %s. The checkpoint, as an outsider keeps it:\n\n%s",
		report.Size, hex.EncodeToString(report.Root[:8]), indented(string(signed)))
	act.claim(report.Whole(), "the whole log recomputes: %d entries, %d tiles, %d roots", report.Size, report.Tiles, report.Roots)
	act.claim(report.Signed.Size == report.Size, "the signed checkpoint covers all of it")
	act.claim(leaks == 0, "no entry holds a name, an address or a number of the cast")
	return nil
}

// readLog counts the entries by kind, and those that hold something of a member.
func (s *stage) readLog(ctx context.Context, n int) (map[audit.Kind]int, int, error) {
	stored, err := s.house.Log.Tail(ctx, n)
	if err != nil {
		return nil, 0, err
	}
	var words []string
	for _, list := range s.members {
		for _, m := range list {
			words = append(words, m.LastName, m.Email, m.Customer, m.Phone)
		}
	}
	kinds, leaks := map[audit.Kind]int{}, 0
	for _, e := range stored {
		parsed, err := audit.ParseEntry(e.Leaf)
		if err != nil {
			return nil, 0, err
		}
		kinds[parsed.Kind]++
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(string(e.Leaf), word) }) {
			leaks++
		}
	}
	return kinds, leaks, nil
}

func sortedKinds(kinds map[audit.Kind]int) []audit.Kind {
	var list []audit.Kind
	for kind := range kinds {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// next says how to go on.
func (s *stage) next() {
	home := s.config.Home
	if home == "" {
		home = "./mahrem-demo"
		s.story.Next = append(s.story.Next, Step{"keep a shop to play with (nothing of this one is kept)", "mahrem demo --home " + home})
	}
	m := s.first(control)
	body := fmt.Sprintf(`{"data_subject":{"identifier":{"kind":"customer_number","value":"%s"}},"purpose":"greeting","channel":"web","attributes":["first_name"]}`, m.Customer)
	s.story.Next = append(s.story.Next,
		Step{"answer queries over HTTP", "mahrem serve --home " + home},
		Step{"mint a token for the web shop", "TOKEN=$(mahrem token mint --home " + home + " --role service --recipient web_shop)"},
		Step{"ask", `curl -s http://127.0.0.1:8443/v1/query -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '` + body + `'`},
		Step{"look at a person as a data protection officer", "mahrem subject show --home " + home + " --customer-number " + m.Customer},
		Step{"verify the log", "mahrem audit verify --home " + home},
	)
}
