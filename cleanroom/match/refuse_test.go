package match_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind      privacy.IdentifierKind
		raw, want string // want is empty if it is refused
	}{
		{privacy.Email, " User@Example.COM\n", "user@example.com"},
		{privacy.Email, "a.b+tag@gmail.com", "a.b+tag@gmail.com"},
		{privacy.Email, "user", ""},
		{privacy.Email, "@example.com", ""},
		{privacy.Email, "user@", ""},
		{privacy.Email, "a@b@c", ""},
		{privacy.Email, "us er@example.com", ""},
		{privacy.Email, "usér@example.com", ""},
		{privacy.Email, "user@exa\x00mple.com", ""},
		{privacy.Email, strings.Repeat("a", 250) + "@b.co", ""},
		{privacy.Phone, "+90 (532) 123-45.67", "+905321234567"},
		{privacy.Phone, "0090 532/1234567", "+905321234567"},
		{privacy.Phone, "+44 (0)20 7946 0958", "+442079460958"},
		{privacy.Phone, "+44(0)2079460958", "+442079460958"},
		{privacy.Phone, "+44 ( 0 ) 20 7946 0958", "+442079460958"},
		{privacy.Phone, "(+44) (0)20 7946 0958", "+442079460958"},
		{privacy.Phone, "0044 (0) 20 7946 0958", "+442079460958"},
		{privacy.Phone, "+358-(0)9-123456", "+3589123456"},
		{privacy.Phone, "+61 (0)2 5550 1234", "+61255501234"},
		{privacy.Phone, "+39 (0)6 1234567", "+39061234567"}, // there it is a part of the number
		{privacy.Phone, "+378 (0)549 881234", "+3780549881234"},
		{privacy.Phone, "+44 (020) 7946 0958", "+4402079460958"}, // anything else in parentheses stays
		{privacy.Phone, "+44 20 (0)7946 095", "+442007946095"},   // and so does a zero further on
		{privacy.Phone, "(0)20 7946 0958", ""},
		{privacy.Phone, "+44 (0)", ""},
		{privacy.Phone, "05321234567", ""},
		{privacy.Phone, "+90532x234567", ""},
		{privacy.Phone, "+٩٠٥٣٢١٢٣٤٥٦٧", ""},
		{privacy.Phone, "+0905321234567", ""},
		{privacy.Phone, "+123456", ""},
		{privacy.Phone, "+1234567890123456", ""},
		{privacy.Phone, "+123456789012345", "+123456789012345"},
		{privacy.CustomerNumber, " AB-7 ", "AB-7"},
		{privacy.CustomerNumber, "ab-7", "ab-7"},
		{privacy.CustomerNumber, "", ""},
		{privacy.CustomerNumber, "A 7", ""},
		{privacy.CustomerNumber, strings.Repeat("7", 65), ""},
		{privacy.CookieID, "0123456789", ""},
		{"", "user@example.com", ""},
	} {
		got, err := match.Normalize(privacy.Identifier{Kind: test.kind, Value: privacy.NewPlain(test.raw)})
		if got.RevealPersonalData() != test.want {
			t.Errorf("%s %q: %q, want %q", test.kind, test.raw, got.RevealPersonalData(), test.want)
		}
		if (err == nil) != (test.want != "") || (err != nil && !errors.Is(err, privacy.ErrInvalid)) {
			t.Errorf("%s %q: %v", test.kind, test.raw, err)
		}
		if err != nil && len(test.raw) > 4 && strings.Contains(err.Error(), strings.TrimSpace(test.raw)) {
			t.Errorf("the error repeats the identifier: %v", err)
		}
		if err == nil {
			again, err := match.Normalize(privacy.Identifier{Kind: test.kind, Value: got})
			if err != nil || again != got {
				t.Errorf("%s %q: the normal form has another one", test.kind, test.raw)
			}
		}
	}
}

// FuzzNormalize: a normal form is its own, and fits what the spec says of its kind.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"User@Example.com", "+90 532 123 45 67", "0090532", "AB-7", "", "@", "\xff@a"} {
		for i := range match.Kinds() {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, which int, raw string) {
		kind := match.Kinds()[(which%3+3)%3]
		normal, err := match.Normalize(privacy.Identifier{Kind: kind, Value: privacy.NewPlain(raw)})
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		text := normal.RevealPersonalData()
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("normal form of %d bytes has something invisible", len(text))
		}
		if again, err := match.Normalize(privacy.Identifier{Kind: kind, Value: normal}); err != nil || again != normal {
			t.Errorf("the normal form has another one: %v", err)
		}
	})
}

// FuzzParseToken: what is read is written as it was.
func FuzzParseToken(f *testing.F) {
	one, _ := newPair(f)
	token := mask(f, one, []privacy.Plain{privacy.NewPlain("user@example.com")})[0]
	for i, mode := range cleanroom.Matchings() {
		f.Add(i, token.Text(mode))
		f.Add(i, match.Token{}.Text(mode))
		f.Add(i, token.Text(mode)+"\n")
	}
	f.Fuzz(func(t *testing.T, which int, text string) {
		modes := cleanroom.Matchings()
		mode := modes[(which%len(modes)+len(modes))%len(modes)]
		token, err := match.ParseToken(mode, text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if token.Text(mode) != text {
			t.Errorf("%q is written as %q", text, token.Text(mode))
		}
	})
}

func TestParseTokenRefuses(t *testing.T) {
	t.Parallel()
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, test := range []struct {
		mode cleanroom.Matching
		text string
	}{
		{cleanroom.MatchPair, zero}, // the identity
		{cleanroom.MatchPair, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))}, // not canonical
		{cleanroom.MatchPair, base64.StdEncoding.EncodeToString(append([]byte{1}, make([]byte, 31)...))},
		{cleanroom.MatchOperator, zero},
		{cleanroom.MatchOperator, "02:hmac:" + zero},
		{cleanroom.MatchOperator, "01:sha256:" + zero[:40]},
		{cleanroom.MatchOperator, "01:sha256:" + zero + "="},
		{cleanroom.MatchOperator, "01:sha256:" + zero[:42] + "B="}, // unused bits
		{cleanroom.MatchOperator, "01:sha256:" + zero[:20] + "\n" + zero[21:]},
		{cleanroom.MatchBlind, "02:HMAC:" + zero},
		{"", zero},
	} {
		if _, err := match.ParseToken(test.mode, test.text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s %q: %v", test.mode, test.text, err)
		} else if strings.Contains(err.Error(), zero[:20]) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

// TestSecretsAreChecked: a weak secret is none.
func TestSecretsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := match.NewBlind(make([]byte, match.MinSecret-1), "r", privacy.Email); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a short secret: %v", err)
	}
	for _, secret := range []string{"", "AAAA", base64.StdEncoding.EncodeToString(make([]byte, 32)), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))} {
		if _, err := match.NewPair(match.PairSalt{}, secret); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("scalar %q: %v", secret, err)
		}
	}
	if _, err := match.NewPairSecret(strings.NewReader("short")); err == nil {
		t.Error("drew a scalar from nothing")
	}
	if _, err := match.NewPairSecret(bytes.NewReader(make([]byte, 64))); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("drew zero: %v", err)
	}
	for _, public := range [][]byte{nil, make([]byte, 32), make([]byte, 31)} {
		if _, err := match.NewOPRF(public, "r", 1, nil); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("public key of %d bytes: %v", len(public), err)
		}
	}
}

// TestTokensAreBoundToRooms: the same person has other tokens in another room, under another
// secret or salt, for another kind of identifier, in another epoch; and other tags.
func TestTokensAreBoundToRooms(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	blind := func(secret string, room cleanroom.RoomID, kind privacy.IdentifierKind) match.Matcher {
		m, err := match.NewBlind([]byte(strings.Repeat(secret, match.MinSecret)), room, kind)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one, _ := newPair(t)
	other, _ := newPair(t)
	person := []privacy.Plain{privacy.NewPlain("user@example.com")}
	seen := map[match.Token]int{}
	for i, m := range []match.Matcher{
		blind("a", "one", privacy.Email), blind("b", "one", privacy.Email), blind("a", "two", privacy.Email), blind("a", "one", privacy.Phone),
		one, other, match.NewOperator(),
		oblivious(t, keys, "one", 1), oblivious(t, keys, "one", 2), oblivious(t, keys, "two", 1), oblivious(t, newKeys(t), "one", 1),
	} {
		token := mask(t, m, person)[0]
		if j, known := seen[token]; known {
			t.Errorf("matchers %d and %d come to the same token", j, i)
		}
		seen[token] = i
		if mask(t, m, person)[0] != token {
			t.Errorf("matcher %d comes to two tokens", i)
		}
	}
	tags := map[match.Tag]bool{}
	rooms := []*cleanroom.Room{{ID: "one", Matching: "operator"}, {ID: "two", Matching: "operator"}, {ID: "one", Matching: "blind"}}
	for _, k := range []*match.Keys{keys, newKeys(t)} {
		for _, room := range rooms {
			for epoch := range 2 {
				list, err := k.Tags(t.Context(), room, epoch, []match.Token{{7}, {7}})
				if err != nil || list[0] != list[1] || tags[list[0]] {
					t.Errorf("tags of %s, epoch %d: %v", room.ID, epoch, err)
				}
				tags[list[0]] = true
			}
		}
	}
}

// TestDishonestHouseIsSeen: a house that serves one party with another key, or another epoch,
// or changes an element, is found out.
func TestDishonestHouseIsSeen(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	honest, err := keys.Evaluator("snacks")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKeys(t).Evaluator("snacks")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the line is cut")
	for name, test := range map[string]struct {
		evaluate match.Evaluate
		want     error
	}{
		"another key": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			return other.Evaluate(epoch, b)
		}, privacy.ErrDamaged},
		"another epoch": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			return honest.Evaluate(epoch+1, b)
		}, privacy.ErrDamaged},
		"elements exchanged": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			e, err := honest.Evaluate(epoch, b)
			e.Elements[0], e.Elements[1] = e.Elements[1], e.Elements[0]
			return e, err
		}, privacy.ErrDamaged},
		"the question back": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			e, err := honest.Evaluate(epoch, b)
			return match.Evaluation{Elements: b, Proof: e.Proof}, err
		}, privacy.ErrDamaged},
		"too few": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			return honest.Evaluate(epoch, b[:1])
		}, privacy.ErrDamaged},
		"the identity": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			e, err := honest.Evaluate(epoch, b)
			e.Elements[1] = make([]byte, 32)
			return e, err
		}, privacy.ErrInvalid},
		"no proof": {func(_ context.Context, epoch int, b [][]byte) (match.Evaluation, error) {
			e, err := honest.Evaluate(epoch, b)
			e.Proof = nil
			return e, err
		}, privacy.ErrDamaged},
		"no answer": {func(context.Context, int, [][]byte) (match.Evaluation, error) { return match.Evaluation{}, broken }, broken},
	} {
		m, err := match.NewOPRF(honest.PublicKey(), "snacks", 1, test.evaluate)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Mask(t.Context(), []match.Seed{{1}, {2}, {3}}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	house, err := newKeys(t).Evaluator("snacks")
	if err != nil {
		t.Fatal(err)
	}
	good := []byte{0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f, 0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76}
	if _, err := house.Evaluate(1, [][]byte{good}); err != nil {
		t.Fatalf("the generator: %v", err)
	}
	for name, blinded := range map[string][][]byte{
		"none":     {},
		"too many": make([][]byte, match.MaxBatch+1),
		"identity": {good, make([]byte, 32)},
		"short":    {good[:31]},
		"long":     {append(bytes.Clone(good), 0)},
		"no point": {bytes.Repeat([]byte{0xff}, 32)},
	} {
		if _, err := house.Evaluate(1, blinded); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// badEncodings are those of RFC 9496 appendix A.3: not canonical, negative, not on the curve.
var badEncodings = []string{
	"00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0100000000000000000000000000000000000000000000000000000000000000", "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20", "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
	"c940e5a4404157cfb1628b108db051a8d439e1a421394ec4ebccb9ec92a8ac78", "47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24",
	"f1c6165d33367351b0da8f6e4511010c68174a03b6581212c71c0e1d026c3c72", "87260f7a2f12495118360f02c26a470f450dadf34a413d21042b43b9d93e1309",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// An encoding that another one is as well would let somebody be counted twice.
func TestBadEncodingsAreNoElements(t *testing.T) {
	t.Parallel()
	house, err := newKeys(t).Evaluator("snacks")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range badEncodings {
		encoded, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := house.Evaluate(1, [][]byte{encoded}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s was evaluated: %v", text, err)
		}
		if _, err := match.ParseToken(cleanroom.MatchPair, base64.StdEncoding.EncodeToString(encoded)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s is a token: %v", text, err)
		}
	}
}

// TestMaskingStops: when nobody waits any more, and at the first error.
func TestMaskingStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	one, _ := newPair(t)
	for _, m := range []match.Matcher{match.NewOperator(), one, oblivious(t, newKeys(t), "r", 1)} {
		if _, err := m.Mask(ctx, make([]match.Seed, 10)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", m.Mode(), err)
		}
	}
	tokens := slices.Repeat(mask(t, one, []privacy.Plain{privacy.NewPlain("x")}), 600)
	tokens[500] = match.Token{}
	if _, err := one.Remask(t.Context(), tokens); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("the identity among others: %v", err)
	}
}

// TestNothingPrints: tokens, seeds, tags and keys say REDACTED.
func TestNothingPrints(t *testing.T) {
	t.Parallel()
	one, _ := newPair(t)
	blind, err := match.NewBlind(make([]byte, 32), "r", privacy.Email)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{match.Token{1}, match.Seed{1}, match.Tag{1}, newKeys(t), one, blind} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); got != privacy.Redacted {
				t.Errorf("%T prints %q with %s", v, got, verb)
			}
		}
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", match.Token{1}, "seed", match.Seed{1}, "tag", match.Tag{1})
	marshalled, err := json.Marshal([]any{match.Token{1}, match.Seed{1}, match.Tag{1}})
	if err != nil || strings.Count(string(marshalled), privacy.Redacted) != 3 || strings.Count(out.String(), privacy.Redacted) != 3 {
		t.Errorf("marshals as %s, %v; logs as %s", marshalled, err, &out)
	}
}
