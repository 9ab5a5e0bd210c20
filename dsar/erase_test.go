package dsar_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

var (
	person  = privacy.DataSubjectID{1}
	subject = audit.Subject{ID: person, Blinding: audit.BlindingKey{2}}
	dpo     = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	receipt = audit.Committed([16]byte{1}, [32]byte{2}, 3)
)

func TestNewEraserRefuses(t *testing.T) {
	t.Parallel()
	if _, err := dsar.NewEraser(dsar.EraseRooms{}, dsar.EraseConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("an eraser without anything: %v", err)
	}
}

func sampleHoldings() dsar.Holdings {
	return dsar.Holdings{
		Wrapped: []byte("key"), Jurisdiction: "TR",
		Records:     []dsar.HeldRecord{{Slot: [16]byte{1}, Version: 1}, {Slot: [16]byte{2}, Version: 7}},
		Streams:     []dsar.HeldStream{{Slot: [16]byte{3}, First: 0, Last: 4, LastVersion: 2, LastEvents: 9, Chunks: 5, Events: 265, Versions: 12}},
		Identifiers: []dsar.HeldIdentifier{{Kind: privacy.Email, BlindIndex: []byte{1}}, {Kind: privacy.Phone, BlindIndex: []byte{1}}},
		Consents:    3, LastConsent: time.UnixMicro(1),
		Holds: []dsar.HoldOn{{Hold: [16]byte{1}, Scope: [16]byte{1}}, {Hold: [16]byte{2}, Scope: [16]byte{2}}},
	}
}

// TestHoldingsDigest: whatever is different, but for the order, makes another digest.
func TestHoldingsDigest(t *testing.T) {
	t.Parallel()
	seen := map[audit.Digest]string{}
	for name, change := range map[string]func(*dsar.Holdings){
		"as it is":            func(*dsar.Holdings) {},
		"no key":              func(h *dsar.Holdings) { h.Wrapped = nil },
		"another key":         func(h *dsar.Holdings) { h.Wrapped = []byte("k") },
		"another version":     func(h *dsar.Holdings) { h.Records[1].Version++ },
		"another slot":        func(h *dsar.Holdings) { h.Records[1].Slot[0]++ },
		"a record less":       func(h *dsar.Holdings) { h.Records = h.Records[:1] },
		"first chunk gone":    func(h *dsar.Holdings) { h.Streams[0].First++ },
		"another last chunk":  func(h *dsar.Holdings) { h.Streams[0].Last++ },
		"last chunk changed":  func(h *dsar.Holdings) { h.Streams[0].LastVersion++ },
		"last chunk longer":   func(h *dsar.Holdings) { h.Streams[0].LastEvents++ },
		"a stream less":       func(h *dsar.Holdings) { h.Streams = nil },
		"another kind":        func(h *dsar.Holdings) { h.Identifiers[1].Kind = privacy.CookieID },
		"another identifier":  func(h *dsar.Holdings) { h.Identifiers[1].BlindIndex = []byte{2} },
		"a consent more":      func(h *dsar.Holdings) { h.Consents++ },
		"another last choice": func(h *dsar.Holdings) { h.LastConsent = time.UnixMicro(2) },
	} {
		h := sampleHoldings()
		change(&h)
		digest := h.Digest()
		if other, twice := seen[digest]; twice {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[digest] = name
	}
	order := sampleHoldings()
	order.Records[0], order.Records[1] = order.Records[1], order.Records[0]
	order.Identifiers[0], order.Identifiers[1] = order.Identifiers[1], order.Identifiers[0]
	// What takes the longer the more there is, is no part of it.
	order.Streams[0].Chunks, order.Streams[0].Events, order.Streams[0].Versions = 0, 0, 0
	if as := sampleHoldings(); order.Digest() != as.Digest() {
		t.Error("the order, or a sum, makes another digest")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	as := sampleHoldings()
	order := dsar.ShredOrder{Held: as.Digest(), Holds: []dsar.HoldOn{as.Holds[1], as.Holds[0]}}
	if err := order.Compare(&as); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*dsar.Holdings)
		want   error
	}{
		"a hold on everything": {func(h *dsar.Holdings) { h.Holds = append(h.Holds, dsar.HoldOn{Hold: [16]byte{9}}) }, dsar.ErrHeld},
		"a partial hold more":  {func(h *dsar.Holdings) { h.Holds = append(h.Holds, dsar.HoldOn{Hold: [16]byte{9}, Scope: [16]byte{1}}) }, dsar.ErrChanged},
		"a partial hold less":  {func(h *dsar.Holdings) { h.Holds = h.Holds[:1] }, dsar.ErrChanged},
		"a record":             {func(h *dsar.Holdings) { h.Records[0].Version++ }, dsar.ErrChanged},
	} {
		now := sampleHoldings()
		c.change(&now)
		if err := order.Compare(&now); !errors.Is(err, c.want) || !errors.Is(err, privacy.ErrConflict) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
