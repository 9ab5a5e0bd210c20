package postgres

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// history is one person as their ledger should be: what was said, in the order in which it
// was told to the store, and how much of it was known after each telling.
type history struct {
	id      privacy.DataSubjectID
	said    []consent.Record
	undated map[[16]byte]bool
	known   []int
}

var (
	historyPurposes = []privacy.Purpose{"newsletter", "recommendations"}
	historyChannels = []privacy.Channel{"*", "email", "sms"}
)

// says draws a record. Dates are few hours of one week, so that many are equal and most come
// late; some are left out, some lie ahead.
func (h *history) says(r *rand.Rand, base time.Time) consent.Record {
	actions := []consent.Action{
		consent.Granted, consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Expired, consent.Objected,
		consent.GuardianGranted, consent.GuardianWithdrawn,
	}
	record := consent.Record{
		DataSubject: h.id, Purpose: historyPurposes[r.IntN(2)], Channel: historyChannels[r.IntN(3)], Action: actions[r.IntN(len(actions))],
		Basis: privacy.Consent, NoticeVersion: "v1", Source: "web_form", Actor: consent.ByDataSubject,
	}
	binary.BigEndian.PutUint64(record.ID[:], r.Uint64())
	copy(record.ID[8:], h.id[:8])
	if record.Action == consent.GuardianGranted || record.Action == consent.GuardianWithdrawn {
		record.Actor = consent.ByGuardian
		record.GuardianVerified = record.Action == consent.GuardianGranted && r.IntN(2) == 0
	}
	switch record.EffectiveAt = base.Add(time.Duration(r.IntN(60)) * time.Hour); r.IntN(8) {
	case 0:
		record.EffectiveAt = time.Time{}
	case 1:
		record.EffectiveAt = base.AddDate(1, 0, 0)
	}
	if record.Action.IsYes() {
		if record.Explicit = r.IntN(3) == 0; record.Explicit {
			record.Categories = [][]privacy.DataCategory{nil, {"health"}, {"health", "religion"}}[r.IntN(3)]
		}
		if late := !record.EffectiveAt.IsZero() && record.EffectiveAt.Before(base.AddDate(0, 0, 7)); late && r.IntN(3) == 0 {
			record.ValidUntil = record.EffectiveAt.Add(time.Duration(1+r.IntN(30)) * time.Hour)
		}
	}
	return record
}

// TestConsentHistoriesComeBack: whatever people say, in whichever order the store is told of
// it, one by one, several at once, as a batch and again, what it lists amounts at every moment
// to what they said, by all that is known and by what was known after each telling.
func TestConsentHistoriesComeBack(t *testing.T) {
	t.Parallel()
	people, tellings := 150, 30
	if testing.Short() {
		people, tellings = 12, 20
	}
	db, _ := newDB(t)
	store := NewConsentStore(db, newAuditLog(t, db, auditConfig()))
	random := rand.New(rand.NewPCG(11, 22))
	base := time.Now().UTC().Truncate(time.Hour).AddDate(0, 0, -10)
	seen := map[consent.State]int{}
	for n := range people {
		h := &history{id: privacy.DataSubjectID{7, byte(n >> 8), byte(n), 1}, undated: map[[16]byte]bool{}}
		newPerson(t, db, h.id)
		for range tellings {
			h.tell(t, store, random, base)
		}
		h.check(t, store, random, base, seen)
	}
	for _, state := range []consent.State{
		consent.StateNeverAsked, consent.StateGranted, consent.StateRefused, consent.StateWithdrawn, consent.StateExpired, consent.StateObjected, consent.StateGuardianMissing,
	} {
		if seen[state] < people {
			t.Errorf("%s was seen %d times only", state, seen[state])
		}
	}
}

// tell tells the store one to four things, by one of its ways in.
func (h *history) tell(t *testing.T, store *ConsentStore, random *rand.Rand, base time.Time) {
	t.Helper()
	records := make([]consent.Record, 1+random.IntN(4))
	events := make([]audit.Event, len(records))
	for i := range records {
		records[i] = h.says(random, base)
		_, events[i] = granted(h.id, 0)
		events[i].Kind, events[i].Purpose = records[i].Action.Kind(), records[i].Purpose
		h.undated[records[i].ID] = records[i].EffectiveAt.IsZero()
	}
	var err error
	switch random.IntN(4) {
	case 0:
		_, err = store.AddAll(t.Context(), records, events)
	case 1:
		_, err = store.AddBatch(t.Context(), records, audit.Event{Principal: events[0].Principal})
	default:
		records = records[:1]
		_, err = store.Add(t.Context(), records[0], events[0])
		if err == nil && random.IntN(4) == 0 && !records[0].EffectiveAt.IsZero() && records[0].EffectiveAt.Before(time.Now()) {
			var again consent.Added
			again, err = store.Add(t.Context(), records[0], events[0])
			if err == nil && !again.Duplicate {
				t.Error("the same again is no duplicate")
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	h.said = append(h.said, records...)
	h.known = append(h.known, len(h.said))
}

func (h *history) check(t *testing.T, store *ConsentStore, random *rand.Rand, base time.Time, seen map[consent.State]int) {
	t.Helper()
	listed, err := store.List(t.Context(), h.id)
	if err != nil || len(listed) != len(h.said) {
		t.Fatalf("%d records are listed and %d were told, %v", len(listed), len(h.said), err)
	}
	there := map[[16]byte]*consent.Record{}
	for i := range listed {
		there[listed[i].ID] = &listed[i]
	}
	last := map[privacy.Purpose]time.Time{}
	moments := []time.Time{base.Add(-time.Hour), time.Now().AddDate(2, 0, 0)}
	for i := range h.said {
		r, row := &h.said[i], there[h.said[i].ID]
		if row == nil {
			t.Fatalf("record %d is not listed", i)
		}
		switch {
		case h.undated[r.ID]:
			if !row.EffectiveAt.After(last[r.Purpose]) {
				t.Errorf("record %d is dated %v, not after %v", i, row.EffectiveAt, last[r.Purpose])
			}
			r.EffectiveAt = row.EffectiveAt
		case r.EffectiveAt.After(row.RecordedAt): // what lay ahead is dated now
			if !row.EffectiveAt.Equal(row.RecordedAt) {
				t.Errorf("record %d lies ahead, and is dated %v", i, row.EffectiveAt)
			}
			r.EffectiveAt = row.EffectiveAt
		}
		if r.EffectiveAt.After(last[r.Purpose]) {
			last[r.Purpose] = r.EffectiveAt
		}
		r.RecordedAt, r.Salt = row.RecordedAt, row.Salt
		if diff := cmp.Diff(*r, *row, cmp.Comparer(func(a, b privacy.DataSubjectID) bool { return a == b })); diff != "" {
			t.Fatalf("record %d: %s", i, diff)
		}
		moments = append(moments, r.EffectiveAt, r.EffectiveAt.Add(-time.Microsecond))
		if !r.ValidUntil.IsZero() {
			moments = append(moments, r.ValidUntil, r.ValidUntil.Add(-time.Microsecond))
		}
	}
	grown := base.Add(time.Duration(random.IntN(60)) * time.Hour)
	childhood := func(at time.Time) (bool, time.Time) {
		if random := h.id[2] % 3; random == 0 && at.Before(grown) {
			return true, grown
		}
		return false, time.Time{}
	}
	for _, at := range moments {
		told := random.IntN(len(h.known))
		known := h.said[:h.known[told]]
		learned := slices.MaxFunc(known, func(a, b consent.Record) int { return a.RecordedAt.Compare(b.RecordedAt) }).RecordedAt
		for _, purpose := range historyPurposes {
			for _, channel := range historyChannels {
				got, want := consent.FoldFor(consent.ForPurpose(listed, purpose), channel, at, childhood), cardOf(h.said, purpose, channel, at, childhood)
				if got.State != want {
					t.Fatalf("%s by %s at %v: %s, want %s", purpose, channel, at, got.State, want)
				}
				seen[want]++
				got, want = consent.FoldKnown(consent.ForPurpose(listed, purpose), channel, at, learned, childhood), cardOf(known, purpose, channel, at, childhood)
				if got.State != want {
					t.Fatalf("%s by %s at %v, after telling %d: %s, want %s", purpose, channel, at, told, got.State, want)
				}
			}
		}
	}
}

// cardOf is the state as a clerk would keep it on a card who hears everything in the order in
// which it was said, what protects more last. It shares nothing with the fold.
func cardOf(said []consent.Record, purpose privacy.Purpose, channel privacy.Channel, at time.Time, childhood consent.Childhood) consent.State {
	weight := map[consent.Action]int{consent.Expired: 1, consent.Refused: 2, consent.Withdrawn: 3, consent.GuardianWithdrawn: 3, consent.Objected: 4}
	end := func(r *consent.Record) time.Time {
		if r.ValidUntil.IsZero() {
			return at.AddDate(1000, 0, 0)
		}
		return r.ValidUntil
	}
	// before is whether a is heard before b.
	before := func(a, b *consent.Record) bool {
		switch {
		case !a.EffectiveAt.Equal(b.EffectiveAt):
			return a.EffectiveAt.Before(b.EffectiveAt)
		case weight[a.Action] != weight[b.Action]:
			return weight[a.Action] < weight[b.Action]
		case a.Explicit != b.Explicit:
			return a.Explicit
		case !end(a).Equal(end(b)):
			return end(a).After(end(b))
		case len(a.Categories) != len(b.Categories):
			return len(a.Categories) > len(b.Categories)
		}
		return slices.Compare(a.ID[:], b.ID[:]) < 0
	}
	var heard []*consent.Record
	for i := range said {
		r := &said[i]
		if r.Purpose != purpose || r.Channel != "*" && r.Channel != channel || r.EffectiveAt.After(at) {
			continue
		}
		place := 0
		for place < len(heard) && before(heard[place], r) {
			place++
		}
		heard = slices.Insert(heard, place, r)
	}
	state, objected := consent.StateNeverAsked, time.Time{}
	var yes *consent.Record
	for _, r := range heard {
		switch r.Action {
		case consent.Refused:
			state = consent.StateRefused
		case consent.Withdrawn, consent.GuardianWithdrawn:
			state = consent.StateWithdrawn
		case consent.Objected:
			state, objected = consent.StateObjected, r.EffectiveAt
		case consent.Expired:
			if state == consent.StateGranted || state == consent.StateNeverAsked {
				state = consent.StateExpired
			}
		default:
			state, yes = consent.StateGranted, r
		}
	}
	if state == consent.StateGranted {
		child, _ := childhood(at)
		was, _ := childhood(yes.EffectiveAt)
		switch {
		case !end(yes).After(at):
			state = consent.StateExpired
		case child && !(yes.Actor == consent.ByGuardian && yes.GuardianVerified):
			state = consent.StateGuardianMissing
		case !child && (was || yes.Actor == consent.ByGuardian):
			state = consent.StateExpired
		}
	}
	if !objected.IsZero() && (state != consent.StateGranted || !yes.Explicit || !yes.EffectiveAt.After(objected)) {
		return consent.StateObjected
	}
	return state
}
