package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// TilePath is where C2SP tlog-tiles puts tile n of a level, relative to the prefix of the
// log: tile/<level>/<n>, and .p/<width> behind it if the tile has fewer than 256 hashes.
// n is written in groups of three digits, all but the last after an x.
func TilePath(level int, n uint64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + tileNumber(n, width)
}

// EntriesPath is where C2SP tlog-tiles puts the entries under tile n of level 0.
func EntriesPath(n uint64, width int) string { return "tile/entries/" + tileNumber(n, width) }

func tileNumber(n uint64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < TileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return path
}

// TileName is which tile a path names.
type TileName struct {
	// Entries is true for the entries under a tile of level 0.
	Entries bool
	Level   int
	N       uint64
	// Width is how many hashes or entries the tile has: 1 to 256.
	Width int
}

// Path is where the tile is; [ParseTilePath] reads it.
func (t TileName) Path() string {
	if t.Entries {
		return EntriesPath(t.N, t.Width)
	}
	return TilePath(t.Level, t.N, t.Width)
}

// ParseTilePath reads what [TilePath] and [EntriesPath] write, in this one spelling. The
// error wraps [privacy.ErrInvalid].
func ParseTilePath(path string) (TileName, error) {
	invalid := fmt.Errorf("reading path of a tile: %w", privacy.ErrInvalid)
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || len(path) > 100 {
		return TileName{}, invalid
	}
	level, number, _ := strings.Cut(rest, "/")
	t := TileName{Width: TileWidth, Entries: level == "entries"}
	var err error
	if !t.Entries {
		if t.Level, err = strconv.Atoi(level); err != nil || t.Level < 0 || t.Level >= TileLevels {
			return TileName{}, invalid
		}
	}
	number, width, partial := strings.Cut(number, ".p/")
	if partial {
		if t.Width, err = strconv.Atoi(width); err != nil || t.Width < 1 || t.Width >= TileWidth {
			return TileName{}, invalid
		}
	}
	digits := strings.NewReplacer("x", "", "/", "").Replace(number)
	if t.N, err = strconv.ParseUint(digits, 10, 55); err != nil || t.Path() != path {
		return TileName{}, invalid
	}
	return t, nil
}

// AppendBundled appends an entry as it stands in a bundle of entries: the length in 16
// bits, big-endian, and the leaf (C2SP tlog-tiles). A leaf has 1 to 65,535 bytes.
func AppendBundled(bundle, leaf []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...)
}

// SplitBundle appends the leaves of a bundle to leaves, as parts of it, and expects exactly
// width of them. The error wraps [privacy.ErrDamaged].
func SplitBundle(leaves [][]byte, bundle []byte, width int) ([][]byte, error) {
	damaged := fmt.Errorf("reading bundle of entries: %w", privacy.ErrDamaged)
	for range width {
		if len(bundle) < 2 {
			return leaves, damaged
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if end == 2 || end > len(bundle) {
			return leaves, damaged
		}
		leaves = append(leaves, bundle[2:end:end])
		bundle = bundle[end:]
	}
	if len(bundle) != 0 {
		return leaves, damaged
	}
	return leaves, nil
}

// HashBundle appends the leaf hashes of the leaves of a bundle, as [SplitBundle] found them in
// it. It hashes them where they lie, with the byte before each of them set to zero meanwhile: the
// bundle must be the caller's alone.
func HashBundle(hashes, bundle []byte, leaves [][]byte) []byte {
	at := 1 // the second byte of a length
	for _, leaf := range leaves {
		was := bundle[at]
		bundle[at] = 0
		hash := sha256.Sum256(bundle[at : at+1+len(leaf)])
		bundle[at] = was
		hashes = append(hashes, hash[:]...)
		at += 2 + len(leaf)
	}
	return hashes
}
