package cleanroom_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// A party files its contract itself. A line that broke is no trouble: the same bytes again
// are filed already.
func ExampleFilingDesk_FileContract() {
	_, desk, keys, err := makeShelf()
	if err != nil {
		panic(err)
	}
	contract, err := cleanroom.ParseContract([]byte(filedContract))
	if err != nil {
		panic(err)
	}
	signed, err := cleanroom.SignContract(contract, keys["brand_partner"])
	if err != nil {
		panic(err)
	}
	for range 2 {
		filed, err := desk.FileContract(context.Background(), serviceOf("brand_partner"), "spring", signed, "")
		if err != nil {
			panic(err)
		}
		fmt.Println(filed.Contract.Ref(), filed.Contract.Contract.Version, filed.Repeated)
	}
	_, err = desk.FileContract(context.Background(), serviceOf("retail_media"), "spring", signed, "")
	denied, _ := errors.AsType[*cleanroom.Denied](err)
	fmt.Println(denied.Checks)
	// Output:
	// brand_partner.audience 1 false
	// brand_partner.audience 1 true
	// [room_owner]
}

// TestFileContract: the owner of the data files what it has signed, once; nobody else does,
// and nothing that the policies or the version before stand against. Whatever is refused has
// its entry.
func TestFileContract(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, desk, keys := newShelf(t)
	owner, brand := serviceOf("brand_partner"), keys["brand_partner"]
	first := signedContract(t, brand)

	for by, check := range map[privacy.Principal]string{
		serviceOf("retail_media"): cleanroom.CheckOwner,
		serviceOf("media_agency"): cleanroom.CheckRole,
		serviceOf("web_shop"):     cleanroom.CheckMember,
		serviceOf(""):             cleanroom.CheckMember,
		{Role: privacy.RoleDPO, Recipient: "brand_partner"}:  cleanroom.CheckMember,
		{Role: privacy.RoleIngest, Recipient: "web_shop"}:    cleanroom.CheckMember,
		{Role: privacy.RoleAuditor, Recipient: "media_corp"}: cleanroom.CheckMember,
	} {
		_, err := desk.FileContract(ctx, by, "spring", first, "")
		s.mustDeny(t, err, check)
	}
	_, err := desk.FileContract(ctx, owner, "winter", first, "")
	s.mustDeny(t, err, cleanroom.CheckMember)

	// In the owner's name, with another key; or with a signature of other bytes.
	forged := strings.Replace(string(signedContract(t, brand, `"minimum_people": 50`, `"minimum_people": 60`)), `"minimum_people":60`, `"minimum_people":50`, 1)
	before, _ := s.last()
	if _, err := desk.FileContract(ctx, owner, "spring", []byte(forged), ""); !errors.Is(err, cleanroom.ErrSignature) {
		t.Errorf("a forged contract: %v", err)
	}
	s.mustLeave(t, before, owner, cleanroom.CheckSignature, sha256.Sum256([]byte(forged[:strings.Index(forged, "\n\n")+1])))
	if _, err := desk.FileContract(ctx, owner, "spring", []byte("no note"), ""); !errors.Is(err, privacy.ErrInvalid) || errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("what is no note: %v", err)
	}
	s.mustLeave(t, before+1, owner, cleanroom.CheckFiling, audit.Digest{})
	elsewhere := signedContract(t, brand, `"dataset": "audience"`, `"dataset": "others"`)
	if _, err := desk.FileContract(ctx, owner, "spring", elsewhere, ""); pointerOf(t, err) != "/dataset" {
		t.Errorf("a dataset of no room: %v", err)
	}
	s.mustLeave(t, before+2, owner, cleanroom.CheckFiling, mustOpen(t, elsewhere, s.keys["brand_partner"]).Digest)
	for pointer, signed := range map[string][]byte{
		"/dataset":    signedContract(t, brand, `"dataset": "audience"`, `"dataset": "others"`),
		"/purposes/0": signedContract(t, brand, `["gold", "silver"]`, `["grocery.dairy", "health.pregnancy_tests"], "vocabulary": "product_groups"`),
	} {
		if _, err := desk.FileContract(ctx, owner, "spring", signed, ""); pointerOf(t, err) != pointer {
			t.Errorf("%v, not at %s", err, pointer)
		}
	}
	// What says by its name that it is about something protected is not saved by harmless words.
	s.room.Datasets = append(s.room.Datasets, cleanroom.DatasetRef{Owner: "brand_partner", Dataset: "pregnancy_test_buyers"})
	named := signedContract(t, brand, `"dataset": "audience"`, `"dataset": "pregnancy_test_buyers"`)
	if _, err := desk.FileContract(ctx, owner, "spring", named, ""); pointerOf(t, err) != "/dataset" {
		t.Errorf("a dataset of buyers of pregnancy tests: %v", err)
	}
	named = signedContract(t, brand, `"name": "tier"`, `"name": "pregnancy_test"`, `["gold", "silver"]`, `["yes", "no"]`)
	if _, err := desk.FileContract(ctx, owner, "spring", named, ""); pointerOf(t, err) != "/purposes/0" || !strings.Contains(err.Error(), "/columns/0 ") {
		t.Errorf("a column of who bought a pregnancy test: %v", err)
	}
	if len(s.contracts) > 0 {
		t.Fatal("what was refused is filed")
	}
	// What the policies refuse has one entry, with the checks that they name.
	refused := signedContract(t, brand, `["gold", "silver"]`, `["grocery.dairy", "health.pregnancy_tests"], "vocabulary": "product_groups"`)
	before, _ = s.last()
	if _, err := desk.FileContract(ctx, owner, "spring", refused, ""); pointerOf(t, err) != "/purposes/0" {
		t.Error(err)
	}
	if n, entry := s.last(); n != before+1 || entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || entry.Principal != owner ||
		!slices.Equal(entry.Checks, []string{"room.words_harmless"}) || entry.Purpose != "campaign_measurement" || entry.List == (audit.Digest{}) || entry.Policy == (audit.Digest{}) {
		t.Errorf("%d entries, the last is %+v", n-before, entry)
	}
	s.deaf = privacy.ErrUnavailable
	if _, err := desk.FileContract(ctx, owner, "spring", []byte(forged), ""); !errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, cleanroom.ErrSignature) {
		t.Errorf("a forged contract without a log: %v", err)
	}
	if _, err := desk.FileContract(ctx, owner, "spring", refused, ""); !errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without a log: %v", err)
	}
	s.deaf = nil

	filed, err := desk.FileContract(ctx, owner, "spring", first, "")
	if err != nil || filed.Repeated || filed.Receipt.IsZero() || filed.Contract.Contract.Version != 1 {
		t.Fatalf("%+v, %v", filed, err)
	}
	n, entry := s.last()
	if entry.Kind != audit.ContractSigned || entry.Principal != owner || entry.List != filed.Contract.Digest {
		t.Errorf("left %+v", entry)
	}
	again, err := desk.FileContract(ctx, owner, "spring", first, "")
	if err != nil || !again.Repeated || !again.Receipt.IsZero() || again.Contract != filed.Contract {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	// Found only after the database has refused it.
	s.hide = 2
	again, err = desk.FileContract(ctx, owner, "spring", first, "")
	if err != nil || !again.Repeated {
		t.Errorf("the same at the same time: %+v, %v", again, err)
	}
	if now, _ := s.last(); now != n || len(s.contracts) != 1 {
		t.Error("filing the same again leaves something")
	}

	higher := signedContract(t, brand, `"version": 1`, `"version": 2`, `"cap_nanorho": 147000000`, `"cap_nanorho": 200000000`)
	if _, err := desk.FileContract(ctx, owner, "spring", higher, " "); pointerOf(t, err) != "/cap_nanorho" {
		t.Errorf("a higher cap without a reason: %v", err)
	}
	s.mustLeave(t, n, owner, cleanroom.CheckFiling, mustOpen(t, higher, s.keys["brand_partner"]).Digest)
	raised, err := desk.FileContract(ctx, owner, "spring", higher, "a second campaign")
	if err != nil || raised.Contract.RaisedBecause != "a second campaign" {
		t.Errorf("%+v, %v", raised, err)
	}
	if again, err := desk.FileContract(ctx, owner, "spring", first, ""); err != nil || !again.Repeated {
		t.Errorf("an older version again: %+v, %v", again, err)
	}
	other := signedContract(t, brand, `"minimum_people": 50`, `"minimum_people": 60`)
	if _, err := desk.FileContract(ctx, owner, "spring", other, ""); pointerOf(t, err) != "/version" {
		t.Errorf("another first version: %v", err)
	}
	s.room.ClosedAt = s.room.ClosedAt.AddDate(1, 0, 0)
	_, err = desk.FileContract(ctx, owner, "spring", first, "")
	s.mustDeny(t, err, cleanroom.CheckMember)
}

// TestFileTemplate: whoever has signed a template files it, with the signatures that are under
// it, and what is there already leaves nothing.
func TestFileTemplate(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, desk, keys := newShelf(t)
	template, err := cleanroom.ParseTemplate([]byte(filedTemplate))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(document *cleanroom.Template, first string, others ...string) []byte {
		t.Helper()
		signed, err := cleanroom.SignTemplate(document, keys[first])
		for _, name := range others {
			if err == nil {
				signed, err = cleanroom.CosignTemplate(signed, keys[name])
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	one, both := sign(template, "brand_partner"), sign(template, "brand_partner", "media_agency")

	_, err = desk.FileTemplate(ctx, serviceOf("web_shop"), "spring", one)
	s.mustDeny(t, err, cleanroom.CheckMember)
	_, err = desk.FileTemplate(ctx, serviceOf("retail_media"), "spring", one)
	s.mustDeny(t, err, cleanroom.CheckSigner)
	before, _ := s.last()
	for i, signed := range [][]byte{
		sign(template, "web_shop"), // which is no member
		[]byte(strings.Replace(string(one), `"noise_people":20`, `"noise_people":10`, 1)),
		[]byte("no note"),
	} {
		if _, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", signed); !errors.Is(err, cleanroom.ErrSignature) {
			t.Errorf("%.30s: %v", signed, err)
		}
		s.mustLeave(t, before+i, serviceOf("brand_partner"), cleanroom.CheckSignature, digestOf(signed))
	}
	elsewhere := *template
	elsewhere.Query.Room = "winter"
	if _, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", sign(&elsewhere, "brand_partner")); pointerOf(t, err) != "/query/room" {
		t.Errorf("a template of another room: %v", err)
	}
	if _, entry := s.last(); entry.Kind != audit.RoomDenied || !slices.Equal(entry.Checks, []string{cleanroom.CheckFiling}) || entry.Purpose != "campaign_measurement" {
		t.Errorf("a template of another room left %+v", entry)
	}
	// Nor is it told here whether it is filed there.
	s.templates = []*cleanroom.SignedTemplate{{Template: &elsewhere, Digest: digestOf(sign(&elsewhere, "brand_partner")), Signers: []cleanroom.PartyID{"brand_partner"}}}
	if _, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", sign(&elsewhere, "brand_partner")); pointerOf(t, err) != "/query/room" {
		t.Errorf("a template that is filed in another room: %v", err)
	}
	s.templates = nil
	if len(s.templates) > 0 {
		t.Fatal("what was refused is filed")
	}

	filed, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", one)
	if err != nil || filed.Repeated || filed.Receipt.IsZero() || !slices.Equal(filed.Template.Signers, []cleanroom.PartyID{"brand_partner"}) {
		t.Fatalf("%+v, %v", filed, err)
	}
	more, err := desk.FileTemplate(ctx, serviceOf("media_agency"), "spring", both)
	if err != nil || more.Repeated || !slices.Equal(more.Template.Signers, []cleanroom.PartyID{"brand_partner", "media_agency"}) {
		t.Fatalf("%+v, %v", more, err)
	}
	n, entry := s.last()
	if entry.Kind != audit.TemplateSigned || entry.List != filed.Template.Digest {
		t.Errorf("left %+v", entry)
	}
	for _, signed := range [][]byte{one, both} {
		again, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", signed)
		if err != nil || !again.Repeated || !again.Receipt.IsZero() || len(again.Template.Signers) != 2 {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	if now, _ := s.last(); now != n {
		t.Error("filing the same again leaves something")
	}
	other := *template
	other.Query.Privacy.NoisePeople = 30
	if _, err := desk.FileTemplate(ctx, serviceOf("brand_partner"), "spring", sign(&other, "brand_partner")); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("another text of the same version: %v", err)
	}
	if now, entry := s.last(); now != n+1 || entry.Kind != audit.RoomDenied {
		t.Errorf("another text of the same version left %+v", entry)
	}
}

// A house that cannot read what is filed has refused nothing.
func TestDamageIsNoRefusal(t *testing.T) {
	t.Parallel()
	s, desk, keys := newShelf(t)
	_, signed := signedTemplate(t, keys["brand_partner"])
	s.torn = fmt.Errorf("reading: %w: %w", privacy.ErrDamaged, &privacy.FieldError{Pointer: "/query", Reason: "torn"})
	by := serviceOf("brand_partner")
	if _, err := desk.FileTemplate(t.Context(), by, "spring", signed); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a template: %v", err)
	}
	if _, err := desk.FileContract(t.Context(), by, "spring", signedContract(t, keys["brand_partner"]), ""); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a contract: %v", err)
	}
	if n, entry := s.last(); n != 0 {
		t.Errorf("%d entries, the last is %+v", n, entry)
	}
}
