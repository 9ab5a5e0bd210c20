package export

import (
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestPeriodsAreWords: nobody but a machine reads P25M.
func TestPeriodsAreWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]string{
		"P1Y":      {"1 year", "1 yıl", "1 rok"},
		"P3Y":      {"3 years", "3 yıl", "3 roky"},
		"P10Y":     {"10 years", "10 yıl", "10 let"},
		"P25M":     {"25 months", "25 ay", "25 měsíců"},
		"P1Y6M":    {"1 year, 6 months", "1 yıl, 6 ay", "1 rok, 6 měsíců"},
		"P30D":     {"30 days", "30 gün", "30 dní"},
		"whatever": {"whatever", "whatever", "whatever"},
	} {
		for i, language := range Languages() {
			if got := periodIn(language, text); got != want[i] {
				t.Errorf("%s in %s: %q, want %q", text, language, got, want[i])
			}
		}
	}
}

// TestWhatHappenedHasWords: a reader is never shown the name of a kind or of a basis.
func TestWhatHappenedHasWords(t *testing.T) {
	t.Parallel()
	for _, kind := range []audit.Kind{
		audit.QueryAnswered, audit.QueryDenied, audit.DecisionShown, audit.CaseOpened, audit.CaseClosed,
		audit.ConsentGranted, audit.ConsentRefused, audit.ConsentWithdrawn, audit.ConsentObjected,
		audit.PersonShown, audit.ErasureDenied, audit.PersonReidentified, audit.ReidentifyDenied,
		audit.RequestOpened, audit.RequestVerified, audit.RequestUnverified, audit.RequestStarted, audit.RequestPaused, audit.RequestResumed,
		audit.RequestExtended, audit.RequestNoted, audit.RequestNotified, audit.RequestFulfilled, audit.RequestDenied, audit.RequestWithdrawn,
		audit.RequestRefused, audit.PersonExported, audit.ExportFetched, audit.PersonRectified, audit.PersonRestricted, audit.PersonUnrestricted,
		audit.ErasurePlanned, audit.ErasureApproved,
	} {
		if _, ok := phrases["kind."+string(kind)]; !ok {
			t.Errorf("%s has no words", kind)
		}
	}
	for _, basis := range []privacy.LegalBasis{
		privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.VitalInterests, privacy.PublicTask, privacy.LegitimateInterests,
	} {
		if _, ok := phrases["basis."+string(basis)]; !ok {
			t.Errorf("%s has no words", basis)
		}
	}
}

func TestPhrasesAreInEveryLanguage(t *testing.T) {
	t.Parallel()
	for key, p := range phrases {
		for i, language := range Languages() {
			if strings.TrimSpace(p[i]) == "" {
				t.Errorf("%s is not in %s", key, language)
			}
		}
	}
	for _, word := range []string{"granted", "refused", "withdrawn", "objected"} {
		if _, ok := phrases["action."+word]; !ok {
			t.Errorf("no words for %s", word)
		}
	}
	if say("xx", "title", "") != phrases["title"][0] || say("cs", "nothing", "otherwise") != "otherwise" {
		t.Error("an unknown language or phrase is said otherwise")
	}
}
