package prepare_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func houseList(signer *cleanroom.Signer) *prepare.HouseList {
	c := contract()
	c.Owner, c.Source = signer.Party(), cleanroom.FromHouse
	return &prepare.HouseList{
		Room: "spring", Epoch: 2, Contract: &cleanroom.SignedContract{Contract: c, Digest: [32]byte{4}}, Identifier: privacy.Email, Signer: signer,
		Now: func() time.Time { return time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC) },
	}
}

func pairSide(t testing.TB) *match.Pair {
	t.Helper()
	return must(match.NewPair(match.PairSalt{1}, must(match.NewPairSecret(rand.Reader))(t)))(t)
}

// TestTheHousesListIsMaskedByTheOther: the other party masks what the house has written, in its
// order, and comes to what it would have masked first.
func TestTheHousesListIsMaskedByTheOther(t *testing.T) {
	t.Parallel()
	signer, verifier := key(t, "retail_media")
	brand, _ := key(t, "brand_partner")
	ours, theirs := pairSide(t), pairSide(t)
	var seeds []match.Seed
	for i := range prepare.ChunkSize + 5 {
		seeds = append(seeds, ours.Seed(privacy.NewPlain(fmt.Sprintf("p%d@example.com", i))))
	}
	tokens := must(ours.Mask(t.Context(), seeds))(t)
	dir := filepath.Join(t.TempDir(), "list")
	var committed audit.Digest
	m, err := houseList(signer).Write(dir, tokens, func(manifest audit.Digest) error {
		committed = manifest
		if _, err := os.Lstat(filepath.Join(dir, prepare.ManifestFile)); err == nil {
			t.Error("the list is complete before it is committed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, opened, err := prepare.ReadManifest(dir, verifier)
	if err != nil || prepare.Digest(signed) != committed || !opened.StayAtHome() || opened.Members != len(tokens) || opened.Declared != len(tokens) || len(m.MemberChunks) != 2 {
		t.Fatalf("%+v, %v", opened, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := prepare.Remask(t.Context(), dir, out, prepare.RemaskConfig{Remasker: theirs, From: verifier, Signer: brand, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	var back []match.Token
	for _, line := range chunkLines(t, out, prepare.MembersFile) {
		back = append(back, must(prepare.ParseMembers(line, cleanroom.MatchPair))(t)...)
	}
	if want := must(ours.Remask(t.Context(), must(theirs.Mask(t.Context(), seeds))(t)))(t); !slices.Equal(back, want) {
		t.Error("what comes back is not in the order of the list, or masked otherwise")
	}
}

func TestTheHousesListIsWhole(t *testing.T) {
	t.Parallel()
	signer, _ := key(t, "retail_media")
	tokens := must(pairSide(t).Mask(t.Context(), []match.Seed{{1}, {2}}))(t)
	fine := func(audit.Digest) error { return nil }
	failed := errors.New("not committed")
	dir := filepath.Join(t.TempDir(), "list")
	if _, err := houseList(signer).Write(dir, tokens, func(audit.Digest) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("what was not committed: %v", err)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("something is left of a list that was not committed")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := houseList(signer).Write(dir, tokens, fine); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("into a directory that is there: %v", err)
	}
	for name, change := range map[string]func(l *prepare.HouseList){
		"another's contract": func(l *prepare.HouseList) { l.Contract.Contract.Owner = "brand_partner" },
		"a party's dataset":  func(l *prepare.HouseList) { l.Contract.Contract.Source = cleanroom.FromParty },
		"no epoch":           func(l *prepare.HouseList) { l.Epoch = 0 },
	} {
		l := houseList(signer)
		change(l)
		if _, err := l.Write(filepath.Join(t.TempDir(), "list"), tokens, fine); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := houseList(signer).Write(filepath.Join(t.TempDir(), "list"), nil, fine); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a list of nobody: %v", err)
	}
}

// TestRowsComeWithEveryOtherList: only in pair mode can a manifest be without rows.
func TestRowsComeWithEveryOtherList(t *testing.T) {
	t.Parallel()
	signer, verifier := key(t, "retail_media")
	m := prepare.Manifest{
		ContractVersion: 1, Dataset: "homes", Declared: 1, Epoch: 1, Identifier: privacy.Email, Matching: cleanroom.MatchPair, Members: 1,
		MemberChunks: make([]audit.Digest, 1), RowChunks: []audit.Digest{}, Owner: "retail_media", Room: "spring",
	}
	signed := must(m.Sign(signer))(t)
	if !bytes.Contains(signed, []byte(`"row_chunks":[],"rows":0`)) {
		t.Errorf("the manifest is %s", signed)
	}
	if opened, err := prepare.OpenManifest(signed, verifier); err != nil || !opened.StayAtHome() {
		t.Errorf("%+v, %v", opened, err)
	}
	for _, matching := range []cleanroom.Matching{cleanroom.MatchOperator, cleanroom.MatchBlind, cleanroom.MatchOPRF} {
		m.Matching = matching
		if _, err := m.Sign(signer); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("without rows in mode %s: %v", matching, err)
		}
	}
}

// A house hands its own people, masked once, to the other party of a room in pair mode.
func ExampleHouseList() {
	secret, public, err := cleanroom.GenerateKey(rand.Reader, "retail_media")
	if err != nil {
		panic(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		panic(err)
	}
	scalar, err := match.NewPairSecret(rand.Reader)
	if err != nil {
		panic(err)
	}
	pair, err := match.NewPair(match.PairSalt{1}, scalar)
	if err != nil {
		panic(err)
	}
	tokens, err := pair.Mask(context.Background(), []match.Seed{pair.Seed(privacy.NewPlain("ada@example.com"))})
	if err != nil {
		panic(err)
	}
	base, err := os.MkdirTemp("", "list")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(base) }()
	dir := filepath.Join(base, "for-brand")
	_, err = houseList(signer).Write(dir, tokens, func(audit.Digest) error { return nil })
	if err != nil {
		panic(err)
	}
	var verifier note.Verifier
	if verifier, err = cleanroom.ParseVerifier(public, "retail_media"); err != nil {
		panic(err)
	}
	_, m, err := prepare.ReadManifest(dir, verifier)
	fmt.Println(m.Owner, m.Members, m.StayAtHome(), err)
	// Output: retail_media 1 true <nil>
}
