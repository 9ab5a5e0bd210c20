package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

var (
	requestOfficer = privacy.Principal{ID: "officer@example", Role: privacy.RoleDPO}
	requestShop    = privacy.Principal{ID: "shop-web", Role: privacy.RoleService, Recipient: "shop"}
	requestNoon    = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
)

// requestRoom is the service of requests on a database of its own, with two people.
type requestRoom struct {
	db       *DB
	database *pgtest.Database
	store    *RequestStore
	service  *dsar.Service
	ayse     heldPerson
	jana     heldPerson
	mu       sync.Mutex
	now      time.Time
}

func newRequestRoom(t testing.TB) *requestRoom {
	t.Helper()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	room := &requestRoom{db: db, database: database, store: NewRequestStore(db, log), now: requestNoon}
	room.ayse, room.jana = addPerson(t, database, keys.Vault(), "ayşe"), addPerson(t, database, keys.Vault(), "jana")
	var err error
	room.service, err = dsar.NewService(room.store, NewVaultStore(db, keys.Vault()), keys.Vault(), log, dsar.ServiceConfig{
		Now:     func() time.Time { room.mu.Lock(); defer room.mu.Unlock(); return room.now },
		MayOpen: func(recipient privacy.RecipientID) bool { return recipient == "shop" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// isAbout reports whether the entry has the person's tag.
func isAbout(entry audit.Entry, subject audit.Subject) bool {
	return entry.Person == subject.Blinding.Opening(entry.ID).Tag(subject.ID)
}

func byNumber(values ...string) []privacy.Identifier {
	var identifiers []privacy.Identifier
	for _, value := range values {
		identifiers = append(identifiers, privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(value)})
	}
	return identifiers
}

func openingOf(kind dsar.Kind, identifiers ...privacy.Identifier) dsar.Opening {
	return dsar.Opening{
		Kind: kind, Jurisdiction: "CZ", Language: "cs", Identifiers: identifiers, Via: dsar.ViaAPI,
		Contact: privacy.NewPlain("c/o kanárek 7"), Text: privacy.NewPlain("please, kanárek"),
	}
}

func (room *requestRoom) open(t testing.TB, by privacy.Principal, opening dsar.Opening) dsar.Opened {
	t.Helper()
	opened, err := room.service.Open(t.Context(), by, opening)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestRequestLife(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	service, ctx := room.service, t.Context()
	opened := room.open(t, requestShop, openingOf(dsar.Access, room.ayse.identifiers[0]))
	if opened.DataSubject != room.ayse.id || opened.DuplicateOf != (dsar.RequestID{}) || opened.State != dsar.Received {
		t.Errorf("opened %s of somebody else", opened.State)
	}
	entry := readEntry(t, room.db, opened.Receipt.Index())
	if entry.Kind != audit.RequestOpened || !isAbout(entry, room.ayse.key.Subject()) || entry.List != dsar.StepDigest(opened.ID, 1, dsar.ActionOpen, audit.Digest{}) {
		t.Errorf("the log says %s", entry.Kind)
	}
	found, err := service.Find(ctx, opened.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(opened.Request, found, sameID, cmp.Comparer(func(a, b []clock.Pause) bool { return len(a) == len(b) })); diff != "" {
		t.Errorf("stored (-opened +found):\n%s", diff)
	}
	contents, err := service.Contents(ctx, &found)
	if err != nil || contents.Text != privacy.NewPlain("please, kanárek") || contents.Contact != privacy.NewPlain("c/o kanárek 7") || len(contents.Identifiers) != 1 || contents.Identifiers[0] != room.ayse.identifiers[0] {
		t.Errorf("what was written was not kept: %v", err)
	}
	if _, _, err := service.Verify(ctx, requestShop, opened.ID, dsar.ProofSession, privacy.Plain{}); err != nil {
		t.Fatal(err)
	}
	due := found.DueAt
	if _, _, err := service.Pause(ctx, requestOfficer, opened.ID, clock.Clarification, privacy.NewPlain("which of them")); err != nil {
		t.Fatal(err)
	}
	if found, err = service.Find(ctx, opened.ID); err != nil || !found.DueAt.IsZero() || found.PausedAt.IsZero() || len(found.Pauses) != 1 {
		t.Errorf("paused: %+v, %v", found, err)
	}
	room.advance(5 * 24 * time.Hour)
	if _, _, err := service.Resume(ctx, requestOfficer, opened.ID); err != nil {
		t.Fatal(err)
	}
	if found, err = service.Find(ctx, opened.ID); err != nil || !found.DueAt.After(due) || found.Pauses[0].Until.IsZero() || !found.PausedAt.IsZero() {
		t.Errorf("resumed: %+v, %v", found, err)
	}
	r, _, err := service.Extend(ctx, requestOfficer, opened.ID, clock.NumberOfRequests, privacy.Plain{})
	if err != nil || r.State != dsar.Extended {
		t.Fatal(r.State, err)
	}
	r, receipt, err := service.Fulfil(ctx, requestOfficer, opened.ID, dsar.Evidence{Digest: audit.Digest{5}})
	if err != nil || r.State != dsar.Fulfilled || r.ClosedAt.IsZero() {
		t.Fatal(r.State, err)
	}
	if entry := readEntry(t, room.db, receipt.Index()); entry.Kind != audit.RequestFulfilled || entry.List != dsar.StepDigest(opened.ID, r.Version, dsar.ActionFulfil, audit.Digest{5}) {
		t.Errorf("the log says %s", entry.Kind)
	}
	shown, err := service.Show(ctx, requestOfficer, opened.ID)
	if err != nil || !shown.Opened || shown.Steps[5].Detail.Evidence[:2] != "05" || shown.Steps[2].Detail.Note != privacy.NewPlain("which of them") {
		t.Fatalf("shown: %v", err)
	}
	var steps []string
	for i, step := range shown.Steps {
		if step.Number != int64(i+1) {
			t.Errorf("step %d has number %d", i+1, step.Number)
		}
		steps = append(steps, string(step.Action)+":"+string(step.To))
	}
	want := "open:received verify:in_progress pause:in_progress resume:in_progress extend:extended fulfil:fulfilled"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	if entry := readEntry(t, room.db, shown.Receipt.Index()); entry.Kind != audit.PersonShown {
		t.Errorf("that it was shown: %s", entry.Kind)
	}
}

func (room *requestRoom) advance(by time.Duration) {
	room.mu.Lock()
	defer room.mu.Unlock()
	room.now = room.now.Add(by)
}

// TestRequestIsSealed: nothing that the person wrote stands in any table.
func TestRequestIsSealed(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	opening := openingOf(dsar.Erasure, privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("kanárek@example.org")})
	opened := room.open(t, requestOfficer, opening)
	if _, _, err := room.service.Note(t.Context(), requestOfficer, opened.ID, privacy.NewPlain("kanárek called")); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"dsar.request", "dsar.request_step", "keyring.request_key", "audit.leaf"} {
		var found int
		err := room.database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from `+table+` t where position('kanárek' in t::text) > 0
			or position(encode('kanárek'::bytea, 'hex') in t::text) > 0`).Scan(&found)
		if err != nil && strings.Contains(err.Error(), "42P01") {
			continue
		}
		if err != nil || found != 0 {
			t.Errorf("%s holds what was written: %d, %v", table, found, err)
		}
	}
	// Without its key a request stays as the record that it was handled.
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `delete from keyring.request_key`); err != nil {
		t.Fatal(err)
	}
	shown, err := room.service.Show(t.Context(), requestOfficer, opened.ID)
	if err != nil || shown.Opened || !shown.Contents.Text.IsEmpty() || len(shown.Steps) != 2 {
		t.Errorf("shown without its key: %+v, %v", shown, err)
	}
}

// TestRequestsOfUnknownPeople: recorded like all others, with a random tag in the log.
func TestRequestsOfUnknownPeople(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	known := room.open(t, requestShop, openingOf(dsar.Access, room.ayse.identifiers[0]))
	unknown := room.open(t, requestShop, openingOf(dsar.Access, byNumber("nobody-1")...))
	if !unknown.DataSubject.IsZero() || unknown.DuplicateOf != (dsar.RequestID{}) {
		t.Error("somebody unknown is known")
	}
	if known.DueAt != unknown.DueAt || known.Regime != unknown.Regime || known.State != unknown.State || known.Version != unknown.Version {
		t.Errorf("known %+v\nunknown %+v", known.Request, unknown.Request)
	}
	entry := readEntry(t, room.db, unknown.Receipt.Index())
	other := readEntry(t, room.db, known.Receipt.Index())
	if len(entry.Leaf()) != len(other.Leaf()) || isAbout(entry, room.ayse.key.Subject()) {
		t.Errorf("entries of %d and %d bytes", len(entry.Leaf()), len(other.Leaf()))
	}
	// The identifiers of two people: an officer is told, a service is not.
	two := openingOf(dsar.Access, room.ayse.identifiers[0], room.jana.identifiers[0])
	if _, err := room.service.Open(t.Context(), requestOfficer, two); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("two people at once: %v", err)
	}
	if opened := room.open(t, requestShop, two); !opened.DataSubject.IsZero() {
		t.Error("of two people one was taken")
	}
}

func TestDuplicatesAreLinked(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	first := room.open(t, requestShop, openingOf(dsar.Erasure, room.ayse.identifiers[0]))
	for name, c := range map[string]struct {
		opening dsar.Opening
		want    dsar.RequestID
	}{
		"same identifier":         {openingOf(dsar.Erasure, room.ayse.identifiers[0]), first.ID},
		"another of the same one": {openingOf(dsar.Erasure, room.ayse.identifiers[2]), first.ID},
		"another kind":            {openingOf(dsar.Restriction, room.ayse.identifiers[0]), dsar.RequestID{}},
		"somebody else":           {openingOf(dsar.Erasure, room.jana.identifiers[0]), dsar.RequestID{}},
	} {
		if opened := room.open(t, requestOfficer, c.opening); opened.DuplicateOf != c.want {
			t.Errorf("%s: duplicate of %s, want %s", name, opened.DuplicateOf, c.want)
		}
	}
	stranger := room.open(t, requestShop, openingOf(dsar.Access, byNumber("N-1", "N-2")...))
	if again := room.open(t, requestShop, openingOf(dsar.Access, byNumber("n-2 ", "N-3")...)); again.DuplicateOf != stranger.ID {
		t.Errorf("a stranger's second request is a duplicate of %s", again.DuplicateOf)
	}
	shown, err := room.service.Show(t.Context(), requestOfficer, first.ID)
	if err != nil || len(shown.Duplicates) != 2 {
		t.Errorf("%d duplicates are shown, %v", len(shown.Duplicates), err)
	}
	// What is closed has no duplicates.
	if _, _, err := room.service.Withdraw(t.Context(), requestShop, stranger.ID); err != nil {
		t.Fatal(err)
	}
	if again := room.open(t, requestShop, openingOf(dsar.Access, byNumber("N-1")...)); again.DuplicateOf != (dsar.RequestID{}) {
		t.Error("a request is the duplicate of one that is closed")
	}
}

// TestDuplicatesAtOnce: of many at the same moment, by several identifiers in another order
// each, one is the first and all others are linked to it.
func TestDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	var group sync.WaitGroup
	opened := make([]dsar.Opened, 24)
	for i := range opened {
		group.Go(func() {
			identifiers := append(byNumber("A-1", "A-2"), room.ayse.identifiers[0], room.ayse.identifiers[2])
			slices.Reverse(identifiers[i%3:])
			var err error
			if opened[i], err = room.service.Open(t.Context(), requestShop, openingOf(dsar.Access, identifiers...)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	firsts := map[dsar.RequestID]int{}
	for _, o := range opened {
		if o.DuplicateOf == (dsar.RequestID{}) {
			firsts[o.ID] = 0
		}
	}
	for _, o := range opened {
		if o.DuplicateOf != (dsar.RequestID{}) {
			firsts[o.DuplicateOf]++
		}
	}
	if len(firsts) != 1 {
		t.Errorf("%d requests are the first: %v", len(firsts), firsts)
	}
}

// TestStepsAtOnce: steps of many people on one request are all taken, one after the other,
// each with its entry; and of two that close it one is refused.
func TestStepsAtOnce(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	opened := room.open(t, requestOfficer, openingOf(dsar.Access, room.ayse.identifiers[0]))
	before := countEntries(t, room.db)
	var group sync.WaitGroup
	taken := 0
	for i := range 8 {
		group.Go(func() {
			for {
				_, _, err := room.service.Note(t.Context(), requestOfficer, opened.ID, privacy.NewPlain(fmt.Sprint("note ", i)))
				if errors.Is(err, privacy.ErrConflict) {
					continue // overtaken more often than it is tried again
				}
				if err != nil {
					t.Error(err)
				}
				break
			}
			room.mu.Lock()
			defer room.mu.Unlock()
			taken++
		})
	}
	group.Wait()
	steps, err := room.store.Steps(t.Context(), opened.ID)
	if err != nil || len(steps) != 9 || taken != 8 {
		t.Fatalf("%d steps of %d, %v", len(steps), taken, err)
	}
	if entries := countEntries(t, room.db) - before; entries != 8 {
		t.Errorf("%d entries for 8 steps", entries)
	}
	closed := make([]error, 8)
	for i := range closed {
		group.Go(func() {
			if i%2 == 0 {
				_, _, closed[i] = room.service.Withdraw(t.Context(), requestOfficer, opened.ID)
			} else {
				_, _, closed[i] = room.service.Deny(t.Context(), requestOfficer, opened.ID, dsar.NoMatch, privacy.Plain{})
			}
		})
	}
	group.Wait()
	won := 0
	for _, err := range closed {
		if err == nil {
			won++
		} else if !errors.Is(err, privacy.ErrConflict) {
			t.Error(err)
		}
	}
	if found, err := room.service.Find(t.Context(), opened.ID); err != nil || won != 1 || found.Version != 10 || !found.State.Closed() {
		t.Errorf("%d closed it: version %d, %v", won, found.Version, err)
	}
}

// TestStepThatWasOvertaken changes nothing, and has no entry.
func TestStepThatWasOvertaken(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	opened := room.open(t, requestOfficer, openingOf(dsar.Erasure, room.ayse.identifiers[0]))
	change, err := room.service.Prepare(t.Context(), requestOfficer, opened.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofJudgement})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := room.service.Note(t.Context(), requestOfficer, opened.ID, privacy.NewPlain("first")); err != nil {
		t.Fatal(err)
	}
	before := countEntries(t, room.db)
	if _, err := room.store.Take(t.Context(), change); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("an overtaken step: %v", err)
	}
	if found, err := room.service.Find(t.Context(), opened.ID); err != nil || found.State != dsar.Received || found.Version != 2 || countEntries(t, room.db) != before {
		t.Errorf("it left a trace: %s, version %d, %v", found.State, found.Version, err)
	}
	// Together with what another store does: both or neither.
	change, err = room.service.Prepare(t.Context(), requestOfficer, opened.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofJudgement})
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("the other store failed")
	_, err = room.store.log.AppendTx(t.Context(), change.Event, func(ctx context.Context, tx pgx.Tx) error {
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		return failed
	})
	if found, _ := room.service.Find(t.Context(), opened.ID); !errors.Is(err, failed) || found.Version != 2 {
		t.Errorf("half of it was committed: version %d, %v", found.Version, err)
	}
	// A step that was prepared before an erasure does not bring the person back.
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `update dsar.request set data_subject_id = null`); err != nil {
		t.Fatal(err)
	}
	if _, err := room.store.Take(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if found, _ := room.service.Find(t.Context(), opened.ID); !found.DataSubject.IsZero() || found.State != dsar.InProgress {
		t.Errorf("the person is back: %s", found.State)
	}
}

// TestRequestOfSomebodyErasedMeanwhile is about nobody.
func TestRequestOfSomebodyErasedMeanwhile(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `delete from keyring.person_key where data_subject_id = $1`, [16]byte(room.ayse.id)); err != nil {
		t.Fatal(err)
	}
	opened := room.open(t, requestShop, openingOf(dsar.Access, room.ayse.identifiers[0]))
	if !opened.DataSubject.IsZero() {
		t.Error("a request names somebody without a key")
	}
}

// TestRefusalsAreLogged by the name of the check, and nothing else happens.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	opened := room.open(t, requestShop, openingOf(dsar.Access, room.ayse.identifiers[0]))
	if _, _, err := room.service.Verify(t.Context(), requestOfficer, opened.ID, dsar.ProofJudgement, privacy.Plain{}); err != nil {
		t.Fatal(err)
	}
	room.advance(90 * 24 * time.Hour)
	_, _, err := room.service.Extend(t.Context(), requestOfficer, opened.ID, clock.Complexity, privacy.Plain{})
	refusal, ok := errors.AsType[*dsar.Refusal](err)
	if !ok || refusal.Check != "extension.in_time" || !strings.Contains(refusal.Article, "12(3)") {
		t.Errorf("a late extension: %v", err)
	}
	size := countEntries(t, room.db)
	entry := readEntry(t, room.db, size-1)
	if entry.Kind != audit.RequestRefused || entry.Outcome != audit.Denied || !slices.Equal(entry.Checks, []string{"extension.in_time"}) || !isAbout(entry, room.ayse.key.Subject()) {
		t.Errorf("the log says %s %v", entry.Kind, entry.Checks)
	}
	if found, err := room.service.Find(t.Context(), opened.ID); err != nil || found.Version != 2 {
		t.Errorf("version %d, %v", found.Version, err)
	}
}
