package archive

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
)

// weighing gathers decisions that a candidate would make alike: of the same facts, and
// with the same attributes released.
type weighing struct {
	archive   *Archive
	candidate *policies.Revision
	groups    map[weighedKey]*weighed
	list      hash.Hash
}

type weighedKey struct {
	Pair
	released string
}

type weighed struct {
	first decision
	count uint64
}

func (w *weighing) add(d *decision) {
	_, _ = io.WriteString(w.list, d.id.String()+"\n")
	key := weighedKey{Pair: d.pair(), released: strings.Join(texts(d.entry.Attributes), " ")}
	if g := w.groups[key]; g != nil {
		g.count++
		return
	}
	w.groups[key] = &weighed{*d, 1}
}

func (w *weighing) run(ctx context.Context, since time.Time) (Impact, error) {
	var impact Impact
	groups := make([]*weighed, 0, len(w.groups))
	for _, g := range w.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *weighed) int {
		x, y := a.first.pair(), b.first.pair()
		if c := bytes.Compare(x.Policy[:], y.Policy[:]); c != 0 {
			return c
		}
		return bytes.Compare(x.Facts[:], y.Facts[:])
	})
	// A change is told once, and is about the people of all its pairs.
	changes, pairsOf, partly := map[string]*Change{}, map[string][]Pair{}, map[string]bool{}
	var changed []Pair
	anyPartly := false
	for chunk := range slices.Chunk(groups, recordsAtOnce) {
		wanted := make([]Pair, len(chunk))
		for i, g := range chunk {
			wanted[i] = g.first.pair()
		}
		kept, err := w.archive.records(ctx, wanted)
		if err != nil {
			return Impact{}, err
		}
		for _, g := range chunk {
			impact.Decisions += g.count
			change, whole, known, err := w.weigh(ctx, g, kept)
			if err != nil {
				return Impact{}, err
			}
			if !known {
				impact.Unknown += g.count
			}
			if change == nil {
				continue
			}
			impact.Changed += g.count
			key := change.key()
			if changes[key] == nil {
				changes[key] = &Change{
					Purpose: change.Purpose, Who: change.Who, Opens: change.Opens, Closes: change.Closes, Duties: change.Duties, Failed: change.Failed,
				}
			}
			changes[key].join(change, g.count)
			pairsOf[key] = append(pairsOf[key], g.first.pair())
			changed = append(changed, g.first.pair())
			partly[key] = partly[key] || !whole
			anyPartly = anyPartly || !whole
		}
	}
	sketches, err := w.archive.sketches(ctx, changed, since)
	if err != nil {
		return Impact{}, err
	}
	for key, change := range changes {
		change.People = peopleOf(sketches, pairsOf[key], change.Decisions, partly[key])
		impact.Changes = append(impact.Changes, *change)
	}
	impact.People = peopleOf(sketches, changed, impact.Changed, anyPartly)
	sortChanges(impact.Changes)
	return impact, nil
}

// weigh says what becomes different for a group, nil if nothing does. It reports whether
// that holds for every decision on these facts, and whether anything is known at all.
func (w *weighing) weigh(ctx context.Context, g *weighed, kept records) (change *Change, whole, known bool, err error) {
	r, ok, _ := kept.of(&g.first)
	if !ok || len(r.plan) == 0 {
		return nil, false, false, nil
	}
	facts, was, err := plans(&r)
	if err != nil {
		return nil, false, false, nil
	}
	would, err := w.candidate.PlanUncached(ctx, facts)
	if ctx.Err() != nil {
		return nil, false, false, ctx.Err()
	}
	if err != nil {
		// What does not decide denies.
		would = policies.Plan{Basis: policies.NoBasis, Failed: []string{gate.CheckPolicy}}
	}
	old, err := w.archive.oldRevision(ctx, g.first.entry.Policy)
	if err != nil {
		return nil, false, false, err
	}
	change = &Change{Purpose: facts.Purpose, Who: whoOf(&facts)}
	different, whole := change.compare(old, w.candidate, &was, &would, g.first.entry.Attributes)
	if !different {
		return nil, false, true, nil
	}
	return change, whole, true, nil
}

// sketches reads and opens the people of these pairs since a day.
func (a *Archive) sketches(ctx context.Context, pairs []Pair, since time.Time) (map[Pair]*sketch, error) {
	if err := a.Flush(ctx); err != nil {
		return nil, err
	}
	all := map[Pair]*sketch{}
	for chunk := range slices.Chunk(pairs, recordsAtOnce) {
		rows, err := a.store.People(ctx, chunk, dayOf(since), dayOf(a.config.Now()))
		if err != nil {
			return nil, fmt.Errorf("reading how many people there were: %w", err)
		}
		for i := range rows {
			plain, err := a.vault.OpenHouse(peopleLabel(&rows[i]), rows[i].Sealed)
			if err != nil {
				return nil, fmt.Errorf("opening sketch of people: %w", err)
			}
			part, err := parseSketch(plain)
			if err != nil {
				return nil, err
			}
			if all[rows[i].Pair] == nil {
				all[rows[i].Pair] = &sketch{}
			}
			all[rows[i].Pair].merge(part)
		}
	}
	return all, nil
}

// peopleOf counts the people of several pairs, each once.
func peopleOf(sketches map[Pair]*sketch, pairs []Pair, decisions uint64, partly bool) People {
	var union sketch
	for _, pair := range pairs {
		if s := sketches[pair]; s != nil {
			union.merge(*s)
		}
	}
	count, exact := union.count()
	switch {
	case partly:
		return People{min(count, decisions), AtMost}
	case exact:
		return People{min(count, decisions), AtLeast}
	}
	return People{min(count, decisions), About}
}
