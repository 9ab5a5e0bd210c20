package postgres

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/privacy"
)

// TestSessionsAreNotGuessed: a service cannot go through its pseudonyms until one fits.
func TestSessionsAreNotGuessed(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	for _, known := range []bool{true, false} {
		id := room.open(t, portal, known)
		for n := range 15 {
			session := identity.Session{DataSubject: privacy.DataSubjectID{9, byte(n)}, AuthenticatedAt: room.now}
			if _, err := room.service.VerifySession(t.Context(), portal, id, session); !refusedBy(err, identity.CheckSession) {
				t.Fatalf("known %v: attempt %d: %v", known, n, err)
			}
		}
		session := identity.Session{DataSubject: room.person.id, AuthenticatedAt: room.now}
		if _, err := room.service.VerifySession(t.Context(), portal, id, session); !refusedBy(err, identity.CheckAttempts) {
			t.Errorf("known %v: a sixteenth attempt: %v", known, err)
		}
	}
}

// TestGuessesAtOnce: however many guess at the same time, no more than the limit of them
// are compared with the code.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	id := room.open(t, officer, true)
	if _, err := room.service.SendCode(t.Context(), officer, id); err != nil {
		t.Fatal(err)
	}
	code := room.delivered(t)
	var compared, refused atomic.Int64
	var guessing sync.WaitGroup
	for range 24 {
		guessing.Go(func() {
			for {
				_, err := room.service.VerifyCode(t.Context(), officer, id, wrong(code))
				switch {
				case refusedBy(err, identity.CheckCode):
					compared.Add(1)
				case refusedBy(err, identity.CheckAttempts):
					refused.Add(1)
				case errors.Is(err, privacy.ErrConflict):
					continue // overtaken more often than is tried again: nothing was told
				default:
					t.Errorf("got %v", err)
				}
				return
			}
		})
	}
	guessing.Wait()
	if compared.Load() != 5 || refused.Load() != 19 {
		t.Errorf("%d guesses were compared and %d refused", compared.Load(), refused.Load())
	}
}

func TestSessionProvesIdentity(t *testing.T) {
	t.Parallel()
	room := newIdentityRoom(t)
	stranger := privacy.DataSubjectID{9}
	for name, c := range map[string]struct {
		by    privacy.Principal
		known bool
		who   privacy.DataSubjectID
		age   time.Duration
		check string
		want  error
	}{
		"signed in":            {portal, true, room.person.id, time.Minute, "", nil},
		"a clock ahead":        {portal, true, room.person.id, -30 * time.Second, "", nil},
		"somebody else":        {portal, true, stranger, time.Minute, identity.CheckSession, nil},
		"long ago":             {portal, true, room.person.id, time.Hour, identity.CheckSession, nil},
		"in the future":        {portal, true, room.person.id, -time.Hour, identity.CheckSession, nil},
		"unknown person":       {portal, false, room.person.id, time.Minute, identity.CheckSession, nil},
		"unknown and nobody":   {portal, false, privacy.DataSubjectID{}, time.Minute, identity.CheckSession, nil},
		"an officer":           {officer, true, room.person.id, time.Minute, "", privacy.ErrForbidden},
		"of another recipient": {privacy.Principal{ID: "portal", Role: privacy.RoleService, Recipient: "bank"}, true, room.person.id, time.Minute, "", privacy.ErrForbidden},
		"of another service":   {privacy.Principal{ID: "other", Role: privacy.RoleService, Recipient: "shop"}, true, room.person.id, time.Minute, "", privacy.ErrNotFound},
	} {
		id := room.open(t, portal, c.known)
		before := countEntries(t, room.db)
		verified, err := room.service.VerifySession(t.Context(), c.by, id, identity.Session{DataSubject: c.who, AuthenticatedAt: room.now.Add(-c.age)})
		switch {
		case c.want != nil:
			if !errors.Is(err, c.want) || countEntries(t, room.db) != before {
				t.Errorf("%s: %v", name, err)
			}
		case c.check != "":
			if !refusedBy(err, c.check) || readEntry(t, room.db, before).Kind != audit.RequestUnverified || room.state(t, id) != dsar.Received {
				t.Errorf("%s: %v, %s", name, err, room.state(t, id))
			}
		case err != nil || verified.Request.State != dsar.InProgress || readEntry(t, room.db, verified.Receipt.Index()).Kind != audit.RequestVerified:
			t.Errorf("%s: %v", name, err)
		}
	}
}
