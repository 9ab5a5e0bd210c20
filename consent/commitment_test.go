package consent_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// vectors are the known answers of docs/spec/consent.md.
type vectors struct {
	Records []vector `json:"records"`
	Batch   string   `json:"batch"`
	Erased  string   `json:"erased"`
}

type vector struct {
	Name       string `json:"name"`
	Bytes      string `json:"bytes"`
	Commitment string `json:"commitment"`
}

// committed are the records of the vectors.
func committed() []consent.Record {
	plain := consent.Record{
		ID: [16]byte{1, 2, 3}, DataSubject: privacy.DataSubjectID{4, 5, 6}, Purpose: "newsletter", Channel: "email", Action: consent.Granted,
		Basis: privacy.Consent, NoticeVersion: "2026-03", Source: "web_form", Actor: consent.ByDataSubject,
		Salt:        [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		EffectiveAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC), RecordedAt: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
	}
	full := plain
	full.ID, full.Action, full.Actor, full.Channel = [16]byte{9}, consent.GuardianGranted, consent.ByGuardian, privacy.AnyChannel
	full.Explicit, full.Incentive, full.GuardianVerified = true, true, true
	full.Categories, full.Language, full.EvidenceRef, full.Jurisdiction = []privacy.DataCategory{"health", "religion"}, "tr-TR", "form:1/2", "TR"
	full.ValidUntil = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	old := plain
	old.ID, old.Action, old.EffectiveAt = [16]byte{10}, consent.Withdrawn, time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	return []consent.Record{plain, full, old}
}

func TestCommitmentsKnownAnswers(t *testing.T) {
	t.Parallel()
	var got vectors
	batch, erased := consent.NewBatchDigest(), consent.NewErasedDigest()
	for i, r := range committed() {
		c := r.Commitment()
		batch.Add(c)
		erased.Add(c)
		got.Records = append(got.Records, vector{
			[]string{"plain", "full", "old"}[i], hex.EncodeToString(r.AppendCanonical(nil)), hex.EncodeToString(c[:]),
		})
	}
	sum := batch.Sum()
	got.Batch = hex.EncodeToString(sum[:])
	sum = erased.Sum()
	got.Erased = hex.EncodeToString(sum[:])
	text, err := os.ReadFile("testdata/commitments.json")
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		printed, _ := json.MarshalIndent(got, "", "  ")
		t.Errorf("(-known +got)\n%s\n%s", diff, printed)
	}
}

// TestCommitmentCoversEveryField changes each field of a record, also ones that are added to
// it one day: the commitment must be another. StaleAt is not of the record.
func TestCommitmentCoversEveryField(t *testing.T) {
	t.Parallel()
	record := committed()[1]
	want := record.Commitment()
	for i := range reflect.TypeFor[consent.Record]().NumField() {
		name := reflect.TypeFor[consent.Record]().Field(i).Name
		other := committed()[1]
		switch field := reflect.ValueOf(&other).Elem().Field(i); value := field.Addr().Interface().(type) {
		case *time.Time:
			*value = value.Add(time.Microsecond)
		case *bool:
			*value = !*value
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString(field.String() + "x")
			case reflect.Array:
				field.Index(0).SetUint(field.Index(0).Uint() + 1)
			case reflect.Slice:
				field.Set(field.Slice(0, field.Len()-1))
			default:
				t.Fatalf("%s is of kind %s, of which nothing is known", name, field.Kind())
			}
		}
		if got := other.Commitment(); (got == want) != (name == "StaleAt") {
			t.Errorf("with another %s the commitment is the same: %t", name, got == want)
		}
	}
}

// TestCommitmentsDoNotRunTogether: what moves from one field to the next makes another record.
func TestCommitmentsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	a, b := committed()[0], committed()[0]
	a.Source, a.NoticeVersion = "ab", "c"
	b.Source, b.NoticeVersion = "b", "ca"
	if a.Commitment() == b.Commitment() {
		t.Error("two records have one commitment")
	}
	a.Categories, b.Categories = []privacy.DataCategory{"ab"}, []privacy.DataCategory{"a", "b"}
	b.Source, b.NoticeVersion = a.Source, a.NoticeVersion
	if a.Commitment() == b.Commitment() {
		t.Error("two lists have one commitment")
	}
}

func TestSameContent(t *testing.T) {
	t.Parallel()
	stored := committed()[0]
	asked := stored
	asked.Salt, asked.RecordedAt, asked.EffectiveAt, asked.Actor = [16]byte{}, time.Time{}, time.Time{}, ""
	if !stored.SameContent(&asked) {
		t.Error("what a caller repeats without a time is not the same")
	}
	asked.EffectiveAt = stored.EffectiveAt
	if !stored.SameContent(&asked) {
		t.Error("what a caller repeats with its time is not the same")
	}
	asked.EffectiveAt = stored.EffectiveAt.Add(time.Second)
	if stored.SameContent(&asked) {
		t.Error("another time is the same")
	}
	clamped := stored
	clamped.EffectiveAt = clamped.RecordedAt
	asked.EffectiveAt = clamped.RecordedAt.Add(time.Second)
	if !clamped.SameContent(&asked) {
		t.Error("a time ahead of the store's clock is another when it is repeated")
	}
	asked = stored
	asked.EvidenceRef = "form:3"
	if stored.SameContent(&asked) {
		t.Error("other evidence is the same")
	}
}
