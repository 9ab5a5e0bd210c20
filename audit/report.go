package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// DamageKind says what is wrong at a place of the log.
type DamageKind string

// The kinds of damage.
const (
	// EntryMissing: there is no entry with this index, and the log goes on after it.
	EntryMissing DamageKind = "entry missing"
	// EntriesCut: from this index on nothing is there, but a committed root or a signed
	// checkpoint says that there was.
	EntriesCut DamageKind = "entries cut off"
	// EntryExtra: an entry that no committed root covers.
	EntryExtra DamageKind = "entry that was never committed"
	// EntryRepeated: two entries with this index, or out of order.
	EntryRepeated DamageKind = "entry repeated"
	// EntryAltered: the leaf does not hash to the stored leaf hash.
	EntryAltered DamageKind = "entry altered"
	// EntryRewritten: leaf and leaf hash fit each other but not the tree.
	EntryRewritten DamageKind = "entry rewritten with its hash"
	// EntriesRewritten: some entry between this index and the last of the commit does
	// not fit the root of the commit, nor does any later root fit. (When it is the very
	// last commit, its root may as well have been altered.)
	EntriesRewritten DamageKind = "entries do not fit the committed root"
	// EntryMalformed: the leaf is in the tree but is no valid entry.
	EntryMalformed DamageKind = "entry malformed"
	// TileAltered, TileMissing, TileExtra: a stored tile, whose first entry has this index.
	TileAltered DamageKind = "tile altered"
	TileMissing DamageKind = "tile missing"
	TileExtra   DamageKind = "tile without entries"
	// SubtreeAltered, SubtreeMissing, SubtreeExtra: a stored root of a tile.
	SubtreeAltered DamageKind = "subtree hash altered"
	SubtreeMissing DamageKind = "subtree hash missing"
	SubtreeExtra   DamageKind = "subtree hash without entries"
	// RootAltered: the stored root of the commit that begins with this index.
	RootAltered DamageKind = "committed root altered"
	// CheckpointAltered: a stored checkpoint, the first to cover this index, that is not
	// what the log's key signed.
	CheckpointAltered DamageKind = "checkpoint altered"
	// CheckpointForked: a checkpoint that was signed by the log's key for another history.
	CheckpointForked DamageKind = "checkpoint of another history"
	// KeptForked: a checkpoint that was kept outside the database is of another history
	// than the log; something between this index and its size was changed.
	KeptForked DamageKind = "kept checkpoint of another history"
)

// Damage is one place where the log is not what it was.
type Damage struct {
	// Index is the first entry concerned.
	Index uint64 `json:"index"`
	// Kind says what is wrong.
	Kind DamageKind `json:"kind"`
	// Path is the file, in a log that lies in files.
	Path string `json:"path,omitempty"`
	// Detail says where exactly, without repeating content.
	Detail string `json:"detail,omitempty"`
}

// String is the damage in one line.
func (d Damage) String() string {
	text := fmt.Sprintf("index %d: %s", d.Index, d.Kind)
	if d.Path != "" {
		text += ": " + Printable(d.Path)
	}
	if d.Detail != "" {
		text += " (" + Printable(d.Detail) + ")"
	}
	return text
}

// Printable quotes a text that has something in it that a terminal would not print but
// obey, such as the name of a file that somebody else chose.
func Printable(text string) string {
	if strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) || !utf8.ValidString(text) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// Restored is where an operator restored an older database, said so, and the log goes on.
type Restored struct {
	// Index is that of the entry that says so. What was there before is lost.
	Index uint64 `json:"index"`
	// Time is when it was said.
	Time time.Time `json:"time"`
	// Lost is the SHA-256 of the signed checkpoint of the longer log: it has its size.
	Lost Digest `json:"-"`
}

// maxDamages bounds a report; what comes later is only counted.
const maxDamages = 100

// Report is the outcome of [Verify].
type Report struct {
	// Size and Root are what was recomputed, and may be signed or compared elsewhere.
	Size uint64
	Root tlog.Hash
	// Begin is the index of the first entry that was there to be checked; those before it
	// were archived.
	Begin uint64
	// Roots, Tiles and Checkpoints count what was compared with the recomputed tree.
	Roots, Tiles, Checkpoints uint64
	// Signed is the largest checkpoint that verified; entries after it are vouched for
	// by nobody outside the database yet.
	Signed Checkpoint
	// Kept is the largest of [VerifyConfig.Kept] with which the log begins.
	Kept Checkpoint
	// Restored are the places, the first ones, where the log went on after a restore that
	// lost entries. The log proves itself in spite of them; that is why they are said.
	Restored []Restored
	// ClockSetBack is how many entries say that the clock was set back: those after one
	// may have earlier times than those before it. Their order is that of the log.
	ClockSetBack uint64
	// Damages are the first places where something is wrong, by index.
	Damages []Damage
	// MoreDamages counts those that did not fit.
	MoreDamages int
}

// Whole reports whether everything fits.
func (r *Report) Whole() bool { return len(r.Damages) == 0 }

// FirstBad returns the damage with the lowest index, and false if there is none.
func (r *Report) FirstBad() (Damage, bool) {
	if r.Whole() {
		return Damage{}, false
	}
	return r.Damages[0], true
}

// ExitCode is what a command should exit with: 0 if the log is whole, 1 if it is not.
// (2, that it could not be checked, goes with an error instead of a report.)
func (r *Report) ExitCode() int {
	if r.Whole() {
		return 0
	}
	return 1
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Damages, func(a, b Damage) int { return cmp.Compare(a.Index, b.Index) })
	if n := len(r.Damages); n > maxDamages {
		r.Damages, r.MoreDamages = r.Damages[:maxDamages], r.MoreDamages+n-maxDamages
	}
}
