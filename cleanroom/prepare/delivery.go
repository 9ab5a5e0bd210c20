package prepare

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Delivery is a complete directory as it goes to the house. Reading it reads all of it.
type Delivery struct {
	io.Reader
	// Size is how many bytes there are to read.
	Size int64
	// Room is for which room it was prepared; the signature has not been looked at.
	Room string
	// Manifest is the digest of the signed manifest, and Remasked that of the other party's
	// statement, if that is what is delivered.
	Manifest, Remasked audit.Digest
	// MemberChunks and RowChunks are how many chunks there are to bring, members first.
	MemberChunks, RowChunks int

	head  headJSON
	parts []*part
}

// part is a file of a delivery.
type part struct {
	file    *os.File
	size    int64
	digests []audit.Digest
	// starts are where chunks begin, as far as they were looked for.
	starts []int64
}

// Close closes the files.
func (d *Delivery) Close() error {
	var err error
	for _, p := range d.parts {
		err = errors.Join(err, p.file.Close())
	}
	return err
}

// OpenDelivery opens a directory that [Run] or [Remask] has completed. In pair mode what the
// owner delivers has no members: they come from the other party.
func OpenDelivery(dir string) (_ *Delivery, err error) {
	d := &Delivery{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	manifest, err := readSmall(filepath.Join(dir, ManifestFile))
	var remasked []byte
	if errors.Is(err, os.ErrNotExist) {
		if remasked, err = readSmall(filepath.Join(dir, RemaskedFile)); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("the directory has no complete list: %w", privacy.ErrNotFound)
		}
		if err == nil {
			manifest, err = readSmall(filepath.Join(dir, manifestOf))
		}
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, err
	}
	d.Room, d.Manifest, d.head.Manifest = string(m.Room), Digest(manifest), string(manifest)
	switch {
	case remasked == nil && m.StayAtHome():
		return nil, fmt.Errorf("this list of the house's own people goes to the other party, which masks it once more and brings it to the house: %w", privacy.ErrInvalid)
	case remasked != nil:
		statement, err := parseRemasked(remasked)
		if err != nil {
			return nil, err
		}
		d.Remasked, d.head.Remasked = Digest(remasked), string(remasked)
		if err := d.open(dir, MembersFile, statement.MemberChunks, &d.MemberChunks); err != nil {
			return nil, err
		}
	case m.Matching == cleanroom.MatchPair:
		err = d.open(dir, RowsFile, m.RowChunks, &d.RowChunks)
	default:
		err = errors.Join(d.open(dir, MembersFile, m.MemberChunks, &d.MemberChunks), d.open(dir, RowsFile, m.RowChunks, &d.RowChunks))
	}
	if err != nil {
		return nil, err
	}
	d.Reader, d.Size, err = d.From(0)
	return d, err
}

func (d *Delivery) open(dir, name string, digests []audit.Digest, chunks *int) error {
	*chunks = len(digests)
	file, err := openPlain(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("opening delivery: %w", err)
	}
	p := &part{file: file, digests: digests, starts: []int64{0}}
	d.parts = append(d.parts, p)
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("opening delivery: %w", err)
	}
	p.size = info.Size()
	return nil
}

// Chunks is how many chunks there are to bring.
func (d *Delivery) Chunks() int { return d.MemberChunks + d.RowChunks }

// Next is the chunk to go on with, counted from 0, when so many have come.
func (d *Delivery) Next(memberChunks, rowChunks int) int {
	return min(memberChunks, d.MemberChunks) + min(rowChunks, d.RowChunks)
}

// From returns what is left to bring from a chunk on, counted from 0, with a head that says
// so, and how many bytes that is. What is before the chunk is held to what was signed: the
// error wraps [privacy.ErrDamaged] if the directory has something else.
func (d *Delivery) From(chunk int) (io.Reader, int64, error) {
	if chunk < 0 || chunk > d.Chunks() {
		return nil, 0, fmt.Errorf("the delivery has %d chunks, and is asked for more: %w", d.Chunks(), privacy.ErrInvalid)
	}
	head := d.head
	head.From = chunk
	line, err := json.Marshal(head)
	if err != nil {
		return nil, 0, fmt.Errorf("writing head of a delivery: %w", err)
	}
	line = append(line, '\n')
	readers, size := []io.Reader{bytes.NewReader(line)}, int64(len(line))
	for _, p := range d.parts {
		skipped := min(chunk, len(p.digests))
		chunk -= skipped
		start, err := p.start(skipped)
		if err != nil {
			return nil, 0, err
		}
		readers = append(readers, io.NewSectionReader(p.file, start, p.size-start))
		size += p.size - start
	}
	return io.MultiReader(readers...), size, nil
}

// start is where a chunk begins.
func (p *part) start(chunk int) (int64, error) {
	if known := len(p.starts) - 1; chunk > known {
		from := p.starts[known]
		lines := newLines(io.NewSectionReader(p.file, from, p.size-from))
		for i := known; i < chunk; i++ {
			line, err := lines.next()
			if err != nil {
				return 0, err
			}
			if sha256.Sum256(line) != p.digests[i] {
				return 0, fmt.Errorf("reading delivery: a chunk is not what was signed: %w", privacy.ErrDamaged)
			}
			from += int64(len(line)) + 1
			p.starts = append(p.starts, from)
		}
	}
	return p.starts[chunk], nil
}
