// Package anchor is the file in which checkpoints of a log are kept where its operator is
// not the only one who can write: one line for each, appended and never changed. It reads
// and writes lines, and says of each whether the log's key signed it. Comparing the log
// with them is [audit.VerifyConfig.Kept].
package anchor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Anchor is one checkpoint that was put elsewhere.
type Anchor struct {
	// At is when, by the clock of who put it there: nothing proves it.
	At time.Time
	// Note is the checkpoint, a signed note.
	Note []byte
}

// line is the one form of an anchor, docs/spec/anchor.md.
type line struct {
	V    int    `json:"v"`
	T    int64  `json:"t"`
	Note string `json:"note"`
}

// maxNote is the longest note: that of the table of checkpoints.
const maxNote = 1 << 16

// MaxLine is the longest line with its end: JSON writes a byte in six at most.
const MaxLine = 6*maxNote + 64

// Line returns the line of the anchor, with its end.
func (a Anchor) Line() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line{1, a.At.UnixMilli(), string(a.Note)}); err != nil {
		return nil, fmt.Errorf("writing anchor: %w", err)
	}
	if len(a.Note) == 0 || len(a.Note) > maxNote {
		return nil, fmt.Errorf("writing anchor of %d bytes: %w", len(a.Note), privacy.ErrInvalid)
	}
	return b.Bytes(), nil
}

// Parse reads a line with its end. It accepts exactly what [Anchor.Line] writes; the error
// wraps [privacy.ErrDamaged] otherwise.
func Parse(text []byte) (Anchor, error) {
	var l line
	if len(text) > MaxLine || json.Unmarshal(text, &l) != nil || l.V != 1 {
		return Anchor{}, fmt.Errorf("reading anchor: %w", privacy.ErrDamaged)
	}
	a := Anchor{At: time.UnixMilli(l.T).UTC(), Note: []byte(l.Note)}
	if again, err := a.Line(); err != nil || !bytes.Equal(again, text) {
		return Anchor{}, fmt.Errorf("reading anchor: another spelling: %w", privacy.ErrDamaged)
	}
	return a, nil
}

// Read reads all lines. A last line without its end is left out: somebody is writing it,
// or was interrupted. An error names the line, from one up.
func Read(r io.Reader) ([]Anchor, error) {
	var anchors []Anchor
	lines := bufio.NewReaderSize(r, MaxLine)
	for n := 1; ; n++ {
		text, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return anchors, nil
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("line %d: reading anchor: too long: %w", n, privacy.ErrDamaged)
		case err != nil:
			return nil, fmt.Errorf("line %d: reading anchor: %w", n, err)
		}
		a, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		anchors = append(anchors, a)
	}
}

// Open returns the checkpoints of anchors, in order. Each must be signed by a key of the log,
// the one that signs now or a former one, and none smaller than one before it: such a file was put together, or its log rolled back. An
// error wraps [privacy.ErrDamaged] and names the line, from one up.
func Open(anchors []Anchor, keys ...note.Verifier) ([]audit.Checkpoint, error) {
	checkpoints := make([]audit.Checkpoint, len(anchors))
	for i, a := range anchors {
		c, err := open(a.Note, keys)
		if err != nil {
			return nil, fmt.Errorf("anchor %d: %w", i+1, err)
		}
		checkpoints[i] = c
		if i == 0 {
			continue
		}
		switch before := checkpoints[i-1]; {
		case c.Size < before.Size:
			return nil, fmt.Errorf("anchor %d: of %d entries, after one of %d: %w", i+1, c.Size, before.Size, privacy.ErrDamaged)
		case c.Size == before.Size && c.Root != before.Root:
			return nil, fmt.Errorf("anchor %d: another history of %d entries than the one before: %w", i+1, c.Size, privacy.ErrDamaged)
		}
	}
	return checkpoints, nil
}

func open(signed []byte, keys []note.Verifier) (c audit.Checkpoint, err error) {
	err = fmt.Errorf("no key of the log is known: %w", privacy.ErrInvalid)
	for _, key := range keys {
		if c, err = audit.OpenCheckpoint(signed, key); err == nil {
			break
		}
	}
	return c, err
}
