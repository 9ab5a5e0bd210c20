package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// printRoomTable prints what the policies say about clean rooms, cell by cell.
func (a *app) printRoomTable(ctx context.Context, revision *policies.Revision, purposes []string) error {
	cells, err := revision.RoomTable(ctx)
	if err != nil {
		return err
	}
	cells = slices.DeleteFunc(cells, func(c policies.RoomCell) bool {
		return len(purposes) > 0 && !slices.Contains(purposes, string(c.Purpose))
	})
	document := struct {
		Revision string              `json:"policy_revision"`
		Rooms    []policies.RoomCell `json:"rooms"`
	}{revision.String(), cells}
	return a.screen.print(document, func(w io.Writer) { writeRoomTable(w, revision, cells) })
}

// roomLine is what several cells have in common, with their categories.
type roomLine struct {
	acts       []string
	who        policies.Relationship
	said       string // what is decided, and why not
	limits     string
	categories []string
}

func writeRoomTable(w io.Writer, revision *policies.Revision, cells []policies.RoomCell) {
	failed := map[string]bool{}
	for len(cells) > 0 {
		purpose := cells[0].Purpose
		n := slices.IndexFunc(cells, func(c policies.RoomCell) bool { return c.Purpose != purpose })
		if n < 0 {
			n = len(cells)
		}
		title := string(purpose)
		if p, known := revision.Catalogue().Purpose(purpose); known {
			title += " (" + p.Title.In("en") + ")"
		}
		_, _ = fmt.Fprintf(w, "%s\n", title)
		t := table{header: []string{"act", "by", "", "columns of", "a group has, a question costs"}}
		for _, line := range roomLines(cells[:n]) {
			t.add(strings.Join(line.acts, ", "), string(line.who), line.said, wrap(line.categories, 4), line.limits)
		}
		t.writeTo(w, "  ")
		_, _ = fmt.Fprintln(w)
		for _, cell := range cells[:n] {
			for _, check := range cell.Failed {
				failed[check] = true
			}
		}
		cells = cells[n:]
	}
	checks := table{header: []string{"check", "in words", "law"}}
	for _, reason := range revision.Checks() {
		if failed[reason.Check] {
			checks.add(reason.Check, reason.Title, strings.Join(reason.Laws, ", "))
		}
	}
	checks.writeTo(w, "")
}

// roomLimits says how many people a group has, and what a question costs if rules say so.
func roomLimits(people int, cap int64) string {
	limits := fmt.Sprintf("%d people at least", people)
	if cap > 0 {
		limits += ", " + rhoText(cleanroom.Rho(cap)) + " at most"
	}
	return limits
}

// roomLines puts cells of one purpose together that say the same: categories first, and then
// acts of which all categories agree.
func roomLines(cells []policies.RoomCell) []roomLine {
	var lines []roomLine
	for _, cell := range cells {
		said, limits := "allowed", ""
		if !cell.Allow {
			said = "no: " + strings.Join(cell.Failed, ",\n")
		} else {
			limits = roomLimits(cell.MinimumPeople, cell.QueryCap)
		}
		same := func(l roomLine) bool {
			return l.acts[0] == string(cell.Act) && l.who == cell.Relationship && l.said == said && l.limits == limits
		}
		i := slices.IndexFunc(lines, same)
		if i < 0 {
			lines = append(lines, roomLine{acts: []string{string(cell.Act)}, who: cell.Relationship, said: said, limits: limits})
			i = len(lines) - 1
		}
		lines[i].categories = append(lines[i].categories, string(cell.Category))
	}
	var merged []roomLine
	for _, line := range lines {
		i := slices.IndexFunc(merged, func(l roomLine) bool {
			return l.who == line.who && l.said == line.said && l.limits == line.limits && slices.Equal(l.categories, line.categories)
		})
		if i < 0 {
			merged = append(merged, line)
			continue
		}
		merged[i].acts = append(merged[i].acts, line.acts...)
	}
	return merged
}

// roomExplanation is why the policies decide as they do about an act in a clean room.
type roomExplanation struct {
	Revision      string         `json:"policy_revision"`
	Act           string         `json:"act"`
	Decision      string         `json:"decision"`
	MinimumPeople int            `json:"minimum_people,omitempty"`
	QueryCap      int64          `json:"query_cap_nanorho,omitempty"`
	Reasons       []reasonOutput `json:"reasons"`
}

// roomFlags are made-up facts about a room.
type roomFlags struct {
	act, mode  string
	categories []string
	words      []string
	members    []string
	adHoc      bool
}

// explainRoom says what the policies decide about an act of a party that has every role.
func (a *app) explainRoom(ctx context.Context, revision *policies.Revision, f *roomFlags, party, purpose string) error {
	if !slices.Contains(policies.RoomActs(), policies.RoomAct(f.act)) {
		return usagef("--act is one of %v", policies.RoomActs())
	}
	if party == "" || purpose == "" {
		return usagef("an act in a clean room is explained with --recipient and --purpose; see mahrem policy explain --help")
	}
	catalogue := revision.Catalogue()
	facts := policies.RoomFacts{
		Act: policies.RoomAct(f.act), Party: privacy.RecipientID(party), Members: []privacy.RecipientID{privacy.RecipientID(party)},
		Roles:   []string{"owns_data", "may_query", "may_receive", "may_activate"},
		Purpose: privacy.Purpose(purpose), RoomPurpose: privacy.Purpose(purpose), Mode: f.mode, Template: !f.adHoc,
		Datasets: []policies.RoomDataset{{Owner: privacy.RecipientID(party), Purposes: []privacy.Purpose{privacy.Purpose(purpose)}, Source: "party", AdHoc: true}},
	}
	for _, member := range f.members {
		facts.Members = append(facts.Members, privacy.RecipientID(member))
	}
	if r, known := catalogue.Recipient(facts.Party); known && r.Relationship == policies.FirstParty {
		facts.Datasets[0].Source = "house"
	}
	for _, category := range f.categories {
		if _, known := catalogue.Category(privacy.DataCategory(category)); !known {
			return usagef("category %s is not in the catalogue", category)
		}
		facts.Columns = append(facts.Columns, policies.RoomColumn{Category: privacy.DataCategory(category), Role: "dimension"})
	}
	if len(f.words) > 0 {
		facts.Columns = append(facts.Columns, policies.RoomColumn{Category: "purchases", Role: "dimension", Vocabulary: policies.VocabularyProductGroups, Values: f.words})
	}
	decision, err := revision.DecideRoom(ctx, facts)
	if err != nil {
		return err
	}
	document := roomExplanation{
		Revision: revision.String(), Act: f.act, Decision: "deny", MinimumPeople: decision.MinimumPeople, QueryCap: decision.QueryCap, Reasons: []reasonOutput{},
	}
	if decision.Allow {
		document.Decision = "allow"
	}
	for _, check := range decision.Failed {
		reason := revision.Reason(check)
		document.Reasons = append(document.Reasons, reasonOutput{check, reason.Title, reason.Laws})
	}
	return a.screen.print(document, func(w io.Writer) { document.write(w) })
}

func (e *roomExplanation) write(w io.Writer) {
	t := table{}
	t.add("decision", e.Decision)
	if e.MinimumPeople > 0 {
		t.add("a group has", fmt.Sprintf("%d people at least", e.MinimumPeople))
	}
	if e.QueryCap > 0 {
		t.add("a question costs", rhoText(cleanroom.Rho(e.QueryCap))+" at most")
	}
	t.writeTo(w, "")
	if len(e.Reasons) == 0 {
		return
	}
	because := table{header: []string{"because", "in words", "law"}}
	for _, r := range e.Reasons {
		because.add("not passed: "+r.Code, r.Title, strings.Join(r.Laws, ", "))
	}
	_, _ = fmt.Fprintln(w)
	because.writeTo(w, "")
}
