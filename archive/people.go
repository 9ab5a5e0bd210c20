package archive

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// maxTallies bounds the sketches in memory, which have up to 4 KiB each. Whoever comes
// beyond them before the next flush is not counted.
const maxTallies = 4096

// tallies gathers the people of today until they are flushed.
type tallies struct {
	mu      sync.Mutex
	day     time.Time
	part    [16]byte
	byPair  map[Pair]*tally
	flushes sync.Mutex // one at a time, so that an older sketch never replaces a newer
}

type tally struct {
	sketch
	dirty bool
}

// Met implements the gate's witness: it counts a person among those whom decisions with
// these facts were about.
func (a *Archive) Met(policy, facts audit.Digest, person uint64) {
	t := &a.tallies
	pair := Pair{policy, facts}
	t.mu.Lock()
	defer t.mu.Unlock()
	counted := t.byPair[pair]
	if counted == nil {
		if len(t.byPair) >= maxTallies {
			return
		}
		counted = &tally{}
		t.byPair[pair] = counted
	}
	if counted.add(person) {
		counted.dirty = true
	}
}

// Flush writes what was counted since the last time.
func (a *Archive) Flush(ctx context.Context) error {
	t := &a.tallies
	t.flushes.Lock()
	defer t.flushes.Unlock()
	rows := a.changed()
	err := a.seal(rows)
	if err == nil && len(rows) > 0 {
		err = a.store.KeepPeople(ctx, rows)
	}
	if err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, row := range rows {
			t.byPair[row.Pair].dirty = true
		}
		return fmt.Errorf("writing how many people decisions were about: %w", err)
	}
	return a.turnDay()
}

// changed returns the rows to write, not sealed yet, and takes them for written.
func (a *Archive) changed() []PeopleRow {
	t := &a.tallies
	t.mu.Lock()
	var rows []PeopleRow
	for pair, counted := range t.byPair {
		if counted.dirty {
			counted.dirty = false
			rows = append(rows, PeopleRow{Pair: pair, Day: t.day, Part: t.part, Sealed: counted.append(nil)})
		}
	}
	t.mu.Unlock()
	// Two processes that write rows must do so in the same order.
	slices.SortFunc(rows, func(a, b PeopleRow) int { return slices.Compare(a.Facts[:], b.Facts[:]) })
	return rows
}

func (a *Archive) seal(rows []PeopleRow) error {
	for i := range rows {
		row := &rows[i]
		var err error
		if row.Sealed, err = a.vault.SealHouse(peopleLabel(row), row.Sealed); err != nil {
			return fmt.Errorf("sealing sketch of people: %w", err)
		}
	}
	return nil
}

// turnDay forgets everything when a day is over, or when there is no room left: what
// comes then is a part of its own.
func (a *Archive) turnDay() error {
	t := &a.tallies
	t.mu.Lock()
	defer t.mu.Unlock()
	today := dayOf(a.config.Now())
	if t.byPair != nil && t.day.Equal(today) && len(t.byPair) < maxTallies {
		return nil
	}
	for _, counted := range t.byPair {
		if counted.dirty {
			return nil // came meanwhile; the next flush writes it
		}
	}
	part, err := a.newPart()
	if err != nil {
		return err
	}
	t.day, t.part, t.byPair = today, part, map[Pair]*tally{}
	return nil
}

func dayOf(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }

// peopleLabel binds a sealed sketch to its row. It has 126 bytes of the 128 that a label
// may have.
func peopleLabel(row *PeopleRow) string {
	return "people/" + text(row.Pair) + "/" + row.Day.Format("20060102") + "/" + base64.RawURLEncoding.EncodeToString(row.Part[:])
}
