package keyuse_test

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
	"github.com/mahrem/mahrem/vault/keyuse"
)

// memory is a store that can be made to fail.
type memory struct {
	reports []keyuse.Covered
	events  []audit.Event
	err     error
}

func (m *memory) Add(_ context.Context, r keyuse.Report) error {
	if m.err == nil {
		m.reports = append(m.reports, keyuse.Covered{Report: r})
	}
	return m.err
}

func (m *memory) Uncovered(_ context.Context, limit int) (found []keyuse.Report, err error) {
	for _, r := range m.reports {
		if r.Digest == (audit.Digest{}) && len(found) < limit {
			found = append(found, r.Report)
		}
	}
	return found, m.err
}

func (m *memory) Cover(_ context.Context, reports []keyuse.Report, event audit.Event) (audit.Receipt, error) {
	m.events = append(m.events, event)
	for _, r := range reports {
		i := slices.IndexFunc(m.reports, func(c keyuse.Covered) bool { return c.ID == r.ID })
		m.reports[i].Digest = event.List
	}
	return audit.Receipt{}, m.err
}

func (m *memory) Reports(context.Context) ([]keyuse.Covered, error) { return m.reports, m.err }

func openVault(t *testing.T) *vault.Vault {
	t.Helper()
	dir := t.TempDir() + "/keys"
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys.Vault()
}

// TestCounterReportsWhatIsNew: each use once, whatever fails in between.
func TestCounterReportsWhatIsNew(t *testing.T) {
	t.Parallel()
	v, store := openVault(t), &memory{}
	id := privacy.DataSubjectID{1}
	_, wrapped, err := v.NewPersonKey(id)
	if err != nil {
		t.Fatal(err)
	}
	use := func(u vault.Use, n int) {
		for range n {
			if _, err := v.OpenPersonKey(id, wrapped, u); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := time.UnixMilli(1_000_000)
	counter := keyuse.NewCounter(v, store, nil, func() time.Time { return now })
	if err := counter.Flush(t.Context()); err != nil || len(store.reports) != 0 {
		t.Fatal("nothing was reported as something", err)
	}
	use(vault.UseQuery, 3)
	v.Abandoned(vault.UseQuery)
	store.err = privacy.ErrUnavailable
	now = now.Add(time.Minute)
	if err := counter.Flush(t.Context()); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatal(err)
	}
	store.err = nil
	use(vault.UseShow, 1)
	now = now.Add(time.Minute)
	if err := counter.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	use(vault.UseQuery, 1)
	v.Abandoned(vault.UseQuery)
	v.Abandoned(vault.UseQuery) // one of the report before, and that is in the next one
	if err := counter.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	use(vault.UseQuery, 2)
	if err := counter.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got [][]vault.UseCount
	for _, r := range store.reports {
		got = append(got, r.Uses)
	}
	want := [][]vault.UseCount{
		{{Use: vault.UseQuery, Opened: 3, Abandoned: 1}, {Use: vault.UseShow, Opened: 1}},
		{{Use: vault.UseQuery, Opened: 1, Abandoned: 1}},
		{{Use: vault.UseQuery, Opened: 2, Abandoned: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +reported):\n%s", diff)
	}
	if first := store.reports[0]; first.Since != time.UnixMilli(1_000_000) || first.Until != now || first.Opened() != 4 {
		t.Errorf("the first report is of %v to %v", first.Since, first.Until)
	}
}

// TestDigest is the known answer of docs/spec/keycount.md.
func TestDigest(t *testing.T) {
	t.Parallel()
	one := keyuse.Report{
		ID: keyuse.ID{15: 1}, Since: time.UnixMilli(1795325000000), Until: time.UnixMilli(1795328600000),
		Uses: []vault.UseCount{{Use: vault.UseQuery, Opened: 12, Abandoned: 1}, {Use: vault.UseShow, Opened: 2}},
	}
	two := keyuse.Report{ID: keyuse.ID{15: 2}, Since: one.Since, Until: one.Until, Uses: []vault.UseCount{{Use: vault.UseExport, Opened: 1}}}
	got := keyuse.Digest([]keyuse.Report{two, one})
	const want = "004f98b5053c9e9ae625997b464d0fd427c16b53e539cf259a355fd605bf0212"
	if hex.EncodeToString(got[:]) != want {
		t.Errorf("digest %x, want %s", got, want)
	}
	if keyuse.Digest([]keyuse.Report{one, two}) != got {
		t.Error("the order of reports counts")
	}
}

func TestRulesCoverEveryUse(t *testing.T) {
	t.Parallel()
	var uses []vault.Use
	for _, rule := range keyuse.Rules() {
		uses = append(uses, rule.Use)
		if (rule.Relation == keyuse.Free) != (len(rule.Kinds) == 0) || (rule.Relation == keyuse.Free) != (rule.Reason != "") {
			t.Errorf("%s is %s, with %v and the reason %q", rule.Use, rule.Relation, rule.Kinds, rule.Reason)
		}
		for _, kind := range rule.Kinds {
			if !kind.Valid() {
				t.Errorf("%s is no kind", kind)
			}
		}
	}
	if diff := cmp.Diff(vault.Uses(), uses); diff != "" {
		t.Errorf("(-uses +rules):\n%s", diff)
	}
}

// TestReconcileNamesTheGap: one entry too few is one use that is missing; what was
// abandoned is not; what is Free never is; reports that were changed or removed are seen.
func TestReconcileNamesTheGap(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1795325000000).UTC()
	report := func(n byte, uses ...vault.UseCount) keyuse.Report {
		return keyuse.Report{ID: keyuse.ID{n}, Since: at, Until: at.Add(time.Hour), Uses: uses}
	}
	covered := func(reports ...keyuse.Report) (list []keyuse.Covered) {
		digest := keyuse.Digest(reports)
		for _, r := range reports {
			list = append(list, keyuse.Covered{Report: r, Digest: digest})
		}
		return list
	}
	query := func(opened, abandoned uint64) vault.UseCount {
		return vault.UseCount{Use: vault.UseQuery, Opened: opened, Abandoned: abandoned}
	}
	altered := covered(report(1, query(2, 0)))
	altered[0].Uses = []vault.UseCount{query(1, 0)}
	for _, test := range []struct {
		name    string
		reports []keyuse.Covered
		kinds   []audit.Kind
		counted []keyuse.Covered
		missing uint64
		faults  map[string]uint64
	}{
		{name: "nothing", faults: map[string]uint64{}},
		{"fits", covered(report(1, query(2, 0))), []audit.Kind{audit.QueryDenied, audit.QueryAnswered}, nil, 0, map[string]uint64{}},
		{"more entries", covered(report(1, query(1, 0))), []audit.Kind{audit.QueryDenied, audit.QueryDenied}, nil, 0, map[string]uint64{}},
		{"one too few", covered(report(1, query(3, 0))), []audit.Kind{audit.QueryDenied, audit.QueryAnswered, audit.PersonShown}, nil, 1, map[string]uint64{}},
		{"of two processes", covered(report(1, query(2, 0)), report(2, query(2, 0))), []audit.Kind{audit.QueryDenied}, nil, 3, map[string]uint64{}},
		{"abandoned", covered(report(1, query(3, 2))), []audit.Kind{audit.QueryDenied}, nil, 0, map[string]uint64{}},
		{"an export", covered(report(1, vault.UseCount{Use: vault.UseExport, Opened: 1})), nil, nil, 1, map[string]uint64{}},
		{"a delivery", covered(report(1, vault.UseCount{Use: vault.UseIntake, Opened: 900})), []audit.Kind{audit.BatchIngested}, nil, 0, map[string]uint64{}},
		{"no delivery", covered(report(1, vault.UseCount{Use: vault.UseIntake, Opened: 900})), nil, nil, 900, map[string]uint64{}},
		{"profiles", covered(report(1, vault.UseCount{Use: vault.UseProfile, Opened: 900})), nil, nil, 0, map[string]uint64{}},
		{"not covered", []keyuse.Covered{{Report: report(1, query(1, 1))}}, nil, nil, 0, map[string]uint64{keyuse.NotCovered: 1}},
		{"altered", altered, []audit.Kind{audit.QueryDenied}, nil, 0, map[string]uint64{keyuse.ReportAltered: 1}},
		{"gone", nil, nil, covered(report(9, query(1, 0))), 0, map[string]uint64{keyuse.ReportGone: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tally := &keyuse.Tally{}
			tally.From, tally.To = keyuse.Span(test.reports, time.Time{}, at.Add(time.Minute), at.Add(2*time.Minute))
			tally.Add(&audit.Entry{Kind: audit.LogStarted, Time: at.Add(-time.Hour)})
			tally.Add(&audit.Entry{Kind: audit.QueryAnswered, Time: at.Add(-time.Hour)}) // of another time
			for _, kind := range test.kinds {
				tally.Add(&audit.Entry{Kind: kind, Time: at.Add(time.Minute)})
			}
			for _, c := range append(test.reports, test.counted...) {
				if c.Digest != (audit.Digest{}) {
					tally.Add(&audit.Entry{Kind: audit.KeysCounted, Time: at.Add(2 * time.Hour), List: c.Digest})
				}
			}
			result := keyuse.Reconcile(test.reports, tally)
			if result.Missing() != test.missing {
				t.Errorf("%d uses are missing, want %d: %+v", result.Missing(), test.missing, result.Lines)
			}
			if diff := cmp.Diff(test.faults, result.Faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if result.Whole() != (test.missing == 0 && len(test.faults) == 0) {
				t.Errorf("whole: %t", result.Whole())
			}
		})
	}
}

func TestOutside(t *testing.T) {
	t.Parallel()
	r := keyuse.Result{Opened: 7}
	for counted, want := range map[uint64]bool{6: false, 7: true, 8: false} {
		if got := r.Outside(counted); (got == "") != want {
			t.Errorf("%d outside: %q", counted, got)
		}
	}
}
