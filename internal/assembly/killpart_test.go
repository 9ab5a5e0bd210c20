package assembly

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// The processor that is told of every erasure.
const toldProcessor, toldRecipient = "newsletter", privacy.RecipientID("newsletter_service")

// sweptAtOnce makes one transaction of a sweep so small that a person takes several.
const sweptAtOnce = 5

// breakpoint is told where an erasure is just now.
type breakpoint func(where string)

func (b breakpoint) at(where string) {
	if b != nil {
		b(where)
	}
}

// steppedStore says where an erasure is, and sweeps in small steps.
type steppedStore struct {
	dsar.EraseStore
	b breakpoint
}

func (s steppedStore) Shred(ctx context.Context, order dsar.ShredOrder) (dsar.Shredded, audit.Receipt, error) {
	s.b.at("prepared")
	record := order.Record
	order.Record = func(ctx context.Context, suppressed [][16]byte) (dsar.LedgerPosition, error) {
		s.b.at("before the ledger")
		position, err := record(ctx, suppressed)
		s.b.at("in the ledger")
		return position, err
	}
	done, receipt, err := s.EraseStore.Shred(ctx, order)
	s.b.at("committed")
	return done, receipt, err
}

func (s steppedStore) NoteEntry(ctx context.Context, id dsar.ErasureID, receipt audit.Receipt) error {
	err := s.EraseStore.NoteEntry(ctx, id, receipt)
	s.b.at("noted")
	return err
}

func (s steppedStore) Sweep(ctx context.Context, _ int, only dsar.ErasureID) (dsar.Swept, error) {
	swept, err := s.EraseStore.Sweep(ctx, sweptAtOnce, only)
	s.b.at("swept a little")
	return swept, err
}

var shippedCatalogue = sync.OnceValues(func() (*policies.Catalogue, error) {
	return policies.LoadCatalogue(policies.Bundle(), "catalogue")
})

// openPart opens what of a house erases people, as [Open] does, in a fraction of the time:
// no policies are compiled.
func openPart(ctx context.Context, settings config.Config, b breakpoint) (*House, error) {
	h, err := Open(ctx, settings, Options{Base: true, MaxConns: 12, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := h.openPart(ctx, b); err != nil {
		return nil, errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	return h, nil
}

func (h *House) openPart(ctx context.Context, b breakpoint) error {
	if err := h.openErasures(ctx); err != nil {
		return err
	}
	if err := h.openLog(ctx); err != nil {
		return err
	}
	c, err := shippedCatalogue()
	if err != nil {
		return err
	}
	catalogue := func() *policies.Catalogue { return c }
	keys := h.Keys.Vault()
	if h.Withholder, err = retention.NewWithholder(catalogue, keys); err != nil {
		return err
	}
	if _, err := h.Keys.EnsureRecipient(toldRecipient); err != nil {
		return err
	}
	primitive, err := h.Keys.Recipient(toldRecipient)
	if err != nil {
		return err
	}
	names, err := pseudonym.New(toldRecipient, primitive)
	if err != nil {
		return err
	}
	h.Pseudonyms = &Pseudonyms{keys: h.Keys, log: h.Log, made: map[privacy.RecipientID]*pseudonym.Pseudonyms{toldRecipient: names}}
	teller, err := opendsr.NewTeller(keys, h.Pseudonyms, opendsr.TellerConfig{})
	if err != nil {
		return err
	}
	h.OpenDSR = &OpenDSR{Processors: postgres.NewProcessorStore(h.DB, h.Log)}
	h.OpenDSR.Teller = postgres.NewProcessorTeller(h.OpenDSR.Processors, keys, teller)
	h.People = postgres.NewVaultStore(h.DB, keys)
	if h.Requests, err = dsar.NewService(postgres.NewRequestStore(h.DB, h.Log), h.People, keys, h.Log, dsar.ServiceConfig{}); err != nil {
		return err
	}
	h.Holds, err = dsar.NewHolds(postgres.NewHoldStore(h.People, h.Log), keys, dsar.HoldConfig{Catalogue: catalogue, Ledger: h.lastErasure})
	if err != nil {
		return err
	}
	tell := func(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID) (int, error) {
		told, err := h.OpenDSR.Teller.TellTx(ctx, tx, request, person)
		b.at("told")
		return told, err
	}
	h.Eraser, err = dsar.NewEraser(dsar.EraseRooms{
		Store:    steppedStore{postgres.NewEraseStore(h.People, h.Log, postgres.EraseStoreConfig{Tell: tell}), b},
		Requests: h.Requests, Ledger: h.Ledger, Vault: keys, Log: h.Log,
		Categories: c.Categories,
	}, dsar.EraseConfig{Withholder: h.Withholder, Processors: h.processors})
	if err != nil {
		return err
	}
	b.at("open")
	if err := h.finishErasures(ctx); err != nil {
		return err
	}
	b.at("finished")
	return nil
}
