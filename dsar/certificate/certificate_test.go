package certificate_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/privacy"
)

const origin = "shop.example/log"

var (
	key    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	public = key.Public().(ed25519.PublicKey)
	moment = time.UnixMilli(1795325000123).UTC()
)

func signer(t testing.TB, name string, key ed25519.PrivateKey) note.Signer {
	t.Helper()
	s, err := audit.NewSigner(name, key.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func logKey(t testing.TB) string {
	t.Helper()
	text, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// proof puts the event into a log of one entry.
func proof(t testing.TB, event audit.Event) certificate.Log {
	t.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now: func() time.Time { return moment }, Random: bytes.NewReader(bytes.Repeat([]byte{3}, 64)),
		Actor: func(privacy.Principal) [16]byte { return [16]byte{7} },
	})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := encoder.NewEntry(event)
	if err != nil {
		t.Fatal(err)
	}
	root := tlog.Hash(audit.LeafHash(entry.Leaf()))
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: 1, Root: root}, signer(t, origin, key))
	if err != nil {
		t.Fatal(err)
	}
	return certificate.NewLog(&audit.Inclusion{Leaf: entry.Leaf(), Checkpoint: signed})
}

var plan = audit.Digest{1, 2, 3}

var erased = audit.Event{
	Kind: audit.PersonErased, Outcome: audit.Done, List: plan,
	Principal: privacy.Principal{ID: "dana", Role: privacy.RoleDPO},
	Subject:   audit.Subject{ID: privacy.DataSubjectID{9}, Blinding: audit.BlindingKey{8}},
}

func sample(t testing.TB) *certificate.Certificate {
	t.Helper()
	gone, due, until := moment.Add(time.Second), moment.AddDate(0, 1, 0), moment.AddDate(10, 0, 0)
	return &certificate.Certificate{
		Revision: 2, IssuedAt: moment.Add(time.Hour),
		Request: certificate.Request{ID: "4d2f0a52-6f0c-4c0f-9d7e-3a0f1f2e4b5c", Regime: "kvkk", ReceivedAt: moment.Add(-time.Hour), DueAt: &due},
		Erasure: certificate.Erasure{
			ID: "0e0d0c0b-0a09-4807-8605-040302010000", Method: certificate.Shredded, Plan: hex.EncodeToString(plan[:]), Approvals: 2,
			ErasedAt: moment, RowsGoneAt: &gone, Keys: []string{strings.Repeat("ab", 32)},
			Destroyed: map[string]int64{"keys": 1, "identifiers": 3, "chunks": 12}, Suppressed: 3, LedgerSequence: 17,
		},
		Withheld: []certificate.Withheld{
			{Category: "purchases", Ground: "tax_records", Article: "TR-213-253", Until: &until, Items: 12},
			{Category: "contact", Attribute: "last_name", Ground: "legal_hold", Article: "GDPR-17-3-e", Items: 1},
		},
		Processors: []certificate.Processor{{Name: "newsletter_service", Status: certificate.Completed, At: &gone}, {Name: "mail_house", Status: certificate.Open}},
		Log:        proof(t, erased),
	}
}

func sign(t testing.TB, c *certificate.Certificate) []byte {
	t.Helper()
	signed, err := certificate.Sign(c, signer(t, certificate.SignerName(origin), key))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestKnownAnswer pins the bytes: a certificate is kept for years.
func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/certificate.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(sign(t, sample(t)))); diff != "" {
		t.Errorf("the format has changed (-want +got):\n%s", diff)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	want := sample(t)
	signed := sign(t, want)
	got, checks, err := certificate.Verify(signed, logKey(t)+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if len(checks) != 6 {
		t.Errorf("%d checks were made", len(checks))
	}
	parsed, err := certificate.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, parsed); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "key", origin + "+00000000+" + base64.StdEncoding.EncodeToString(append([]byte{1}, public...))} {
		if _, _, err := certificate.Verify(signed, bad); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("key %q: %v, want ErrInvalid", bad, err)
		}
	}
}

// TestAnyChange changes, removes and repeats every byte, and adds one before each.
func TestAnyChange(t *testing.T) {
	t.Parallel()
	signed, key := sign(t, sample(t)), logKey(t)
	tried := 0
	try := func(what string, at int, changed []byte) {
		t.Helper()
		tried++
		if _, _, err := certificate.Verify(changed, key); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s at byte %d: %v", what, at, err)
		}
	}
	for i := range signed {
		for _, flip := range []byte{0x01, 0x02, 0x04, 0x20, 0x80, 0xff} {
			changed := bytes.Clone(signed)
			changed[i] ^= flip
			try("flipped", i, changed)
		}
		try("removed", i, append(bytes.Clone(signed[:i]), signed[i+1:]...))
		try("cut", i, signed[:i])
		try("added", i, append(append(bytes.Clone(signed[:i]), '\n'), signed[i:]...))
		try("space", i, append(append(bytes.Clone(signed[:i]), ' '), signed[i:]...))
	}
	try("lengthened", len(signed), append(bytes.Clone(signed), '\n'))
	try("twice", 0, append(bytes.Clone(signed), signed...))
	if tried < 10*len(signed) {
		t.Errorf("only %d changes were tried", tried)
	}
}

// TestRefused: what the operator's own key signed, and is wrong all the same.
func TestRefused(t *testing.T) {
	t.Parallel()
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	later := moment.Add(-time.Hour)
	event := func(change func(*audit.Event)) certificate.Log {
		e := erased
		change(&e)
		return proof(t, e)
	}
	tests := map[string]struct {
		spoil  func(*certificate.Certificate)
		signer note.Signer
		check  string
	}{
		"another's key":   {nil, signer(t, certificate.SignerName(origin), other), certificate.CheckSignature},
		"as a checkpoint": {nil, signer(t, origin, key), certificate.CheckSignature},
		"of another log":  {nil, signer(t, certificate.SignerName("other.example/log"), key), certificate.CheckSignature},
		"another plan":    {func(c *certificate.Certificate) { c.Erasure.Plan = strings.Repeat("00", 32) }, nil, certificate.CheckPlan},
		"another event":   {func(c *certificate.Certificate) { c.Log = event(func(e *audit.Event) { e.Kind = audit.PersonShown }) }, nil, certificate.CheckEntry},
		"denied":          {func(c *certificate.Certificate) { c.Log = event(func(e *audit.Event) { e.Outcome = audit.Denied }) }, nil, certificate.CheckEntry},
		"about nobody":    {func(c *certificate.Certificate) { c.Log = event(func(e *audit.Event) { e.Subject = audit.Subject{} }) }, nil, certificate.CheckEntry},
		"another index":   {func(c *certificate.Certificate) { c.Log.Index = 3 }, nil, certificate.CheckInclusion},
		"altered leaf":    {func(c *certificate.Certificate) { c.Log.Leaf = strings.Replace(c.Log.Leaf, "dpo", "dpp", 1) }, nil, certificate.CheckInclusion},
		"path too long": {func(c *certificate.Certificate) {
			c.Log.Path = []string{base64.StdEncoding.EncodeToString(make([]byte, 32))}
		}, nil, certificate.CheckInclusion},
		"path no hash": {func(c *certificate.Certificate) { c.Log.Path = []string{"AAAA"} }, nil, certificate.CheckInclusion},
		"checkpoint altered": {func(c *certificate.Certificate) {
			c.Log.Checkpoint = strings.Replace(c.Log.Checkpoint, "\n1\n", "\n2\n", 1)
		}, nil, certificate.CheckInclusion},
		"time moved":    {func(c *certificate.Certificate) { c.Erasure.ErasedAt = later }, nil, certificate.CheckTimes},
		"issued before": {func(c *certificate.Certificate) { c.IssuedAt = later }, nil, certificate.CheckTimes},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sample(t)
			if test.spoil != nil {
				test.spoil(c)
			}
			if test.signer == nil {
				test.signer = signer(t, certificate.SignerName(origin), key)
			}
			signed, err := certificate.Sign(c, test.signer)
			if err != nil {
				t.Fatal(err)
			}
			got, checks, err := certificate.Verify(signed, logKey(t))
			if got != nil || !errors.Is(err, privacy.ErrDamaged) || len(checks) == 0 {
				t.Fatalf("passed %v: %v", checks, err)
			}
			last := checks[len(checks)-1]
			if last.Passed || last.Name != test.check {
				t.Errorf("refused by %s (%s), want %s", last.Name, last.Detail, test.check)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*certificate.Certificate){
		"no revision":           func(c *certificate.Certificate) { c.Revision = 0 },
		"no request":            func(c *certificate.Certificate) { c.Request.ID = "" },
		"no erasure":            func(c *certificate.Certificate) { c.Erasure.ID = "" },
		"other method":          func(c *certificate.Certificate) { c.Erasure.Method = "overwritten" },
		"short plan":            func(c *certificate.Certificate) { c.Erasure.Plan = "ab" },
		"upper case plan":       func(c *certificate.Certificate) { c.Erasure.Plan = strings.Repeat("AB", 32) },
		"nobody approved":       func(c *certificate.Certificate) { c.Erasure.Approvals = 0 },
		"no keys list":          func(c *certificate.Certificate) { c.Erasure.Keys = nil },
		"not in the ledger":     func(c *certificate.Certificate) { c.Erasure.LedgerSequence = 0 },
		"negative count":        func(c *certificate.Certificate) { c.Erasure.Destroyed["keys"] = -1 },
		"key no digest":         func(c *certificate.Certificate) { c.Erasure.Keys[0] = "x" },
		"no list of processors": func(c *certificate.Certificate) { c.Processors = nil },
		"unknown status":        func(c *certificate.Certificate) { c.Processors[0].Status = "maybe" },
		"answer without time":   func(c *certificate.Certificate) { c.Processors[0].At = nil },
		"withheld without law":  func(c *certificate.Certificate) { c.Withheld[0].Article = "" },
		"no proof":              func(c *certificate.Certificate) { c.Log.Checkpoint = "" },
		"microseconds":          func(c *certificate.Certificate) { c.IssuedAt = c.IssuedAt.Add(time.Microsecond) },
		"local time":            func(c *certificate.Certificate) { c.IssuedAt = c.IssuedAt.In(time.FixedZone("x", 3600)) },
	} {
		c := sample(t)
		spoil(c)
		if _, err := certificate.Sign(c, signer(t, certificate.SignerName(origin), key)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	signed := sign(f, sample(f))
	f.Add(signed)
	f.Add(bytes.Replace(signed, []byte(`{"revision":2`), []byte(`{"revision":2,"revision":2`), 1))
	f.Add([]byte("mahrem erasure certificate v1\n{}\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := certificate.Parse(data)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		// What is read is written back in the same words.
		again, err := certificate.Sign(c, signer(t, certificate.SignerName(origin), key))
		if err != nil {
			t.Fatal(err)
		}
		body, _, _ := bytes.Cut(data, []byte("\n\n"))
		rewritten, _, _ := bytes.Cut(again, []byte("\n\n"))
		if !bytes.Equal(body, rewritten) {
			t.Fatalf("read %q, would write %q", body, rewritten)
		}
	})
}

func TestHTML(t *testing.T) {
	t.Parallel()
	c := sample(t)
	c.Processors[0].Name = `<script>alert(1)</script>`
	for _, language := range certificate.Languages() {
		var page bytes.Buffer
		if err := certificate.WriteHTML(&page, c, language); err != nil {
			t.Fatal(err)
		}
		text := page.String()
		for _, want := range []string{c.Erasure.ID, c.Request.ID, c.Erasure.Plan, "tax_records", "2036-11-", `lang="` + language + `"`, "&lt;script&gt;"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page lacks %s", language, want)
			}
		}
		for _, never := range []string{"<script", "http:", "https:", "<no value>"} {
			if strings.Contains(text, never) {
				t.Errorf("%s: the page has %s", language, never)
			}
		}
	}
	if err := certificate.WriteHTML(&bytes.Buffer{}, c, "de"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("in German: %v", err)
	}
}

// TestNoEscapes: the text is read by people too, so JSON does not spell < as six signs.
func TestNoEscapes(t *testing.T) {
	t.Parallel()
	c := sample(t)
	c.Request.Regime = "a<b"
	if signed := sign(t, c); !bytes.Contains(signed, []byte(`"a<b"`)) || !json.Valid(bytes.Split(signed, []byte("\n"))[1]) {
		t.Error("the second line is not plain JSON")
	}
}
