package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// Trail finds the entries about given people by going through a log. Nothing in the log
// leads from a person to their entries, on purpose; whoever has the blinding key must try
// it on each. What is found so is complete, and that can be shown, which an index kept
// beside the log never could.
//
// It is safe for concurrent use.
type Trail struct{ people []trailed }

// trailed is one person with the hash states behind both halves of the blinding key, so
// that a try costs six compressions in the place of eight.
type trailed struct {
	id           privacy.DataSubjectID
	inner, outer []byte
}

// NewTrail returns a trail for people who are known. The error wraps [privacy.ErrInvalid]
// for somebody without a key.
func NewTrail(people []Subject) (*Trail, error) {
	t := &Trail{people: make([]trailed, len(people))}
	for i := range people {
		p := &people[i]
		if p.Unknown || p.ID.IsZero() || p.Blinding == (BlindingKey{}) {
			return nil, fmt.Errorf("following somebody without a blinding key: %w", privacy.ErrInvalid)
		}
		var inner, outer [64]byte
		for j := range inner {
			inner[j], outer[j] = 0x36, 0x5c
			if j < len(p.Blinding) {
				inner[j] ^= p.Blinding[j]
				outer[j] ^= p.Blinding[j]
			}
		}
		t.people[i] = trailed{p.ID, stateAfter(inner[:]), stateAfter(outer[:])}
		clear(inner[:])
		clear(outer[:])
	}
	return t, nil
}

// stateAfter is SHA-256 after one block.
func stateAfter(block []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(block)
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("audit: SHA-256 does not give its state") // it does since Go 1.10
	}
	return state
}

// TrailReader reads a log. Entries returns up to limit entries from an index on, in order.
type TrailReader interface {
	Entries(ctx context.Context, from uint64, limit int) ([]StoredEntry, error)
}

// TrailConfig says how far to look.
type TrailConfig struct {
	// Size is how many entries there are.
	Size uint64
	// Checkpoint is a signed statement that the log must agree with; its zero value is
	// none. A log that was retired at its beginning cannot be compared.
	Checkpoint Checkpoint
	// Progress is told how many entries are done; it may be nil.
	Progress func(done, total uint64)
}

// TrailReport is what was gone through.
type TrailReport struct {
	// First is the index of the first entry that is still there.
	First uint64
	// Size is the end, and Root the root hash up to it, recomputed from every leaf. The
	// root is zero if First is not.
	Size uint64
	Root tlog.Hash
}

// trailPage is how many entries are tried at a time: about a megabyte of leaves.
const trailPage = 4096

// Scan goes once through a log, in bounded memory and with all processors, and tells
// found each entry that is about one of the people: whom, by their place in the list, and
// where, in the order of the log. The entry that says that somebody was erased is about
// nobody here: whoever was erased has no key to look with.
//
// An error of found ends it. Other errors wrap [privacy.ErrDamaged] if an entry is missing
// or malformed, or if the log is not the one that the checkpoint is of, and are otherwise
// those of the reader.
func (t *Trail) Scan(ctx context.Context, log TrailReader, config TrailConfig, found func(person int, index uint64) error) (TrailReport, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan trailRead, 1)
	go readTrail(ctx, log, config.Size, pages)
	report := TrailReport{Size: config.Size}
	s := trailScan{config: &config, matchers: make([]trailMatcher, max(1, runtime.GOMAXPROCS(0)))}
	for i := range s.matchers {
		s.matchers[i] = newTrailMatcher(t.people)
	}
	next := uint64(0)
	for page := range pages {
		if page.err != nil {
			return TrailReport{}, fmt.Errorf("going through the log: %w", page.err)
		}
		if first := page.entries[0].Index; next == 0 {
			report.First, next = first, first
		}
		if err := s.page(page.entries, next, report.First == 0, found); err != nil {
			return TrailReport{}, err
		}
		next += uint64(len(page.entries))
		if config.Progress != nil {
			config.Progress(next, config.Size)
		}
	}
	if err := ctx.Err(); err != nil {
		return TrailReport{}, fmt.Errorf("going through the log: %w: %w", privacy.ErrUnavailable, err)
	}
	if next < config.Size {
		return TrailReport{}, fmt.Errorf("going through the log: entry %d is missing: %w", next, privacy.ErrDamaged)
	}
	if report.First == 0 {
		report.Root = s.edge.Root()
	}
	return report, nil
}

type trailRead struct {
	entries []StoredEntry
	err     error
}

// readTrail reads ahead by one page.
func readTrail(ctx context.Context, log TrailReader, size uint64, pages chan<- trailRead) {
	defer close(pages)
	for from := uint64(0); from < size; {
		entries, err := log.Entries(ctx, from, int(min(trailPage, size-from)))
		for len(entries) > 0 && entries[len(entries)-1].Index >= size {
			entries = entries[:len(entries)-1]
		}
		if err == nil && len(entries) == 0 {
			return
		}
		select {
		case pages <- trailRead{entries, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		from = entries[len(entries)-1].Index + 1
	}
}

type trailScan struct {
	config   *TrailConfig
	edge     Edge
	full     []FullTile
	matchers []trailMatcher
}

// page tries one page, which must begin at next and have no gap.
func (s *trailScan) page(entries []StoredEntry, next uint64, whole bool, found func(int, uint64) error) error {
	share := (len(entries) + len(s.matchers) - 1) / len(s.matchers)
	var work sync.WaitGroup
	for i := range s.matchers {
		m := &s.matchers[i]
		part := entries[min(i*share, len(entries)):min((i+1)*share, len(entries))]
		work.Go(func() { m.run(part) })
	}
	work.Wait()
	i := 0
	for m := range s.matchers {
		matcher := &s.matchers[m]
		if matcher.err != nil {
			return matcher.err
		}
		for j, leaf := range matcher.leaves {
			if entries[i].Index != next+uint64(i) {
				return fmt.Errorf("going through the log: entry %d is missing: %w", next+uint64(i), privacy.ErrDamaged)
			}
			if leaf != entries[i].LeafHash {
				return fmt.Errorf("going through the log: entry %d was altered: %w", entries[i].Index, privacy.ErrDamaged)
			}
			if whole {
				s.full = s.edge.Append(leaf, s.full[:0])
				if c := &s.config.Checkpoint; c.Size == s.edge.Size() && c.Root != s.edge.Root() {
					return fmt.Errorf("going through the log: it is not the one of the checkpoint of size %d: %w", c.Size, privacy.ErrDamaged)
				}
			}
			for len(matcher.hits) > 0 && matcher.hits[0].entry == j {
				if err := found(matcher.hits[0].person, entries[i].Index); err != nil {
					return err
				}
				matcher.hits = matcher.hits[1:]
			}
			i++
		}
	}
	return nil
}

// trailMatcher is the room in which one processor works.
type trailMatcher struct {
	people []trailed
	hash   hash.Hash
	state  encoding.BinaryUnmarshaler
	leaves []tlog.Hash
	hits   []trailHit
	found  []trailHit // the memory of hits
	err    error
	// Here and not on the stack, where they could not stay.
	info [len(openLabel) + 16 + 1]byte
	sum  [32]byte
}

type trailHit struct{ entry, person int }

func newTrailMatcher(people []trailed) trailMatcher {
	h := sha256.New()
	m := trailMatcher{people: people, hash: h, state: h.(encoding.BinaryUnmarshaler)}
	copy(m.info[:], openLabel)
	m.info[len(m.info)-1] = 1 // the first and only block of HKDF-Expand
	return m
}

// run hashes the leaves and tries each person on each tag.
func (m *trailMatcher) run(entries []StoredEntry) {
	m.leaves, m.found = m.leaves[:0], m.found[:0]
	for i := range entries {
		leaf := entries[i].Leaf
		m.leaves = append(m.leaves, LeafHash(leaf))
		id, tag, ok := peekTag(leaf)
		if !ok {
			m.err = fmt.Errorf("going through the log: entry %d is malformed: %w", entries[i].Index, privacy.ErrDamaged)
			break
		}
		if tag.IsZero() {
			continue
		}
		for p := range m.people {
			if m.tag(&m.people[p], id) == tag {
				m.found = append(m.found, trailHit{i, p})
			}
		}
	}
	m.hits = m.found
}

// tag is BlindingKey.Opening(entryID).Tag(id) from the states.
func (m *trailMatcher) tag(p *trailed, entryID [16]byte) Tag {
	copy(m.info[len(openLabel):], entryID[:])
	_ = m.state.UnmarshalBinary(p.inner)
	_, _ = m.hash.Write(m.info[:])
	m.hash.Sum(m.sum[:0])
	_ = m.state.UnmarshalBinary(p.outer)
	_, _ = m.hash.Write(m.sum[:])
	m.hash.Sum(m.sum[:0])
	return Opening(m.sum).Tag(p.id)
}

var (
	peekHead = []byte(`{"v":1,"id":"`)
	peekMark = []byte(`,"s":"`)
)

// peekTag reads id and tag of a leaf without parsing the rest. In a valid entry no word
// has a quotation mark, so the mark of the tag occurs once at most.
func peekTag(leaf []byte) (id [16]byte, tag Tag, ok bool) {
	const idText, tagText = 22, 43
	if !bytes.HasPrefix(leaf, peekHead) || len(leaf) < len(peekHead)+idText {
		return id, tag, false
	}
	if _, err := strictBase64.Decode(id[:], leaf[len(peekHead):len(peekHead)+idText]); err != nil {
		return id, tag, false
	}
	_, rest, there := bytes.Cut(leaf, peekMark)
	if !there {
		return id, tag, true
	}
	if len(rest) < tagText {
		return id, tag, false
	}
	_, err := strictBase64.Decode(tag[:], rest[:tagText])
	return id, tag, err == nil
}
