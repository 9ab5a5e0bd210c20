package prepare_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func pair(t testing.TB, salt match.PairSalt) *match.Pair {
	t.Helper()
	return must(match.NewPair(salt, must(match.NewPairSecret(rand.Reader))(t)))(t)
}

// other is the retailer, who masks the brand's list once more.
type other struct {
	pair     *match.Pair
	signer   *cleanroom.Signer
	verifier note.Verifier
	brand    note.Verifier
}

func (o *other) remask(ctx context.Context, from, dir string) (*prepare.Remasked, error) {
	return prepare.Remask(ctx, from, dir, prepare.RemaskConfig{
		Remasker: o.pair, From: o.brand, Signer: o.signer,
		Now: func() time.Time { return time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC) },
	})
}

// list prepares the brand's list in pair mode, and what the other party gets of it.
func list(t testing.TB, n int) (prepare.Config, *other, string) {
	t.Helper()
	c, verifier := config(t)
	salt := match.PairSalt{7}
	c.Matcher, c.Declared = pair(t, salt), n
	dir := filepath.Join(t.TempDir(), "brand")
	if _, err := prepare.Run(t.Context(), source("x.csv", people(n)), dir, c); err != nil {
		t.Fatal(err)
	}
	o := &other{pair: pair(t, salt), brand: verifier}
	o.signer, o.verifier = key(t, "retailer")
	given := t.TempDir()
	for _, name := range []string{prepare.ManifestFile, prepare.MembersFile} {
		content := must(os.ReadFile(filepath.Join(dir, name)))(t)
		if err := os.WriteFile(filepath.Join(given, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c, o, given
}

func TestBothMasksMeet(t *testing.T) {
	t.Parallel()
	const n = prepare.ChunkSize + 3
	c, o, given := list(t, n)
	dir := filepath.Join(t.TempDir(), "out")
	statement, err := o.remask(t.Context(), given, dir)
	if err != nil {
		t.Fatal(err)
	}
	signed := must(os.ReadFile(filepath.Join(dir, prepare.RemaskedFile)))(t)
	manifest, m, err := prepare.ReadManifest(given, o.brand)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.OpenRemasked(signed, o.verifier, manifest, m); err != nil {
		t.Error(err)
	}
	if len(statement.MemberChunks) != 2 {
		t.Errorf("%d chunks", len(statement.MemberChunks))
	}
	// What the other party has of its own people, masked by the brand, is the same.
	var once, twice []match.Token
	for _, line := range chunkLines(t, given, prepare.MembersFile) {
		once = append(once, must(prepare.ParseMembers(line, cleanroom.MatchPair))(t)...)
	}
	for _, line := range chunkLines(t, dir, prepare.MembersFile) {
		twice = append(twice, must(prepare.ParseMembers(line, cleanroom.MatchPair))(t)...)
	}
	person := privacy.NewPlain("person7@example.com")
	mine := must(c.Matcher.(*match.Pair).Remask(t.Context(), must(o.pair.Mask(t.Context(), []match.Seed{o.pair.Seed(person)}))(t)))(t)
	at := slices.Index(twice, mine[0])
	if at < 0 || once[at] != must(c.Matcher.Mask(t.Context(), []match.Seed{c.Matcher.Seed(person)}))(t)[0] {
		t.Errorf("somebody is not found where the brand has them: %d", at)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "*rows*"))
	if err != nil || len(entries) != 0 {
		t.Errorf("rows among what the other party has: %v, %v", entries, err)
	}
}

func TestRemaskingIsTakenUp(t *testing.T) {
	t.Parallel()
	const n = 2*prepare.ChunkSize + 3
	_, o, given := list(t, n)
	whole, dir := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "out")
	if _, err := o.remask(t.Context(), given, whole); err != nil {
		t.Fatal(err)
	}
	broken := &stoppingRemasker{o.pair, 2} // the first one is the fingerprint
	_, err := prepare.Remask(t.Context(), given, dir, prepare.RemaskConfig{Remasker: broken, From: o.brand, Signer: o.signer, Now: time.Now})
	if !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	another := *o
	another.pair = pair(t, match.PairSalt{7})
	if _, err := another.remask(t.Context(), given, dir); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("going on with another secret: %v", err)
	}
	counting := &stoppingRemasker{o.pair, 3} // the fingerprint and the two chunks that are missing
	_, err = prepare.Remask(t.Context(), given, dir, prepare.RemaskConfig{Remasker: counting, From: o.brand, Signer: o.signer, Now: time.Now})
	if err != nil {
		t.Fatalf("going on: %v", err)
	}
	a, b := must(os.ReadFile(filepath.Join(whole, prepare.MembersFile)))(t), must(os.ReadFile(filepath.Join(dir, prepare.MembersFile)))(t)
	if !bytes.Equal(a, b) {
		t.Error("what was taken up came out otherwise")
	}
}

type stoppingRemasker struct {
	match.Remasker
	left int
}

func (s *stoppingRemasker) Remask(ctx context.Context, tokens []match.Token) ([]match.Token, error) {
	if s.left == 0 {
		return nil, errStopped
	}
	s.left--
	return s.Remasker.Remask(ctx, tokens)
}

func TestOnlyWhatWasSignedIsRemasked(t *testing.T) {
	t.Parallel()
	c, o, given := list(t, 12)
	manifest := must(os.ReadFile(filepath.Join(given, prepare.ManifestFile)))(t)
	members := must(os.ReadFile(filepath.Join(given, prepare.MembersFile)))(t)
	// The brand signs a list with somebody in it twice.
	m := must(prepare.OpenManifest(manifest, o.brand))(t)
	tokens := must(prepare.ParseMembers(bytes.TrimSuffix(members, []byte("\n")), cleanroom.MatchPair))(t)
	tokens[3] = tokens[8]
	doubled := prepare.AppendMembers(nil, cleanroom.MatchPair, tokens)
	m.MemberChunks[0] = sum(doubled)
	doubledManifest := must(m.Sign(c.Signer))(t)
	for name, test := range map[string]struct {
		manifest, members []byte
		want              error
	}{
		"another token":     {manifest, bytes.Replace(members, []byte(tokens[5].Text(cleanroom.MatchPair)), []byte(tokens[6].Text(cleanroom.MatchPair)), 1), privacy.ErrDamaged},
		"a chunk too few":   {manifest, nil, privacy.ErrInvalid},
		"a chunk too many":  {manifest, append(bytes.Clone(members), members...), privacy.ErrInvalid},
		"without an end":    {manifest, bytes.TrimSuffix(members, []byte("\n")), privacy.ErrInvalid},
		"a changed number":  {bytes.Replace(manifest, []byte(`"members":12`), []byte(`"members":11`), 1), members, privacy.ErrDamaged},
		"somebody is twice": {doubledManifest, append(doubled, '\n'), privacy.ErrInvalid},
	} {
		from := t.TempDir()
		for file, content := range map[string][]byte{prepare.ManifestFile: test.manifest, prepare.MembersFile: test.members} {
			if err := os.WriteFile(filepath.Join(from, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := o.remask(t.Context(), from, dir); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, prepare.RemaskedFile)); err == nil {
			t.Errorf("%s: a statement was signed", name)
		}
	}
	// Nobody masks their own list twice, and no other mode has this.
	own := *o
	own.signer = c.Signer
	if _, err := own.remask(t.Context(), given, filepath.Join(t.TempDir(), "out")); !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "another party") {
		t.Errorf("one's own list: %v", err)
	}
}
