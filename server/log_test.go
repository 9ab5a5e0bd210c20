package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// fakeTiles has the tiles of a log of 70,000 entries, each made of its own path. It gives
// entries to auditors and data protection officers only, as the service must.
type fakeTiles struct{ *fake }

const fakeLogSize = 70_000

func (f fakeTiles) Tile(_ context.Context, by privacy.Principal, name audit.TileName) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	if name.Entries && by.Role != privacy.RoleAuditor && by.Role != privacy.RoleDPO {
		return nil, fmt.Errorf("entries for %q: %w", by.Role, privacy.ErrForbidden)
	}
	if fakeLogSize>>(8*name.Level) < name.N*audit.TileWidth+uint64(name.Width) {
		return nil, privacy.ErrNotFound
	}
	return []byte(strings.Repeat(name.Path(), 20)), nil
}

func TestLogTile(t *testing.T) {
	t.Parallel()
	closed, open := newServer(&fake{}, Config{}), newServer(&fake{}, Config{PublicLog: true})
	for _, test := range []struct {
		target                  string
		auditor, nobody, public int // status with a token; without one; without one of a public log
	}{
		{"/log/checkpoint", 200, 401, 200},
		{"/log/tile/0/000", 200, 401, 200},
		{"/log/tile/0/272", 200, 401, 200},
		{"/log/tile/0/273.p/112", 200, 401, 200},
		{"/log/tile/0/273.p/7", 200, 401, 200},
		{"/log/tile/1/000", 200, 401, 200},
		{"/log/tile/1/001.p/17", 200, 401, 200},
		{"/log/tile/2/000.p/1", 200, 401, 200},
		{"/log/tile/entries/000", 200, 401, 401},
		{"/log/tile/entries/273.p/112", 200, 401, 401},
		// Beyond what is signed.
		{"/log/tile/0/273.p/113", 404, 401, 404},
		{"/log/tile/0/273", 404, 401, 404},
		{"/log/tile/0/x001/000", 404, 401, 404},
		{"/log/tile/2/000.p/2", 404, 401, 404},
		{"/log/tile/entries/273.p/113", 404, 401, 401},
		// No path of a tile.
		{"/log/tile/0/0", 404, 401, 404},
		{"/log/tile/00/000", 404, 401, 404},
		{"/log/tile/7/000", 404, 401, 404},
		{"/log/tile/-1/000", 404, 401, 404},
		{"/log/tile/0/000.p/0", 404, 401, 404},
		{"/log/tile/0/000.p/256", 404, 401, 404},
		{"/log/tile/0/000.p/07", 404, 401, 404},
		{"/log/tile/0/x000/000", 404, 401, 404},
		{"/log/tile/0/000/", 404, 401, 404},
		{"/log/tile/8/0/000", 404, 401, 404},
		{"/log/tile/entries/", 404, 401, 401},
		{"/log/tile/entries/entries/000", 404, 401, 401},
		{"/log/tile/0", 404, 404, 404},
		{"/log/tile/entries", 404, 404, 404},
		{"/log/tile", 404, 404, 404},
		{"/log/", 404, 404, 404},
		// Another spelling is no way to the entries.
		{"/log/tile/%65ntries/000", 200, 401, 401},
		{"/log/tile/%65ntries%2f000", 404, 404, 404},
		{"/log/tile/0%2f000", 404, 404, 404},
		{"/log/tile/0/x000%2f000", 404, 401, 404},
		{"/log/tile/entries%2f000", 404, 404, 404},
		{"/log/tile/0/..%2fentries%2f000", 404, 404, 404},
		{"/log/tile/0/../entries/000", 404, 404, 404},
		{"/log/tile/0/%2e%2e/entries/000", 404, 404, 404},
	} {
		for _, who := range []struct {
			server *Server
			token  string
			want   int
		}{{closed, "auditor", test.auditor}, {closed, "", test.nobody}, {open, "", test.public}, {open, "auditor", test.auditor}} {
			w := do(who.server, request{method: "GET", target: test.target, token: who.token})
			if w.Code != who.want {
				t.Errorf("%s as %q: status %d, want %d", test.target, who.token, w.Code, who.want)
			}
			if w.Code != http.StatusOK && strings.Contains(w.Body.String(), "tile/entries/") {
				t.Errorf("%s as %q: entries in an answer with status %d", test.target, who.token, w.Code)
			}
		}
	}
	w := do(closed, request{method: "GET", target: "/log/tile/0/273.p/112", token: "dpo"})
	if want := strings.Repeat("tile/0/273.p/112", 20); w.Body.String() != want || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("a tile of hashes: %s %q", w.Header(), w.Body)
	}
	mustStatus(t, do(closed, request{method: "GET", target: "/log/tile/0/000?x=1", token: "dpo"}), http.StatusBadRequest)
	mustStatus(t, do(closed, request{method: "GET", target: "/log/tile/0/000", token: "service"}), http.StatusForbidden)
	mustStatus(t, do(open, request{method: "GET", target: "/log/tile/entries/000", token: "service"}), http.StatusForbidden)
}

func TestLogTileCaching(t *testing.T) {
	t.Parallel()
	closed, open := newServer(&fake{}, Config{}), newServer(&fake{}, Config{PublicLog: true})
	for _, test := range []struct {
		server       *Server
		target, want string
	}{
		{closed, "/log/checkpoint", "no-store"},
		{open, "/log/checkpoint", "no-store"},
		{closed, "/log/tile/0/000", "private, max-age=31536000, immutable"},
		{open, "/log/tile/0/000", "public, max-age=31536000, immutable"},
		{closed, "/log/tile/entries/000", "private, max-age=31536000, immutable"},
		{open, "/log/tile/entries/000", "private, max-age=31536000, immutable"},
		{open, "/log/tile/0/999", "no-store"}, // it may come to exist
	} {
		w := do(test.server, request{method: "GET", target: test.target, token: "auditor"})
		if got := w.Header().Get("Cache-Control"); got != test.want {
			t.Errorf("%s: %q, want %q", test.target, got, test.want)
		}
	}
}

func TestLogTileCompression(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	want := strings.Repeat("tile/entries/000", 20)
	for accept, zipped := range map[string]bool{
		"": false, "gzip": true, "deflate, GZIP;q=0.5": true, "*": true, "br": false,
		"gzip;q=0": false, "gzip; q=0.000": false, "identity": false, "xgzip": false,
	} {
		w := do(s, request{method: "GET", target: "/log/tile/entries/000", token: "auditor", header: map[string]string{"Accept-Encoding": accept}})
		body := w.Body.Bytes()
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != zipped {
			t.Errorf("%q: zipped %t, want %t", accept, got, zipped)
		}
		if zipped {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if string(body) != want || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %s %q", accept, w.Header(), body)
		}
	}
	w := do(s, request{method: "GET", target: "/log/tile/0/000", token: "auditor", header: map[string]string{"Accept-Encoding": "gzip"}})
	if w.Header().Get("Content-Encoding") != "" {
		t.Error("hashes were zipped")
	}
}

// TestLogTileFailures: what is wrong inside is said in the words of every other path.
func TestLogTileFailures(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		privacy.ErrUnavailable: 503, privacy.ErrDamaged: 500, errSecret: 500, privacy.ErrForbidden: 403,
	} {
		w := do(newServer(&fake{err: err}, Config{}), request{method: "GET", target: "/log/tile/0/000", token: "auditor"})
		mustStatus(t, w, want)
		if strings.Contains(w.Body.String(), secret) {
			t.Error("the answer repeats an error")
		}
	}
	services := Services{Tokens: &fake{}}
	mustStatus(t, do(New(services, Config{Log: slog.New(slog.DiscardHandler)}), request{method: "GET", target: "/log/tile/0/000", token: "auditor"}), 503)

	// All places are taken: the next one waits, and not for ever.
	s := newServer(&fake{}, Config{TileSlots: 1})
	s.tiles <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/log/tile/0/000", nil)
	var p *problem
	if err := (&call{server: s, request: r}).sendTile(ctx, "0/000", false); !errors.As(err, &p) || p.kind != unavailable {
		t.Errorf("without a place: %v", err)
	}
}
