package cleanroom_test

import (
	"context"
	"crypto/sha256"
	"errors"
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

// signedContract is filedContract with words replaced, signed by its owner.
func signedContract(t testing.TB, signer note.Signer, replaced ...string) []byte {
	t.Helper()
	signed, err := cleanroom.SignContract(mustContract(t, strings.NewReplacer(replaced...).Replace(filedContract)), signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// signedTemplate is filedTemplate, and as a party has signed it.
func signedTemplate(t testing.TB, signer note.Signer) (template *cleanroom.Template, signed []byte) {
	t.Helper()
	template, err := cleanroom.ParseTemplate([]byte(filedTemplate))
	if err != nil {
		t.Fatal(err)
	}
	if signed, err = cleanroom.SignTemplate(template, signer); err != nil {
		t.Fatal(err)
	}
	return template, signed
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
