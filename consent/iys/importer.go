package iys

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ImportConfig has defaults for everything but the brand.
type ImportConfig struct {
	// Brand is the brand's number at the registry; required.
	Brand int64
	// Notice is the name of the text with which approvals are recorded; "iys". A house that
	// has published its notices names one of them, or approvals count as given to an older
	// wording.
	Notice string
	// BatchRows is how many movements are committed at once; 5,000.
	BatchRows int
	// Now is the clock against which approvals in the future are refused; time.Now.
	Now func() time.Time
}

// Importer brings what the registry says into the ledger.
type Importer struct {
	store     Store
	vault     *vault.Vault
	catalogue Catalogue
	config    ImportConfig
}

// NewImporter returns an importer. The error wraps [privacy.ErrInvalid] without a brand.
func NewImporter(store Store, v *vault.Vault, catalogue Catalogue, config ImportConfig) (*Importer, error) {
	if config.Brand <= 0 {
		return nil, fmt.Errorf("importing from the registry: which brand's: %w", privacy.ErrInvalid)
	}
	if config.Notice == "" {
		config.Notice = "iys"
	}
	if config.BatchRows == 0 {
		config.BatchRows = 5000
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Importer{store, v, catalogue, config}, nil
}

// Options go with one file.
type Options struct {
	// By is who imports; required.
	By privacy.Principal
	// Again takes a file in that was taken in before: somebody may have come since whose
	// address is in it.
	Again bool
	// Rejected hears of each row that is no movement; nil: only their number is kept.
	Rejected func(row int64, reason Reason) error
	// Step hears how many rows were dealt with; nil: nobody does.
	Step func(rows int64)
}

// Summary is what an import came to.
type Summary struct {
	Progress
	// AlreadyTaken: the file was taken in before, and nothing was done.
	AlreadyTaken bool
	// ResumedAt is the row behind which an import that broke off was taken up.
	ResumedAt int64
	Duration  time.Duration
}

// check refuses to import under a catalogue that has no place for what the registry says.
func (i *Importer) check(by privacy.Principal) error {
	if by.Role != privacy.RoleDPO && by.Role != privacy.RoleService || by.ID == "" {
		return fmt.Errorf("importing from the registry: %w", privacy.ErrForbidden)
	}
	if !i.catalogue.KnowsPurpose(Purpose) {
		return fmt.Errorf("importing from the registry: the catalogue has no purpose %s: %w", Purpose, privacy.ErrInvalid)
	}
	for _, t := range Types() {
		if !i.catalogue.KnowsChannel(t.Channel()) {
			return fmt.Errorf("importing from the registry: the catalogue has no channel %s: %w", t.Channel(), privacy.ErrInvalid)
		}
	}
	return nil
}

// File takes a change file in. digest is that of the whole file: a file that was taken in
// before changes nothing, one that broke off is taken up behind the last batch that was
// committed. Rows that are no movements are left out and told; the others bind.
func (i *Importer) File(ctx context.Context, r io.Reader, digest [32]byte, options Options) (summary Summary, err error) {
	begin := time.Now()
	defer func() { summary.Duration = time.Since(begin) }()
	if err := i.check(options.By); err != nil {
		return summary, err
	}
	// The content of a small file could be guessed from its digest.
	tag := i.vault.WordTag("iys.file", hex.EncodeToString(digest[:]))
	name := "file:" + hex.EncodeToString(tag[:])
	summary.Progress, err = i.store.Progress(ctx, i.config.Brand, name)
	if err != nil {
		return summary, fmt.Errorf("reading progress: %w", err)
	}
	if summary.Done && options.Again {
		summary.Progress = Progress{Brand: i.config.Brand, Name: name}
	}
	if summary.Done {
		summary.AlreadyTaken = true
		return summary, nil
	}
	summary.ResumedAt = summary.Row
	file, err := NewFileReader(r)
	if err != nil {
		return summary, err
	}
	return summary, i.pump(ctx, file, &summary.Progress, options)
}

// part is what was read for one batch.
type part struct {
	movements []Movement
	rejected  int64
	row       int64
	end       bool
	err       error
}

// pump reads one batch while the one before it is committed.
func (i *Importer) pump(ctx context.Context, file *FileReader, progress *Progress, options Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make(chan *prepared)
	skip := progress.Row
	go func() {
		defer close(parts)
		for {
			p := i.read(file, skip, options)
			select {
			case parts <- i.prepare(p):
			case <-ctx.Done():
				return
			}
			if p.end || p.err != nil {
				return
			}
		}
	}()
	for p := range parts {
		if p.err != nil {
			cancel()
			for range parts { // the reader must not outlive its file
			}
			return fmt.Errorf("reading a change file: %w", p.err)
		}
		next := *progress
		next.Row = max(p.row, next.Row)
		next.Done = p.end
		if err := i.take(ctx, options.By, p, &next); err != nil {
			cancel()
			for range parts {
			}
			return err
		}
		*progress = next
		if options.Step != nil {
			options.Step(progress.Row)
		}
	}
	return ctx.Err()
}

func (i *Importer) read(file *FileReader, skip int64, options Options) *part {
	p := &part{}
	for len(p.movements)+int(p.rejected) < i.config.BatchRows {
		m, reason, err := file.Next()
		if errors.Is(err, io.EOF) {
			p.end = true
			break
		}
		if err != nil {
			p.err = err
			break
		}
		if file.Row() <= skip {
			continue
		}
		if reason == "" && m.Status == Approved && m.EffectiveAt().After(i.config.Now()) {
			reason = BadDate
		}
		if reason != "" {
			p.rejected++
			if options.Rejected != nil {
				if p.err = options.Rejected(file.Row(), reason); p.err != nil {
					break
				}
			}
			continue
		}
		p.movements = append(p.movements, m)
	}
	p.row = file.Row()
	return p
}

// Page takes in one page of movements of an origin, and remembers the place behind it.
// progress is what [Importer.Heard] returned, or the page before.
func (i *Importer) Page(ctx context.Context, by privacy.Principal, progress Progress, page Page) (Progress, error) {
	if err := i.check(by); err != nil {
		return progress, err
	}
	p := &part{movements: page.Movements}
	for _, n := range page.Unreadable {
		p.rejected += int64(n)
	}
	now := i.config.Now()
	kept := p.movements[:0:0]
	for _, m := range p.movements {
		if m.Status == Approved && m.EffectiveAt().After(now) {
			p.rejected++
			continue
		}
		kept = append(kept, m)
	}
	p.movements = kept
	next := progress
	next.After = page.After
	if err := i.take(ctx, by, i.prepare(p), &next); err != nil {
		return progress, err
	}
	return next, nil
}

// Heard returns how far the movements of an origin, "HS" or "IYS", were taken in.
func (i *Importer) Heard(ctx context.Context, origin string) (Progress, error) {
	p, err := i.store.Progress(ctx, i.config.Brand, "changes:"+origin)
	if err != nil {
		return p, fmt.Errorf("reading progress: %w", err)
	}
	return p, nil
}

// prepared is a part with what the store looks people up by.
type prepared struct {
	*part
	kinds   []privacy.IdentifierKind
	indexes [][][]byte
	forms   []string
}

// prepare computes the blind indexes. A recipient without a normal form is rejected: nobody
// can be found by it.
func (i *Importer) prepare(p *part) *prepared {
	q := &prepared{part: p}
	kept := p.movements[:0]
	for _, m := range p.movements {
		identifier := m.Identifier()
		form, err := i.vault.Normalize(identifier)
		var indexes [][]byte
		if err == nil {
			indexes, err = i.vault.BlindIndexes(identifier)
		}
		if err != nil {
			p.rejected++
			continue
		}
		kept = append(kept, m)
		q.kinds = append(q.kinds, identifier.Kind)
		q.indexes = append(q.indexes, indexes)
		q.forms = append(q.forms, form.RevealPersonalData())
	}
	p.movements = kept
	return q
}

func (i *Importer) take(ctx context.Context, by privacy.Principal, p *prepared, next *Progress) error {
	next.Read += int64(len(p.movements)) + p.rejected
	next.Rejected += p.rejected
	batch := &Batch{
		By: by, Kind: p.kinds, Index: p.indexes, Progress: *next,
		Event: audit.Event{Kind: audit.RegistryExchanged, Principal: by, Outcome: audit.Done, Purpose: Purpose, Count: uint64(int64(len(p.movements)) + p.rejected)},
	}
	taken, err := i.store.Take(ctx, batch, func(people [][]privacy.DataSubjectID, standings []Standing) Settled {
		found := make([]Found, len(p.movements))
		for n := range p.movements {
			m := &p.movements[n]
			found[n].Movement = m
			for _, person := range people[n] {
				found[n].People = append(found[n].People, i.owner(person, p.kinds[n], p.forms[n], m))
			}
		}
		return Settle(found, standings, i.config.Notice)
	})
	if err != nil {
		return fmt.Errorf("taking in movements of the registry: %w", err)
	}
	*next = taken
	return nil
}

// AddressTag stands for an address of a person in the tables.
func AddressTag(v *vault.Vault, person privacy.DataSubjectID, kind privacy.IdentifierKind, form string) [16]byte {
	return v.Fingerprint(person, "iys.address", string(kind), form)
}

// owner names the row by what it says: the same movement, told twice, is one row.
func (i *Importer) owner(person privacy.DataSubjectID, kind privacy.IdentifierKind, form string, m *Movement) Owner {
	return Owner{
		Person: person, Address: AddressTag(i.vault, person, kind, form),
		Record: i.vault.Fingerprint(person, "iys.movement", strconv.FormatInt(i.config.Brand, 10), form, string(m.Type),
			string(m.RecipientType), string(m.Status), strconv.FormatInt(m.EffectiveAt().Unix(), 10)),
	}
}
