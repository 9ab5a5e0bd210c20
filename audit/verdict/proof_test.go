package verdict_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// cosigner is a witness that signs what it is shown.
type cosigner struct {
	name string
	key  ed25519.PrivateKey
}

func (c cosigner) verifier(t *testing.T) *witness.Verifier {
	t.Helper()
	verifier, err := witness.NewVerifier(c.name, c.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

func (c cosigner) cosign(t *testing.T, signed []byte, seconds uint64) []byte {
	t.Helper()
	text, _, _ := strings.Cut(string(signed), "\n\n")
	raw := binary.BigEndian.AppendUint32(nil, c.verifier(t).KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, ed25519.Sign(c.key, witness.Message(seconds, []byte(text+"\n")))...)
	return witness.Attach(signed, "— "+c.name+" "+base64.StdEncoding.EncodeToString(raw))
}

// TestOfProof: a proof counts by any key of the log that is given, and with a policy only
// under the signatures of enough witnesses.
func TestOfProof(t *testing.T) {
	t.Parallel()
	l := newLog(t, 300)
	one := cosigner{"one.example/witness", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))}
	two := cosigner{"two.example/witness", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))}
	policy := func(quorum string) []byte {
		many := "all"
		if quorum == "either" {
			many, quorum = "any", "both"
		}
		return fmt.Appendf(nil, "witness one %s\nwitness two %s\ngroup both %s one two\nquorum %s\n", one.verifier(t), two.verifier(t), many, quorum)
	}
	b, err := verdict.OpenBundle(t.Context(), l.export(t, 0, 0), verdict.Options{Keys: []string{l.vkey(t)}})
	if err != nil {
		t.Fatal(err)
	}
	proof, err := b.Prove(t.Context(), 257)
	if err != nil {
		t.Fatal(err)
	}
	plain := audit.FormatProof(proof)
	proof.Checkpoint = one.cosign(t, proof.Checkpoint, 1_800_000_000)
	cosigned := audit.FormatProof(proof)
	proof.Checkpoint = bytes.Replace(proof.Checkpoint, []byte("— one"), []byte("— two"), 1)
	alien, err := audit.FormatKey(origin, two.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{l.vkey(t)}
	for name, test := range map[string]struct {
		file    []byte
		keys    []string
		policy  []byte
		fault   error
		signers string
	}{
		"the log's key":           {plain, keys, nil, nil, ""},
		"the second of two keys":  {plain, []string{alien, l.vkey(t)}, nil, nil, ""},
		"cosigned, nobody asked":  {cosigned, keys, nil, nil, ""},
		"the one that is asked":   {cosigned, keys, policy("one"), nil, "one"},
		"one of either":           {cosigned, keys, policy("either"), nil, "one"},
		"none is demanded":        {plain, keys, policy("none"), nil, ""},
		"no cosignature":          {plain, keys, policy("either"), privacy.ErrDamaged, ""},
		"not both":                {cosigned, keys, policy("both"), privacy.ErrDamaged, ""},
		"another than was asked":  {cosigned, keys, policy("two"), privacy.ErrDamaged, ""},
		"under a stolen name":     {audit.FormatProof(proof), keys, policy("two"), privacy.ErrDamaged, ""},
		"somebody else's key":     {plain, []string{alien}, nil, privacy.ErrDamaged, ""},
		"another entry":           {bytes.Replace(plain, []byte("index 257"), []byte("index 256"), 1), keys, nil, privacy.ErrDamaged, ""},
		"no key":                  {plain, nil, nil, privacy.ErrInvalid, ""},
		"no key, only a policy":   {cosigned, nil, policy("one"), privacy.ErrInvalid, ""},
		"a policy that is broken": {cosigned, keys, []byte("quorum nobody\n"), privacy.ErrInvalid, ""},
	} {
		p, err := verdict.OfProof(test.file, verdict.Options{Keys: test.keys, Policy: test.policy})
		if test.fault != nil {
			if !errors.Is(err, test.fault) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Index != 257 || p.Checkpoint.Size != 300 || strings.Join(p.Witnesses(), " ") != test.signers {
			t.Errorf("%s: %d of %d, %v: %v", name, p.Index, p.Checkpoint.Size, p.Witnesses(), err)
		}
	}
}

// TestReceipts: receipts are compared with the part of the log that has them.
func TestReceipts(t *testing.T) {
	t.Parallel()
	l := newLog(t, 700)
	first, rest := l.export(t, 0, 512), l.export(t, 512, 0)
	kept := func(index uint64) bundle.Receipt {
		return bundle.Receipt{Answer: int(index), Index: index, LeafHash: l.entries[index].LeafHash}
	}
	beyond, other := kept(1), kept(600)
	beyond.Index, other.LeafHash[0] = 700, other.LeafHash[0]^1
	all := []bundle.Receipt{kept(3), kept(511), kept(512), kept(699)}
	options := verdict.Options{Keys: []string{l.vkey(t)}}
	for name, test := range map[string]struct {
		places   []string
		receipts []bundle.Receipt
		fit      int
		unfit    []bundle.Verdict
	}{
		"both parts":  {[]string{first, rest}, all, 4, nil},
		"other order": {[]string{rest, first}, all, 4, nil},
		"the rest":    {[]string{rest}, all, 2, []bundle.Verdict{bundle.ReceiptArchived, bundle.ReceiptArchived}},
		"the archive": {[]string{first}, all, 2, []bundle.Verdict{bundle.ReceiptArchived, bundle.ReceiptArchived}},
		"beyond":      {[]string{first, rest}, append(all, beyond), 4, []bundle.Verdict{bundle.ReceiptMissing}},
		"another":     {[]string{rest, first}, append(all, other), 4, []bundle.Verdict{bundle.ReceiptOther}},
	} {
		report, err := verdict.Receipts(t.Context(), test.places, test.receipts, options)
		if err != nil || report.Fit != test.fit || report.Checkpoint.Size != 700 || len(report.Unfit) != len(test.unfit) {
			t.Errorf("%s: %+v, %v", name, report, err)
			continue
		}
		for i, u := range report.Unfit {
			if u.Verdict != test.unfit[i] {
				t.Errorf("%s: %+v", name, u)
			}
		}
	}
	// A tile that was altered is no verdict on the receipt.
	tile := filepath.Join(first, filepath.FromSlash(audit.TilePath(0, 0, audit.TileWidth)))
	content, err := os.ReadFile(tile)
	if err != nil {
		t.Fatal(err)
	}
	content[3*32]++
	if err := os.WriteFile(tile, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verdict.Receipts(t.Context(), []string{first, rest}, all, options); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("an altered tile: %v", err)
	}
	options.Policy = []byte("witness one " + (cosigner{"one.example", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))}).verifier(t).String() + "\nquorum one\n")
	if _, err := verdict.Receipts(t.Context(), []string{rest}, all, options); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("without a quorum: %v", err)
	}
}
