package notice

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

func knows(p privacy.Purpose) bool { return p == "newsletter" || p == "analytics" }

func good() Notice {
	return Notice{
		Version: "privacy-2026-03", Material: true, Purposes: []privacy.Purpose{"newsletter", "analytics"},
		EffectiveFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Texts:         []Text{{Language: "tr", Body: "Size yazarız."}, {Language: "en", Body: "We write to you.\n"}},
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	n, err := good().Normalize(knows)
	if err != nil {
		t.Fatal(err)
	}
	if n.Family != DefaultFamily || n.Texts[0].Language != "en" || n.Purposes[0] != "analytics" || n.Texts[1].Digest != sha256.Sum256([]byte("Size yazarız.")) {
		t.Errorf("normalized: %+v", n)
	}
	zone := good()
	zone.EffectiveFrom = zone.EffectiveFrom.In(time.FixedZone("TRT", 3*3600)).Add(999)
	other, err := zone.Normalize(knows)
	if err != nil || other.Digest() != n.Digest() {
		t.Errorf("the same moment in another zone is another notice: %v", err)
	}
	for name, test := range map[string]struct {
		spoil   func(*Notice)
		pointer string
	}{
		"no version":           {func(n *Notice) { n.Version = "" }, "/version"},
		"prose as a version":   {func(n *Notice) { n.Version = "the new one" }, "/version"},
		"long version":         {func(n *Notice) { n.Version = strings.Repeat("v", 65) }, "/version"},
		"family":               {func(n *Notice) { n.Family = "Privacy" }, "/family"},
		"no time":              {func(n *Notice) { n.EffectiveFrom = time.Time{} }, "/effective_from"},
		"no purpose":           {func(n *Notice) { n.Purposes = nil }, "/purposes"},
		"unknown purpose":      {func(n *Notice) { n.Purposes = []privacy.Purpose{"analytics", "spying"} }, "/purposes/1"},
		"purpose twice":        {func(n *Notice) { n.Purposes = []privacy.Purpose{"analytics", "analytics"} }, "/purposes/1"},
		"no text":              {func(n *Notice) { n.Texts = nil }, "/texts"},
		"no language":          {func(n *Notice) { n.Texts[0].Language = "" }, "/texts/0/language"},
		"a language's name":    {func(n *Notice) { n.Texts[0].Language = "türkçe" }, "/texts/1/language"},
		"language twice":       {func(n *Notice) { n.Texts[0].Language = "EN" }, "/texts/1/language"},
		"empty text":           {func(n *Notice) { n.Texts[1].Body = "" }, "/texts/0/body"},
		"long text":            {func(n *Notice) { n.Texts[1].Body = strings.Repeat("a", MaxText+1) }, "/texts/0/body"},
		"no text but bytes":    {func(n *Notice) { n.Texts[1].Body = "\xff" }, "/texts/0/body"},
		"a zero in the middle": {func(n *Notice) { n.Texts[1].Body = "a\x00b" }, "/texts/0/body"},
	} {
		n := good()
		test.spoil(&n)
		_, err := n.Normalize(knows)
		field, ok := errors.AsType[*privacy.FieldError](err)
		if !ok || field.Pointer != test.pointer {
			t.Errorf("%s: %v, want a complaint about %s", name, err, test.pointer)
		}
	}
}

// TestDigestKnownAnswers holds the digest to docs/spec/notice.md.
func TestDigestKnownAnswers(t *testing.T) {
	t.Parallel()
	n, err := good().Normalize(knows)
	if err != nil {
		t.Fatal(err)
	}
	plain := Notice{
		Version: "v1", Family: "cookies", Purposes: []privacy.Purpose{"newsletter"}, EffectiveFrom: time.UnixMicro(-1),
		Texts: []Text{{Language: "de-AT", Body: "ja"}},
	}
	if plain, err = plain.Normalize(knows); err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]*Notice{
		"b97c8156d8f685f44d404438ee76968a93faa961b91fe874334b76fed8ab53a8": &n,
		"a145683e0187491dfd7b9b031442e03d4719906f2d4ab53b9444f5361917e6a8": &plain,
	} {
		digest := n.Digest()
		if got := hex.EncodeToString(digest[:]); got != want {
			t.Errorf("%s: digest %s, want %s", n.Version, got, want)
		}
	}
}

// TestDigestTellsEverythingApart: whatever is changed, the digest is another.
func TestDigestTellsEverythingApart(t *testing.T) {
	t.Parallel()
	seen := map[[sha256.Size]byte]string{}
	for name, change := range map[string]func(*Notice){
		"as it is":  func(*Notice) {},
		"version":   func(n *Notice) { n.Version += "1" },
		"family":    func(n *Notice) { n.Family = "cookies" },
		"material":  func(n *Notice) { n.Material = false },
		"time":      func(n *Notice) { n.EffectiveFrom = n.EffectiveFrom.Add(time.Microsecond) },
		"purposes":  func(n *Notice) { n.Purposes = n.Purposes[:1] },
		"language":  func(n *Notice) { n.Texts[0].Language = "tr-TR" },
		"a text":    func(n *Notice) { n.Texts[0].Body += " " },
		"no text":   func(n *Notice) { n.Texts = n.Texts[:1] },
		"exchanged": func(n *Notice) { n.Texts[0].Body, n.Texts[1].Body = n.Texts[1].Body, n.Texts[0].Body },
	} {
		n := good()
		change(&n)
		n, err := n.Normalize(knows)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[n.Digest()]; ok {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[n.Digest()] = name
	}
}

func TestTextFallsBack(t *testing.T) {
	t.Parallel()
	n := Notice{Texts: []Text{{Language: "cs"}, {Language: "en"}, {Language: "tr-CY"}, {Language: "tr"}}}
	for language, want := range map[string]string{
		"tr": "tr true", "TR-cy": "tr-CY true", "tr-TR": "tr true", "en-GB": "en true", "de": "en false", "": "en false", "cs": "cs true",
	} {
		text, ok := n.Text(language)
		if got := text.Language + map[bool]string{true: " true", false: " false"}[ok]; got != want {
			t.Errorf("%q: %s, want %s", language, got, want)
		}
	}
	if text, ok := (&Notice{Texts: n.Texts[:1]}).Text("de"); ok || text.Language != "cs" {
		t.Errorf("no English: %+v, %v", text, ok)
	}
	if _, ok := (&Notice{}).Text("de"); ok {
		t.Error("nothing has a text")
	}
}

func TestDiffers(t *testing.T) {
	t.Parallel()
	a, _ := good().Normalize(knows)
	changed := good()
	changed.Material, changed.Texts[0].Body = false, "Size her gün yazarız."
	b, _ := changed.Normalize(knows)
	if diff := cmp.Diff([]string{"material", "texts"}, a.Differs(&b)); diff != "" {
		t.Error(diff)
	}
	if parts := a.Differs(&a); parts != nil {
		t.Errorf("a notice differs from itself in %v", parts)
	}
}
