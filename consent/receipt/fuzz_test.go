package receipt

import (
	"io"
	"strings"
	"testing"
)

// FuzzVerify: no text makes it panic, and none but the two that were signed is believed.
func FuzzVerify(f *testing.F) {
	keys, err := ParseKeys(testdata(f, "jwks.json"), "")
	if err != nil {
		f.Fatal(err)
	}
	known := map[string]bool{}
	for _, format := range []Format{ISO27560, Kantara} {
		token := strings.TrimSpace(string(testdata(f, string(format)+".jwt")))
		known[token] = true
		f.Add(token)
		f.Add(token[:len(token)-1])
	}
	f.Add("..")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		r, checks, err := Verify(token, keys, noon)
		if (err == nil) != known[token] || (r != nil) != (err == nil) || (failed(checks) == "") != (err == nil) {
			t.Errorf("%q: %v, %v", token, checks, err)
		}
	})
}

// FuzzRead: whatever is signed, reading and printing it does not panic.
func FuzzRead(f *testing.F) {
	for _, format := range []Format{ISO27560, Kantara} {
		f.Add([]byte(`{"iss":"i","sub":"AQZz09-_abZz09-_abZz09-_abZz09-_abZz09-_abZz09-_ab","aud":"web_shop","iat":1780315200,"exp":1780315201,` +
			`"jti":"00010203-0405-4607-8809-0a0b0c0d0e0f","format":"` + string(format) + `","state":"granted","receipt":` + string(testdata(f, string(format)+".json")) + `}`))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := read(payload)
		if err != nil {
			return
		}
		for _, language := range Languages() {
			if err := WriteText(io.Discard, r, language); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add(testdata(f, "jwks.json"), "")
	f.Add([]byte(`{"issuer":"x","keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"a","x":"AA","y":"AA"}]}`), "i")
	f.Fuzz(func(t *testing.T, set []byte, issuer string) {
		keys, err := ParseKeys(set, issuer)
		if (keys == nil) == (err == nil) || err == nil && keys.Issuer() == "" {
			t.Errorf("%q: %v", set, err)
		}
	})
}
