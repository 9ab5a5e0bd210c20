package prepare_test

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
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// exact is noise that is not there.
type exact struct{}

func (exact) Gaussian(x int64, _ float64) int64 { return x }

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// key returns a party's key.
func key(t testing.TB, party cleanroom.PartyID) (*cleanroom.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := cleanroom.GenerateKey(rand.Reader, party)
	if err != nil {
		t.Fatal(err)
	}
	return must(cleanroom.ParseSigner(secret))(t), must(cleanroom.ParseVerifier(public, party))(t)
}

func contract() *cleanroom.Contract {
	return &cleanroom.Contract{
		Owner: "brand_partner", Dataset: "segments", Version: 1, Source: cleanroom.FromParty, Unit: "person",
		Purposes: []privacy.Purpose{"campaign_measurement"},
		Columns: []cleanroom.Column{
			{Name: "segment", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "behavioural", Domain: []string{"new", "regular", "other"}, Other: "other"},
			{Name: "day", Role: cleanroom.Dimension, Type: cleanroom.Day, Category: "behavioural", First: "2026-01-01", Last: "2026-12-31", Grid: cleanroom.ByWeek},
			{
				Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: 10_000,
				Functions: []cleanroom.Function{cleanroom.Sum},
			},
		},
		MinimumPeople: 50, Cap: 147_300_000, ConsumerCap: 36_825_000, QueryCap: 5_892_000, MaxGroupsPerPerson: 1, AdHoc: true,
	}
}

// config is for the contract's file, in operator mode.
func config(t testing.TB) (prepare.Config, note.Verifier) {
	t.Helper()
	signer, verifier := key(t, "brand_partner")
	return prepare.Config{
		Room: "spring", Epoch: 1,
		Contract:   &cleanroom.SignedContract{Contract: contract(), Digest: [32]byte{1, 2, 3}},
		Matcher:    match.NewOperator(),
		Identifier: privacy.Email, IdentifierColumn: "email",
		ConsentColumn: "consent", ConsentYes: "yes",
		Columns:  map[string]string{"spend": "amount"},
		Decimals: map[string]int{"spend": 2},
		Declared: 12, Minimum: 2,
		Signer: signer, Noise: exact{}, Random: rand.Reader,
		Now: func() time.Time { return time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC) },
	}, verifier
}

// source is a file in memory.
func source(name, text string) intake.Source {
	return intake.Source{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

// people is a CSV of n people, who all agree.
func people(n int) string {
	var b strings.Builder
	b.WriteString("email,consent,segment,day,amount\n")
	for i := range n {
		fmt.Fprintf(&b, "person%d@example.com,yes,%s,2026-03-%02d,%d.%02d\n", i, []string{"new", "regular", "strange"}[i%3], i%28+1, i, i%100)
	}
	return b.String()
}

// prepared is what a directory has.
type prepared struct {
	manifest *prepare.Manifest
	tokens   []match.Token
	rows     []prepare.Row
}

func open(t testing.TB, dir string, verifier note.Verifier, columns int) prepared {
	t.Helper()
	var out prepared
	_, manifest, err := prepare.ReadManifest(dir, verifier)
	if err != nil {
		t.Fatal(err)
	}
	out.manifest = manifest
	for _, line := range chunkLines(t, dir, prepare.MembersFile) {
		out.tokens = append(out.tokens, must(prepare.ParseMembers(line, manifest.Matching))(t)...)
	}
	for _, line := range chunkLines(t, dir, prepare.RowsFile) {
		out.rows = append(out.rows, must(prepare.ParseRows(line, columns, manifest.Members))(t)...)
	}
	return out
}

func chunkLines(t testing.TB, dir, name string) [][]byte {
	t.Helper()
	text := must(os.ReadFile(filepath.Join(dir, name)))(t)
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

// stopping masks until it has masked a number of batches, and then stops.
type stopping struct {
	match.Matcher
	left int
}

var errStopped = errors.New("stopped")

func (s *stopping) Mask(ctx context.Context, people []match.Seed) ([]match.Token, error) {
	if s.left == 0 {
		return nil, errStopped
	}
	s.left--
	return s.Matcher.Mask(ctx, people)
}
