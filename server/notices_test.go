package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/privacy"
)

// fakeNotices knows privacy-7.
type fakeNotices struct{ *fake }

func (f fakeNotices) Notice(_ context.Context, version string) (notice.Notice, error) {
	if version != "privacy-7" {
		return notice.Notice{}, privacy.ErrNotFound
	}
	return notice.Notice{
		Version: version, Material: true, Purposes: []privacy.Purpose{"analytics", "newsletter"},
		EffectiveFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Texts:         []notice.Text{{Language: "en", Body: "We write \"to\" you.\n"}, {Language: "tr", Body: "Size yazarız."}},
	}.Normalize(func(privacy.Purpose) bool { return true })
}

func TestNotice(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	w := do(s, request{method: "GET", target: "/v1/notices/privacy-7", token: "service"})
	var shown struct {
		Version  string
		Material bool
		Purposes []string
		Texts    []struct{ Language, SHA256, Body string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &shown); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if shown.Version != "privacy-7" || !shown.Material || len(shown.Purposes) != 2 || len(shown.Texts) != 2 ||
		shown.Texts[0].Body != "We write \"to\" you.\n" || len(shown.Texts[1].SHA256) != 64 {
		t.Errorf("shown %+v", shown)
	}
	for target, status := range map[string]int{
		"/v1/notices/privacy-8": http.StatusNotFound, "/v1/notices/privacy-7?language=tr": http.StatusBadRequest, "/v1/notices/" + strings.Repeat("x", 200): http.StatusNotFound,
	} {
		if w := do(s, request{method: "GET", target: target, token: "dpo"}); w.Code != status {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := do(s, request{method: "GET", target: "/v1/notices/privacy-7", token: "ingest"}); w.Code != http.StatusForbidden {
		t.Errorf("ingest: %d", w.Code)
	}
}
