package policies

import (
	"strings"
	"testing"
)

// TestMutatedFactsOpenNothing: whatever is deleted, null or of another type in a denied
// request, it stays denied.
func TestMutatedFactsOpenNothing(t *testing.T) {
	t.Parallel()
	needsTable(t)
	mutation, err := compiled(t).MutateFacts(t.Context())
	if err != nil || mutation.Opened > 0 || mutation.Mutants < 50_000 || mutation.Mutants != mutation.Refused+mutation.Denied {
		t.Errorf("%+v, %v", mutation, err)
	}
	t.Logf("%d mutants, %d refused, %d still denied, %d opened", mutation.Mutants, mutation.Refused, mutation.Denied, mutation.Opened)
}

// TestMutatedFactsFindADenyList: a rule that passes unless something forbids it is found.
func TestMutatedFactsFindADenyList(t *testing.T) {
	t.Parallel()
	needsTable(t)
	hole := compiled(t, [3]string{
		"rego/gate/subject.rego", `passed contains "subject.unrestricted" if input.subject.restricted == "no"`,
		`passed contains "subject.unrestricted" if not input.subject.restricted in {"yes", "unknown"}`,
	})
	mutation, err := hole.MutateFacts(t.Context())
	if err != nil || mutation.Opened == 0 || !strings.Contains(strings.Join(mutation.Openings, "\n"), `"restricted" deleted`) {
		t.Errorf("the hole was not found: %+v, %v", mutation, err)
	}
}

// TestMutatedCatalogueOpensNothing attacks the files that decide most; policy mutate
// attacks all of them.
func TestMutatedCatalogueOpensNothing(t *testing.T) {
	t.Parallel()
	needsTable(t)
	mutation, err := compiled(t).MutateCatalogue(t.Context(), filePurposes, fileCategories, fileJurisdictions, fileChannels, fileRecipients)
	if err != nil || mutation.Opened > 0 || mutation.Mutants < 5000 || mutation.Refused == 0 || mutation.Denied == 0 ||
		mutation.Mutants != mutation.Refused+mutation.Irrelevant+mutation.Denied+mutation.Weakened {
		t.Errorf("%+v, %v", mutation, err)
	}
	mutation.Openings = nil
	t.Logf("%+v", mutation)
}

// TestCatalogueAttackSeesOpenings: the comparison notices each kind of opening.
func TestCatalogueAttackSeesOpenings(t *testing.T) {
	t.Parallel()
	before := compiled(t).catalogue
	for _, test := range []struct{ file, old, replacement, facts, less string }{
		{"catalogue/purposes.yaml", "  marketing: true\n  bases: {consent: exact}\n  ages: [youth, adult]", "  marketing: false\n  bases: {consent: exact}\n  ages: [youth, adult]", "an objection to marketing no longer binds", ""},
		{"catalogue/purposes.yaml", "trigger_window: 24h", "trigger_window: 48h", "reacts longer", ""},
		{"catalogue/jurisdictions.yaml", "age: 15, law: FR", "age: 13, law: FR", "counts as older", ""},
		{"catalogue/recipients.yaml", "obligations: [no_onward_transfer]", "obligations: []", "", "loses an obligation"},
		{"catalogue/purposes.yaml", "signals: {gpc: true, ", "signals: {", "", "a signal no longer binds audience_sync"},
		{"catalogue/purposes.yaml", "tcf: [8, 9]", "tcf: [8]", "", "a signal no longer binds analytics"},
		{"catalogue/purposes.yaml", "TargetedAdvertisingOptOut], consent_mode: [ad_user_data, ad_personalization]", "TargetedAdvertisingOptOut], consent_mode: [ad_user_data]", "", "a signal no longer binds audience_sync"},
		{"catalogue/purposes.yaml", "gpp: [SaleOptOut, SharingOptOut, ", "gpp: [SaleOptOut, ", "", "a signal no longer binds audience_sync"},
		{"catalogue/inferences.yaml", "default: 100", "default: 150", "", "takes more"},
	} {
		now := compiled(t, [3]string{test.file, test.old, test.replacement}).catalogue
		if got := before.factsOpen(now); (got == "") != (test.facts == "") || !strings.Contains(got, test.facts) {
			t.Errorf("%s: facts open: %q, want %q", test.replacement, got, test.facts)
		}
		if got := before.tellsLess(now); test.less != "" && !strings.Contains(got, test.less) {
			t.Errorf("%s: tells less: %q, want %q", test.replacement, got, test.less)
		}
	}
	if before.factsOpen(before) != "" || before.tellsLess(before) != "" {
		t.Error("a catalogue is weaker than itself")
	}
}

// TestProtectionsMustBeStated: losing a line is an error and not a permission.
func TestProtectionsMustBeStated(t *testing.T) {
	t.Parallel()
	content, err := readBundle(Bundle())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, old, replacement string }{
		{filePurposes, "  explicit: true\n", ""},
		{filePurposes, "  profiling: true\n", "  profiling:\n"},
		{fileCategories, "  special: true\n", ""},
		{fileCategories, "  case: true\n", ""},
		{fileAttributes, "  precise: true\n", ""},
		{fileJurisdictions, "from: 2019-04-24, ", ""},
	} {
		spoiled := bundleContent{}
		for name, file := range content {
			spoiled[name] = file
		}
		name := catalogueDir + "/" + test.file
		changed := strings.Replace(string(content[name]), test.old, test.replacement, 1)
		if changed == string(content[name]) {
			t.Fatalf("%s does not contain %q", name, test.old)
		}
		spoiled[name] = []byte(changed)
		if _, err := LoadCatalogue(newTree(spoiled), catalogueDir); err == nil || !strings.Contains(err.Error(), test.file+":") {
			t.Errorf("%s without %q: %v", test.file, test.old, err)
		}
	}
}
