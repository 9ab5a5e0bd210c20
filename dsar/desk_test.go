package dsar_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

var (
	deskNoon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	deskShop = privacy.Principal{ID: "shop-web", Role: privacy.RoleService, Recipient: "shop"}
	deskMail = privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("known@example.org")}
	deskDPO  = privacy.Principal{ID: "officer", Role: privacy.RoleDPO}
)

// desk is a store, people and a log in memory, which writes down what it was asked. The
// real store is tested with the database in package postgres.
type desk struct {
	requests map[dsar.RequestID]dsar.Request
	keys     map[dsar.RequestID][]byte
	steps    map[dsar.RequestID][]dsar.Step
	asked    []string
	events   []audit.Event
	storeErr error
	logErr   error
	unlogged bool
	overtake int // how many changes are refused as overtaken
}

func newDesk() *desk {
	return &desk{requests: map[dsar.RequestID]dsar.Request{}, keys: map[dsar.RequestID][]byte{}, steps: map[dsar.RequestID][]dsar.Step{}}
}

func (d *desk) receipt(event audit.Event) audit.Receipt {
	d.events = append(d.events, event)
	if d.unlogged {
		return audit.Receipt{}
	}
	return audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(d.events)))
}

func (d *desk) Open(_ context.Context, r dsar.Request, step dsar.Step, wrapped []byte, event audit.Event) (dsar.Request, audit.Receipt, error) {
	if d.asked = append(d.asked, "open"); d.storeErr != nil {
		return dsar.Request{}, audit.Receipt{}, d.storeErr
	}
	if r.Kind == dsar.Complaint {
		r.Number = dsar.ComplaintNumber{Year: step.At.Year(), Count: int64(len(d.requests) + 1)}
	}
	d.requests[r.ID], d.keys[r.ID], d.steps[r.ID] = r, wrapped, []dsar.Step{step}
	return r, d.receipt(event), nil
}

func (d *desk) Take(_ context.Context, c dsar.Change) (audit.Receipt, error) {
	if d.storeErr != nil {
		return audit.Receipt{}, d.storeErr
	}
	if d.overtake > 0 || d.requests[c.After.ID].Version != c.Before {
		d.overtake--
		return audit.Receipt{}, privacy.ErrConflict
	}
	d.requests[c.After.ID] = c.After
	d.steps[c.After.ID] = append(d.steps[c.After.ID], c.Step)
	return d.receipt(c.Event), nil
}

func (d *desk) Find(_ context.Context, id dsar.RequestID) (dsar.Request, error) {
	d.asked = append(d.asked, "find")
	r, ok := d.requests[id]
	if !ok {
		return r, privacy.ErrNotFound
	}
	return r, nil
}

func (d *desk) FindComplaint(_ context.Context, number dsar.ComplaintNumber) (dsar.RequestID, error) {
	for id, r := range d.requests {
		if r.Number == number {
			return id, nil
		}
	}
	return dsar.RequestID{}, privacy.ErrNotFound
}

func (d *desk) WrappedKey(_ context.Context, id dsar.RequestID) ([]byte, error) {
	if wrapped := d.keys[id]; wrapped != nil {
		return wrapped, nil
	}
	return nil, privacy.ErrNotFound
}

func (d *desk) Steps(_ context.Context, id dsar.RequestID) ([]dsar.Step, error) {
	return d.steps[id], nil
}

func (d *desk) Duplicates(context.Context, dsar.RequestID) ([]dsar.RequestID, error) { return nil, nil }

func (d *desk) Queue(context.Context, dsar.Filter, int) ([]dsar.Request, error) {
	var all []dsar.Request
	for _, r := range d.requests {
		all = append(all, r)
	}
	return all, d.storeErr
}

func (d *desk) Totals(context.Context, time.Time) (dsar.Totals, error) {
	return dsar.Totals{}, d.storeErr
}

func (d *desk) ResolveIdentifier(_ context.Context, i privacy.Identifier) (privacy.DataSubjectID, error) {
	d.asked = append(d.asked, "resolve")
	if i == deskMail {
		return privacy.DataSubjectID{7}, nil
	}
	return privacy.DataSubjectID{}, privacy.ErrNotFound
}

func (d *desk) AuditSubject(_ context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	d.asked = append(d.asked, "subject")
	if id == (privacy.DataSubjectID{7}) {
		return audit.Subject{ID: id, Blinding: audit.BlindingKey{9}}, nil
	}
	return audit.Subject{}, privacy.ErrNotFound
}

func (d *desk) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if d.logErr != nil {
		return audit.Receipt{}, d.logErr
	}
	return d.receipt(event), nil
}

func deskVault(t testing.TB) *vault.Vault {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys.Vault()
}

func deskService(t testing.TB, d *desk) *dsar.Service {
	t.Helper()
	service, err := dsar.NewService(d, d, deskVault(t), d, dsar.ServiceConfig{
		Now:     func() time.Time { return deskNoon },
		MayOpen: func(recipient privacy.RecipientID) bool { return recipient == "shop" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func deskOpening(identifiers ...privacy.Identifier) dsar.Opening {
	return dsar.Opening{Kind: dsar.Access, Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaAPI, Identifiers: identifiers}
}
