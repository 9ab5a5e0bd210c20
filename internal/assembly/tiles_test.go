package assembly

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// tileReader reads hashes over HTTP for golang.org/x/mod/sumdb/tlog, which authenticates
// what it gets against the root: it is the client of Go's own checksum database.
type tileReader struct {
	get func(path string) (int, string)
}

func (r tileReader) Height() int { return 8 }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		// Theirs begins with the height of tiles, which C2SP has fixed.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		status, body := r.get("/log/" + path)
		if status != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", path, status)
		}
		out = append(out, []byte(body))
	}
	return out, nil
}

func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// TestServedLog reads the log of a whole house over HTTP with another implementation, and
// finds every receipt in it.
func TestServedLog(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	api, err := house.Server(server.Config{PublicLog: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(api)
	t.Cleanup(web.Close)
	get := func(token string) func(string) (int, string) {
		return func(path string) (int, string) {
			request, err := http.NewRequestWithContext(t.Context(), "GET", web.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, string(body)
		}
	}
	nobody := get("")

	var receipts []audit.Receipt
	for i := range 700 {
		receipt, err := house.Log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done, List: audit.Digest{byte(i), byte(i >> 8), 1}})
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, receipt)
	}
	if err := house.Log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, note := nobody("/log/checkpoint")
	verifier, err := audit.NewVerifier(house.Settings.Origin, house.Keys.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := audit.OpenCheckpoint([]byte(note), verifier)
	if err != nil {
		t.Fatalf("checkpoint with status %d: %v", status, err)
	}

	tree := tlog.Tree{N: int64(checkpoint.Size), Hash: checkpoint.Root}
	hashes := tlog.TileHashReader(tree, tileReader{nobody})
	for _, receipt := range receipts {
		got, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(receipt.Index()))})
		if err != nil || got[0] != tlog.Hash(receipt.LeafHash()) {
			t.Fatalf("receipt %d: %v", receipt.Index(), err)
		}
	}

	// Entries are for auditors. That they read is logged once.
	last := checkpoint.Size / audit.TileWidth
	path := "/log/" + audit.EntriesPath(last, int(checkpoint.Size%audit.TileWidth))
	if status, body := nobody(path); status != http.StatusUnauthorized || strings.Contains(body, "server.started") {
		t.Errorf("entries without a token: status %d", status)
	}
	minted, err := house.Tokens.Mint(privacy.Principal{ID: "auditor-1", Role: privacy.RoleAuditor}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	auditor := get(minted.Token)
	for range 3 {
		status, bundle := auditor(path)
		leaves, err := audit.SplitBundle(nil, []byte(bundle), int(checkpoint.Size%audit.TileWidth))
		if status != http.StatusOK || err != nil {
			t.Fatalf("entries with status %d: %v", status, err)
		}
		newest := receipts[len(receipts)-1]
		if got := audit.LeafHash(leaves[newest.Index()%audit.TileWidth]); got != newest.LeafHash() {
			t.Errorf("entry %d is another", newest.Index())
		}
	}
	if kinds := kindsSince(t, house, before); !slices.Equal(kinds, []audit.Kind{audit.LogRead}) {
		t.Errorf("reading three times left %v", kinds)
	}
	// What is not signed yet is not served.
	if status, _ := nobody("/log/" + audit.TilePath(0, last, int(checkpoint.Size%audit.TileWidth)+1)); status != http.StatusNotFound {
		t.Errorf("a tile beyond the checkpoint: status %d", status)
	}
}
