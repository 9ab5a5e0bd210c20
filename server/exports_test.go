package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

const exportToken = "ZXhwb3J0cyBhcmUgZmV0Y2hlZCBieSBvbmUgbGluawA"

// fakeExports hands out the same content for the token above, again and again.
type fakeExports struct {
	*fake
	content io.Reader
	fetched int
}

func (f *fakeExports) Fetch(_ context.Context, token string) (export.Download, error) {
	if f.err != nil {
		return export.Download{}, f.err
	}
	if token != exportToken {
		return export.Download{}, privacy.ErrNotFound
	}
	f.fetched++
	content := f.content
	if content == nil {
		content = strings.NewReader(strings.Repeat("sealed", 500_000))
	}
	download := export.Download{Size: 3_000_000, Content: io.NopCloser(content)}
	if !f.unlogged {
		download.Receipt = receipt(7)
	}
	return download, nil
}

func TestFetchExport(t *testing.T) {
	t.Parallel()
	f := &fakeExports{fake: &fake{}}
	s := New(Services{Exports: f}, Config{})
	call := request{method: "GET", target: "/v1/dsar/exports/" + exportToken}
	w := do(s, call)
	mustStatus(t, w, http.StatusOK)
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Length": "3000000", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"Content-Disposition": `attachment; filename="export.zip.age"`, "X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if w.Body.Len() != 3_000_000 {
		t.Errorf("%d bytes", w.Body.Len())
	}
	for _, target := range []string{
		"/v1/dsar/exports/" + strings.Repeat("A", 43), "/v1/dsar/exports/x", "/v1/dsar/exports/", "/v1/dsar/exports",
		"/v1/dsar/exports/" + exportToken + "?download=1", "/v1/dsar/exports/" + exportToken + "/",
	} {
		w := do(s, request{method: "GET", target: target})
		mustStatus(t, w, http.StatusNotFound)
		if strings.Contains(w.Body.String(), exportToken) {
			t.Errorf("%s: the link is repeated", target)
		}
	}
	for _, method := range []string{"HEAD", "POST", "DELETE"} {
		mustStatus(t, do(s, request{method: method, target: call.target}), http.StatusMethodNotAllowed)
	}
	if f.fetched != 1 {
		t.Errorf("fetched %d times", f.fetched)
	}
	f.unlogged = true
	mustStatus(t, do(s, call), http.StatusInternalServerError)
	mustStatus(t, do(New(Services{}, Config{}), call), http.StatusServiceUnavailable)
}

// TestFetchExportThatBreaksOff: half a file must not look like a whole one.
func TestFetchExportThatBreaksOff(t *testing.T) {
	t.Parallel()
	f := &fakeExports{fake: &fake{}, content: io.MultiReader(strings.NewReader("half"), brokenReader{})}
	s := httptest.NewServer(New(Services{Exports: f}, Config{}))
	defer s.Close()
	answer, err := http.Get(s.URL + "/v1/dsar/exports/" + exportToken)
	if err != nil {
		return // the connection broke before the first byte, which is as well
	}
	defer func() { _ = answer.Body.Close() }()
	if content, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("%d bytes look whole", len(content))
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
