package admit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/admit"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// house is a house in memory: one room, two parties, one dataset.
type house struct {
	mu        sync.Mutex
	room      cleanroom.Room
	contract  *cleanroom.SignedContract
	keys      map[cleanroom.PartyID]*cleanroom.Signer
	public    map[cleanroom.PartyID]string
	allow     bool
	facts     policies.RoomFacts
	events    []audit.Event
	admission cleanroom.Admission
	members   []cleanroom.StagedMember
	rows      []cleanroom.StagedRow
	loading   bool
	begun     int                // how often a delivery began
	at        cleanroom.Snapshot // how much of it has come
	admitted  bool
	failing   error // what Admit returns
	deaf      error // what the log returns
	declared  *match.Declared
}

const retailer, brand = cleanroom.PartyID("retailer"), cleanroom.PartyID("brand_partner")

func newHouse(t testing.TB, matching cleanroom.Matching) *house {
	t.Helper()
	h := &house{
		allow: true, keys: map[cleanroom.PartyID]*cleanroom.Signer{}, public: map[cleanroom.PartyID]string{},
		room: cleanroom.Room{
			ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: matching, Epoch: 3, MinimumMembers: 10,
			Members: []cleanroom.Member{
				{Party: brand, Roles: []cleanroom.Role{cleanroom.OwnsData}},
				{Party: retailer, Roles: []cleanroom.Role{cleanroom.OwnsData}},
			},
		},
	}
	for _, party := range []cleanroom.PartyID{retailer, brand} {
		secret, public, err := cleanroom.GenerateKey(rand.Reader, party)
		if err != nil {
			t.Fatal(err)
		}
		if h.keys[party], err = cleanroom.ParseSigner(secret); err != nil {
			t.Fatal(err)
		}
		h.public[party] = public
	}
	signed, err := cleanroom.SignContract(&cleanroom.Contract{
		Owner: brand, Dataset: "segments", Version: 2, Source: cleanroom.FromParty, Unit: "person",
		Purposes: []privacy.Purpose{"campaign_measurement"},
		Columns: []cleanroom.Column{
			{Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: 10_000, Functions: []cleanroom.Function{cleanroom.Sum}},
			{Name: "segment", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "behavioural", Domain: []string{"new", "regular"}},
			{Name: "day", Role: cleanroom.Dimension, Type: cleanroom.Day, Category: "behavioural", First: "2026-01-01", Last: "2026-12-31", Grid: cleanroom.ByDay},
		},
		MinimumPeople: 50, Cap: 147_300_000, ConsumerCap: 36_825_000, QueryCap: 5_892_000, MaxGroupsPerPerson: 1, AdHoc: true,
	}, h.keys[brand])
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := cleanroom.ParseVerifier(h.public[brand], brand)
	if err != nil {
		t.Fatal(err)
	}
	if h.contract, err = cleanroom.OpenContract(signed, verifier); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) desk() *admit.Desk {
	return admit.NewDesk(admit.Config{Rooms: h, Staging: h, Quotas: h, Policy: func() admit.Policy { return h }, Keys: h, Log: h})
}

func (h *house) RoomOf(_ context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	if id != h.room.ID {
		return nil, privacy.ErrNotFound
	}
	room := h.room
	return &room, nil
}

func (h *house) ContractsOf(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return []*cleanroom.SignedContract{h.contract}, nil
}

func (h *house) PartyOf(_ context.Context, id cleanroom.PartyID) (*cleanroom.Party, error) {
	public, ok := h.public[id]
	if !ok {
		return nil, privacy.ErrNotFound
	}
	return &cleanroom.Party{ID: id, Key: strings.TrimSpace(public)}, nil
}

func (h *house) DecideRoom(_ context.Context, facts policies.RoomFacts) (policies.RoomDecision, error) {
	h.facts = facts
	if !h.allow {
		return policies.RoomDecision{Failed: []string{"special_category"}, Policy: [32]byte{9}}, nil
	}
	return policies.RoomDecision{Allow: true, Policy: [32]byte{9}}, nil
}

// Tags marks tokens, so that what is staged is seen to have come through here.
func (h *house) Tags(_ context.Context, room *cleanroom.Room, epoch int, tokens []match.Token) ([]match.Tag, error) {
	if room.ID != h.room.ID || epoch != h.room.Epoch+1 {
		return nil, errors.New("another room or epoch")
	}
	tags := make([]match.Tag, len(tokens))
	for i, token := range tokens {
		tags[i] = match.Tag(token)
		tags[i][0] ^= 0xff
	}
	return tags, nil
}

func (h *house) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if h.deaf != nil {
		return audit.Receipt{}, h.deaf
	}
	h.events = append(h.events, event)
	return audit.Receipt{}, nil
}

func (h *house) Begin(_ context.Context, a cleanroom.Admission, _ audit.Event) (cleanroom.SnapshotID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admission, h.loading, h.members, h.rows, h.at = a, true, nil, nil, cleanroom.Snapshot{}
	h.begun++
	return 7, nil
}

func (h *house) Delivered(_ context.Context, room cleanroom.RoomID, manifest audit.Digest) (*cleanroom.Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loading && !h.admitted || room != h.room.ID || manifest != h.admission.Manifest {
		return nil, privacy.ErrNotFound
	}
	at := h.at
	at.ID, at.Dataset, at.Epoch, at.Rows = 7, h.admission.Dataset, h.room.Epoch+1, h.admission.Rows
	at.State = cleanroom.SnapshotLoading
	if h.admitted {
		at.State = cleanroom.SnapshotStaged
	}
	return &at, nil
}

func (h *house) BeginMembers(_ context.Context, _ cleanroom.SnapshotID, statement audit.Digest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members, h.at.MemberChunks, h.at.Remasked = nil, 0, statement
	return nil
}

func (h *house) TakeMembers(_ context.Context, _ cleanroom.SnapshotID, chunk int, statement audit.Digest, members []cleanroom.StagedMember) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loading || chunk != h.at.MemberChunks || statement != h.at.Remasked {
		return errors.Join(cleanroom.ErrMoved, privacy.ErrConflict)
	}
	h.members, h.at.MemberChunks = append(h.members, members...), chunk+1
	return nil
}

func (h *house) TakeRows(_ context.Context, _ cleanroom.SnapshotID, chunk int, rows []cleanroom.StagedRow) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.loading || chunk != h.at.RowChunks {
		return errors.Join(cleanroom.ErrMoved, privacy.ErrConflict)
	}
	h.rows, h.at.RowChunks = append(h.rows, rows...), chunk+1
	return nil
}

func (h *house) Admit(_ context.Context, _ cleanroom.SnapshotID, event audit.Event) (audit.Receipt, error) {
	if h.failing != nil {
		return audit.Receipt{}, h.failing
	}
	h.events, h.admitted, h.loading = append(h.events, event), true, false
	return audit.Receipt{}, nil
}

func (h *house) Abandon(context.Context, cleanroom.SnapshotID, audit.Event) error {
	h.loading, h.members, h.rows, h.at = false, nil, nil, cleanroom.Snapshot{}
	return nil
}

func (h *house) Place(context.Context, cleanroom.SnapshotID) ([]int64, error) {
	return nil, errors.New("nobody is drawn here")
}

func (h *house) HandOver(context.Context, cleanroom.SnapshotID, audit.Digest, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, errors.New("nobody is drawn here")
}

func (h *house) SetTokens(context.Context, cleanroom.SnapshotID, int, [][]byte) error {
	return errors.New("nobody is drawn here")
}

func (h *house) TakeTokens(ctx context.Context, id cleanroom.SnapshotID, chunk int, statement audit.Digest, first int, tokens [][]byte) error {
	if err := h.TakeMembers(ctx, id, chunk, statement, nil); err != nil {
		return err
	}
	return h.SetTokens(ctx, id, first, tokens)
}

func (h *house) Declared(_ context.Context, room cleanroom.RoomID, ref cleanroom.DatasetRef, epoch int) (match.Declared, error) {
	if h.declared == nil || room != h.room.ID || ref.String() != "brand_partner.segments" || epoch != h.room.Epoch+1 {
		return match.Declared{}, privacy.ErrNotFound
	}
	return *h.declared, nil
}

func service(party cleanroom.PartyID) privacy.Principal {
	return privacy.Principal{ID: "svc", Role: privacy.RoleService, Recipient: party}
}

type exact struct{}

func (exact) Gaussian(x int64, _ float64) int64 { return x }

// prepared has the brand prepare n people, and returns the directory.
func (h *house) prepared(t testing.TB, n int, matcher match.Matcher, change func(c *prepare.Config)) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("email,consent,segment,day,spend\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@example.com,yes,%s,2026-03-%02d,%d\n", i, []string{"new", "regular"}[i%2], i%28+1, i)
	}
	text := b.String()
	c := prepare.Config{
		Room: "spring", Epoch: 4, Contract: h.contract, Matcher: matcher, Identifier: privacy.Email, IdentifierColumn: "email",
		ConsentColumn: "consent", ConsentYes: "yes", Declared: n, Minimum: 2, Signer: h.keys[brand], Noise: exact{}, Random: rand.Reader, Now: time.Now,
	}
	if change != nil {
		change(&c)
	}
	dir := filepath.Join(t.TempDir(), "out")
	_, err := prepare.Run(t.Context(), intake.Source{Name: "x.csv", Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}, dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// sent is what a directory is on the way to the house.
func sent(t testing.TB, dir string) []byte {
	t.Helper()
	d, err := prepare.OpenDelivery(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	text, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != d.Size {
		t.Errorf("%d bytes were announced, and %d come", d.Size, len(text))
	}
	return text
}

// other has the retailer mask the brand's list once more.
func (h *house) other(t testing.TB, dir string, pair *match.Pair) string {
	t.Helper()
	given, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for _, name := range []string{prepare.ManifestFile, prepare.MembersFile} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(given, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verifier, err := cleanroom.ParseVerifier(h.public[brand], brand)
	if err != nil {
		t.Fatal(err)
	}
	_, err = prepare.Remask(t.Context(), given, out, prepare.RemaskConfig{Remasker: pair, From: verifier, Signer: h.keys[retailer], Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newPair(t testing.TB) *match.Pair {
	t.Helper()
	secret, err := match.NewPairSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := match.NewPair(match.PairSalt{1}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (h *house) send(t testing.TB, by privacy.Principal, text []byte) (*admit.Admitted, error) {
	t.Helper()
	return h.desk().Admit(t.Context(), by, "spring", bytes.NewReader(text))
}
