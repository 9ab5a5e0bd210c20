package signal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var visitor = privacy.DataSubjectID{7}

// book is a ledger and a log in memory.
type book struct {
	records []consent.Record
	rows    []string
	events  []audit.Event
	now     time.Time
	deny    bool
	err     error
}

func (b *book) Record(_ context.Context, _ privacy.Principal, action consent.Action, change consent.Change) (consent.Receipt, error) {
	if b.err != nil {
		return consent.Receipt{}, b.err
	}
	if b.deny && action.IsYes() {
		return consent.Receipt{}, fmt.Errorf("recording: %w", privacy.ErrForbidden)
	}
	at := change.EffectiveAt
	if at.IsZero() {
		at = b.now
	}
	for _, r := range b.records {
		if r.ID == change.ID {
			return consent.Receipt{Added: consent.Added{Duplicate: true}}, nil
		}
	}
	b.records = append(b.records, consent.Record{
		ID: change.ID, DataSubject: change.DataSubject, Purpose: change.Purpose, Channel: change.Channel, Action: action, Basis: privacy.Consent,
		Explicit: change.Explicit, Source: change.Source, EffectiveAt: at,
	})
	b.rows = append(b.rows, fmt.Sprintf("%s %s %s %s %s %s %s", change.Purpose, change.Channel, action, change.Source, at.Format(time.RFC3339), change.NoticeVersion, change.EvidenceRef))
	return consent.Receipt{}, nil
}

func (b *book) Show(context.Context, privacy.DataSubjectID) (consent.Statement, error) {
	return consent.Statement{Records: slices.Clone(b.records)}, nil
}

func (b *book) MayRecord(_ privacy.Principal, action consent.Action, _ privacy.Purpose) bool {
	return !b.deny || !action.IsYes()
}

func (b *book) Subject(context.Context, privacy.DataSubjectID) (audit.Subject, error) {
	return audit.Subject{ID: visitor}, nil
}

func (b *book) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	b.events = append(b.events, event)
	return audit.Receipt{}, nil
}

func recorder(b *book) *signal.Recorder {
	purposes := []*policies.Purpose{
		{ID: ads, Signals: policies.PurposeSignals{GPC: true, TCF: []int{3, 4}, GPP: policies.GPPOptOuts(), ConsentMode: []string{"ad_user_data"}}},
		{ID: "statistics", Signals: policies.PurposeSignals{TCF: []int{8, 9}, ConsentMode: []string{"analytics_storage"}}},
		{ID: "parcels"},
	}
	return signal.NewRecorder(b, b, b, func() []*policies.Purpose { return purposes }, func() time.Time { return b.now })
}

var shop = privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "shop"}

func record(t *testing.T, b *book, given signal.Given, proof bool) []string {
	t.Helper()
	seen := signal.Sighting{DataSubject: visitor, Reading: signal.Read(given)}
	if proof {
		seen.NoticeVersion, seen.EvidenceRef = "banner-1", "cmp/1"
	}
	results, err := recorder(b).Record(t.Context(), shop, seen)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Purpose, r.Signal, r.Outcome, r.Action)))
	}
	return got
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	file := readPrecedence(t)
	b := &book{now: asked}
	none, all := file.Strings["none"], file.Strings["all"]
	steps := []struct {
		name  string
		given signal.Given
		proof bool
		want  []string
	}{
		{"a browser asks", signal.Given{SecGPC: []string{"1"}}, false, []string{"ads gpc recorded objected"}},
		{"and asks again", signal.Given{SecGPC: []string{"1"}}, false, []string{"ads gpc unchanged"}},
		{"a banner's no", signal.Given{TCF: none}, false, []string{"ads tcf recorded refused", "statistics tcf recorded refused"}},
		{"the same string", signal.Given{TCF: none}, false, []string{"ads tcf unchanged", "statistics tcf unchanged"}},
		{"a yes without proof", signal.Given{ConsentMode: map[string]string{"analytics_storage": "granted"}}, false, []string{"statistics consent_mode yes_not_proven"}},
		{"a yes with proof", signal.Given{ConsentMode: map[string]string{"analytics_storage": "granted"}}, true, []string{"statistics consent_mode recorded granted"}},
		{"and again", signal.Given{ConsentMode: map[string]string{"analytics_storage": "granted"}}, true, []string{"statistics consent_mode unchanged"}},
		{"a yes against a no of the same call", signal.Given{TCF: all, ConsentMode: map[string]string{"ad_user_data": "denied"}}, true, []string{"ads tcf yes_contradicted", "ads consent_mode recorded refused", "statistics tcf recorded granted"}},
		{"what nobody understands", signal.Given{TCF: "CO+++", GPP: "DBABTA~1YYN"}, true, []string{"ads tcf not_understood", "ads gpp recorded objected", "statistics tcf not_understood"}},
		{"not opting out is no yes", signal.Given{GPP: "DBABTA~1YNN"}, true, nil},
		{"a no from the future is of now", signal.Given{TCF: file.Strings["future"]}, false, []string{"ads tcf recorded refused", "statistics tcf recorded refused"}},
	}
	for _, step := range steps {
		b.now = b.now.Add(time.Minute)
		if diff := cmp.Diff(step.want, record(t, b, step.given, step.proof)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	want := []string{
		"ads * objected signal.gpc 2026-03-20T12:01:00Z  ",
		"ads * refused signal.tcf 2026-03-02T10:00:00Z  ", "statistics * refused signal.tcf 2026-03-02T10:00:00Z  ",
		"statistics * granted signal.consent_mode 2026-03-20T12:06:00Z banner-1 cmp/1",
		"ads * refused signal.consent_mode 2026-03-20T12:08:00Z banner-1 cmp/1", "statistics * granted signal.tcf 2026-03-02T10:00:00Z banner-1 cmp/1",
		"ads * objected signal.gpp 2026-03-20T12:09:00Z banner-1 cmp/1",
		"ads * refused signal.tcf 2026-03-20T12:11:00Z  ", "statistics * refused signal.tcf 2026-03-20T12:11:00Z  ",
	}
	if diff := cmp.Diff(want, b.rows); diff != "" {
		t.Error(diff)
	}
	if len(b.events) != 1 || b.events[0].Kind != audit.SignalRejected || !slices.Equal(b.events[0].Checks, []string{"tcf.alphabet"}) {
		t.Errorf("%+v", b.events)
	}
	for _, r := range b.records {
		if r.Explicit {
			t.Error("a signal became an explicit yes")
		}
	}
}

func TestRecorderRefuses(t *testing.T) {
	t.Parallel()
	all := readPrecedence(t).Strings["all"]
	b := &book{now: asked, deny: true}
	if diff := cmp.Diff([]string{"ads tcf yes_not_allowed", "statistics tcf yes_not_allowed"}, record(t, b, signal.Given{TCF: all}, true)); diff != "" {
		t.Error(diff)
	}
	// Nor does somebody who may not record a yes learn that the ledger has it.
	b.deny = false
	record(t, b, signal.Given{TCF: all}, true)
	b.deny = true
	if diff := cmp.Diff([]string{"ads tcf yes_not_allowed", "statistics tcf yes_not_allowed"}, record(t, b, signal.Given{TCF: all}, true)); diff != "" {
		t.Error(diff)
	}
	seen := signal.Sighting{DataSubject: visitor, Reading: signal.Read(signal.Given{SecGPC: []string{"1"}})}
	if _, err := recorder(b).Record(t.Context(), privacy.Principal{ID: "x", Role: privacy.RoleAuditor}, seen); !errors.Is(err, privacy.ErrForbidden) {
		t.Error(err)
	}
	b.err = privacy.ErrUnavailable
	if _, err := recorder(b).Record(t.Context(), shop, seen); !errors.Is(err, privacy.ErrUnavailable) {
		t.Error(err)
	}
	// Two who saw the same at the same time: the second finds the first one's record.
	b.err = privacy.ErrConflict
	if diff := cmp.Diff([]string{"ads gpc unchanged"}, record(t, b, signal.Given{SecGPC: []string{"1"}}, false)); diff != "" {
		t.Error(diff)
	}
}
