package prepare

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// ErrInput is wrapped by errors of whatever a [Stream] reads from.
var ErrInput = errors.New("reading what is sent")

// Head is what a delivery begins with.
type Head struct {
	Manifest []byte // signed
	Remasked []byte // signed; nil for what the owner brings
	// From is the chunk that comes next, counted over all that the sender brings: what is
	// before it has come before.
	From int
}

type headJSON struct {
	Manifest string `json:"manifest"`
	Remasked string `json:"remasked,omitempty"`
	From     int    `json:"from,omitempty"`
}

// Stream reads a delivery: its head, and then chunk by chunk what is in it.
type Stream struct {
	lines *lineReader
	input *failing
}

// NewStream begins reading.
func NewStream(in io.Reader) *Stream {
	input := &failing{in: in}
	return &Stream{newLines(input), input}
}

// failing keeps what went wrong with reading, so that it is not taken for the sender's fault.
type failing struct {
	in  io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	n, err := f.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func (s *Stream) next() ([]byte, error) {
	line, err := s.lines.next()
	if err != nil && s.input.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, s.input.err)
	}
	return line, err
}

// Head reads the first line.
func (s *Stream) Head() (Head, error) {
	line, err := s.next()
	if err != nil {
		return Head{}, err
	}
	return ParseHead(line)
}

// ParseHead reads the first line of a delivery. The error wraps [privacy.ErrInvalid].
func ParseHead(line []byte) (Head, error) {
	var j headJSON
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&j)
	_, more := decoder.Token()
	if err != nil || !errors.Is(more, io.EOF) || j.Manifest == "" || j.From < 0 {
		return Head{}, fmt.Errorf("reading head of a delivery: %w", privacy.ErrInvalid)
	}
	head := Head{Manifest: []byte(j.Manifest), From: j.From}
	if j.Remasked != "" {
		head.Remasked = []byte(j.Remasked)
	}
	return head, nil
}

// Chunk returns the next chunk, which must have a digest. It is valid until the call after.
func (s *Stream) Chunk(digest audit.Digest) ([]byte, error) {
	line, err := s.next()
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(line) != digest {
		return nil, fmt.Errorf("reading chunk: %w", privacy.ErrDamaged)
	}
	return line, nil
}

// End sees that nothing more comes.
func (s *Stream) End() error {
	err := s.lines.end()
	if err != nil && s.input.err != nil {
		return fmt.Errorf("%w: %w", ErrInput, s.input.err)
	}
	return err
}
