package assembly

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// doChores does what a server does behind the requests, as far as the warning says this.
func doChores(t *testing.T, house *House, about string) {
	t.Helper()
	done := 0
	for _, c := range house.chores {
		if strings.Contains(c.warning, about) {
			done++
			if err := c.do(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if done != 1 {
		t.Fatalf("%d chores are about %q", done, about)
	}
}

// TestAnErasureIsClosed: a server closes the request of an erasure by itself once each
// processor has acknowledged it or is listed as open, and not before.
func TestAnErasureIsClosed(t *testing.T) {
	t.Parallel()
	shop, _, _ := pair(t, opendsr.V2)
	record, err := shop.EraseAtOnce(t.Context(), Operator("tester"), Operator("second"),
		privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.org")}, "CZ")
	if err != nil {
		t.Fatal(err)
	}
	state := func() dsar.State {
		t.Helper()
		r, err := shop.Requests.Find(t.Context(), record.Request)
		if err != nil {
			t.Fatal(err)
		}
		return r.State
	}
	if doChores(t, shop.House, "certificates of erasure"); state() != dsar.InProgress {
		t.Errorf("while a processor is waited for the request is %s", state())
	}
	event := audit.Event{Kind: audit.RequestNoted, Outcome: audit.Done, Principal: Operator("tester")}
	if _, err := shop.OpenDSR.Processors.ListOpen(t.Context(), record.Request, "newsletter", [16]byte{1}, opendsr.NoAnswer, event); err != nil {
		t.Fatal(err)
	}
	if doChores(t, shop.House, "certificates of erasure"); state() != dsar.Fulfilled {
		t.Errorf("when nothing is left to do the request is %s", state())
	}
	_, before := last(t, shop.House)
	doChores(t, shop.House, "certificates of erasure")
	if _, after := last(t, shop.House); after != before {
		t.Errorf("a closed request was closed again: %v", kindsSince(t, shop.House, before))
	}
	// The evidence is the certificate as it is now.
	signed, err := shop.Certificates.Issue(t.Context(), certificate.ID(record.ID))
	if err != nil {
		t.Fatal(err)
	}
	r, err := shop.Requests.Find(t.Context(), record.Request)
	if err != nil {
		t.Fatal(err)
	}
	want := dsar.StepDigest(r.ID, r.Version, dsar.ActionFulfil, sha256.Sum256(signed))
	if entry, _ := last(t, shop.House); entry.Kind != audit.RequestFulfilled || entry.List != want {
		t.Errorf("the last entry is %s", entry.Kind)
	}
}

// TestAnErasureWithoutItsEntryIsClosed: a process that died between the commit and the note
// of where the log has the erasure leaves nothing that is never certified.
func TestAnErasureWithoutItsEntryIsClosed(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	const line = `{"identifiers":[{"kind":"email","value":"ayse@example.org"}],"jurisdiction":"CZ","attributes":{"first_name":"Ayşe"}}`
	if result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: Operator("tester")}); err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	record, err := house.EraseAtOnce(t.Context(), Operator("tester"), Operator("second"),
		privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.org")}, "CZ")
	if err != nil {
		t.Fatal(err)
	}
	_, err = database.OwnerPool(t).Exec(t.Context(), `update dsar.erasure set log_index = null, leaf_hash = null, erased_at = erased_at - interval '2 minutes'`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := house.Certificates.Issue(t.Context(), certificate.ID(record.ID)); !errors.Is(err, privacy.ErrNotFound) {
		t.Fatalf("certified without an entry: %v", err)
	}
	doChores(t, house, "log entry is not noted")
	doChores(t, house, "certificates of erasure")
	if _, err := house.Certificates.Issue(t.Context(), certificate.ID(record.ID)); err != nil {
		t.Errorf("certifying: %v", err)
	}
	if r, err := house.Requests.Find(t.Context(), record.Request); err != nil || r.State != dsar.Fulfilled {
		t.Errorf("the request is %s, %v", r.State, err)
	}
}
