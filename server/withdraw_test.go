package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/privacy"
)

const (
	withdrawBody = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"purposes":["*"],"channels":["email","sms"],"source":"web_form"}`
	linkBody     = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"purposes":["newsletter"],"channels":["email"],"language":"tr","days":30}`
	linkToken    = "AVnpcz3CqN1w4f8u0gq7yXg2o0M9vJ4kq1b7XcUe5l9uQ2w"
)

// withdrawals is the desk of links, and takes withdrawals.
type withdrawals struct {
	*fake
	order   link.Order
	taken   consent.Withdrawal
	used    int
	offer   link.Offer
	failure error
	erased  bool
}

func (w *withdrawals) receipt() consent.Receipt {
	r := consent.Receipt{Token: consent.NewToken(receipt(43))}
	r.Receipt = receipt(43)
	return r
}

func (w *withdrawals) WithdrawAll(_ context.Context, _ privacy.Principal, taken consent.Withdrawal) (consent.Receipt, error) {
	if w.err != nil {
		return consent.Receipt{}, w.err
	}
	w.taken = taken
	if w.unlogged {
		return consent.Receipt{}, nil
	}
	return w.receipt(), nil
}

func (w *withdrawals) Make(_ context.Context, _ privacy.Principal, o link.Order) (link.Made, error) {
	if w.err != nil {
		return link.Made{}, w.err
	}
	w.order = o
	return link.Made{URL: privacy.NewPlain("https://m.example/withdraw/" + linkToken), ExpiresAt: time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)}, nil
}

func (w *withdrawals) Show(token string) (link.Offer, error) {
	if w.err != nil {
		return link.Offer{}, w.err
	}
	if token != linkToken {
		return link.Offer{}, privacy.ErrNotFound
	}
	return w.offer, w.failure
}

func (w *withdrawals) Use(_ context.Context, token string) (link.Offer, consent.Receipt, error) {
	offer, err := w.Show(token)
	if err != nil {
		return offer, consent.Receipt{}, err
	}
	w.used++
	if w.erased {
		return offer, consent.Receipt{}, nil
	}
	return offer, w.receipt(), nil
}

func newWithdrawals() (*withdrawals, *Server) {
	w := &withdrawals{fake: &fake{}, offer: link.Offer{Language: "tr", Purposes: []string{`Bülten & "daha"`}, Channels: []string{"E-posta"}}}
	s := newServer(w.fake, Config{})
	s.services.Withdrawer, s.services.Links = w, w
	return w, s
}

func TestWithdrawalIsOneCall(t *testing.T) {
	t.Parallel()
	w, s := newWithdrawals()
	body := strings.Replace(withdrawBody, `"source"`, `"actor":"guardian","effective_at":"2026-03-01T12:00:00Z","source"`, 1)
	mustStatus(t, do(s, request{target: "/v1/consents:withdraw", token: "dpo", contentType: "application/json", body: body}), http.StatusCreated)
	want := consent.Withdrawal{
		DataSubject: person, Purposes: []privacy.Purpose{"*"}, Channels: []privacy.Channel{"email", "sms"}, Source: "web_form",
		Actor: consent.ByGuardian, EffectiveAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, w.taken); diff != "" {
		t.Error(diff)
	}
	w.unlogged = true
	mustStatus(t, do(s, request{target: "/v1/consents:withdraw", token: "dpo", contentType: "application/json", body: withdrawBody}), http.StatusInternalServerError)
	for _, wrong := range []string{`"purposes":[]`, `"purposes":["a","a"]`, `"purposes":[""]`, `"purposes":"*"`} {
		body := strings.Replace(withdrawBody, `"purposes":["*"]`, wrong, 1)
		got := do(s, request{target: "/v1/consents:withdraw", token: "dpo", contentType: "application/json", body: body})
		if mustStatus(t, got, http.StatusUnprocessableEntity); !strings.Contains(got.Body.String(), `"pointer":"/purposes`) {
			t.Errorf("%s: %s", wrong, got.Body)
		}
	}
}

func TestLinkIsMade(t *testing.T) {
	t.Parallel()
	w, s := newWithdrawals()
	mustStatus(t, do(s, request{target: "/v1/consents:link", token: "dpo", contentType: "application/json", body: linkBody}), http.StatusCreated)
	want := link.Order{DataSubject: person, Purposes: []privacy.Purpose{"newsletter"}, Channels: []privacy.Channel{"email"}, Language: "tr", Life: 30 * 24 * time.Hour}
	if diff := cmp.Diff(want, w.order); diff != "" {
		t.Error(diff)
	}
}

// TestPageHasOneButton: looking changes nothing, in the language of the link, with titles
// that cannot become markup, and with nothing that could run or come from elsewhere.
func TestPageHasOneButton(t *testing.T) {
	t.Parallel()
	w, s := newWithdrawals()
	for _, method := range []string{"GET", "HEAD"} {
		got := do(s, request{method: method, target: "/withdraw/" + linkToken, header: map[string]string{"Accept-Language": "cs"}})
		mustStatus(t, got, http.StatusOK)
	}
	if w.used != 0 {
		t.Fatal("looking withdrew")
	}
	got := do(s, request{method: "GET", target: "/withdraw/" + linkToken})
	page := got.Body.String()
	for _, part := range []string{`<html lang="tr">`, "Bülten &amp; &#34;daha&#34;", "E-posta", `<form method="post">`, `name="List-Unsubscribe" value="One-Click"`, "Geri al"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s:\n%s", part, page)
		}
	}
	if strings.Count(page, "<button") != 1 || strings.Contains(page, "<script") || strings.Contains(page, "http") {
		t.Errorf("the page has more than one button, or something from elsewhere:\n%s", page)
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)[1]
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex",
		"X-Content-Type-Options": "nosniff", "Content-Language": "tr", "Content-Type": "text/html; charset=utf-8",
	} {
		if got.Header().Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header().Get(name), want)
		}
	}
}

func multipartClick(t *testing.T, value string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	if err := form.WriteField("List-Unsubscribe", value); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), form.FormDataContentType()
}

// TestOneClick: both forms of RFC 8058 withdraw, twice is fine, and nothing else does.
func TestOneClick(t *testing.T) {
	t.Parallel()
	w, s := newWithdrawals()
	const form = "application/x-www-form-urlencoded"
	post := func(contentType, body string) int {
		return do(s, request{method: "POST", target: "/withdraw/" + linkToken, contentType: contentType, body: body}).Code
	}
	parts, contentType := multipartClick(t, "One-Click")
	for i, code := range []int{post(form, "List-Unsubscribe=One-Click"), post(contentType, parts), post(form+"; charset=utf-8", "List-Unsubscribe=One-Click&utm=1")} {
		if code != http.StatusOK || w.used < i+1 {
			t.Errorf("click %d: %d, withdrawn %d times", i, code, w.used)
		}
	}
	before := w.used
	other, otherType := multipartClick(t, "No")
	for name, code := range map[string]int{
		"empty": post(form, ""), "another word": post(form, "List-Unsubscribe=Maybe"), "twice": post(form, "List-Unsubscribe=One-Click&List-Unsubscribe=No"),
		"json": post("application/json", "{}"), "no type": post("", "List-Unsubscribe=One-Click"), "parts": post(otherType, other),
		"large": post(form, "List-Unsubscribe=One-Click&x="+strings.Repeat("x", 5000)),
	} {
		if code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
	if w.used != before {
		t.Error("something else withdrew")
	}
	done := do(s, request{method: "POST", target: "/withdraw/" + linkToken, contentType: form, body: "List-Unsubscribe=One-Click"})
	if !strings.Contains(done.Body.String(), "AQAAAAAAAAAr") || !strings.HasPrefix(done.Header().Get("Mahrem-Log"), "index=43") || strings.Contains(done.Body.String(), "<form") {
		t.Errorf("%v\n%s", done.Header(), done.Body)
	}
	w.erased = true
	gone := do(s, request{method: "POST", target: "/withdraw/" + linkToken, contentType: form, body: "List-Unsubscribe=One-Click"})
	if gone.Code != http.StatusOK || !strings.Contains(gone.Body.String(), "Tamam") {
		t.Errorf("of somebody erased: %d\n%s", gone.Code, gone.Body)
	}
}

// TestPageSaysWhatIsWrong: always a page in words, in the language of who looks, and never
// whose link it was.
func TestPageSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target  string
		failure error
		offer   string
		status  int
		says    string
	}{
		"forged":   {"/withdraw/forged", nil, "", http.StatusNotFound, "odkaz nikam nevede"},
		"ended":    {"/withdraw/" + linkToken, link.ErrEnded, "tr", http.StatusGone, "süresi doldu"},
		"log down": {"/withdraw/" + linkToken, errors.New("reading row of " + secret), "", http.StatusServiceUnavailable, "Zatím se to nepodařilo"},
		"query":    {"/withdraw/" + linkToken + "?x=1", nil, "", http.StatusNotFound, "odkaz nikam nevede"},
	} {
		w, s := newWithdrawals()
		w.failure, w.offer = c.failure, link.Offer{Language: c.offer}
		for _, method := range []string{"GET", "POST"} {
			got := do(s, request{
				method: method, target: c.target, contentType: "application/x-www-form-urlencoded", body: "List-Unsubscribe=One-Click",
				header: map[string]string{"Accept-Language": "de-AT,cs;q=0.8,en;q=0.5"},
			})
			if got.Code != c.status || !strings.Contains(got.Body.String(), c.says) || strings.Contains(got.Body.String(), secret) || strings.Contains(got.Body.String(), "<form") {
				t.Errorf("%s %s: %d\n%s", method, name, got.Code, got.Body)
			}
		}
		if w.used != 0 {
			t.Errorf("%s: withdrawn", name)
		}
	}
	s := newServer(&fake{}, Config{})
	s.services.Links = nil
	mustStatus(t, do(s, request{method: "GET", target: "/withdraw/" + linkToken}), http.StatusServiceUnavailable)
}

// TestEveryLanguageSaysEverything: no text of one language is missing.
func TestEveryLanguageSaysEverything(t *testing.T) {
	t.Parallel()
	empty := withdrawWords{}
	for language, words := range withdrawTexts {
		for _, missing := range []bool{
			words == empty, words.Title == "", words.Button == "", words.Done == "", words.DoneMore == "", words.Gone == "", words.GoneMore == "",
			words.Ended == "", words.EndedMore == "", words.Later == "", words.LaterMore == "", words.NotAsked == "", words.NotAskedMore == "",
			words.Free == "", words.Purposes == "", words.EveryPurpose == "", words.Channels == "", words.EveryChannel == "", words.Reference == "",
		} {
			if missing {
				t.Errorf("%s lacks a text", language)
			}
		}
	}
}
