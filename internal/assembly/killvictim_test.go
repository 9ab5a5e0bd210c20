package assembly

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// killing is a house whose erasing processes are killed.
type killing struct {
	random   *mathrand.Rand
	settings config.Config
	database *pgtest.Database
	owner    *pgxpool.Pool
	house    *House
	// typical is how long a process lives that kills itself.
	typical time.Duration
	// all are the people, open those who were not seen erased to the last row.
	all, open []*victim
	// swept: everybody who was erased has no rows.
	swept bool
	// entries counts those of an erasure by the hash of its plan, as far as nextEntry.
	entries   map[[32]byte]int
	nextEntry uint64

	kills, rounds, whole, broken, late, erased, withheld, lines int
}

// victim is somebody whose erasure is approved.
type victim struct {
	id         privacy.DataSubjectID
	wrapped    []byte
	identifier privacy.Identifier
	tag        [16]byte // of the identifier, among the suppressed
	chunks     int
	request    dsar.RequestID
	plan       audit.Digest
	planned    *dsar.Plan
	held       bool
}

// addProcessor registers somebody who is told of erasures.
func (w *killing) addProcessor(t *testing.T) {
	t.Helper()
	_, err := w.house.OpenDSR.Processors.Add(t.Context(), opendsr.Processor{
		ID: toldProcessor, Recipient: toldRecipient, Domain: "opendsr.processor.example", Base: "https://opendsr.processor.example/opendsr",
		Version: opendsr.V3, AddedBy: w.house.Keys.ActorTag(operator),
	}, audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done, Principal: operator})
	if err != nil {
		t.Fatal(err)
	}
}

// replenish brings more people in, with approved plans, before there are too few.
func (w *killing) replenish(t *testing.T) {
	t.Helper()
	free := 0
	for _, v := range w.open {
		if !v.held {
			free++
		}
	}
	if free >= 20 {
		return
	}
	fresh := make([]*victim, 60)
	var work sync.WaitGroup
	errs := make([]error, 4)
	for worker := range errs {
		work.Go(func() {
			for i := worker; i < len(fresh) && errs[worker] == nil; i += len(errs) {
				fresh[i], errs[worker] = w.add(t, len(w.all)+i)
			}
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.all = append(w.all, fresh...)
	// Those under a hold stay in the game, but not all of them.
	held := slices.DeleteFunc(slices.Clone(w.open), func(v *victim) bool { return !v.held })
	w.open = slices.DeleteFunc(w.open, func(v *victim) bool { return v.held })
	w.open = append(append(w.open, held[max(0, len(held)-5):]...), fresh...)
}

// add makes a person and has their erasure approved. Every fourth has bought something
// that the books need, every eighth has many rows.
func (w *killing) add(t *testing.T, number int) (*victim, error) {
	ctx, keys := t.Context(), w.house.Keys.Vault()
	v := &victim{identifier: privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(fmt.Sprintf("K-%d", number))}, chunks: 2}
	jurisdiction := privacy.Jurisdiction("EU")
	if number%4 == 0 {
		jurisdiction = "TR"
	}
	if number%8 == 3 {
		v.chunks = 12
	}
	var err error
	if v.id, err = privacy.NewDataSubjectID(rand.Reader); err != nil {
		return nil, err
	}
	var key *vault.PersonKey
	if key, v.wrapped, err = keys.NewPersonKey(v.id); err != nil {
		return nil, err
	}
	index, err := keys.BlindIndex(v.identifier)
	if err != nil {
		return nil, err
	}
	v.tag = keys.SuppressionTag(v.identifier.Kind, index)
	declared := func(text string) vault.Field {
		return vault.Field{Values: []privacy.Plain{privacy.NewPlain(text)}, Source: vault.Declared, Quality: vault.Verified}
	}
	record, err := key.SealRecord("contact", 1, vault.Record{"first_name": declared("Ayşe"), "postal_address": declared("İzmir")})
	if err != nil {
		return nil, err
	}
	contact, purchases, id := keys.Slot(v.id, "contact"), keys.Slot(v.id, "purchases"), [16]byte(v.id)
	other, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, $2)`, id, string(jurisdiction))
	batch.Queue(`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, id, v.wrapped)
	batch.Queue(`insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'customer_number', $2)`, id, index)
	batch.Queue(`insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`, id, contact[:], record)
	for chunk := range int64(v.chunks) {
		events := []vault.Event{{
			Type: "purchase", At: time.Now().UTC().Truncate(time.Second).AddDate(-1, 0, -int(chunk)),
			Fields: map[privacy.AttributeName]privacy.Plain{"product_group": privacy.NewPlain("grocery.dairy")},
		}}
		sealed, err := key.SealChunk("purchases", chunk, 1, events)
		if err != nil {
			return nil, err
		}
		fingerprint := keys.Fingerprint(v.id, "test", fmt.Sprint(chunk))
		batch.Queue(`insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed) values ($1, $2, $3, 1, 1, $4)`, id, purchases[:], chunk, sealed)
		batch.Queue(`insert into vault.event_fingerprint (data_subject_id, fingerprint) values ($1, $2)`, id, fingerprint[:])
	}
	batch.Queue(`insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
		values ($1, $2, 'newsletter', 'email', 'granted', 'consent', false, 'v1', 'test', now())`, id, [16]byte(other))
	if err := w.owner.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	opened, err := w.house.Requests.Open(ctx, firstOfficer, dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: jurisdiction, Language: "tr", Identifiers: []privacy.Identifier{v.identifier}, Via: dsar.ViaCLI,
	})
	if err != nil {
		return nil, err
	}
	v.request = opened.Request.ID
	if _, _, err := w.house.Requests.Verify(ctx, firstOfficer, v.request, dsar.ProofJudgement, privacy.NewPlain("")); err != nil {
		return nil, err
	}
	planned, err := w.house.Eraser.Plan(ctx, firstOfficer, v.request)
	if err != nil {
		return nil, err
	}
	v.plan, v.planned = planned.Hash, planned.Plan
	if keeps := len(v.planned.Withheld) > 0; keeps != (jurisdiction == "TR") {
		return nil, fmt.Errorf("of somebody in %s %d things would be withheld", jurisdiction, len(v.planned.Withheld))
	}
	for _, by := range []privacy.Principal{firstOfficer, secondOfficer} {
		if _, err := w.house.Eraser.Approve(ctx, by, v.request, v.plan); err != nil {
			return nil, err
		}
	}
	return v, nil
}
