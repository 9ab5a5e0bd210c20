package link_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	somebody = privacy.DataSubjectID{1, 2, 3}
	officer  = privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}
)

func newKey(t testing.TB) link.AEAD {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.EnsureLinks(); err != nil {
		t.Fatal(err)
	}
	key, err := keys.Links()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func good() link.Link {
	return link.Link{
		DataSubject: somebody, Purposes: []privacy.Purpose{"newsletter", "recommendations"}, Channels: []privacy.Channel{"*"},
		Language: "tr", ExpiresAt: noon.Add(time.Hour),
	}
}

// plain seals nothing, so that the bytes under the seal can be seen.
type plain struct{}

func (plain) Encrypt(text, _ []byte) ([]byte, error) { return slices.Clone(text), nil }
func (plain) Decrypt(text, _ []byte) ([]byte, error) { return slices.Clone(text), nil }

// TestKnownAnswer is that of docs/spec/link.md.
func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	const want = "01" + "01020300000000000000000000000000" + "0000000069a43850" + "01" +
		"02" + "0a6e6577736c6574746572" + "0f7265636f6d6d656e646174696f6e73" + "01" + "012a"
	token, err := link.Seal(plain{}, good())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token.RevealPersonalData())
	if err != nil || hex.EncodeToString(raw) != want {
		t.Errorf("%v\n%x\n%s", err, raw, want)
	}
}

func TestLinksReadBack(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := link.Seal(key, good())
	if err != nil {
		t.Fatal(err)
	}
	text := token.RevealPersonalData()
	got, err := link.Open(key, text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(good(), got); diff != "" {
		t.Error(diff)
	}
	if again, err := link.Seal(key, good()); err != nil || again.RevealPersonalData() == text {
		t.Error("two links of the same person can be linked")
	}
	if _, err := link.Open(newKey(t), text); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("under another key: %v", err)
	}
}

// TestEveryAlteredByteIsRefused, in the text and under its encoding, and always alike.
func TestEveryAlteredByteIsRefused(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	token, err := link.Seal(key, good())
	if err != nil {
		t.Fatal(err)
	}
	text := token.RevealPersonalData()
	refused := func(altered string) {
		t.Helper()
		l, err := link.Open(key, altered)
		if !errors.Is(err, privacy.ErrNotFound) || err.Error() != "opening link: not found" || !l.DataSubject.IsZero() {
			t.Errorf("%d characters: %v", len(altered), err)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		altered := slices.Clone(raw)
		altered[i] ^= 1
		refused(base64.RawURLEncoding.EncodeToString(altered))
	}
	for i := range text {
		refused(text[:i])
		refused(text[:i] + "\n" + text[i:])
	}
	refused(text + "A")
	refused(text + "=")
	refused(strings.Repeat("A", 5000))
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*link.Link){
		"nobody":           func(l *link.Link) { l.DataSubject = privacy.DataSubjectID{} },
		"no end":           func(l *link.Link) { l.ExpiresAt = time.Time{} },
		"another language": func(l *link.Link) { l.Language = "de" },
		"no purpose":       func(l *link.Link) { l.Purposes = nil },
		"no channel":       func(l *link.Link) { l.Channels = nil },
		"twice":            func(l *link.Link) { l.Channels = []privacy.Channel{"sms", "sms"} },
		"all and one":      func(l *link.Link) { l.Channels = []privacy.Channel{"*", "sms"} },
		"empty name":       func(l *link.Link) { l.Channels = []privacy.Channel{""} },
		"long name":        func(l *link.Link) { l.Channels = []privacy.Channel{privacy.Channel(strings.Repeat("x", 65))} },
		"too many":         func(l *link.Link) { l.Purposes = make([]privacy.Purpose, 65) },
	} {
		l := good()
		edit(&l)
		if _, err := link.Seal(plain{}, l); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// house is everything around a desk, in memory.
type house struct {
	key     link.AEAD
	now     time.Time
	unknown privacy.Purpose
	got     []consent.Withdrawal
	err     error
}

func (h *house) Ensure(context.Context) (link.AEAD, error)     { return h.key, nil }
func (h *house) Find() (link.AEAD, error)                      { return h.key, nil }
func (h *house) KnowsPurpose(p privacy.Purpose) bool           { return p != h.unknown }
func (h *house) KnowsChannel(c privacy.Channel) bool           { return c != "telepathy" }
func (*house) PurposeTitle(p privacy.Purpose, l string) string { return l + " " + string(p) }
func (*house) ChannelTitle(c privacy.Channel, l string) string { return l + " " + string(c) }
func (h *house) WithdrawByPerson(_ context.Context, w consent.Withdrawal) (consent.Receipt, error) {
	if h.err != nil {
		return consent.Receipt{}, h.err
	}
	h.got = append(h.got, w)
	var r consent.Receipt
	r.Receipt = audit.Committed([16]byte{1}, [32]byte{2}, 7)
	return r, nil
}

func (h *house) desk() *link.Desk {
	return link.New(h, h, h, link.Config{BaseURL: "https://m.example", Now: func() time.Time { return h.now }})
}

func order() link.Order {
	return link.Order{DataSubject: somebody, Purposes: []privacy.Purpose{"newsletter"}, Channels: []privacy.Channel{"email"}, Language: "cs"}
}

func linkOf(t testing.TB, h *house, o link.Order) string {
	t.Helper()
	made, err := h.desk().Make(t.Context(), officer, o)
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(made.URL.RevealPersonalData(), "https://m.example/withdraw/")
	if !ok {
		t.Fatal("the link leads elsewhere")
	}
	return token
}

// TestDeskWithdrawsOnUseOnly: looking changes nothing, using does, and twice is fine.
func TestDeskWithdrawsOnUseOnly(t *testing.T) {
	t.Parallel()
	h := &house{key: newKey(t), now: noon}
	token := linkOf(t, h, order())
	offer, err := h.desk().Show(token)
	if err != nil || len(h.got) != 0 {
		t.Fatal(err, h.got)
	}
	if diff := cmp.Diff(link.Offer{Language: "cs", Purposes: []string{"cs newsletter"}, Channels: []string{"cs email"}}, offer); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if _, receipt, err := h.desk().Use(t.Context(), token); err != nil || receipt.IsZero() {
			t.Fatal(err)
		}
	}
	want := consent.Withdrawal{
		DataSubject: somebody, Purposes: []privacy.Purpose{"newsletter"}, Channels: []privacy.Channel{"email"},
		Source: link.Source, Language: "cs",
	}
	if diff := cmp.Diff([]consent.Withdrawal{want, want}, h.got); diff != "" {
		t.Error(diff)
	}
}

func TestDeskEndsLinks(t *testing.T) {
	t.Parallel()
	h := &house{key: newKey(t), now: noon}
	token := linkOf(t, h, order())
	h.now = noon.Add(link.DefaultLife)
	if offer, err := h.desk().Show(token); !errors.Is(err, link.ErrEnded) || offer.Language != "cs" {
		t.Errorf("%v, %+v", err, offer)
	}
	if _, _, err := h.desk().Use(t.Context(), token); !errors.Is(err, link.ErrEnded) || len(h.got) != 0 {
		t.Errorf("%v, %v", err, h.got)
	}
	h.now = h.now.Add(-time.Second)
	if _, err := h.desk().Show(token); err != nil {
		t.Error("a second before:", err)
	}
	h.unknown = "newsletter"
	if _, _, err := h.desk().Use(t.Context(), token); !errors.Is(err, link.ErrEnded) || len(h.got) != 0 {
		t.Errorf("of a purpose that is no more: %v, %v", err, h.got)
	}
}

// TestDeskOfSomebodyErased: there is nothing left to take back, and it is done.
func TestDeskOfSomebodyErased(t *testing.T) {
	t.Parallel()
	h := &house{key: newKey(t), now: noon}
	token := linkOf(t, h, order())
	h.err = privacy.ErrNotFound
	if offer, receipt, err := h.desk().Use(t.Context(), token); err != nil || !receipt.IsZero() || offer.Language != "cs" {
		t.Error(err, receipt, offer)
	}
	h.err = privacy.ErrUnavailable
	if _, _, err := h.desk().Use(t.Context(), token); !errors.Is(err, privacy.ErrUnavailable) {
		t.Error("the ledger is away:", err)
	}
}

func TestDeskRefusesOrders(t *testing.T) {
	t.Parallel()
	h := &house{key: newKey(t), now: noon}
	for pointer, edit := range map[string]func(*link.Order){
		"/data_subject": func(o *link.Order) { o.DataSubject = privacy.DataSubjectID{} },
		"/purposes":     func(o *link.Order) { o.Purposes = nil },
		"/purposes/1":   func(o *link.Order) { o.Purposes = []privacy.Purpose{"a", "a"} },
		"/channels":     func(o *link.Order) { o.Channels = nil },
		"/channels/0":   func(o *link.Order) { o.Channels = []privacy.Channel{"telepathy"} },
		"/channels/1":   func(o *link.Order) { o.Channels = []privacy.Channel{"sms", "*"} },
		"/language":     func(o *link.Order) { o.Language = "de" },
		"/days":         func(o *link.Order) { o.Life = link.MaxLife + 1 },
	} {
		o := order()
		edit(&o)
		var field *privacy.FieldError
		if _, err := h.desk().Make(t.Context(), officer, o); !errors.As(err, &field) || field.Pointer != pointer {
			t.Errorf("%s: %v", pointer, err)
		}
	}
	h.unknown = "newsletter"
	if _, err := h.desk().Make(t.Context(), officer, order()); !errors.Is(err, privacy.ErrInvalid) {
		t.Error("an unknown purpose:", err)
	}
	if _, err := h.desk().Make(t.Context(), privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, order()); !errors.Is(err, privacy.ErrForbidden) {
		t.Error("an auditor:", err)
	}
	h.unknown = ""
	if _, err := link.New(h, h, h, link.Config{}).Make(t.Context(), officer, order()); !errors.Is(err, privacy.ErrUnavailable) {
		t.Error("without a public address:", err)
	}
}

func FuzzOpen(f *testing.F) {
	token, err := link.Seal(plain{}, good())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.RevealPersonalData())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := link.Open(plain{}, text)
		if err != nil {
			if !errors.Is(err, privacy.ErrNotFound) {
				t.Fatal(err)
			}
			return
		}
		again, err := link.Seal(plain{}, l)
		if err != nil || again.RevealPersonalData() != text {
			t.Fatalf("%q reads back as another, %v", text, err)
		}
	})
}

// A newsletter carries a link; whoever opens it sees what it does, and one click does it.
func ExampleDesk() {
	h := &house{key: plain{}, now: noon}
	made, err := h.desk().Make(context.Background(), officer, link.Order{
		DataSubject: somebody, Purposes: []privacy.Purpose{"newsletter"}, Channels: []privacy.Channel{"email"}, Language: "en",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(made.URL, made.ExpiresAt.Format(time.DateOnly))
	_, token, _ := strings.Cut(made.URL.RevealPersonalData(), link.Path)
	offer, err := h.desk().Show(token)
	fmt.Println(offer.Purposes, offer.Channels, err)
	_, receipt, err := h.desk().Use(context.Background(), token)
	fmt.Println(receipt.Index(), err)
	// Output:
	// REDACTED 2028-02-29
	// [en newsletter] [en email] <nil>
	// 7 <nil>
}
