package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// RoomMove is in which direction a decision about a clean room goes.
type RoomMove string

// The directions.
const (
	RoomOpens  RoomMove = "opens"
	RoomCloses RoomMove = "closes"
	// RoomLimits: it is allowed before and after, with other limits.
	RoomLimits RoomMove = "limits"
)

// RoomVerdict is what a bundle says of an act in a room.
type RoomVerdict struct {
	Allow bool `json:"allow"`
	// Failed are the checks that stand against it.
	Failed []string `json:"failed,omitempty"`
	// MinimumPeople and QueryCap are the limits, as in [RoomDecision].
	MinimumPeople int   `json:"minimum_people,omitempty"`
	QueryCap      int64 `json:"query_cap_nanorho,omitempty"`
}

// A RoomChange is something that another bundle opens or closes in clean rooms, or limits
// otherwise: for every act of every party with a column of every category that is named.
type RoomChange struct {
	Purpose privacy.Purpose       `json:"purpose"`
	Title   string                `json:"title"`
	Move    RoomMove              `json:"move"`
	Acts    []RoomAct             `json:"acts"`
	Parties []privacy.RecipientID `json:"parties"`
	// Categories are those of the column that is touched; "" is for none.
	Categories []privacy.DataCategory `json:"categories"`
	// Where is in what the rooms are not the usual ones; "" is for the usual ones, in which
	// everything is in order. What changes there is not said again where it is the same.
	Where []string    `json:"where"`
	From  RoomVerdict `json:"from"`
	To    RoomVerdict `json:"to"`
	// Cells is how many rooms that were compared change so.
	Cells int `json:"cells"`
}

// roomCell is a room to compare: one act of a party with a column of a category.
type roomCell struct {
	purpose  privacy.Purpose
	act      RoomAct
	party    privacy.RecipientID
	category privacy.DataCategory
	setting  roomSetting
}

// roomSetting is what may be otherwise in a room than usual and allowed still. What must never
// be allowed is no setting: each bundle is attacked with it (see roomSpoilers).
type roomSetting struct {
	name string
	// apply reports whether the room can be so. The catalogue and the usual parties are those
	// of the bundle that is asked.
	apply func(*RoomFacts, *Revision) bool
}

// usually is where nothing is otherwise.
var usually = roomSetting{"", func(*RoomFacts, *Revision) bool { return true }}

// touchingNothing is where no column is touched, as where people are only counted.
var touchingNothing = roomSetting{"", func(f *RoomFacts, _ *Revision) bool {
	f.Columns = nil
	return true
}}

// roomSettings are all others that do not depend on the purpose.
var roomSettings = []roomSetting{
	{"the question is a free one", func(f *RoomFacts, _ *Revision) bool {
		f.Template = false
		return f.Act == QueryRoom || f.Act == ActivateFromRoom
	}},
	{"the contract admits no free question", func(f *RoomFacts, _ *Revision) bool {
		f.Datasets[0].AdHoc = false
		return true
	}},
	{"numbers are exact", func(f *RoomFacts, _ *Revision) bool { f.Mode = "k_only"; return true }},
	{"the house brings a list, not its own people", func(f *RoomFacts, _ *Revision) bool {
		house := f.Datasets[0].Source == "house"
		f.Datasets[0].Source = "party"
		return house
	}},
	{"the column is a measure", func(f *RoomFacts, _ *Revision) bool { f.Columns[0].Role = "measure"; return true }},
	{"the column is hidden", func(f *RoomFacts, _ *Revision) bool { f.Columns[0].Role = "hidden"; return true }},
	{"the column has words that nobody knows", func(f *RoomFacts, _ *Revision) bool {
		f.Columns[0].Values = []string{"of nobody's catalogue"}
		return true
	}},
	{"the column has harmless product groups", func(f *RoomFacts, r *Revision) bool {
		for _, group := range r.catalogue.Groups() {
			if !group.pointsSomewhere() {
				f.Columns[0].Vocabulary, f.Columns[0].Values = VocabularyProductGroups, []string{string(group.ID)}
				return true
			}
		}
		return false
	}},
	{"the house is in the room", func(f *RoomFacts, r *Revision) bool { return r.join(f, FirstParty) }},
	{"a processor is in the room", func(f *RoomFacts, r *Revision) bool { return r.join(f, Processor) }},
	{"a third party is in the room", func(f *RoomFacts, r *Revision) bool { return r.join(f, ThirdParty) }},
	withoutRole("owns_data"), withoutRole("may_query"), withoutRole("may_receive"), withoutRole("may_activate"),
}

func withoutRole(role string) roomSetting {
	return roomSetting{"the party has not the role " + role, func(f *RoomFacts, _ *Revision) bool {
		f.Roles = slices.DeleteFunc(slices.Clone(f.Roles), func(r string) bool { return r == role })
		return true
	}}
}

// openedFor is where an activation serves another purpose than that of the room.
func openedFor(purpose privacy.Purpose) roomSetting {
	return roomSetting{"the room was opened for " + string(purpose), func(f *RoomFacts, _ *Revision) bool {
		f.RoomPurpose = purpose
		f.Datasets[0].Purposes = append(slices.Clone(f.Datasets[0].Purposes), purpose)
		return f.Act == ActivateFromRoom && f.Purpose != purpose
	}}
}

// join has the usual party of some relationship in a room too.
func (r *Revision) join(f *RoomFacts, relationship Relationship) bool {
	party := r.usualParty(f.RoomPurpose, relationship)
	if party == "" || slices.Contains(f.Members, party) {
		return false
	}
	f.Members = append(slices.Clone(f.Members), party)
	slices.Sort(f.Members)
	return true
}

// roomRulesAsWritten are the rules about rooms as they are written, without comments, titles and laws.
func roomRulesAsWritten(r *Revision) string {
	var b strings.Builder
	for _, name := range sortedKeys(r.modules) {
		module := r.modules[name]
		path := module.Package.Path.String()
		if !strings.HasPrefix(name, regoDir+"/room/") && path != "data.mahrem.room" && !strings.HasPrefix(path, "data.mahrem.room.") {
			continue
		}
		for _, rule := range module.Rules {
			bare := *rule
			bare.Annotations = nil
			b.WriteString(bare.String() + "\n")
		}
	}
	return b.String()
}

// diffRooms asks both revisions about each room and returns what they say otherwise.
func diffRooms(ctx context.Context, before, after *Revision) ([]RoomChange, error) {
	changes := []RoomChange{}
	if before.digest == after.digest {
		return changes, nil
	}
	cells := roomCells(before, after)
	found := make([]*RoomChange, len(cells))
	err := inParallel(len(cells), func(i int) (err error) {
		found[i], err = cells[i].compare(ctx, before, after)
		return err
	})
	if err != nil {
		return nil, err
	}
	// What is so in the usual room is not news where the room is another.
	usual := map[roomCellKey]string{}
	for i, cell := range cells {
		if cell.setting.name == "" && found[i] != nil {
			usual[cell.key()] = found[i].outcome()
		}
	}
	for i, cell := range cells {
		if found[i] != nil && (cell.setting.name == "" || usual[cell.key()] != found[i].outcome()) {
			changes = append(changes, *found[i])
		}
	}
	changes = mergeRooms(changes, func(c *RoomChange) *[]privacy.DataCategory { return &c.Categories })
	changes = mergeRooms(changes, func(c *RoomChange) *[]privacy.RecipientID { return &c.Parties })
	changes = mergeRooms(changes, func(c *RoomChange) *[]RoomAct { return &c.Acts })
	changes = mergeRooms(changes, func(c *RoomChange) *[]string { return &c.Where })
	order := []RoomMove{RoomOpens, RoomCloses, RoomLimits}
	slices.SortStableFunc(changes, func(a, b RoomChange) int {
		if by := strings.Compare(string(a.Purpose), string(b.Purpose)); by != 0 {
			return by
		}
		return slices.Index(order, a.Move) - slices.Index(order, b.Move)
	})
	return changes, nil
}

// roomCells are the rooms that are compared, in order: the usual one for every party and
// category, and each setting for the usual parties, with what the purpose measures and one
// category each of those that it does not (see measuredIn). Purposes that have no room on
// either side are asked about only where nothing is touched: there a hole would show first.
func roomCells(revisions ...*Revision) []roomCell {
	var purposes []privacy.Purpose
	var categories []privacy.DataCategory
	var parties []privacy.RecipientID
	for _, r := range revisions {
		purposes = append(purposes, r.catalogue.Purposes()...)
		categories = append(categories, r.catalogue.Categories()...)
		parties = append(parties, r.catalogue.Recipients()...)
	}
	purposes, categories, parties = sortedSet(purposes), sortedSet(categories), sortedSet(parties)
	settings := slices.Clone(roomSettings)
	hasRoom := map[privacy.Purpose]bool{}
	for _, purpose := range purposes {
		for _, r := range revisions {
			if p, known := r.catalogue.Purpose(purpose); known && p.Room != nil {
				hasRoom[purpose] = true
			}
		}
		if hasRoom[purpose] {
			settings = append(settings, openedFor(purpose))
		}
	}
	var cells []roomCell
	for _, purpose := range purposes {
		var usual []privacy.RecipientID
		for _, r := range revisions {
			for _, relationship := range []Relationship{FirstParty, Processor, ThirdParty} {
				if party := r.usualParty(purpose, relationship); party != "" {
					usual = append(usual, party)
				}
			}
		}
		usual = sortedSet(usual)
		measurable := measuredIn(purpose, categories, revisions)
		for _, act := range RoomActs() {
			for _, party := range parties {
				cells = append(cells, roomCell{purpose, act, party, "", touchingNothing})
				if !hasRoom[purpose] {
					continue
				}
				for _, category := range categories {
					cells = append(cells, roomCell{purpose, act, party, category, usually})
					if !slices.Contains(usual, party) || !slices.Contains(measurable, category) {
						continue
					}
					for _, setting := range settings {
						cells = append(cells, roomCell{purpose, act, party, category, setting})
					}
				}
			}
		}
	}
	return cells
}

// measuredIn returns the categories that a purpose measures in a room, before or after, and for
// all others one that is special, one of a case and one that is neither.
func measuredIn(purpose privacy.Purpose, categories []privacy.DataCategory, revisions []*Revision) (chosen []privacy.DataCategory) {
	type kind struct{ special, ofCase bool }
	represented := map[kind]bool{}
	for _, category := range categories {
		var of kind
		measured := false
		for _, r := range revisions {
			if k, known := r.catalogue.Category(category); known {
				of = kind{k.Special, k.Case}
			}
			p, known := r.catalogue.Purpose(purpose)
			measured = measured || known && slices.Contains(p.roomCategories(), category)
		}
		if measured || !represented[of] {
			chosen = append(chosen, category)
			represented[of] = represented[of] || !measured
		}
	}
	return chosen
}

func sortedSet[T ~string](words []T) []T {
	slices.Sort(words)
	return slices.Compact(words)
}

// compare asks both revisions about one room, nil where they agree or where the room cannot be
// so in one of them.
func (c *roomCell) compare(ctx context.Context, before, after *Revision) (*RoomChange, error) {
	change := &RoomChange{
		Purpose: c.purpose, Title: string(c.purpose), Acts: []RoomAct{c.act}, Parties: []privacy.RecipientID{c.party},
		Categories: []privacy.DataCategory{c.category}, Where: []string{c.setting.name}, Cells: 1,
	}
	for i, r := range [...]*Revision{before, after} {
		facts := r.roomOf(c.purpose, c.act, c.party, c.category)
		if !c.setting.apply(&facts, r) {
			return nil, nil
		}
		decision, err := r.decideAtLeisure(ctx, facts)
		if err != nil {
			return nil, err
		}
		*[...]*RoomVerdict{&change.From, &change.To}[i] = RoomVerdict{
			Allow: decision.Allow, Failed: decision.Failed, MinimumPeople: decision.MinimumPeople, QueryCap: decision.QueryCap,
		}
		if p, known := r.catalogue.Purpose(c.purpose); known {
			change.Title = p.Title.EN
		}
	}
	from, to := &change.From, &change.To
	switch {
	case !from.Allow && to.Allow:
		change.Move = RoomOpens
	case from.Allow && !to.Allow:
		change.Move = RoomCloses
	case from.Allow && (from.MinimumPeople != to.MinimumPeople || from.QueryCap != to.QueryCap):
		change.Move = RoomLimits
	default:
		return nil, nil // whatever else stands against it, it stays closed
	}
	return change, nil
}

// roomCellKey is a room wherever it is.
type roomCellKey struct {
	purpose  privacy.Purpose
	act      RoomAct
	party    privacy.RecipientID
	category privacy.DataCategory
}

func (c *roomCell) key() roomCellKey { return roomCellKey{c.purpose, c.act, c.party, c.category} }

// outcome says what becomes of a room, and not why or which.
func (c *RoomChange) outcome() string {
	return fmt.Sprintf("%s to %d people, %d, from %d, %d", c.Move, c.To.MinimumPeople, c.To.QueryCap, c.From.MinimumPeople, c.From.QueryCap)
}

// mergeRooms puts changes together that differ in one thing only.
func mergeRooms[T any](changes []RoomChange, of func(*RoomChange) *[]T) []RoomChange {
	merged := []RoomChange{}
	places := map[string]int{}
	for _, change := range changes {
		others := change
		*of(&others), others.Cells = nil, 0
		key := fmt.Sprintf("%#v", others)
		if i, there := places[key]; there {
			*of(&merged[i]) = append(*of(&merged[i]), *of(&change)...)
			merged[i].Cells += change.Cells
			continue
		}
		places[key] = len(merged)
		merged = append(merged, change)
	}
	return merged
}
