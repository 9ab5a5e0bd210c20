package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// identityRoom is the room over a database of the test's own.
type identityRoom struct {
	db       *DB
	database *pgtest.Database
	vault    *vault.Vault
	requests *dsar.Service
	service  *identity.Service
	outbox   *OutboxStore
	person   heldPerson
	now      time.Time
}

// atHome knows one address of one person.
type atHome struct{ person heldPerson }

func (h atHome) Known(_ context.Context, id privacy.DataSubjectID, _ []privacy.Identifier) ([]privacy.Identifier, error) {
	if id != h.person.id {
		return nil, nil
	}
	return h.person.identifiers[:1], nil
}

var (
	officer = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	portal  = privacy.Principal{ID: "portal", Role: privacy.RoleService, Recipient: "shop"}
)

func newIdentityRoom(t testing.TB) *identityRoom {
	t.Helper()
	db, database := newDB(t)
	log, v := newAuditLog(t, db, auditConfig()), newKeys(t).Vault()
	room := &identityRoom{db: db, database: database, vault: v, now: time.Now().UTC(), outbox: NewOutboxStore(db, log)}
	room.person = addPerson(t, database, v, "ayse")
	var err error
	room.requests, err = dsar.NewService(NewRequestStore(db, log), NewVaultStore(db, v), v, log, dsar.ServiceConfig{
		MayOpen: func(privacy.RecipientID) bool { return true }, Now: func() time.Time { return room.now },
		Compute: func(clock.Input) (clock.Deadline, error) { return clock.Deadline{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	room.service, err = identity.New(NewIdentityStore(db, log), room.requests, atHome{room.person}, v, log, identity.Config{
		Ways: []outbox.Kind{outbox.Webhook}, MayAttest: func(r privacy.RecipientID) bool { return r == "shop" },
		Now: func() time.Time { return room.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// open records a request of the person, or of somebody unknown.
func (room *identityRoom) open(t testing.TB, by privacy.Principal, known bool) dsar.RequestID {
	t.Helper()
	identifier := room.person.identifiers[0]
	if !known {
		identifier.Value = privacy.NewPlain("nobody@example.com")
	}
	opened, err := room.requests.Open(t.Context(), by, dsar.Opening{
		Kind: dsar.Access, Jurisdiction: "CZ", Language: "tr", Identifiers: []privacy.Identifier{identifier}, Via: dsar.ViaAPI,
	})
	if err != nil {
		t.Fatal(err)
	}
	return opened.ID
}

// delivered returns the code that was sent last, as the person finds it.
func (room *identityRoom) delivered(t testing.TB) privacy.Plain {
	t.Helper()
	d := claimOne(t, room.outbox, time.Hour)
	payload, err := d.Payload(room.vault)
	if err != nil {
		t.Fatal(err)
	}
	letter, err := outbox.DecodeLetter(payload)
	if err != nil {
		t.Fatal(err)
	}
	if letter.To != room.person.identifiers[0] || letter.Language != "tr" {
		t.Errorf("the letter goes to somebody else, in %s", letter.Language)
	}
	return letter.Code
}

func (room *identityRoom) state(t testing.TB, id dsar.RequestID) dsar.State {
	t.Helper()
	r, err := room.requests.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r.State
}

func refusedBy(err error, check string) bool {
	refusal, ok := errors.AsType[*dsar.Refusal](err)
	return ok && refusal.Check == check
}

func wrong(code privacy.Plain) privacy.Plain {
	text := []byte(code.RevealPersonalData())
	text[0] = '0' + (text[0]-'0'+1)%10
	return privacy.NewPlain(string(text))
}

func TestCodeProvesIdentity(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	id := room.open(t, portal, true)
	sent, err := room.service.SendCode(t.Context(), portal, id)
	if err != nil || !sent.Reached || sent.ExpiresAt.IsZero() || room.state(t, id) != dsar.IdentityPending {
		t.Fatalf("sent %+v, %v; %s", sent, err, room.state(t, id))
	}
	if entry := readEntry(t, room.db, sent.Receipt.Index()); entry.Kind != audit.RequestNotified {
		t.Errorf("the log says %s", entry.Kind)
	}
	code := room.delivered(t)
	if _, err := room.service.VerifyCode(t.Context(), portal, id, wrong(code)); !refusedBy(err, identity.CheckCode) {
		t.Fatalf("a wrong code: %v", err)
	}
	before := countEntries(t, room.db)
	verified, err := room.service.VerifyCode(t.Context(), portal, id, code)
	if err != nil || verified.Request.State != dsar.InProgress || room.state(t, id) != dsar.InProgress {
		t.Fatalf("the right code: %+v, %v", verified.Request.State, err)
	}
	if entry := readEntry(t, room.db, verified.Receipt.Index()); entry.Kind != audit.RequestVerified || countEntries(t, room.db) != before+1 {
		t.Errorf("the log says %s", entry.Kind)
	}
	if _, err := room.service.VerifyCode(t.Context(), portal, id, code); !refusedBy(err, string(dsar.CheckState)) {
		t.Errorf("the same code again: %v", err)
	}
	if _, err := room.service.SendCode(t.Context(), portal, id); !refusedBy(err, string(dsar.CheckState)) {
		t.Errorf("a code for who is known already: %v", err)
	}
}

// TestCodeOfSomebodyUnknown: whoever asks about people who do not exist takes the same
// steps and hears the same words; no code is ever right, not even the one that was drawn.
func TestCodeOfSomebodyUnknown(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	var kinds [2][]audit.Kind
	var answers [2][]string
	for i, known := range []bool{true, false} {
		id := room.open(t, portal, known)
		first := countEntries(t, room.db)
		sent, err := room.service.SendCode(t.Context(), portal, id)
		if err != nil || sent.Reached != known {
			t.Fatalf("sent %+v, %v", sent, err)
		}
		answers[i] = append(answers[i], fmt.Sprint(sent.ExpiresAt.IsZero(), room.state(t, id)))
		for range 6 {
			_, err := room.service.VerifyCode(t.Context(), portal, id, privacy.NewPlain("00000000"))
			answers[i] = append(answers[i], fmt.Sprint(err))
		}
		for n := first; n < countEntries(t, room.db); n++ {
			entry := readEntry(t, room.db, n)
			kinds[i] = append(kinds[i], entry.Kind, audit.Kind(entry.Outcome))
			if entry.Person.IsZero() {
				t.Errorf("entry %s has no tag: it tells who is unknown", entry.Kind)
			}
		}
	}
	if !slices.Equal(answers[0], answers[1]) || !slices.Equal(kinds[0], kinds[1]) {
		t.Errorf("answers differ:\n%q\n%q\n%q\n%q", answers[0], answers[1], kinds[0], kinds[1])
	}
	// That a letter left must not show by the number of the next entry either.
	before, left := countEntries(t, room.db), 0
	worker, err := outbox.NewWorker(room.outbox, room.vault, map[outbox.Kind]outbox.Sender{outbox.Webhook: sendFunc(func(outbox.Delivery) error { left++; return nil })}, outbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if arrived, failed, err := worker.Once(t.Context()); err != nil || arrived != 1 || failed != 0 || left != 1 {
		t.Errorf("%d letters left for one person who is known, %d arrived, %v", left, arrived, err)
	}
	if after := countEntries(t, room.db); after != before {
		t.Errorf("the letter to somebody who is known left %d entries in the log", after-before)
	}
	// The tag that was recorded for the unknown is of a code that somebody may guess.
	id := room.open(t, portal, false)
	if _, err := room.service.SendCode(t.Context(), portal, id); err != nil {
		t.Fatal(err)
	}
	guess := privacy.NewPlain("12345678")
	tag := room.vault.WordTag("identity/code", id.String(), "1", guess.RevealPersonalData())
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `update dsar.identity_code set code_tag = $2 where request_id = $1`, [16]byte(id), tag); err != nil {
		t.Fatal(err)
	}
	if _, err := room.service.VerifyCode(t.Context(), portal, id, guess); !refusedBy(err, identity.CheckCode) {
		t.Errorf("somebody unknown was verified: %v", err)
	}
}

func TestCodeLimits(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	owner := room.database.OwnerPool(t)
	id := room.open(t, officer, true)
	if _, err := room.service.VerifyCode(t.Context(), officer, id, privacy.NewPlain("12345678")); !refusedBy(err, identity.CheckCode) {
		t.Errorf("before a code was sent: %v", err)
	}
	send := func() privacy.Plain {
		t.Helper()
		if _, err := room.service.SendCode(t.Context(), officer, id); err != nil {
			t.Fatal(err)
		}
		return room.delivered(t)
	}
	first := send()
	second := send()
	if _, err := room.service.VerifyCode(t.Context(), officer, id, first); !refusedBy(err, identity.CheckCode) {
		t.Errorf("a code that another one replaced: %v", err)
	}
	for range 4 {
		if _, err := room.service.VerifyCode(t.Context(), officer, id, wrong(second)); !refusedBy(err, identity.CheckCode) {
			t.Fatalf("a wrong code: %v", err)
		}
	}
	before := countEntries(t, room.db)
	if _, err := room.service.VerifyCode(t.Context(), officer, id, second); !refusedBy(err, identity.CheckAttempts) {
		t.Errorf("the right code after five attempts: %v", err)
	}
	if entry := readEntry(t, room.db, before); entry.Kind != audit.RequestRefused || !slices.Equal(entry.Checks, []string{identity.CheckAttempts}) {
		t.Errorf("the log says %s %v", entry.Kind, entry.Checks)
	}
	third := send()
	if _, err := room.service.SendCode(t.Context(), officer, id); !refusedBy(err, identity.CheckRate) {
		t.Errorf("a fourth code within an hour: %v", err)
	}
	if _, err := owner.Exec(t.Context(), `update dsar.identity_code set sent_at = sent_at - interval '2 hours', expires_at = expires_at - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
	if _, err := room.service.VerifyCode(t.Context(), officer, id, third); !refusedBy(err, identity.CheckCode) {
		t.Errorf("a code that is too old: %v", err)
	}
	fourth := send()
	for range 5 {
		if _, err := room.service.VerifyCode(t.Context(), officer, id, wrong(fourth)); !refusedBy(err, identity.CheckCode) {
			t.Fatalf("a wrong code: %v", err)
		}
	}
	send()
	for range 4 {
		if _, err := room.service.VerifyCode(t.Context(), officer, id, privacy.NewPlain("00000000")); !refusedBy(err, identity.CheckCode) {
			t.Fatalf("a wrong code: %v", err)
		}
	}
	// Fifteen attempts in all, and nothing but a judgement helps.
	if _, err := room.service.VerifyCode(t.Context(), officer, id, privacy.NewPlain("00000000")); !refusedBy(err, identity.CheckAttempts) {
		t.Errorf("a sixteenth attempt: %v", err)
	}
	if _, err := owner.Exec(t.Context(), `update dsar.identity_code set sent_at = sent_at - interval '2 hours', expires_at = expires_at - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
	send()
	if _, err := room.service.SendCode(t.Context(), officer, id); !refusedBy(err, identity.CheckRate) {
		t.Errorf("a seventh code: %v", err)
	}
	verified, err := room.service.Judge(t.Context(), officer, id, identity.CalledBack)
	if err != nil || verified.Request.State != dsar.InProgress {
		t.Errorf("judged %s, %v", verified.Request.State, err)
	}
}

// TestCodesForTheSameIdentifiers: to open one request after the other gives no more codes,
// nor more guesses, and it is the same for people who do not exist.
func TestCodesForTheSameIdentifiers(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	for _, known := range []bool{true, false} {
		var sent, refused atomic.Int64
		var sending sync.WaitGroup
		for range 12 {
			id := room.open(t, portal, known)
			sending.Go(func() {
				_, err := room.service.SendCode(t.Context(), portal, id)
				switch {
				case err == nil:
					sent.Add(1)
				case refusedBy(err, identity.CheckRate):
					refused.Add(1)
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		sending.Wait()
		if sent.Load() != identity.MaxHourly || refused.Load() != 12-identity.MaxHourly {
			t.Errorf("known %v: %d codes were sent and %d refused", known, sent.Load(), refused.Load())
		}
		// Nor does it help to take the requests back.
		id := room.open(t, portal, known)
		if _, _, err := room.requests.Withdraw(t.Context(), portal, id); err != nil {
			t.Fatal(err)
		}
		if _, err := room.service.SendCode(t.Context(), portal, room.open(t, portal, known)); !refusedBy(err, identity.CheckRate) {
			t.Errorf("known %v: %v", known, err)
		}
	}
}

func TestJudgementNeedsAGround(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	id := room.open(t, portal, false)
	if _, err := room.service.Judge(t.Context(), portal, id, identity.CalledBack); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a service judged: %v", err)
	}
	if _, err := room.service.Judge(t.Context(), officer, id, "passport_copied"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a ground of their own: %v", err)
	}
	if _, err := room.service.Judge(t.Context(), officer, id, identity.SeenDocument); err != nil {
		t.Fatal(err)
	}
	shown, err := room.requests.Show(t.Context(), officer, id)
	if err != nil {
		t.Fatal(err)
	}
	if last := shown.Steps[len(shown.Steps)-1]; last.Detail.Proof != string(dsar.ProofJudgement) || last.Detail.Note.RevealPersonalData() != string(identity.SeenDocument) {
		t.Errorf("recorded %+v", last.Detail.Proof)
	}
}

// TestNothingIsSentWithoutAWay: a house in which no delivery is set up says so at once.
func TestNothingIsSentWithoutAWay(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	log := newAuditLog(t, room.db, auditConfig())
	mute, err := identity.New(NewIdentityStore(room.db, log), room.requests, atHome{room.person}, room.vault, log, identity.Config{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	id := room.open(t, officer, true)
	before := countEntries(t, room.db)
	if _, err := mute.SendCode(t.Context(), officer, id); !errors.Is(err, privacy.ErrUnavailable) || countEntries(t, room.db) != before {
		t.Errorf("got %v", err)
	}
}
