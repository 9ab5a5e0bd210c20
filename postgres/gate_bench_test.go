package postgres

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// BenchmarkAsk is the whole gate but for HTTP, on PostgreSQL with a durable log.
//
//	name      first_name and language by contract: one category
//	contacts  three attributes on consent: one category, marketing
//	events    product groups and three more from a chunk of 40 purchases
//
// Each runs with one caller and with 32.
func BenchmarkAsk(b *testing.B) {
	bench := newGate(b)
	key := bench.person(b, "bench")
	groups := make([]string, 40)
	words := []string{"grocery.dairy", "bakery", "fresh.fruit", "pets", "garden", "tools", "home.kitchen", "beauty.cotton", "fresh.meat", "household.paper"}
	for i := range groups {
		groups[i] = words[i%len(words)]
	}
	bench.purchases(b, key, 0, groups...)
	bench.choose(b, key, consent.Granted, "recommendations")
	bench.choose(b, key, consent.Granted, "newsletter")
	for _, q := range []struct {
		name       string
		recipient  privacy.RecipientID
		purpose    privacy.Purpose
		channel    privacy.Channel
		attributes []privacy.AttributeName
	}{
		{"name", "web_shop", "greeting", "web", []privacy.AttributeName{"first_name", "language"}},
		{"contacts", "newsletter_service", "newsletter", "email", []privacy.AttributeName{"first_name", "email", "language"}},
		{"events", "recommender", "recommendations", "web", []privacy.AttributeName{
			"purchases.product_groups", "purchases.last_product", "spend.band", "purchases.last_at",
		}},
	} {
		query := gate.Query{
			DataSubject: gate.Ref{Pseudonym: bench.pseudonym(b, q.recipient, key)},
			Purpose:     q.purpose, Channel: q.channel, Attributes: q.attributes,
		}
		principal := service(q.recipient)
		ask := func(b *testing.B) {
			answer, err := bench.Ask(b.Context(), principal, query)
			if err != nil || answer.Decision != gate.Allow {
				b.Error(err, answer.Decision, answer.Reasons)
			}
		}
		ask(b) // what is new to the recipient is recorded once
		b.Run(q.name+"/1", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(b)
			}
		})
		b.Run(q.name+"/32", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16) // of each of the machine's cores
			defer reportCPU(b)()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ask(b)
				}
			})
		})
	}
}

// BenchmarkGateLoad is the one statement that every query waits for, against the
// simplest read of one row by its key.
func BenchmarkGateLoad(b *testing.B) {
	bench := newGate(b)
	key := bench.person(b, "bench", "grocery.dairy", "bakery", "fresh.fruit")
	bench.choose(b, key, consent.Granted, "recommendations")
	v := bench.keys.Vault()
	load := gate.LoadQuery{
		DataSubject: key.DataSubject(), Purposes: []privacy.Purpose{"recommendations"}, Channel: "web", Recipient: "recommender",
		Records: []gate.Slot{v.Slot(key.DataSubject(), "core"), v.Slot(key.DataSubject(), "contact")},
	}
	parallel := func(b *testing.B, do func() error) {
		b.ReportAllocs()
		b.SetParallelism(16)
		defer reportCPU(b)()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := do(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Run("records", func(b *testing.B) {
		parallel(b, func() error { _, err := bench.store.Load(b.Context(), load); return err })
	})
	withEvents := load
	withEvents.Streams, withEvents.Chunks = []gate.Slot{v.Slot(key.DataSubject(), "purchases")}, 4
	b.Run("events", func(b *testing.B) {
		parallel(b, func() error { _, err := bench.store.Load(b.Context(), withEvents); return err })
	})
	b.Run("bare", func(b *testing.B) {
		parallel(b, func() error {
			var jurisdiction string
			var restricted bool
			return bench.db.pool.QueryRow(b.Context(), `select jurisdiction, restricted from vault.data_subject where data_subject_id = $1`,
				[16]byte(key.DataSubject())).Scan(&jurisdiction, &restricted)
		})
	})
}

// reportCPU reports the processor time of this process and of the database between its
// two calls.
func reportCPU(b *testing.B) func() {
	own, database := cpuTimes()
	return func() {
		ownNow, databaseNow := cpuTimes()
		b.ReportMetric(float64(ownNow-own)/float64(time.Microsecond)/float64(b.N), "own-cpu-µs/op")
		b.ReportMetric(float64(databaseNow-database)/float64(time.Microsecond)/float64(b.N), "db-cpu-µs/op")
	}
}
