package prepare_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func sum(b []byte) audit.Digest { return sha256.Sum256(b) }

// The known answers of docs/spec/prepared.md.
const (
	knownMembers = `{"members":["01:sha256:tfyF5VdV+eDQMKEKtEKbaylEhV+aDWAHf+gyvsvEHXI=","01:sha256:yCjWuTtqOenZYy6GP2LnzAjJJ4qlEgovD/hNJEkxDSY="]}`
	knownRows    = `{"rows":[[1,0,20458,150],[0,2,20818,-5]],"salt":"AAECAwQFBgcICQoLDA0ODw=="}`
	knownText    = "mahrem prepared v1\n" + `{"contract_digest":"0000000000000000000000000000000000000000000000000000000000000001","contract_version":1,"dataset":"segments","declared":2,"epoch":1,"identifier":"email","matching":"operator","member_chunks":["` + knownMembersDigest + `"],"members":2,"owner":"brand_partner","prepared_at":"2026-05-04T03:02:01Z","room":"spring","row_chunks":["` + knownRowsDigest + `"],"rows":2,"without_consent":100}` + "\n"

	knownMembersDigest = "a23ae011425078cffc56c0d6b25cf852c4fede5ccee5497517caf42c1bb959b1"
	knownRowsDigest    = "ed9ceca3019418a067ea7bfc1612a9a0db55a09cd7e74bfd94cc3b4b6ecbfc8b"
	// The key is the one of which the seed is 32 times the byte 1.
	knownSecret    = "PRIVATE+KEY+brand_partner+a9912c3e+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	knownSignature = "— brand_partner qZEsPpBHL2udw+Tf3j97w2dib6tvzZOUnhD5ne1RaJGQjTFoHuyw3NF66QB8JQhGSsj8UgjXUB432fj+GpHzkMjNNAk="
)

func knownManifest() *prepare.Manifest {
	return &prepare.Manifest{
		ContractDigest: audit.Digest{31: 1}, ContractVersion: 1, Dataset: "segments", Declared: 2, Epoch: 1, Identifier: privacy.Email,
		Matching: cleanroom.MatchOperator, Members: 2, MemberChunks: []audit.Digest{sum([]byte(knownMembers))}, Owner: "brand_partner",
		PreparedAt: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Room: "spring", RowChunks: []audit.Digest{sum([]byte(knownRows))}, Rows: 2,
		WithoutConsent: 100,
	}
}

func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	tokens := []match.Token{sha256.Sum256([]byte("ada@example.com")), sha256.Sum256([]byte("bo@example.com"))}
	if got := string(prepare.AppendMembers(nil, cleanroom.MatchOperator, tokens)); got != knownMembers {
		t.Errorf("members: %s", got)
	}
	var salt [16]byte
	for i := range salt {
		salt[i] = byte(i)
	}
	rows := []prepare.Row{{Member: 1, Values: []int64{0, 20458, 150}}, {Member: 0, Values: []int64{2, 20818, -5}}}
	if got := string(prepare.AppendRows(nil, rows, salt)); got != knownRows {
		t.Errorf("rows: %s", got)
	}
	for text, want := range map[string]string{knownMembers: knownMembersDigest, knownRows: knownRowsDigest} {
		if d := sum([]byte(text)); hex.EncodeToString(d[:]) != want {
			t.Errorf("digest: %x", d)
		}
	}
	secret, public, err := cleanroom.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(secret) != knownSecret {
		t.Errorf("secret: %s", secret)
	}
	signed := must(knownManifest().Sign(must(cleanroom.ParseSigner(secret))(t)))(t)
	if string(signed) != knownText+"\n"+knownSignature+"\n" {
		t.Errorf("manifest: %s", signed)
	}
	m := must(prepare.OpenManifest(signed, must(cleanroom.ParseVerifier(public, "brand_partner"))(t)))(t)
	if !reflect.DeepEqual(m, knownManifest()) {
		t.Errorf("read back as %+v", m)
	}
}

func TestOneSpelling(t *testing.T) {
	t.Parallel()
	parse := func(line string) error {
		_, err := prepare.ParseMembers([]byte(line), cleanroom.MatchOperator)
		return err
	}
	for _, change := range [][2]string{
		{`"members"`, `"people"`},
		{`","`, `", "`},
		{`]}`, `] }`},
		{`01:sha256:`, `02:hmac:`},
		{`=`, ``},
		{`]}`, `],"more":1}`},
	} {
		if err := parse(strings.ReplaceAll(knownMembers, change[0], change[1])); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("members with %s for %s: %v", change[1], change[0], err)
		}
	}
	rows := func(line string) error {
		_, err := prepare.ParseRows([]byte(line), 3, 2)
		return err
	}
	if err := rows(knownRows); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`[1,0`, `[2,0`},
		{`[1,0`, `[-1,0`},
		{`[1,0`, `[01,0`},
		{`[1,0`, `[1,-0`},
		{`[1,0`, `[1, 0`},
		{`[1,0`, `[1.0,0`},
		{`[1,0`, `[1e0,0`},
		{`[1,0`, `["1",0`},
		{`[1,0,`, `[1,`},
		{`[1,0,`, `[1,0,0,`},
		{`150`, `1500000000000`},
		{`],[`, `], [`},
		{`AAEC`, `!AEC`},
		{`AAEC`, `AAECAwQF`},
		{`,"salt":"AAECAwQFBgcICQoLDA0ODw=="`, ``},
		{`==`, `=\n=`},
	} {
		if err := rows(strings.ReplaceAll(knownRows, change[0], change[1])); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("rows with %s for %s: %v", change[1], change[0], err)
		}
	}
}

// A manifest that does not hold together cannot be signed, and cannot be opened if somebody
// signed it otherwise.
func TestManifestsHoldTogether(t *testing.T) {
	t.Parallel()
	signer, verifier := key(t, "brand_partner")
	for name, change := range map[string]func(m *prepare.Manifest){
		"mode":           func(m *prepare.Manifest) { m.Matching = "guess" },
		"epoch":          func(m *prepare.Manifest) { m.Epoch = 0 },
		"version":        func(m *prepare.Manifest) { m.ContractVersion = 0 },
		"nobody":         func(m *prepare.Manifest) { m.Members = 0 },
		"too many":       func(m *prepare.Manifest) { m.Declared, m.Members = 1<<40, 1<<40 },
		"fewer rows":     func(m *prepare.Manifest) { m.Rows = 1 },
		"undeclared":     func(m *prepare.Manifest) { m.Declared = 1 },
		"far fewer":      func(m *prepare.Manifest) { m.Declared = 3 },
		"chunks":         func(m *prepare.Manifest) { m.MemberChunks = append(m.MemberChunks, audit.Digest{}) },
		"row chunks":     func(m *prepare.Manifest) { m.RowChunks = nil },
		"exact refusals": func(m *prepare.Manifest) { m.WithoutConsent = 101 },
	} {
		m := knownManifest()
		change(m)
		if _, err := m.Sign(signer); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	signed := must(knownManifest().Sign(signer))(t)
	stranger, strangers := key(t, "retailer")
	if _, err := prepare.OpenManifest(signed, strangers); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("somebody else's verifier: %v", err)
	}
	if _, err := knownManifest().Sign(stranger); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("somebody else's key: %v", err)
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if _, err := prepare.OpenManifest(changed, verifier); err == nil {
			t.Fatalf("byte %d can be changed", i)
		}
	}
}

func FuzzMembers(f *testing.F) {
	f.Add([]byte(knownMembers))
	f.Add([]byte(`{"members":[""]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		tokens, err := prepare.ParseMembers(line, cleanroom.MatchOperator)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if again := prepare.AppendMembers(nil, cleanroom.MatchOperator, tokens); !bytes.Equal(again, line) {
			t.Errorf("%q has another spelling: %q", line, again)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte(knownRows))
	f.Add([]byte(`{"rows":[[0,-1,0,-0]],"salt":""}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		rows, err := prepare.ParseRows(line, 3, 2)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		var salt [16]byte
		again := prepare.AppendRows(nil, rows, salt)
		if len(again) != len(line) || !bytes.Equal(again[:len(again)-28], line[:len(line)-28]) {
			t.Errorf("%q has another spelling: %q", line, again)
		}
	})
}

func FuzzManifest(f *testing.F) {
	signer, verifier := key(f, "brand_partner")
	f.Add([]byte(knownText))
	f.Add([]byte("mahrem remasked v1\n" + `{"by":"retailer","manifest":"` + knownRowsDigest + `","member_chunks":[],"remasked_at":"2026-05-04T03:02:01Z"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, peek := range []func([]byte) (cleanroom.PartyID, error){prepare.PeekOwner, prepare.PeekRemasker} {
			if _, err := peek(text); err != nil && !errors.Is(err, privacy.ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
		}
		// What a key has signed, whatever it is, is read in the one spelling or not at all.
		signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
		if err != nil {
			return
		}
		m, err := prepare.OpenManifest(signed, verifier)
		if err != nil {
			return
		}
		if again, err := m.Sign(signer); err != nil || !bytes.Equal(again, signed) {
			t.Errorf("what was read is not what was signed: %v", err)
		}
	})
}
