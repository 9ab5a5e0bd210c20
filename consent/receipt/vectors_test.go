package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestVectors holds the bytes: what is on the disk verifies, and the documents come out as
// they are there.
func TestVectors(t *testing.T) {
	t.Parallel()
	if *update {
		handle := newKeyset(t)
		set, err := PublishKeys(issuer, handle)
		if err != nil {
			t.Fatal(err)
		}
		write(t, "jwks.json", set)
		for _, format := range []Format{ISO27560, Kantara} {
			signed := mustSign(t, handle, facts(), format)
			write(t, string(format)+".jwt", []byte(signed.Token+"\n"))
			document, err := facts().document(format, signed.ID, noon)
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, document, "", "  "); err != nil {
				t.Fatal(err)
			}
			write(t, string(format)+".json", append(indented.Bytes(), '\n'))
		}
	}
	keys, err := ParseKeys(testdata(t, "jwks.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []Format{ISO27560, Kantara} {
		token := strings.TrimSpace(string(testdata(t, string(format)+".jwt")))
		r, checks, err := Verify(token, keys, noon)
		if err != nil {
			t.Fatalf("%s: %v, %v", format, checks, err)
		}
		document, err := facts().document(format, r.ID, noon)
		if err != nil {
			t.Fatal(err)
		}
		var made, kept, signed any
		for text, into := range map[string]*any{string(document): &made, string(testdata(t, string(format)+".json")): &kept, string(r.Document): &signed} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(kept, made); diff != "" {
			t.Errorf("%s: the document has changed (-kept +made):\n%s", format, diff)
		}
		if diff := cmp.Diff(kept, signed); diff != "" {
			t.Errorf("%s: the signed document is another (-kept +signed):\n%s", format, diff)
		}
		verifyBySelf(t, token, testdata(t, "jwks.json"))
	}
}

// verifyBySelf checks a receipt with the standard library alone, as another implementation
// would.
func verifyBySelf(t *testing.T, token string, set []byte) {
	t.Helper()
	var read struct {
		Keys []struct{ X, Y, Kid string }
	}
	if err := json.Unmarshal(set, &read); err != nil {
		t.Fatal(err)
	}
	decode := base64.RawURLEncoding.DecodeString
	x, _ := decode(read.Keys[0].X)
	y, _ := decode(read.Keys[0].Y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	end := strings.LastIndex(token, ".")
	signature, err := decode(token[end+1:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("a signature of %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256([]byte(token[:end]))
	encoded := asn1(signature[:32], signature[32:])
	if !ecdsa.VerifyASN1(public, digest[:], encoded) {
		t.Error("the standard library does not believe it")
	}
}

// asn1 is the other encoding of an ECDSA signature.
func asn1(r, s []byte) []byte {
	integer := func(b []byte) []byte {
		b = bytes.TrimLeft(b, "\x00")
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(r), integer(s)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile("testdata/"+name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
