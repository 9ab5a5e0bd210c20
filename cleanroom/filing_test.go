package cleanroom_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// shelf is a registry of one room that keeps what is filed in memory, with its entries.
type shelf struct {
	cleanroom.Registry // the rest is not asked for

	mu        sync.Mutex
	room      *cleanroom.Room
	keys      map[cleanroom.PartyID]string
	contracts []*cleanroom.FiledContract // newest first
	templates []*cleanroom.SignedTemplate
	entries   []audit.Event
	// hide has the next look find no contracts, as if one were filed at the same time.
	hide int
	deaf error // what the log returns
	torn error // what looking for what is filed returns
}

func (s *shelf) RoomOf(_ context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	if id != s.room.ID {
		return nil, privacy.ErrNotFound
	}
	return s.room, nil
}

func (s *shelf) PartyOf(_ context.Context, party cleanroom.PartyID) (*cleanroom.Party, error) {
	key, known := s.keys[party]
	if !known {
		return nil, privacy.ErrNotFound
	}
	return &cleanroom.Party{ID: party, Key: key}, nil
}

func (s *shelf) Contracts(context.Context, cleanroom.DatasetRef) ([]*cleanroom.FiledContract, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hide > 0 {
		s.hide--
		return nil, nil
	}
	return slices.Clone(s.contracts), s.torn
}

func (s *shelf) AddContract(_ context.Context, filed *cleanroom.FiledContract, event audit.Event) (audit.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.contracts) != filed.Contract.Version-1 {
		return audit.Receipt{}, privacy.ErrConflict
	}
	s.contracts = append([]*cleanroom.FiledContract{filed}, s.contracts...)
	return s.log(event), nil
}

func (s *shelf) Templates(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedTemplate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.templates), s.torn
}

func (s *shelf) AddTemplate(_ context.Context, _ cleanroom.RoomID, t *cleanroom.SignedTemplate, _ map[cleanroom.PartyID]string, event audit.Event) (audit.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, there := range s.templates {
		switch {
		case there.Template.String() != t.Template.String():
		case there.Digest != t.Digest:
			return audit.Receipt{}, privacy.ErrConflict
		default:
			more := *there
			more.Signers = append(slices.Clone(there.Signers), t.Signers...)
			slices.Sort(more.Signers)
			more.Signers = slices.Compact(more.Signers)
			s.templates[i] = &more
			return s.log(event), nil
		}
	}
	s.templates = append(s.templates, t)
	return s.log(event), nil
}

// Append keeps an entry.
func (s *shelf) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf != nil {
		return audit.Receipt{}, s.deaf
	}
	return s.log(event), nil
}

func (s *shelf) log(event audit.Event) audit.Receipt {
	s.entries = append(s.entries, event)
	return audit.Committed([16]byte{1}, [32]byte{1}, uint64(len(s.entries)))
}

// last returns how many entries there are, and the newest one.
func (s *shelf) last() (int, audit.Event) {
	if len(s.entries) == 0 {
		return 0, audit.Event{}
	}
	return len(s.entries), s.entries[len(s.entries)-1]
}

const filedContract = `{
  "owner": "brand_partner", "dataset": "audience", "version": 1, "source": "party", "unit": "person", "purposes": ["campaign_measurement"],
  "columns": [{"name": "tier", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["gold", "silver"]}],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 1, "ad_hoc": true
}`

const filedTemplate = `{
  "name": "reach", "version": 1,
  "query": {
    "room": "spring", "from": [{"dataset": "brand_partner.audience", "as": "a"}], "where": [{"col": "a.tier", "op": "=", "val": {"hole": "tier"}}],
    "metrics": [{"fn": "people", "as": "reach"}], "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "campaign_measurement"
  }
}`

func serviceOf(party cleanroom.PartyID) privacy.Principal {
	return privacy.Principal{ID: "service", Role: privacy.RoleService, Recipient: party}
}

// bundled are the policies that ship with the program.
var bundled = sync.OnceValues(func() (*policies.Engine, error) {
	return policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
})

// makeShelf returns a desk in front of a room of two parties that own data and one that does
// not, with the keys of all.
func makeShelf() (*shelf, *cleanroom.FilingDesk, map[string]note.Signer, error) {
	engine, err := bundled()
	if err != nil {
		return nil, nil, nil, err
	}
	s := &shelf{
		keys: map[cleanroom.PartyID]string{},
		room: &cleanroom.Room{
			ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private,
			Members: []cleanroom.Member{
				{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.OwnsData}},
				{Party: "media_agency", Roles: []cleanroom.Role{cleanroom.MayQuery}},
				{Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}},
			},
			Datasets: []cleanroom.DatasetRef{{Owner: "brand_partner", Dataset: "audience"}},
		},
	}
	signers := map[string]note.Signer{}
	for i, name := range []string{"brand_partner", "media_agency", "retail_media", "web_shop"} {
		secret, public, err := cleanroom.GenerateKey(strings.NewReader(strings.Repeat(string(rune('a'+i)), 64)), cleanroom.PartyID(name))
		if err != nil {
			return nil, nil, nil, err
		}
		if signers[name], err = cleanroom.ParseSigner(secret); err != nil {
			return nil, nil, nil, err
		}
		s.keys[cleanroom.PartyID(name)] = strings.TrimSpace(public)
	}
	register := cleanroom.NewRegister(s, cleanroom.RegisterConfig{Revision: engine.Revision, Log: s})
	return s, cleanroom.NewFilingDesk(register, s), signers, nil
}

func newShelf(t testing.TB) (*shelf, *cleanroom.FilingDesk, map[string]note.Signer) {
	t.Helper()
	s, desk, signers, err := makeShelf()
	if err != nil {
		t.Fatal(err)
	}
	return s, desk, signers
}

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

// signedContract is filedContract with words replaced, signed by its owner.
func signedContract(t testing.TB, signer note.Signer, replaced ...string) []byte {
	t.Helper()
	signed, err := cleanroom.SignContract(mustContract(t, strings.NewReplacer(replaced...).Replace(filedContract)), signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// mustLeave wants one more entry, about a contract or template of a member that was refused.
func (s *shelf) mustLeave(t *testing.T, before int, by privacy.Principal, check string, list audit.Digest) {
	t.Helper()
	n, entry := s.last()
	if n != before+1 || entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || entry.Principal != by || entry.List != list ||
		entry.Purpose != s.room.Purpose || entry.Recipient != by.Recipient || !slices.Equal(entry.Checks, []string{check}) {
		t.Errorf("%d entries, the last is %+v, and not about %s", n-before, entry, check)
	}
}

// digestOf is that of the text of a note; zero if it is none.
func digestOf(signed []byte) (d audit.Digest) {
	if text, _, ok := strings.Cut(string(signed), "\n\n"); ok {
		d = sha256.Sum256([]byte(text + "\n"))
	}
	return d
}

func mustOpen(t *testing.T, signed []byte, key string) *cleanroom.SignedContract {
	t.Helper()
	verifier, err := cleanroom.ParseVerifier(key, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := cleanroom.OpenContract(signed, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// mustDeny wants a refusal for one reason, with its entry.
func (s *shelf) mustDeny(t *testing.T, err error, check string) {
	t.Helper()
	denied, ok := errors.AsType[*cleanroom.Denied](err)
	_, entry := s.last()
	if !ok || !slices.Equal(denied.Checks, []string{check}) || entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || !slices.Equal(entry.Checks, denied.Checks) {
		t.Errorf("%v with the entry %s %v, not %s", err, entry.Kind, entry.Checks, check)
	}
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
	template, err := cleanroom.ParseTemplate([]byte(filedTemplate))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cleanroom.SignTemplate(template, keys["brand_partner"])
	if err != nil {
		t.Fatal(err)
	}
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
