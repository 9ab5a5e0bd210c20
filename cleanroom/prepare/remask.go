package prepare

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// RemaskConfig is what masking another party's list needs.
type RemaskConfig struct {
	Remasker match.Remasker
	// From is the other party's verifier.
	From     note.Verifier
	Signer   *cleanroom.Signer
	Now      func() time.Time
	Progress func(stage Stage, done, total int64) // may be nil
}

// Remask masks the list of members that another party has prepared in pair mode once more, in
// its order. From has the other party's manifest and members, and no rows; dir is made, and
// has what goes to the house, and to nobody else. What broke off is taken up again.
func Remask(ctx context.Context, from, dir string, c RemaskConfig) (*Remasked, error) {
	signed, m, err := ReadManifest(from, c.From)
	if err != nil {
		return nil, err
	}
	if m.Matching != cleanroom.MatchPair || m.Owner == c.Signer.Party() {
		return nil, fmt.Errorf("masking once more: this is for another party's list in pair mode: %w", privacy.ErrInvalid)
	}
	in, err := openPlain(filepath.Join(from, MembersFile))
	if err != nil {
		return nil, fmt.Errorf("opening members: %w", err)
	}
	defer func() { _ = in.Close() }()
	lines := newLines(in)
	var begun *state
	var out *chunkFile
	defer func() {
		if out != nil {
			out.close()
		}
	}()
	// How many there are is what somebody else says: room is made for those who come.
	seen := make(map[match.Token]struct{}, min(m.Members, ChunkSize))
	for i, want := range m.MemberChunks {
		tokens, err := readMembers(lines, want, m, i, seen)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if begun, out, err = c.begin(ctx, signed, tokens[0], m, dir); err != nil {
				return nil, err
			}
		}
		if i < len(out.digests) {
			continue
		}
		if c.Progress != nil {
			c.Progress(Masking, int64(i*ChunkSize), int64(m.Members))
		}
		if tokens, err = c.Remasker.Remask(ctx, tokens); err != nil {
			return nil, err
		}
		if err := out.write(AppendMembers(nil, m.Matching, tokens)); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(lines.end(), out.file.Sync()); err != nil || begun == nil {
		return nil, err
	}
	r := &Remasked{By: c.Signer.Party(), Manifest: Digest(signed), MemberChunks: out.digests, RemaskedAt: c.Now().UTC().Truncate(time.Second)}
	statement, err := r.Sign(c.Signer)
	if err != nil {
		return nil, err
	}
	// The manifest goes along: the house needs it to read the statement.
	if err := errors.Join(replace(dir, manifestOf, signed), finish(dir, RemaskedFile, statement)); err != nil {
		return nil, err
	}
	return r, nil
}

// begin opens the directory for a list and a secret, which the first token tells apart.
func (c *RemaskConfig) begin(ctx context.Context, signed []byte, first match.Token, m *Manifest, dir string) (*state, *chunkFile, error) {
	token, err := c.Remasker.Remask(ctx, []match.Token{first})
	if err != nil {
		return nil, nil, err
	}
	begun, err := openState(dir, digestText(Digest(signed))+digestText(sha256.Sum256(token[0][:])), nil)
	if err != nil {
		return nil, nil, err
	}
	out, err := resume(dir, m.Members)
	return begun, out, err
}

// ReadManifest reads and verifies the manifest of a directory.
func ReadManifest(dir string, owner note.Verifier) ([]byte, *Manifest, error) {
	signed, err := readSmall(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, nil, err
	}
	m, err := OpenManifest(signed, owner)
	return signed, m, err
}

// openPlain opens a file that came from somewhere else, and nothing that only looks like one:
// a pipe would never end, or never begin.
func openPlain(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no plain file: %w", filepath.Base(path), privacy.ErrInvalid)
	}
	return os.Open(path)
}

// readSmall reads a manifest or a statement.
func readSmall(path string) ([]byte, error) {
	file, err := openPlain(path)
	if err != nil {
		return nil, fmt.Errorf("opening manifest: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, MaximumManifest+1))
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	if len(text) > MaximumManifest {
		return nil, fmt.Errorf("reading manifest: it is too large: %w", privacy.ErrInvalid)
	}
	return text, nil
}

// readMembers reads chunk i of a list and checks its digest, its size, and that nobody is
// there twice.
func readMembers(lines *lineReader, want audit.Digest, m *Manifest, i int, seen map[match.Token]struct{}) ([]match.Token, error) {
	line, err := lines.next()
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(line) != want {
		return nil, fmt.Errorf("reading members: chunk %d is not what was signed: %w", i, privacy.ErrDamaged)
	}
	tokens, err := ParseMembers(line, m.Matching)
	if err != nil {
		return nil, err
	}
	if len(tokens) != min(ChunkSize, m.Members-i*ChunkSize) {
		return nil, fmt.Errorf("reading members: chunk %d has another size than was signed: %w", i, privacy.ErrInvalid)
	}
	for _, token := range tokens {
		if _, twice := seen[token]; twice {
			return nil, fmt.Errorf("reading members: somebody is there twice: %w", privacy.ErrInvalid)
		}
		seen[token] = struct{}{}
	}
	return tokens, nil
}

// lineReader reads chunks, each of which ends.
type lineReader struct{ scanner *bufio.Scanner }

func newLines(in io.Reader) *lineReader {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 0, 64<<10), MaximumManifest*2)
	scanner.Split(wholeLines)
	return &lineReader{scanner}
}

// next returns the next line, which is valid until the call after.
func (l *lineReader) next() ([]byte, error) {
	if l.scanner.Scan() {
		return l.scanner.Bytes(), nil
	}
	return nil, l.ended()
}

func (l *lineReader) ended() error {
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("reading chunks: a line is too long: %w", privacy.ErrInvalid)
	case err != nil:
		return fmt.Errorf("reading chunks: %w", err)
	}
	return fmt.Errorf("reading chunks: one is missing: %w", privacy.ErrInvalid)
}

// end sees that there is nothing more.
func (l *lineReader) end() error {
	if l.scanner.Scan() {
		return fmt.Errorf("reading chunks: there are more than were signed: %w", privacy.ErrInvalid)
	}
	if err := l.scanner.Err(); err != nil {
		return l.ended()
	}
	return nil
}
