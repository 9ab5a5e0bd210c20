package gate

import (
	"testing"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// BenchmarkLadder is a decision in memory, from facts to the pending answer: without
// store, keys and log.
func BenchmarkLadder(b *testing.B) {
	s := newSheet(mustRevision(b))
	field := func(value string) vault.Field {
		return vault.Field{Values: []privacy.Plain{privacy.NewPlain(value)}, Source: vault.Declared, Quality: vault.Verified, ObservedAt: testTime}
	}
	core := vault.Record{attributeBirth: field("1990-01-01"), attributeHouse: field("single")}
	var purchases []event
	groups := s.catalogue.Groups()
	for i := range 64 {
		purchases = append(purchases, event{
			kind: "purchase", at: testTime.AddDate(0, 0, -i),
			group: string(groups[i*7%len(groups)].ID), amount: "9.90",
		})
	}
	for _, q := range []struct {
		name      string
		purpose   privacy.Purpose
		recipient privacy.RecipientID
		wanted    []privacy.AttributeName
	}{
		{"name", "greeting", "web_shop", []privacy.AttributeName{"first_name", "language"}},
		{"events", "recommendations", "recommender", []privacy.AttributeName{"purchases.product_groups", "purchases.last_product", "spend.band", "purchases.last_at"}},
	} {
		query := Query{DataSubject: Ref{Pseudonym: "p"}, Purpose: q.purpose, Channel: "web", Attributes: q.wanted}
		told := ledger{}.with([]string{"g:beauty.cotton", "g:health.minerals"}, dayOf(testTime))
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := query.validate(s)
				if err != nil {
					b.Fatal(err)
				}
				d := decision{
					sheet: s, principal: privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: q.recipient}, request: r,
					state: state{
						known: true, jurisdiction: "CZ", core: core, at: testTime,
						consents: []consent.Record{{Purpose: q.purpose, Channel: "*", Action: consent.Granted, Basis: privacy.Consent, EffectiveAt: testTime}},
					},
					opener: &plainPerson{
						records: map[privacy.DataCategory]vault.Record{"core": core, "contact": {"first_name": field("Eva")}},
						streams: map[privacy.DataCategory][]event{"purchases": purchases},
					},
					told: told, tie: testTie,
				}
				v, err := d.decide(b.Context())
				if err != nil || v.pending.answer.Decision != Allow && v.event.Checks[0] != CheckPolicy {
					b.Fatal(err, v.event.Checks)
				}
			}
		})
	}
}
