package audit_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestProofVector holds the file format to the bytes in testdata. The log in it is the one
// of smallLog: nine entries, index 4, a key of 32 zero bytes.
func TestProofVector(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/entry-4-of-9.tlog-proof")
	if err != nil {
		t.Fatal(err)
	}
	proof, verifier := smallLog(t, 9, 4)
	if diff := cmp.Diff(string(want), string(audit.FormatProof(proof))); diff != "" {
		t.Errorf("(-vector +got):\n%s", diff)
	}
	read, err := audit.ParseProof(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(proof, read); diff != "" {
		t.Errorf("(-made +read):\n%s", diff)
	}
	if entry, err := read.Verify(verifier); err != nil || entry.List != (audit.Digest{5}) {
		t.Errorf("verifying: %v, list %x", err, entry.List)
	}
}

// TestProofFlipped changes each byte of a proof in three ways: none is accepted.
func TestProofFlipped(t *testing.T) {
	t.Parallel()
	proof, verifier := smallLog(t, 9, 4)
	good := audit.FormatProof(proof)
	for at := range good {
		for _, change := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(good)
			bad[at] ^= change
			if read, err := audit.ParseProof(bad); err == nil {
				if _, err = read.Verify(verifier); err == nil {
					t.Fatalf("byte %d changed by %#x: accepted", at, change)
				}
			} else if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("byte %d changed by %#x: %v, want ErrDamaged", at, change, err)
			}
		}
		if _, err := audit.ParseProof(good[:at]); err == nil {
			t.Fatalf("cut at %d: accepted", at)
		}
	}
}

func TestProofRefused(t *testing.T) {
	t.Parallel()
	proof, _ := smallLog(t, 9, 4)
	good := string(audit.FormatProof(proof))
	lines := strings.SplitAfter(good, "\n")
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	for name, bad := range map[string]string{
		"empty":                   "",
		"other version":           strings.Replace(good, "@v1", "@v2", 1),
		"no entry":                lines[0] + strings.Join(lines[2:], ""),
		"empty entry":             lines[0] + "extra \n" + strings.Join(lines[2:], ""),
		"no index":                lines[0] + lines[1] + strings.Join(lines[3:], ""),
		"leading zero":            strings.Replace(good, "index 4", "index 04", 1),
		"sign":                    strings.Replace(good, "index 4", "index +4", 1),
		"index beyond all logs":   strings.Replace(good, "index 4", "index 9223372036854775808", 1),
		"carriage return":         strings.Replace(good, lines[1], strings.TrimSuffix(lines[1], "\n")+"\r\n", 1),
		"short hash":              strings.Replace(good, lines[3], lines[3][4:], 1),
		"path of 64":              strings.Replace(good, lines[3], strings.Repeat(hash, 64), 1),
		"no checkpoint":           strings.Join(lines[:7], ""),
		"no end of line":          strings.TrimSuffix(good, "\n"),
		"space behind":            strings.TrimSuffix(good, "\n") + " \n",
		"spare bits of signature": strings.TrimSuffix(good, "=\n")[:len(good)-3] + next(good[len(good)-3]) + "=\n",
		"too long":                good + strings.Repeat("— a.example AAAAAAA=\n", audit.MaxProof/20),
	} {
		if _, err := audit.ParseProof([]byte(bad)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
	if _, err := audit.ParseProof([]byte(good + "— witness.example/w AAAAAAE=\n")); err != nil {
		t.Errorf("a line by somebody else: %v", err)
	}
}

// next is the base64 digit behind c, which differs from it in a bit that says nothing.
func next(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return string(digits[strings.IndexByte(digits, c)+1])
}

// FuzzParseProof: what is read is spelled again as it was.
func FuzzParseProof(f *testing.F) {
	vector, err := os.ReadFile("testdata/entry-4-of-9.tlog-proof")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(vector)
	f.Add([]byte(audit.ProofHeader + "\nextra AA==\nindex 0\n\na\n1\nAA==\n\n— a AAAAAAE=\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		proof, err := audit.ParseProof(file)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%v, want ErrDamaged", err)
			}
			return
		}
		if again := audit.FormatProof(proof); !bytes.Equal(again, file) {
			t.Errorf("read\n%q\nand written again\n%q", file, again)
		}
	})
}
