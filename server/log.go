package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

const (
	pathLogCheckpoint = "/log/checkpoint"
	pathLogTile       = "/log/tile/{level}/{number...}"
	pathLogEntries    = "/log/tile/entries/{number...}"
)

// LogTiles gives the parts of the log as C2SP tlog-tiles names them. It must know nothing
// beyond the newest checkpoint, where it returns an error that wraps [privacy.ErrNotFound],
// and must not return entries before it is in the log that by reads them. For hashes, by may
// be nobody.
type LogTiles interface {
	Tile(ctx context.Context, by privacy.Principal, name audit.TileName) ([]byte, error)
}

var (
	headerBytes = []string{"application/octet-stream"}
	// A tile never changes. What only some may read stays out of shared caches.
	headerForEver        = []string{"public, max-age=31536000, immutable"}
	headerForEverPrivate = []string{"private, max-age=31536000, immutable"}
)

func logTile(ctx context.Context, c *call) error {
	return c.sendTile(ctx, c.request.PathValue("level")+"/"+c.request.PathValue("number"), false)
}

func logEntries(ctx context.Context, c *call) error {
	return c.sendTile(ctx, "entries/"+c.request.PathValue("number"), true)
}

// sendTile answers with the tile at path. Whether entries may be asked for is said by the
// route and not by the path, which has several spellings.
func (c *call) sendTile(ctx context.Context, path string, entries bool) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	name, err := audit.ParseTilePath("tile/" + path)
	if err != nil || name.Entries != entries {
		return refuse(notFound)
	}
	if c.server.services.Tiles == nil {
		return refuse(unavailable)
	}
	// Whoever mirrors the log must leave the database to those who ask about people.
	select {
	case c.server.tiles <- struct{}{}:
		defer func() { <-c.server.tiles }()
	case <-ctx.Done():
		return &problem{kind: unavailable, cause: errors.New("too many tiles at once")}
	}
	tile, err := c.server.services.Tiles.Tile(ctx, c.principal, name)
	if errors.Is(err, privacy.ErrNotFound) {
		return refuse(notFound) // it is about the log and not about a person: everybody may know
	}
	if err != nil {
		return err
	}
	header := c.writer.Header()
	header["Cache-Control"] = headerForEver
	if name.Entries || !c.server.config.PublicLog {
		header["Cache-Control"] = headerForEverPrivate
	}
	if name.Entries { // hashes do not become smaller
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.request) {
			tile = compress(tile)
			header.Set("Content-Encoding", "gzip")
		}
	}
	c.write(http.StatusOK, headerBytes, tile)
	return nil
}

// acceptsGzip reports whether a caller can unpack gzip (RFC 9110 section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, value := range r.Header["Accept-Encoding"] {
		for coding := range strings.SplitSeq(value, ",") {
			name, weight, weighted := strings.Cut(coding, ";")
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") && name != "*" {
				continue
			}
			weight = strings.ReplaceAll(strings.ToLower(weight), " ", "")
			// A weight of zero says no.
			return !weighted || strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != ""
		}
	}
	return false
}

var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one of those it knows
	return w
}}

func compress(data []byte) []byte {
	var out bytes.Buffer
	w := zippers.Get().(*gzip.Writer)
	defer zippers.Put(w)
	w.Reset(&out)
	_, _ = w.Write(data) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}
