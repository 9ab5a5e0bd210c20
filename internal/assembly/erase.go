package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openEraser opens the one way to erase. Ledger, requests, holds, processors and what must be
// kept are open before.
func (h *House) openEraser() (err error) {
	store := h.eraseStore()
	if h.Eraser, err = h.newEraser(store); err != nil {
		return err
	}
	h.tend(chore{time.Minute, "rows of erased people not deleted, they stay unreadable until they are", func(ctx context.Context) error {
		_, err := h.Eraser.Sweep(ctx, dsar.ErasureID{}, nil)
		return err
	}})
	h.tendEntries(store)
	h.tendReturned()
	h.Holds.OnErasing(func(ctx context.Context, by privacy.Principal, _ []privacy.DataSubjectID) error {
		_, err := h.Eraser.Resume(ctx, by)
		return err
	})
	return nil
}

func (h *House) eraseStore() *postgres.EraseStore {
	return postgres.NewEraseStore(h.People, h.Log, postgres.EraseStoreConfig{Tell: h.OpenDSR.Teller.TellTx})
}

func (h *House) newEraser(store dsar.EraseStore) (*dsar.Eraser, error) {
	return dsar.NewEraser(dsar.EraseRooms{
		Store: store, Requests: h.Requests, Ledger: h.Ledger, Vault: h.Keys.Vault(), Log: h.Log,
		Categories: func() []privacy.DataCategory { return h.catalogue().Categories() },
	}, dsar.EraseConfig{
		OneApprover: h.Settings.DangerOneApprover, Withholder: h.Withholder, Processors: h.processors,
		Now: h.options.Now, Random: h.options.Random,
	})
}

// WatchedEraser is another one like the house's own, for measurements: watch, if it is not
// nil, hears how long each transaction took that destroys a key, from the lock to the
// durable commit.
func (h *House) WatchedEraser(watch func(took time.Duration)) (*dsar.Eraser, error) {
	var store dsar.EraseStore = h.eraseStore()
	if watch != nil {
		store = watchedStore{store, watch}
	}
	return h.newEraser(store)
}

type watchedStore struct {
	dsar.EraseStore
	watch func(took time.Duration)
}

// Shred is the transaction and nothing else.
func (s watchedStore) Shred(ctx context.Context, order dsar.ShredOrder) (dsar.Shredded, audit.Receipt, error) {
	began := time.Now()
	defer func() { s.watch(time.Since(began)) }()
	return s.EraseStore.Shred(ctx, order)
}

// processors lists who is told of an erasure.
func (h *House) processors(ctx context.Context) ([]string, error) {
	known, err := h.OpenDSR.Processors.Processors(ctx, false)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(known))
	for i := range known {
		ids[i] = known[i].ID
	}
	return ids, nil
}

// eraseAgain erases a person whom a record of the ledger names: one that was broken off is
// completed in the name of its request, one that a restore has undone is replayed.
func (h *House) eraseAgain(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID, record ledger.Record, broken bool) (bool, error) {
	line := dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: record.Erasure, Person: record.Person, Request: record.Request,
		Plan: audit.Digest(record.Plan), At: record.Time,
	}
	for _, tag := range record.Suppressed {
		line.Suppressed = append(line.Suppressed, tag)
	}
	at := dsar.LedgerPosition{Sequence: record.Sequence, LineHash: record.Hash}
	if broken {
		done, err := h.Eraser.Complete(ctx, by, id, line, at)
		return err == nil && done.ID == dsar.ErasureID(record.Erasure), err
	}
	_, erased, err := h.Eraser.Replay(ctx, by, id, line, at)
	return erased, err
}

// EraseAtOnce takes a person through a whole erasure in the name of one officer and a
// second one who approves: the request, its plan, the approvals, the erasure and the sweep.
// It is for demonstrations and measurements, where one program plays both.
func (h *House) EraseAtOnce(ctx context.Context, by, other privacy.Principal, identifier privacy.Identifier, jurisdiction privacy.Jurisdiction) (dsar.ErasureRecord, error) {
	opened, err := h.Requests.Open(ctx, by, dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: jurisdiction, Language: "en", Identifiers: []privacy.Identifier{identifier}, Via: dsar.ViaCLI,
	})
	if err != nil {
		return dsar.ErasureRecord{}, err
	}
	id := opened.Request.ID
	if _, _, err := h.Requests.Verify(ctx, by, id, dsar.ProofJudgement, privacy.NewPlain("")); err != nil {
		return dsar.ErasureRecord{}, err
	}
	planned, err := h.Eraser.Plan(ctx, by, id)
	if err != nil {
		return dsar.ErasureRecord{}, err
	}
	for _, approver := range []privacy.Principal{by, other}[:h.Eraser.Approvers()] {
		if _, err := h.Eraser.Approve(ctx, approver, id, planned.Hash); err != nil {
			return dsar.ErasureRecord{}, err
		}
	}
	record, err := h.Eraser.Erase(ctx, by, id)
	if err != nil {
		return dsar.ErasureRecord{}, err
	}
	if _, err := h.Eraser.Sweep(ctx, record.ID, nil); err != nil {
		return dsar.ErasureRecord{}, err
	}
	return h.Eraser.Erasure(ctx, record.ID)
}
