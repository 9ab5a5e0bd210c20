package assembly

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

func newHouse(t *testing.T) (*House, *pgtest.Database) {
	t.Helper()
	database := pgtest.NewEmpty(t)
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL()})
	if err != nil {
		t.Fatal(err)
	}
	house, err := Init(t.Context(), settings, Options{Logger: slog.New(slog.DiscardHandler)}, Operator("tester"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return house, database
}

// last returns the newest entry of the log and its index.
func last(t *testing.T, house *House) (audit.Entry, uint64) {
	t.Helper()
	stored, err := house.Log.Tail(t.Context(), 1)
	if err != nil || len(stored) != 1 {
		t.Fatal(len(stored), err)
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return entry, stored[0].Index
}

func TestKeysOfRecipientsAreLoggedWhenTheyAreMade(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	if _, err := house.Pseudonyms.Of("recommender"); err != nil {
		t.Fatal(err)
	}
	entry, index := last(t, house)
	if entry.Kind != audit.KeyCreated || entry.Concerning != "recommender" {
		t.Errorf("the last entry is %s about %q", entry.Kind, entry.Concerning)
	}
	if _, err := house.Pseudonyms.Of("recommender"); err != nil {
		t.Fatal(err)
	}
	if _, again := last(t, house); again != index {
		t.Error("using a keyset was logged as making one")
	}
}

func TestChangesOfPoliciesAreLogged(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	if err := house.Engine.Activate(t.Context(), fstest.MapFS{}); err == nil {
		t.Fatal("an empty bundle was activated")
	}
	if entry, _ := last(t, house); entry.Kind != audit.PolicyRefused || !slices.Equal(entry.Checks, []string{policies.BundleMalformed}) {
		t.Errorf("the last entry is %s %v", entry.Kind, entry.Checks)
	}
	if err := house.Engine.Activate(t.Context(), policies.Bundle()); err != nil {
		t.Fatal(err)
	}
	if entry, _ := last(t, house); entry.Kind != audit.PolicyActivated || entry.Policy != house.PolicyDigest() {
		t.Errorf("the last entry is %s", entry.Kind)
	}
}

// TestDamageDoesNotStandInTheWayOfErasure: whoever's data does not open any more can
// still be forgotten.
func TestDamageDoesNotStandInTheWayOfErasure(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	by := Operator("tester")
	line := `{"identifiers":[{"kind":"customer_number","value":"K-1"}],"jurisdiction":"CZ","attributes":{"first_name":"Jana"}}`
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: by})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("K-1")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update vault.sealed_record set sealed = overlay(sealed placing '\x00' from 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `update keyring.person_key set wrapped = overlay(wrapped placing '\x00' from 1)`); err != nil {
		t.Fatal(err)
	}
	if dossier, err := house.Dossier(t.Context(), by, id); err == nil || dossier != nil {
		t.Errorf("damaged data was shown: %v", err)
	}
	other := privacy.Principal{ID: "second", Role: privacy.RoleDPO}
	record, err := house.EraseAtOnce(t.Context(), by, other, privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("K-1")}, "CZ")
	if err != nil || record.Counts.Keys != 1 || record.Counts.Records == 0 || record.LedgerSequence != 1 || record.SweptAt.IsZero() {
		t.Errorf("erasing damaged data: %+v, %v", record.Counts, err)
	}
	result, err = house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: by})
	if err != nil || len(result.Rejects) != 1 || result.Rejects[0].Reason != intake.Suppressed {
		t.Errorf("loading somebody erased again: %+v, %v", result.Rejects, err)
	}
}

// TestMetricsDoNotTellWhatWasTakenAway: anybody may read them, so a recipient could look
// before and after its own query.
func TestMetricsDoNotTellWhatWasTakenAway(t *testing.T) {
	t.Parallel()
	for _, gauge := range new(House).Gauges() {
		if strings.Contains(gauge.Name, "suppress") {
			t.Errorf("%s is shown", gauge.Name)
		}
	}
}

// TestProcessorsCannotConsentForOtherPurposes: a processor records a yes for the purposes
// of its contract, the company's own services for any.
func TestProcessorsCannotConsentForOtherPurposes(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	w := wordsOf(house.Engine)
	for _, test := range []struct {
		recipient privacy.RecipientID
		purpose   privacy.Purpose
		want      bool
	}{
		{"newsletter_service", "newsletter", true},
		{"newsletter_service", "pricing", false},
		{"web_shop", "newsletter", true},
		{"stranger", "newsletter", false},
		{"", "newsletter", false},
	} {
		if got := w.mayGrant(test.recipient, test.purpose); got != test.want {
			t.Errorf("%q for %s: %t, want %t", test.recipient, test.purpose, got, test.want)
		}
	}
}

func TestDerivedAttributesAreNotLoaded(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	w := wordsOf(house.Engine)
	if _, ok := w.CategoryOf("first_name"); !ok {
		t.Error("first_name is not known")
	}
	if _, ok := w.CategoryOf("spend.band"); ok {
		t.Error("spend.band can be loaded, although it is computed")
	}
}

// TestReidentificationLogsNoWordOfTheCaller: a purpose that does not exist could be a name.
func TestReidentificationLogsNoWordOfTheCaller(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	names, err := house.Pseudonyms.Of("recommender")
	if err != nil {
		t.Fatal(err)
	}
	way, err := pseudonym.NewReidentifier(house.People, house.Gate, house.Log)
	if err != nil {
		t.Fatal(err)
	}
	r, by := reidentifier{way, wordsOf(house.Engine)}, Operator("tester")
	_, before := last(t, house)
	if _, _, err := r.Reidentify(t.Context(), by, "ayse.yilmaz", names, "x"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a made-up purpose: %v", err)
	}
	if _, after := last(t, house); after != before {
		t.Error("the made-up purpose is in the log")
	}
	if _, _, err := r.Reidentify(t.Context(), by, "data_subject_request", names, "x"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("no pseudonym: %v", err)
	}
	if entry, _ := last(t, house); entry.Kind != audit.ReidentifyDenied {
		t.Errorf("the refusal is not in the log, but %s", entry.Kind)
	}
}
