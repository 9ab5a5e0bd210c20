package policies_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// sameByte is a source of randomness for keys that are the same in every run.
type sameByte byte

func (b sameByte) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// newKey returns both halves of the key that comes of one byte.
func newKey(t testing.TB, seed byte, name string) (*policies.Signer, *policies.Keys, string) {
	t.Helper()
	secret, public, err := policies.GenerateKey(sameByte(seed), name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := policies.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := policies.ParseKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, keys, public
}

var notAfter = time.Date(2027, 6, 30, 12, 0, 0, 0, time.UTC)

func sign(t testing.TB, signer *policies.Signer, c *policies.Content, sequence uint64) *policies.Content {
	t.Helper()
	signed, _, err := signer.Sign(c, sequence, notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// withNote is a bundle with another statement.
func withNote(t testing.TB, c *policies.Content, note string) *policies.Content {
	t.Helper()
	bundle := fstest.MapFS{policies.StatementFile: {Data: []byte(note)}}
	for name, file := range files(t, c) {
		if name != policies.StatementFile {
			bundle[name] = &fstest.MapFile{Data: file}
		}
	}
	return content(t, bundle)
}

func small(t testing.TB) *policies.Content {
	return content(t, fstest.MapFS{
		"cases/s01.yaml": {Data: []byte("scenario: S1\n")}, "catalogue/purposes.yaml": {Data: []byte("{}\n")},
		"rego/plan.rego": {Data: []byte("package mahrem.plan\n")},
	})
}

// noteOver signs any text with a key of [newKey].
func noteOver(t testing.TB, seed byte, text string) string {
	t.Helper()
	secret, _, err := policies.GenerateKey(sameByte(seed), "shop.example/policies")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(secret))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	signer, keys, public := newKey(t, 1, "shop.example/policies")
	stranger, strangers, _ := newKey(t, 2, "shop.example/policies")
	_, _, other := newKey(t, 2, "shop.example/policies")
	both, err := policies.ParseKeys("# two keys while the old one is replaced\n\n" + public + other)
	if err != nil {
		t.Fatal(err)
	}
	c := small(t)
	signed := sign(t, signer, c, 7)
	whole := string(files(t, signed)[policies.StatementFile])
	before, after := notAfter, notAfter.Add(time.Second)

	want := policies.Signed{By: "shop.example/policies"}
	want.Digest, want.Sequence, want.NotAfter = c.Digest(), 7, notAfter
	for name, k := range map[string]*policies.Keys{"one key": keys, "two keys": both} {
		got, err := k.Verify(signed, before)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	text, signature, _ := strings.Cut(whole, "\n\n")
	broken := []byte(signature)
	broken[len(broken)-10] ^= 1
	changed := content(t, fstest.MapFS{
		"cases/s01.yaml": {Data: []byte("scenario: S1\n")}, "catalogue/purposes.yaml": {Data: []byte("{}\n")},
		"rego/plan.rego":       {Data: []byte("package mahrem.plan \n")},
		policies.StatementFile: {Data: []byte(whole)},
	})
	for name, test := range map[string]struct {
		c    *policies.Content
		keys *policies.Keys
		at   time.Time
		want string
	}{
		"no statement":            {c, keys, before, policies.BundleUnsigned},
		"stripped signature":      {withNote(t, c, text+"\n"), keys, before, policies.BundleUnsigned},
		"stripped to the blank":   {withNote(t, c, text+"\n\n"), keys, before, policies.BundleMalformed},
		"empty statement":         {withNote(t, c, ""), keys, before, policies.BundleUnsigned},
		"wrong key of that name":  {signed, strangers, before, policies.BundleUntrusted},
		"signed by a stranger":    {sign(t, stranger, c, 7), keys, before, policies.BundleUntrusted},
		"nobody is believed":      {signed, new(policies.Keys), before, policies.BundleUntrusted},
		"file changed":            {changed, keys, before, policies.BundleTampered},
		"sequence changed":        {withNote(t, c, strings.Replace(whole, "sequence 7", "sequence 8", 1)), keys, before, policies.BundleTampered},
		"lifetime changed":        {withNote(t, c, strings.Replace(whole, "2027", "2037", 1)), keys, before, policies.BundleTampered},
		"signature changed":       {withNote(t, c, text+"\n\n"+string(broken)), keys, before, policies.BundleTampered},
		"text put before":         {withNote(t, c, "x\n"+whole), keys, before, policies.BundleTampered},
		"of another bundle":       {withNote(t, content(t, policies.Bundle()), whole), keys, before, policies.BundleTampered},
		"a second after":          {signed, keys, after, policies.BundleExpired},
		"signed for another use":  {withNote(t, c, noteOver(t, 1, "mahrem.local/log\n5\nAAAA\n")), keys, before, policies.BundleMalformed},
		"statement of no version": {withNote(t, c, noteOver(t, 1, strings.Replace(text+"\n", "/v1", "/v2", 1))), keys, before, policies.BundleMalformed},
	} {
		_, err := test.keys.Verify(test.c, test.at)
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, test.want) })
	}
}

// TestVerifyEveryByte: whichever byte of the statement or of a file is changed, the bundle
// is refused.
func TestVerifyEveryByte(t *testing.T) {
	t.Parallel()
	signer, keys, _ := newKey(t, 1, "shop.example/policies")
	signed := sign(t, signer, small(t), 7)
	if _, err := keys.Verify(signed, notAfter); err != nil {
		t.Fatal(err)
	}
	for name, file := range files(t, signed) {
		for i := range file {
			bundle := fstest.MapFS{}
			for other, data := range files(t, signed) {
				bundle[other] = &fstest.MapFile{Data: data}
			}
			spoiled := bytes.Clone(file)
			spoiled[i] ^= 1 << (i % 8)
			bundle[name] = &fstest.MapFile{Data: spoiled}
			if _, err := keys.Verify(content(t, bundle), notAfter); err == nil {
				t.Errorf("byte %d of %s is not protected", i, name)
			}
		}
	}
}

func TestSignRefusesStatementsThatDoNotParse(t *testing.T) {
	t.Parallel()
	signer, _, _ := newKey(t, 1, "shop.example/policies")
	for _, test := range []struct {
		sequence uint64
		notAfter time.Time
	}{{0, notAfter}, {1 << 63, notAfter}, {1, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		if _, _, err := signer.Sign(small(t), test.sequence, test.notAfter); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("sequence %d until %v: %v", test.sequence, test.notAfter, err)
		}
	}
}

func TestKeysAreRead(t *testing.T) {
	t.Parallel()
	secret, public, err := policies.GenerateKey(sameByte(1), "shop.example/policies")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "comments": "# no key\n", "garbage": "key\n", "twice": public + public,
		"the secret half": secret, "cut": public[:len(public)-5],
	} {
		if _, err := policies.ParseKeys(text); !errors.Is(err, privacy.ErrInvalid) || strings.Contains(fmt.Sprint(err), secret[20:40]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "the public half": public, "cut": secret[:len(secret)-5], "name changed": strings.Replace(secret, "shop", "flop", 1)} {
		if _, err := policies.ParseSigner(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "two words", "a+b", "ü", "a\nb", strings.Repeat("x", 201)} {
		if _, _, err := policies.GenerateKey(sameByte(1), name); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("a key named %q: %v", name, err)
		}
	}
	signer, err := policies.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, _ := json.Marshal(signer)
	for _, printed := range []string{fmt.Sprint(signer), fmt.Sprintf("%#v %+v %s", signer, signer, signer), string(asJSON), signer.LogValue().String()} {
		if !strings.Contains(printed, privacy.Redacted) || strings.Contains(printed, "PRIVATE") {
			t.Errorf("a signing key prints as %s", printed)
		}
	}
}

// TestBundleVector holds the bytes of the format, for other implementations.
func TestBundleVector(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/bundle.json")
	if err != nil {
		t.Fatal(err)
	}
	var vector struct {
		Files     map[string]string `json:"files"`
		Digest    string            `json:"digest"`
		Secret    string            `json:"secret_key"`
		Public    string            `json:"public_key"`
		Sequence  uint64            `json:"sequence"`
		NotAfter  time.Time         `json:"not_after"`
		Note      string            `json:"bundle.note"`
		TarSHA256 string            `json:"tar_sha256"`
		Archive   []byte            `json:"archive"`
	}
	if err := json.Unmarshal(raw, &vector); err != nil {
		t.Fatal(err)
	}
	bundle := fstest.MapFS{}
	for name, text := range vector.Files {
		bundle[name] = &fstest.MapFile{Data: []byte(text)}
	}
	c := content(t, bundle)
	if digest := c.Digest(); hex.EncodeToString(digest[:]) != vector.Digest {
		t.Errorf("digest %x", digest)
	}
	signer, err := policies.ParseSigner(vector.Secret)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := signer.Sign(c, vector.Sequence, vector.NotAfter)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(vector.Note, string(files(t, signed)[policies.StatementFile])); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
	archive := signed.AppendArchive(nil)
	if sum := sha256.Sum256(gunzip(t, archive)); hex.EncodeToString(sum[:]) != vector.TarSHA256 {
		t.Errorf("sha256 of the tar %x; archive %s", sum, archive)
	}
	stored, err := policies.ParseArchive(vector.Archive)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := policies.ParseKeys(vector.Public)
	if err != nil {
		t.Fatal(err)
	}
	if statement, err := keys.Verify(stored, vector.NotAfter); err != nil || statement.Sequence != vector.Sequence {
		t.Errorf("the archive of the vector: %+v, %v", statement, err)
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(policies.FormatStatement(policies.Statement{Sequence: 1, NotAfter: notAfter}))
	f.Add("mahrem.policy-bundle/v1\ndigest sha256:00\nsequence 01\nnot-after 2027-06-30T12:00:00+02:00\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := policies.ParseStatement(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		if policies.FormatStatement(s) != text || s.Sequence == 0 {
			t.Errorf("%q reads as %+v", text, s)
		}
	})
}

func FuzzVerify(f *testing.F) {
	signer, keys, _ := newKey(f, 1, "shop.example/policies")
	signed := sign(f, signer, small(f), 7)
	good := files(f, signed)[policies.StatementFile]
	f.Add(good)
	f.Add([]byte("\n\n— a b\n"))
	f.Fuzz(func(t *testing.T, note []byte) {
		c, err := policies.ReadBundle(fstest.MapFS{
			"cases/s01.yaml": {Data: []byte("scenario: S1\n")}, "catalogue/purposes.yaml": {Data: []byte("{}\n")},
			"rego/plan.rego": {Data: []byte("package mahrem.plan\n")}, policies.StatementFile: {Data: note},
		})
		if err != nil {
			return
		}
		if _, err := keys.Verify(c, notAfter); err == nil && !bytes.HasPrefix(note, good[:bytes.Index(good, []byte("\n\n"))]) {
			t.Errorf("verified: %q", note)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	_, _, public := newKey(f, 1, "shop.example/policies")
	f.Add(public)
	f.Fuzz(func(t *testing.T, text string) {
		if keys, err := policies.ParseKeys(text); err == nil && len(keys.Names()) == 0 || err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%v", err)
		}
	})
}

func ExampleKeys_Verify() {
	secret, public, _ := policies.GenerateKey(sameByte(1), "shop.example/policies") // crypto/rand.Reader
	signer, _ := policies.ParseSigner(secret)
	bundle, _ := policies.ReadBundle(policies.Bundle())
	signed, _, _ := signer.Sign(bundle, 17, notAfter)

	keys, _ := policies.ParseKeys(public)
	statement, err := keys.Verify(signed, notAfter.Add(-time.Hour))
	fmt.Println(statement.By, statement.Sequence, err)
	_, err = keys.Verify(bundle, notAfter)
	fmt.Println(err)
	// Output:
	// shop.example/policies 17 <nil>
	// bundle.unsigned: verifying bundle: there is no bundle.note: invalid input
}

func TestParseStatementTakesOneSpelling(t *testing.T) {
	t.Parallel()
	good := policies.FormatStatement(policies.Statement{Digest: [32]byte{0xab}, Sequence: 12, NotAfter: notAfter})
	if s, err := policies.ParseStatement(good); err != nil || s.Sequence != 12 || s.Digest[0] != 0xab || !s.NotAfter.Equal(notAfter) {
		t.Fatalf("%q: %+v, %v", good, s, err)
	}
	for name, test := range map[string]struct{ old, replacement, want string }{
		"other version":      {"/v1\n", "/v2\n", "version"},
		"upper case":         {"sha256:ab", "sha256:AB", "spelling"},
		"long digest":        {"sha256:ab", "sha256:abab", "spelling"},
		"short digest":       {"sha256:ab", "sha256:", "digest"},
		"other digest":       {"sha256:", "sha512:", "digest"},
		"leading zero":       {"sequence 12", "sequence 012", "spelling"},
		"no sequence":        {"sequence 12", "12", "spelling"},
		"sequence zero":      {"sequence 12", "sequence 0", "sequence"},
		"negative":           {"sequence 12", "sequence -1", "sequence"},
		"too large":          {"sequence 12", "sequence 9223372036854775808", "sequence"},
		"other zone":         {"12:00:00Z", "14:00:00+02:00", "spelling"},
		"fraction":           {"12:00:00Z", "12:00:00.5Z", "spelling"},
		"no day":             {"not-after 2027-06-30T12:00:00Z", "not-after never", "not-after"},
		"one more line":      {"sequence 12\n", "sequence 12\nmore\n", "number of lines"},
		"no last line feed":  {"12:00:00Z\n", "12:00:00Z", "number of lines"},
		"carriage return":    {"sequence 12\n", "sequence 12\r\n", "sequence"},
		"name left out":      {"not-after 2027", "2027", "spelling"},
		"something after it": {"12:00:00Z\n", "12:00:00Z\n\n", "number of lines"},
	} {
		text := strings.Replace(good, test.old, test.replacement, 1)
		if _, err := policies.ParseStatement(text); !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "statement: "+test.want) {
			t.Errorf("%s: %v, want it to be about the %s", name, err, test.want)
		}
	}
}
