package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// BenchmarkConsentAdd is changes of consent, each durable with its entry when the call returns.
func BenchmarkConsentAdd(b *testing.B) {
	for _, callers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l, database := newBenchmarkLog(b)
			db, err := Open(b.Context(), Config{URL: database.URL()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(db.Close)
			store := NewConsentStore(db, l)
			const people = 10_000
			if _, err := database.OwnerPool(b).Exec(b.Context(), `
				insert into vault.data_subject (data_subject_id, jurisdiction)
				select lpad(to_hex(n), 32, '0')::uuid, 'CZ' from generate_series(1, 10000) n`); err != nil {
				b.Fatal(err)
			}
			var n atomic.Uint32
			benchmarkCallers(b, callers, func() error {
				i := n.Add(1)
				var id privacy.DataSubjectID
				binary.BigEndian.PutUint32(id[12:], i%people+1)
				record, event := granted(id, 0)
				binary.BigEndian.PutUint32(record.ID[:], i)
				if i%2 == 0 {
					record.Action = consent.Withdrawn
				}
				event.Kind = record.Action.Kind()
				_, err := store.Add(context.Background(), record, event)
				return err
			})
		})
	}
}
