package fetch_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/policies/fetch"
	"github.com/mahrem/mahrem/privacy"
)

func archive(t testing.TB, text string) []byte {
	t.Helper()
	c, err := policies.ReadBundle(fstest.MapFS{"rego/a.rego": {Data: []byte(text)}, "catalogue/x": {}, "cases/x": {}})
	if err != nil {
		t.Fatal(err)
	}
	return c.AppendArchive(nil)
}

// shelf serves one thing after the other.
type shelf struct {
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request)
	got    []string // If-None-Match of each request
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answer
	s.got = append(s.got, r.Header.Get("If-None-Match"))
	s.mu.Unlock()
	answer(w, r)
}

func (s *shelf) put(answer func(http.ResponseWriter, *http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func send(body []byte, etag string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
			if r.Header.Get("If-None-Match") == etag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		_, _ = w.Write(body)
	}
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// newSource waits for minutes, unless it is said otherwise: how long a busy machine takes says
// nothing.
func newSource(t *testing.T, url string, config fetch.Config) *fetch.Source {
	t.Helper()
	config.Timeout = cmp.Or(config.Timeout, 5*time.Minute)
	source, err := fetch.New(url, config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// want fails unless Read says: content, unchanged, or a word of refusal.
func want(t *testing.T, source *fetch.Source, want string) {
	t.Helper()
	c, err := source.Read(t.Context())
	got := "content"
	if refusal, ok := errors.AsType[*policies.Refusal](err); ok {
		got = refusal.Check
	} else if errors.Is(err, policies.ErrUnchanged) {
		got = "unchanged"
	}
	if got != want || (c != nil) != (want == "content") {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

func TestReadFetchesWhatChanged(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	server := httptest.NewServer(s)
	defer server.Close()
	source := newSource(t, server.URL, fetch.Config{})
	fifth := archive(t, "5")
	for _, step := range []struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		{status(http.StatusNotModified), policies.BundleUnavailable},
		{send(archive(t, "1"), `"1"`), "content"},
		{send(archive(t, "1"), `"1"`), "unchanged"},
		{send(archive(t, "1"), `"1b"`), "unchanged"},
		{send(archive(t, "2"), `"2"`), "content"},
		{status(http.StatusServiceUnavailable), policies.BundleUnavailable},
		{send(archive(t, "2"), `"2"`), "unchanged"},
		{send([]byte("<html>"), `"3"`), policies.BundleMalformed},
		{send([]byte("<html>"), `"3"`), "unchanged"},
		{send(archive(t, "4"), ""), "content"},
		{send(archive(t, "4"), ""), "unchanged"},
		{send(bytes.Repeat([]byte{0}, policies.MaxArchive+2), ""), policies.BundleMalformed},
		{status(http.StatusNotFound), policies.BundleUnavailable},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half"))
		}, policies.BundleUnavailable},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip") // many servers say so of .gz files
			_, _ = w.Write(fifth)
		}, "content"},
	} {
		s.put(step.answer)
		want(t, source, step.want)
	}
	if got := fmt.Sprintf("%q", s.got[:6]); got != `["" "" "\"1\"" "\"1\"" "\"1b\"" "\"2\""]` {
		t.Errorf("asked with %s", got)
	}
}

func TestReadHasLimits(t *testing.T) {
	t.Parallel()
	s := &shelf{}
	server := httptest.NewServer(s)
	hang := make(chan struct{})
	defer server.Close()
	defer close(hang)
	s.put(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		<-hang
	})
	want(t, newSource(t, server.URL, fetch.Config{Timeout: 50 * time.Millisecond}), policies.BundleUnavailable)

	s.put(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) })
	want(t, newSource(t, server.URL+"/a", fetch.Config{}), policies.BundleUnavailable)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newSource(t, server.URL, fetch.Config{}).Read(ctx); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
}

// TestReadStaysOnHTTPS: who asked for a protected connection gets no other.
func TestReadStaysOnHTTPS(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(send(archive(t, "1"), "")))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	want(t, newSource(t, secure.URL, fetch.Config{Transport: secure.Client().Transport}), policies.BundleUnavailable)
	moved := httptest.NewServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer moved.Close()
	want(t, newSource(t, moved.URL, fetch.Config{}), "content")
}

func TestErrorsKeepTheURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "policies", "file:///etc/passwd", "https://", "http://user:hunter2@%"} {
		if _, err := fetch.New(bad, fetch.Config{}); !errors.Is(err, privacy.ErrInvalid) || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	_, err := newSource(t, "http://127.0.0.1:1/b?token=hunter2", fetch.Config{}).Read(t.Context())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func ExampleSource_Read() {
	bundle, _ := policies.ReadBundle(policies.Bundle())
	shelf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bundle.AppendArchive(nil))
	}))
	defer shelf.Close()
	source, _ := fetch.New(shelf.URL+"/policies.tar.gz", fetch.Config{Timeout: time.Minute})
	fetched, err := source.Read(context.Background())
	fmt.Println(fetched.Digest() == bundle.Digest(), err)
	_, err = source.Read(context.Background())
	fmt.Println(err)
	// Output:
	// true <nil>
	// unchanged
}
