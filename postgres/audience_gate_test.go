package postgres

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var reco = privacy.Principal{ID: "reco", Role: privacy.RoleService, Recipient: "recommender"}

// audienceBench is a gate with a crowd of adults who agreed to recommendations.
func audienceBench(t testing.TB, n int) *gateBench {
	t.Helper()
	b := newGate(t)
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	b.Gate = gate.New(b.store, engine, b.keys.Vault(), keyPseudonyms{b.keys}, b.log, gate.Config{Audiences: NewAudienceStore(b.db)})
	b.person(t, "model")
	refreshed(t, b.refresher(t, gate.RefresherConfig{}), 1)
	batch := &pgx.Batch{}
	for i := range n {
		id := [16]byte{0x99, byte(i >> 8), byte(i)}
		batch.Queue(`insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'CZ')`, id)
		batch.Queue(`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, id, make([]byte, 98))
		batch.Queue(`update gate.profile p set shape = m.shape, fresh_until = m.fresh_until, age = m.age, household = m.household, tags = m.tags
			from (select shape, fresh_until, age, household, tags from gate.profile where fresh_until > '-infinity' limit 1) m where p.data_subject_id = $1`, id)
		batch.Queue(`insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
			values ($1, gen_random_uuid(), 'recommendations', '*', 'granted', 'consent', false, 'n', 's', now() - interval '1 day')`, id)
	}
	if err := b.database.OwnerPool(t).SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *gateBench) audience(t testing.TB, query gate.AudienceQuery) gate.Audience {
	t.Helper()
	answer, err := b.Gate.Audience(t.Context(), reco, query)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestAudienceIsLoggedAndNeverSmall: at the minimum everybody is named, below it nobody,
// and the entry fits what left.
func TestAudienceIsLoggedAndNeverSmall(t *testing.T) {
	t.Parallel()
	b := audienceBench(t, gate.DefaultAudienceMinimum)
	query := gate.AudienceQuery{Purpose: "recommendations", Channel: "web"}
	answer := b.audience(t, query)
	if answer.Decision != gate.Allow || answer.Size != gate.DefaultAudienceMinimum {
		t.Fatalf("got %s with %d people", answer.Decision, answer.Size)
	}
	names, err := keyPseudonyms{b.keys}.Of("recommender")
	if err != nil {
		t.Fatal(err)
	}
	digest, last, n := sha256.New(), "", 0
	for name := range answer.Pseudonyms {
		id, err := names.DataSubject(name)
		if err != nil || id[0] != 0x99 || string(name) <= last {
			t.Fatalf("pseudonym %d is nobody's or out of order: %v", n, err)
		}
		digest.Write([]byte(string(name) + "\n"))
		last = string(name)
		n++
	}
	entry := readEntry(t, b.db, answer.Receipt.Index())
	if n != answer.Size || entry.Kind != audit.AudienceAnswered || entry.Outcome != audit.Allowed || entry.List != audit.Digest(digest.Sum(nil)) ||
		entry.Count != audit.BucketOf(uint64(n)) || entry.Purpose != "recommendations" || entry.Recipient != "recommender" || !entry.Person.IsZero() {
		t.Errorf("the entry is %+v", entry)
	}
	// One fewer, and nobody is named.
	b.exec(t, `update vault.data_subject set restricted = true where data_subject_id = $1`, [16]byte{0x99, 0, 1})
	small := b.audience(t, query)
	entry = readEntry(t, b.db, small.Receipt.Index())
	if small.Decision != gate.Deny || small.Size != 0 || small.Pseudonyms != nil || len(small.Reasons) != 1 || small.Reasons[0].Check != gate.CheckAudience ||
		entry.Kind != audit.AudienceDenied || entry.Count != "" || entry.List != (audit.Digest{}) || !slices.Equal(entry.Checks, []string{gate.CheckAudience}) {
		t.Errorf("got %s, %d people, reasons %v, entry %+v", small.Decision, small.Size, small.Reasons, entry)
	}
	// Nobody at all reads the same.
	none := b.audience(t, gate.AudienceQuery{Purpose: "recommendations", Channel: "email", Conditions: []gate.AudienceCondition{{Attribute: "loyalty_tier", In: []string{"platinum"}}}})
	none.DecisionID, none.Receipt, small.DecisionID, small.Receipt = "", audit.Receipt{}, "", audit.Receipt{}
	if none.Decision != small.Decision || !slices.EqualFunc(none.Reasons, small.Reasons, func(x, y policies.Reason) bool { return x.Check == y.Check }) || none.Size != small.Size {
		t.Errorf("nobody reads %v, too few read %v", none.Reasons, small.Reasons)
	}
}

// TestAudienceRefusesAboutTheQuestion: what is wrong with a question is said, and logged.
func TestAudienceRefusesAboutTheQuestion(t *testing.T) {
	t.Parallel()
	b := audienceBench(t, 3)
	where := func(attribute privacy.AttributeName, words ...string) []gate.AudienceCondition {
		return []gate.AudienceCondition{{Attribute: attribute, In: words}}
	}
	for name, test := range map[string]struct {
		by    privacy.Principal
		query gate.AudienceQuery
		check string
	}{
		"purpose without audiences": {reco, gate.AudienceQuery{Purpose: "greeting", Channel: "web"}, "purpose.admits_action"},
		"somebody else's purpose":   {reco, gate.AudienceQuery{Purpose: "analytics", Channel: "web"}, "recipient.contracted"},
		"wrong channel":             {reco, gate.AudienceQuery{Purpose: "recommendations", Channel: "postal"}, "channel.allowed"},
		"column that is not open":   {reco, gate.AudienceQuery{Purpose: "recommendations", Channel: "web", Conditions: where("gender", "female")}, gate.CheckCondition},
		"an officer":                {dpo, gate.AudienceQuery{Purpose: "recommendations", Channel: "web"}, "role.allowed"},
	} {
		answer, err := b.Gate.Audience(t.Context(), test.by, test.query)
		if err != nil || answer.Decision != gate.Deny || !slices.ContainsFunc(answer.Reasons, func(r policies.Reason) bool { return r.Check == test.check }) {
			t.Errorf("%s: got %s, %v, %v", name, answer.Decision, answer.Reasons, err)
			continue
		}
		if entry := readEntry(t, b.db, answer.Receipt.Index()); entry.Kind != audit.AudienceDenied || !slices.Contains(entry.Checks, test.check) {
			t.Errorf("%s: the entry is %+v", name, entry)
		}
	}
	before := countEntries(t, b.db)
	for pointer, query := range map[string]gate.AudienceQuery{
		"/purpose":                {Purpose: "curiosity", Channel: "web"},
		"/channel":                {Purpose: "recommendations", Channel: "*"},
		"/conditions/0/attribute": {Purpose: "recommendations", Channel: "web", Conditions: where("marital_status", "Widowed")},
		"/conditions/1/attribute": {Purpose: "recommendations", Channel: "web", Conditions: append(where("loyalty_tier", "gold"), where("loyalty_tier", "gold")...)},
		"/conditions/0/in":        {Purpose: "recommendations", Channel: "web", Conditions: where("loyalty_tier")},
		"/conditions/0/in/1":      {Purpose: "recommendations", Channel: "web", Conditions: where("loyalty_tier", "gold", "diamond")},
		"/conditions/0/in/0":      {Purpose: "recommendations", Channel: "web", Conditions: where("age_band", "25-34")},
		"/conditions":             {Purpose: "recommendations", Channel: "web", Conditions: make([]gate.AudienceCondition, gate.MaxConditions+1)},
	} {
		_, err := b.Gate.Audience(t.Context(), reco, query)
		if field, ok := errors.AsType[*privacy.FieldError](err); !ok || field.Pointer != pointer {
			t.Errorf("%s: got %v", pointer, err)
		}
	}
	if after := countEntries(t, b.db); after != before {
		t.Error("a question that cannot be asked is in the log")
	}
}

// TestAudienceNeedsItsEvidence: without the log, and without a database, nobody is named.
func TestAudienceNeedsItsEvidence(t *testing.T) {
	t.Parallel()
	b := audienceBench(t, gate.DefaultAudienceMinimum)
	query := gate.AudienceQuery{Purpose: "recommendations", Channel: "web"}
	if err := b.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer, err := b.Gate.Audience(t.Context(), reco, query)
	if !errors.Is(err, privacy.ErrUnavailable) || answer.Pseudonyms != nil || answer.Size != 0 {
		t.Errorf("without a log: %d people, %v", answer.Size, err)
	}
	if _, err := (gate.PendingAudience{}).Release(audit.Receipt{}); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("without a receipt: %v", err)
	}
	b.db.Close()
	if _, err := b.Gate.Audience(t.Context(), reco, query); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("without a database: %v", err)
	}
}

// TestAudienceNeedsACrowdForAPersona: a label that too few share names nobody in an
// audience either. Otherwise two large audiences, one with the label and one without, would
// name its people by their difference.
func TestAudienceNeedsACrowdForAPersona(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	store := NewProfileStore(b.db)
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.keys.EnsureRecipient("analyst"); err != nil {
		t.Fatal(err)
	}
	b.Gate = gate.New(b.store, engine, b.keys.Vault(), keyPseudonyms{b.keys}, b.log, gate.Config{Audiences: NewAudienceStore(b.db), Crowds: store, CrowdWait: time.Minute})
	k := engine.Revision().Catalogue().PersonaMinimum()
	var people []privacy.DataSubjectID
	for n := range k + 1 {
		label := "pet_friend"
		if n == k {
			label = "home_keeper"
		}
		key := b.person(t, fmt.Sprintf("person%d", n))
		b.record(t, key, "profile", map[privacy.AttributeName]string{"persona": label})
		b.choose(t, key, consent.Granted, "analytics")
		people = append(people, key.DataSubject())
	}
	refreshed(t, b.refresher(t, gate.RefresherConfig{}), k+1)
	for _, test := range []struct {
		labels []string
		want   int
	}{{[]string{"home_keeper"}, 0}, {[]string{"pet_friend"}, k}, {[]string{"home_keeper", "pet_friend"}, k}} {
		query := gate.AudienceQuery{Purpose: "analytics", Channel: "web", Conditions: []gate.AudienceCondition{{Attribute: "persona", In: test.labels}}}
		got, err := b.CompareAudience(t.Context(), service("analyst"), query, people)
		if want := (gate.Comparison{People: k + 1, Members: test.want}); err != nil || got != want {
			t.Errorf("%v: %+v, want %+v, %v", test.labels, got, want, err)
		}
	}
}
