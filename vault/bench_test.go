package vault

import (
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func BenchmarkSealRecord(b *testing.B) {
	key, _ := newTestPerson(b, newTestVault(b))
	record := sampleRecord()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = key.SealRecord("contact", 1, record)
	}
}

func BenchmarkOpenRecord(b *testing.B) {
	key, _ := newTestPerson(b, newTestVault(b))
	sealed, err := key.SealRecord("contact", 1, sampleRecord())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = key.OpenRecord("contact", 1, sealed)
	}
}

func BenchmarkOpenChunk(b *testing.B) {
	key, _ := newTestPerson(b, newTestVault(b))
	sealed, err := key.SealChunk("purchases", 0, 1, sampleEvents(MaxChunkEvents))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = key.OpenChunk("purchases", 0, 1, sealed)
	}
}

// BenchmarkOpenChunkViews looks at one value of each event, as the gate does.
func BenchmarkOpenChunkViews(b *testing.B) {
	key, _ := newTestPerson(b, newTestVault(b))
	sealed, err := key.SealChunk("purchases", 0, 1, sampleEvents(MaxChunkEvents))
	if err != nil {
		b.Fatal(err)
	}
	var views []EventView
	b.ReportAllocs()
	for b.Loop() {
		if views, err = key.OpenChunkViews(views[:0], "purchases", 0, 1, sealed); err != nil {
			b.Fatal(err)
		}
		for _, view := range views {
			if view.Value("product_group").IsEmpty() {
				b.Fatal("no product group")
			}
		}
	}
}

func BenchmarkOpenPersonKey(b *testing.B) {
	v := newTestVault(b)
	key, wrapped := newTestPerson(b, v)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = v.OpenPersonKey(key.DataSubject(), wrapped, UseQuery)
	}
}

func BenchmarkSlot(b *testing.B) {
	v := newTestVault(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = v.Slot(privacy.DataSubjectID{1}, "contact")
	}
}

func BenchmarkFingerprint(b *testing.B) {
	v := newTestVault(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = v.Fingerprint(privacy.DataSubjectID{1}, "till", "2026-03-04T10:30:00Z", "basket-12345678", "product-1234567")
	}
}

func BenchmarkBlindIndex(b *testing.B) {
	v := newTestVault(b)
	for _, identifier := range []privacy.Identifier{
		{Kind: privacy.Email, Value: privacy.NewPlain("ayse.ozturk@example.com")},
		{Kind: privacy.Phone, Value: privacy.NewPlain("0532 123 45 67")},
		{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("C-1234567")},
	} {
		b.Run(string(identifier.Kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = v.BlindIndex(identifier)
			}
		})
	}
}
