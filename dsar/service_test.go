package dsar_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func TestWhoMayOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by   privacy.Principal
		via  dsar.Via
		want error
	}{
		"officer":            {deskDPO, dsar.ViaCLI, nil},
		"own service":        {deskShop, dsar.ViaAPI, nil},
		"controller":         {privacy.Principal{ID: "controller.example", Role: privacy.RoleService}, dsar.ViaOpenDSR, nil},
		"somebody's service": {privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: "trader"}, dsar.ViaAPI, privacy.ErrForbidden},
		"auditor":            {privacy.Principal{ID: "x", Role: privacy.RoleAuditor}, dsar.ViaAPI, privacy.ErrForbidden},
		"ingest":             {privacy.Principal{ID: "x", Role: privacy.RoleIngest}, dsar.ViaOpenDSR, privacy.ErrForbidden},
		"nameless":           {privacy.Principal{Role: privacy.RoleDPO}, dsar.ViaCLI, privacy.ErrForbidden},
		"nobody":             {privacy.Principal{}, dsar.ViaAPI, privacy.ErrForbidden},
	} {
		d := newDesk()
		opening := deskOpening(deskMail)
		opening.Via = c.via
		opened, err := deskService(t, d).Open(t.Context(), c.by, opening)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil && len(d.asked) != 0 {
			t.Errorf("%s: was looked for all the same: %v", name, d.asked)
		}
		if c.want == nil && (opened.ID == (dsar.RequestID{}) || opened.Receipt.IsZero()) {
			t.Errorf("%s: opened %+v", name, opened)
		}
	}
}

func TestOpeningIsChecked(t *testing.T) {
	t.Parallel()
	for pointer, bend := range map[string]func(o *dsar.Opening){
		"/kind":          func(o *dsar.Opening) { o.Kind = "gossip" },
		"/language":      func(o *dsar.Opening) { o.Language = "de" },
		"/received_via":  func(o *dsar.Opening) { o.Via = "fax" },
		"/identifiers":   func(o *dsar.Opening) { o.Identifiers = nil },
		"/identifiers/0": func(o *dsar.Opening) { o.Identifiers[0].Value = privacy.NewPlain("no address") },
		"/contact":       func(o *dsar.Opening) { o.Contact = privacy.NewPlain(strings.Repeat("x", 321)) },
		"/text":          func(o *dsar.Opening) { o.Text = privacy.NewPlain("\xff") },
		"/jurisdiction":  func(o *dsar.Opening) { o.Jurisdiction = "XX" },
		"/received_at":   func(o *dsar.Opening) { o.ReceivedAt = deskNoon.Add(time.Second) },
	} {
		d := newDesk()
		opening := deskOpening(deskMail)
		bend(&opening)
		_, err := deskService(t, d).Open(t.Context(), deskDPO, opening)
		field, ok := errors.AsType[*privacy.FieldError](err)
		if !ok || field.Pointer != pointer || len(d.events) != 0 {
			t.Errorf("%s: %v", pointer, err)
		}
	}
	d := newDesk()
	opening := deskOpening(deskMail)
	opening.ReceivedAt = deskNoon.Add(-time.Hour)
	if _, err := deskService(t, d).Open(t.Context(), deskShop, opening); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a service dates its request back: %v", err)
	}
	// A day for which no calendar is known fails loudly.
	opening.ReceivedAt = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := deskService(t, d).Open(t.Context(), deskDPO, opening); !errors.As(err, new(*dsar.Refusal)) {
		t.Errorf("a request from before the law: %v", err)
	}
}

// TestUnknownIsAskedAboutAlike: for somebody unknown everything is asked in the same order
// and as often, and every event but its person is the same.
func TestUnknownIsAskedAboutAlike(t *testing.T) {
	t.Parallel()
	var asked []string
	for _, identifier := range []privacy.Identifier{deskMail, {Kind: privacy.Email, Value: privacy.NewPlain("unknown@example.org")}} {
		d := newDesk()
		service := deskService(t, d)
		opened, err := service.Open(t.Context(), deskShop, deskOpening(identifier))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.Poll(t.Context(), deskShop, opened.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := service.Withdraw(t.Context(), deskShop, opened.ID); err != nil {
			t.Fatal(err)
		}
		asked = append(asked, strings.Join(d.asked, " "))
		for _, event := range d.events {
			if event.Subject.Unknown != (identifier != deskMail) {
				t.Errorf("%s about somebody unknown: %t", event.Kind, event.Subject.Unknown)
			}
		}
	}
	if asked[0] != asked[1] {
		t.Errorf("known: %s\nunknown: %s", asked[0], asked[1])
	}
}

// TestServiceSeesItsOwn: another's request is not there, and of its own a service learns
// whether it is over.
func TestServiceSeesItsOwn(t *testing.T) {
	t.Parallel()
	d := newDesk()
	service := deskService(t, d)
	opened, err := service.Open(t.Context(), deskShop, deskOpening(deskMail))
	if err != nil {
		t.Fatal(err)
	}
	other := privacy.Principal{ID: "other", Role: privacy.RoleService, Recipient: "shop"}
	if _, err := service.Poll(t.Context(), other, opened.ID); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("another's request: %v", err)
	}
	if _, _, err := service.Withdraw(t.Context(), other, opened.ID); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("withdrawing it: %v", err)
	}
	if _, err := service.Show(t.Context(), deskShop, opened.ID); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a service is shown a request: %v", err)
	}
	for _, move := range []dsar.Move{
		{Action: dsar.ActionDeny, Denial: dsar.NoMatch},
		{Action: dsar.ActionErase},
		{Action: dsar.ActionFulfil, Evidence: audit.Digest{1}},
		{Action: dsar.ActionNote, Note: privacy.NewPlain("x")},
		{Action: "reopen"},
	} {
		if _, _, err := service.Take(t.Context(), deskShop, opened.ID, move); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("a service takes %s: %v", move.Action, err)
		}
	}
	if _, _, err := service.Verify(t.Context(), deskDPO, opened.ID, dsar.ProofJudgement, privacy.Plain{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Deny(t.Context(), deskDPO, opened.ID, dsar.NoMatch, privacy.Plain{}); err != nil {
		t.Fatal(err)
	}
	status, err := service.Poll(t.Context(), deskShop, opened.ID)
	if err != nil || !status.Closed || status != (dsar.Status{ID: opened.ID, Kind: dsar.Access, Closed: true, ReceivedAt: deskNoon, ClosedAt: deskNoon}) {
		t.Errorf("polled %+v, %v", status, err)
	}
	// Why it can not be withdrawn any more would tell what was decided.
	_, _, err = service.Withdraw(t.Context(), deskShop, opened.ID)
	if err == nil || strings.Contains(err.Error(), "denied") {
		t.Errorf("withdrawing what is over: %v", err)
	}
}

func TestErasureIsNotTakenAsAStep(t *testing.T) {
	t.Parallel()
	d := newDesk()
	service := deskService(t, d)
	opening := deskOpening(deskMail)
	opening.Kind = dsar.Erasure
	opened, err := service.Open(t.Context(), deskDPO, opening)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Verify(t.Context(), deskDPO, opened.ID, dsar.ProofJudgement, privacy.Plain{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Take(t.Context(), deskDPO, opened.ID, dsar.Move{Action: dsar.ActionErase}); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a request says that somebody was erased who was not: %v", err)
	}
	change, err := service.Prepare(t.Context(), deskDPO, opened.ID, dsar.Move{Action: dsar.ActionErase, List: audit.Digest{4}})
	if err != nil || change.After.ErasedAt.IsZero() || !change.After.DataSubject.IsZero() || change.Event.Kind != audit.PersonErased || change.Event.List != (audit.Digest{4}) {
		t.Errorf("prepared %+v, %v", change, err)
	}
}

func TestEvidenceOrNothing(t *testing.T) {
	t.Parallel()
	d := newDesk()
	service := deskService(t, d)
	opened, err := service.Open(t.Context(), deskDPO, deskOpening(deskMail))
	if err != nil {
		t.Fatal(err)
	}
	// Overtaken steps are taken again, but not for ever, and not for a version of long ago.
	d.overtake = 2
	if _, _, err := service.Note(t.Context(), deskDPO, opened.ID, privacy.NewPlain("x")); err != nil || d.requests[opened.ID].Version != 2 {
		t.Errorf("an overtaken note: %v", err)
	}
	d.overtake = 99
	if _, _, err := service.Note(t.Context(), deskDPO, opened.ID, privacy.NewPlain("x")); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("a note that is always overtaken: %v", err)
	}
	d.overtake = 0
	var refusal *dsar.Refusal
	if _, _, err := service.Take(t.Context(), deskDPO, opened.ID, dsar.Move{Action: dsar.ActionNote, Version: 1, Note: privacy.NewPlain("x")}); !errors.As(err, &refusal) || refusal.Check != string(dsar.CheckVersion) {
		t.Errorf("a step for an old version: %v", err)
	}
	// What cannot be logged is not refused but failed, and not shown.
	d.logErr = privacy.ErrUnavailable
	if _, _, err := service.Resume(t.Context(), deskDPO, opened.ID); !errors.Is(err, privacy.ErrUnavailable) || errors.As(err, &refusal) && errors.Is(err, privacy.ErrConflict) {
		t.Errorf("a refusal without an entry: %v", err)
	}
	if shown, err := service.Show(t.Context(), deskDPO, opened.ID); !errors.Is(err, privacy.ErrUnavailable) || shown.Opened {
		t.Errorf("shown without an entry: %v", err)
	}
	if shown, err := service.Show(t.Context(), privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, opened.ID); err != nil || shown.Opened || !shown.Contents.Text.IsEmpty() {
		t.Errorf("shown to an auditor: %v", err)
	}
	d.logErr, d.unlogged = nil, true
	if _, _, err := service.Note(t.Context(), deskDPO, opened.ID, privacy.NewPlain("x")); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("a step without a receipt: %v", err)
	}
	if _, err := service.Open(t.Context(), deskDPO, deskOpening(deskMail)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("an opening without a receipt: %v", err)
	}
	d.unlogged, d.storeErr = false, privacy.ErrUnavailable
	if _, err := service.Open(t.Context(), deskDPO, deskOpening(deskMail)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("an opening that is not recorded: %v", err)
	}
	if _, err := dsar.NewService(nil, d, deskVault(t), d, dsar.ServiceConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a service without store: %v", err)
	}
}

func TestContentsOpenInTheirPlace(t *testing.T) {
	t.Parallel()
	v := deskVault(t)
	id, other := dsar.RequestID{1}, dsar.RequestID{2}
	key, wrapped, err := dsar.NewRequestKey(v, id)
	if err != nil {
		t.Fatal(err)
	}
	contents := dsar.Contents{Contact: privacy.NewPlain("a"), Text: privacy.NewPlain("b\n<c>"), Identifiers: []privacy.Identifier{deskMail}}
	sealed, err := dsar.SealContents(key, contents)
	if err != nil {
		t.Fatal(err)
	}
	again, err := dsar.OpenRequestKey(v, id, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := dsar.OpenContents(again, sealed)
	if err != nil || opened.Contact != contents.Contact || opened.Text != contents.Text || opened.Identifiers[0] != deskMail {
		t.Errorf("opened something else: %v", err)
	}
	if _, err := dsar.OpenRequestKey(v, other, wrapped); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("the key of one request opens as another's: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := dsar.OpenContents(again, sealed); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("altered contents: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", contents, contents, opened); strings.Contains(text, "known@") {
		t.Error("contents can be printed")
	}
}

func FuzzParseRequestID(f *testing.F) {
	f.Add("0f8fad5b-d9cb-469f-a165-70867728950e")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := dsar.ParseRequestID(text); err == nil && id.String() != text {
			t.Errorf("%q was read as %s", text, id)
		}
	})
}

// Example records a request of somebody known, sees the law refuse what it does not have,
// and closes it.
func Example() {
	ctx := context.Background()
	d := newDesk()
	dir, err := exampleDir()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dir.remove()
	service, err := dsar.NewService(d, d, dir.vault, d, dsar.ServiceConfig{Now: func() time.Time { return deskNoon }})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := service.Open(ctx, deskDPO, dsar.Opening{
		Kind: dsar.Objection, Jurisdiction: "TR", Language: "tr", Via: dsar.ViaCLI, Identifiers: []privacy.Identifier{deskMail},
	})
	fmt.Println(opened.State, opened.Regime, opened.DueAt.Format(time.DateOnly), err)
	r, _, err := service.Start(ctx, deskDPO, opened.ID)
	fmt.Println(r.State, err)
	_, _, err = service.Extend(ctx, deskDPO, opened.ID, clock.Complexity, privacy.Plain{})
	fmt.Println(err)
	r, _, err = service.Fulfil(ctx, deskDPO, opened.ID, dsar.Evidence{Digest: audit.Digest{1}})
	fmt.Println(r.State, err)
	// Output:
	// received kvkk 2026-04-04 <nil>
	// in_progress <nil>
	// refused by extension.exists (KVKK Art. 13(2)): the period cannot be extended
	// fulfilled <nil>
}

// exampleKeys is a key directory for an example, which has no test to clean up after it.
type exampleKeys struct {
	vault *vault.Vault
	path  string
}

func exampleDir() (*exampleKeys, error) {
	path, err := os.MkdirTemp("", "mahrem-example-")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(path, "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		return nil, err
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		return nil, err
	}
	return &exampleKeys{keys.Vault(), path}, nil
}

func (e *exampleKeys) remove() { _ = os.RemoveAll(e.path) }
