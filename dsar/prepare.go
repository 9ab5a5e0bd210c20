package dsar

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// prepared is what an erasure of a person would do now.
type prepared struct {
	plan     *Plan
	hash     audit.Digest
	holdings Holdings
	kept     []Kept
	// unknown is whether there is something of a category that the catalogue does not have
	// (any more): nobody can tell whether a hold on a part covers it.
	unknown bool
	// subject is what the log needs of the person.
	subject audit.Subject
}

// prepare looks at everything that is held about a person and says what an erasure in the
// name of a request would do. It locks nothing: what is decided here is compared again
// while the person's row is locked.
func (e *Eraser) prepare(ctx context.Context, person privacy.DataSubjectID, request RequestID) (*prepared, error) {
	holdings, err := e.rooms.Store.Holdings(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("reading what is held: %w", err)
	}
	p := &prepared{holdings: holdings, subject: audit.Subject{Unknown: true}}
	binding := e.rooms.Vault.WordTag("erasure-plan", string(request[:]), string(person[:]))
	held := holdings.Digest()
	p.plan = &Plan{
		Version: PlanVersion, Request: request, Binding: base64.RawURLEncoding.EncodeToString(binding[:]),
		Held: hex.EncodeToString(held[:]), Consents: holdings.Consents,
	}
	key, err := e.openKey(person, &holdings)
	if err != nil {
		return nil, err
	}
	if key != nil {
		p.subject = key.Subject()
	}
	opened, err := e.open(key, person, &holdings, p.plan)
	if err != nil {
		return nil, err
	}
	if e.config.Withholder != nil && opened != nil {
		if p.kept, err = e.config.Withholder.Withhold(ctx, *opened); err != nil {
			return nil, fmt.Errorf("finding what must be kept: %w", err)
		}
	}
	p.unknown = slices.ContainsFunc(p.plan.Categories, func(c PlannedCategory) bool { return c.Category == "" }) ||
		slices.ContainsFunc(p.plan.Streams, func(s PlannedStream) bool { return s.Category == "" })
	p.plan.Withheld = withheldOf(p.kept)
	counts := map[privacy.IdentifierKind]int64{}
	for _, identifier := range holdings.Identifiers {
		counts[identifier.Kind]++
	}
	for kind, n := range counts {
		p.plan.Identifiers = append(p.plan.Identifiers, PlannedIdentifier{kind, n})
	}
	slices.SortFunc(p.plan.Identifiers, func(a, b PlannedIdentifier) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	if e.config.Processors != nil {
		if p.plan.Processors, err = e.config.Processors(ctx); err != nil {
			return nil, fmt.Errorf("listing processors: %w", err)
		}
		p.plan.Processors = slices.Sorted(slices.Values(p.plan.Processors))
	}
	p.hash, err = p.plan.Hash()
	return p, err
}

// openKey returns nothing if the key does not open (any more): that protects nobody, and
// must not stand in the way of the right to be forgotten.
func (e *Eraser) openKey(person privacy.DataSubjectID, holdings *Holdings) (*vault.PersonKey, error) {
	if holdings.Wrapped == nil {
		return nil, nil
	}
	key, err := e.rooms.Vault.OpenPersonKey(person, holdings.Wrapped, vault.UseErase)
	if errors.Is(err, privacy.ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening key of a person to erase: %w", err)
	}
	return key, nil
}

// open opens the records and writes what there is into the plan. Without a key it returns
// nothing.
func (e *Eraser) open(key *vault.PersonKey, person privacy.DataSubjectID, holdings *Holdings, plan *Plan) (*WithholdInput, error) {
	bySlot := map[[16]byte]privacy.DataCategory{}
	for _, category := range e.rooms.Categories() {
		bySlot[e.rooms.Vault.Slot(person, category)] = category
	}
	input := &WithholdInput{Jurisdiction: holdings.Jurisdiction, At: e.config.Now().UTC(), Records: map[privacy.DataCategory]vault.Record{}}
	for _, hold := range holdings.Holds {
		if hold.Scope != ([16]byte{}) {
			input.Holds = append(input.Holds, hold)
		}
	}
	for i := range holdings.Records {
		held := &holdings.Records[i]
		line := PlannedCategory{Category: bySlot[held.Slot], Attributes: -1, Version: held.Version}
		if key != nil && line.Category != "" {
			record, err := key.OpenRecord(line.Category, held.Version, held.Sealed)
			if err != nil && !errors.Is(err, privacy.ErrDamaged) {
				return nil, fmt.Errorf("opening category %s: %w", line.Category, err)
			}
			if err == nil {
				line.Attributes, input.Records[line.Category] = len(record), record
			}
		}
		plan.Categories = append(plan.Categories, line)
	}
	slices.SortStableFunc(plan.Categories, func(a, b PlannedCategory) int { return strings.Compare(string(a.Category), string(b.Category)) })
	slots := map[privacy.DataCategory][16]byte{}
	for i := range holdings.Streams {
		held := &holdings.Streams[i]
		line := PlannedStream{Category: bySlot[held.Slot], Events: held.Events, Chunks: held.Chunks, Versions: held.Versions}
		if line.Category != "" {
			slots[line.Category] = held.Slot
			input.Streams = append(input.Streams, line.Category)
		}
		plan.Streams = append(plan.Streams, line)
	}
	slices.SortStableFunc(plan.Streams, func(a, b PlannedStream) int { return strings.Compare(string(a.Category), string(b.Category)) })
	slices.Sort(input.Streams)
	if key == nil {
		return nil, nil
	}
	input.Events = func(ctx context.Context, stream privacy.DataCategory, yield func([]vault.Event) error) error {
		slot, there := slots[stream]
		if !there {
			return nil
		}
		return e.eachChunk(ctx, key, stream, slot, yield)
	}
	return input, nil
}

// chunksAtOnce bounds what is in memory of a stream.
const chunksAtOnce = 64

// eachChunk opens the chunks of a stream, newest first. What does not open is passed over:
// nobody can keep it.
func (e *Eraser) eachChunk(ctx context.Context, key *vault.PersonKey, stream privacy.DataCategory, slot [16]byte, yield func([]vault.Event) error) error {
	before := int64(1<<63 - 1)
	for {
		page, err := e.rooms.Store.SealedChunks(ctx, key.DataSubject(), slot, before, chunksAtOnce)
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		for i := range page {
			before = page[i].Number
			events, err := key.OpenChunk(stream, page[i].Number, page[i].Version, page[i].Sealed)
			if errors.Is(err, privacy.ErrDamaged) {
				continue
			}
			if err != nil {
				return fmt.Errorf("opening events: %w", err)
			}
			if err := yield(events); err != nil {
				return err
			}
		}
		if len(page) < chunksAtOnce {
			return nil
		}
	}
}
