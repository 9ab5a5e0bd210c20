package assembly

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

var receiptController = config.Controller{
	Name: "A Shop", Address: "1 High Street, Brno", Country: "CZ", Contact: "Data protection officer", Email: "privacy@shop.example", Phone: "+420 000 000 000",
	URL: "https://shop.example", Policy: "https://shop.example/privacy", Withdrawal: "https://shop.example/consents", Storage: "CZ DE",
}

// TestReceiptsOfARealLedger issues receipts over PostgreSQL and checks them with the
// published keys alone.
func TestReceiptsOfARealLedger(t *testing.T) {
	t.Parallel()
	_, house, _ := pair(t, opendsr.V3)
	ctx := t.Context()
	dpo := privacy.Principal{ID: "officer", Role: privacy.RoleDPO}
	shop := privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}
	engine := privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "recommender"}
	person, err := house.People.ResolveIdentifier(ctx, privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("P-77")})
	if err != nil {
		t.Fatal(err)
	}
	granted, err := house.Consent.Grant(ctx, dpo, consent.Change{
		DataSubject: person, Purpose: "newsletter", Channel: "email", Basis: privacy.Consent, NoticeVersion: "2026-01", Source: "web_form",
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := receipt.Request{Consent: granted.Record.ID, Format: receipt.Kantara, Recipient: "web_shop"}
	if _, err := house.Receipts.Issue(ctx, dpo, ask); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("while nobody is the controller: %v, want ErrUnavailable", err)
	}
	house.Settings.Controller = receiptController
	if err := house.openReceipts(); err != nil {
		t.Fatal(err)
	}
	if set, err := house.Receipts.PublicKeys(); err != nil || !strings.HasSuffix(string(set), `"keys":[]}`+"\n") {
		t.Errorf("before the first: %s, %v", set, err)
	}
	verify := func(issued receipt.Issued, err error) *receipt.Receipt {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		set, err := house.Receipts.PublicKeys()
		if err != nil {
			t.Fatal(err)
		}
		keys, err := receipt.ParseKeys(set, house.Receipts.URL())
		if err != nil {
			t.Fatal(err)
		}
		r, checks, err := receipt.Verify(issued.Token, keys, time.Now())
		if err != nil {
			t.Fatalf("%v, %v", checks, err)
		}
		return r
	}
	issued, err := house.Receipts.Issue(ctx, dpo, ask)
	r := verify(issued, err)
	if r.State != "granted" || r.Purpose != "newsletter" || r.Format != receipt.Kantara {
		t.Errorf("the receipt says %+v", r)
	}
	// The pseudonym leads back to the person for the house alone.
	names, err := house.Pseudonyms.Of("web_shop")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := names.DataSubject(pseudonym.Pseudonym(r.Principal)); err != nil || back != person {
		t.Errorf("the principal leads to somebody else: %v", err)
	}
	// The entry is in the log, with the digest of what was handed out.
	stored, err := house.Log.Tail(ctx, 1)
	if err != nil || len(stored) != 1 {
		t.Fatal(err)
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil || entry.Kind != audit.ReceiptIssued || entry.List != sha256.Sum256([]byte(issued.Token)) || entry.Purpose != "newsletter" {
		t.Errorf("the log has %+v, %v", entry, err)
	}
	// A grant that was withdrawn meanwhile says so, and an objection to all marketing too.
	if _, err := house.Consent.Withdraw(ctx, dpo, consent.Change{DataSubject: person, Purpose: "newsletter", Channel: privacy.AnyChannel, Source: "cli"}); err != nil {
		t.Fatal(err)
	}
	ask.Format = receipt.ISO27560
	issued, err = house.Receipts.Issue(ctx, shop, ask)
	if r := verify(issued, err); r.State != "withdrawn" || r.Action != "granted" {
		t.Errorf("after the withdrawal it says %s, %s held", r.Action, r.State)
	}
	if _, err := house.Consent.Object(ctx, dpo, consent.Change{DataSubject: person, Purpose: "marketing", Channel: privacy.AnyChannel, Source: "cli"}); err != nil {
		t.Fatal(err)
	}
	issued, err = house.Receipts.Issue(ctx, dpo, ask)
	if r := verify(issued, err); r.State != "objected" {
		t.Errorf("after the objection to marketing, %s held", r.State)
	}
	// Rotation: what was signed before is still good.
	if err := house.Keys.RotateReceiptKeyset(); err != nil {
		t.Fatal(err)
	}
	verify(issued, nil)
	verify(house.Receipts.Issue(ctx, dpo, ask))
	if _, err := house.Pseudonyms.Of("recommender"); err != nil { // whose keys are made now, and not in between
		t.Fatal(err)
	}
	refusals := map[string]struct {
		by      privacy.Principal
		request receipt.Request
		want    error
	}{
		"another's purpose":    {engine, receipt.Request{Consent: granted.Record.ID, Format: receipt.ISO27560}, privacy.ErrNotFound},
		"another's pseudonym":  {shop, receipt.Request{Consent: granted.Record.ID, Format: receipt.ISO27560, Recipient: "recommender"}, privacy.ErrInvalid},
		"nobody's pseudonym":   {dpo, receipt.Request{Consent: granted.Record.ID, Format: receipt.ISO27560}, privacy.ErrInvalid},
		"an unknown recipient": {dpo, receipt.Request{Consent: granted.Record.ID, Format: receipt.ISO27560, Recipient: "stranger"}, privacy.ErrInvalid},
		"an unknown choice":    {dpo, receipt.Request{Consent: [16]byte{1}, Format: receipt.ISO27560, Recipient: "web_shop"}, privacy.ErrNotFound},
		"an auditor":           {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, ask, privacy.ErrForbidden},
		"a format":             {dpo, receipt.Request{Consent: granted.Record.ID, Format: "pdf", Recipient: "web_shop"}, privacy.ErrInvalid},
	}
	before, err := house.Log.Size(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range refusals {
		if _, err := house.Receipts.Issue(ctx, tt.by, tt.request); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if after, err := house.Log.Size(ctx); err != nil || after != before {
		t.Errorf("refusals left %d entries, %v", after-before, err)
	}
	// Who has just recorded a choice may have its receipt, whatever its purposes are.
	recorded := receipt.Request{Consent: granted.Record.ID, Format: receipt.ISO27560, Recorded: true}
	// But it tells of that choice alone: what else the ledger has of that purpose (an
	// objection by now) is not theirs to know.
	if r := verify(house.Receipts.Issue(ctx, engine, recorded)); r.Recipient != "recommender" || r.State != "granted" {
		t.Errorf("the pseudonym is that of %s, %s held", r.Recipient, r.State)
	}
}
