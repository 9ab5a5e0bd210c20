package prepare

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/audit"
)

// chunkFile is a file of chunks, one a line.
type chunkFile struct {
	file    *os.File
	digests []audit.Digest
	// journal has the digest of each chunk that was written, so that work which is taken up
	// again knows them by their content. Nil for chunks that are made anew each time.
	journal *os.File
}

func (f *chunkFile) write(line []byte) error {
	digest := audit.Digest(sha256.Sum256(line))
	f.digests = append(f.digests, digest)
	if _, err := f.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing chunk: %w", err)
	}
	if f.journal == nil {
		return nil
	}
	// After the chunk: one without its digest is made again.
	if _, err := f.journal.WriteString(digestText(digest) + "\n"); err != nil {
		return fmt.Errorf("writing digest of a chunk: %w", err)
	}
	return nil
}

func (f *chunkFile) close() {
	_ = f.file.Close() // synced before, or something failed
	if f.journal != nil {
		_ = f.journal.Close()
	}
}

// resume opens the chunks of a list of so many members behind those that are there already
// and are what was written: their content has the digest that was noted then. What comes
// after the first one that has not is cut off, and made again.
func resume(dir string, total int) (_ *chunkFile, err error) {
	out := &chunkFile{}
	defer func() {
		if err != nil && out.file != nil {
			out.close()
		}
	}()
	if out.file, err = os.OpenFile(filepath.Join(dir, MembersFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("opening chunks: %w", err)
	}
	if out.journal, err = os.OpenFile(filepath.Join(dir, digestsFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("opening digests of chunks: %w", err)
	}
	chunks, digests := newLines(out.file), bufio.NewReader(out.journal)
	var end, noted int64
	for len(out.digests)*ChunkSize < total {
		line, err := chunks.next()
		if err != nil {
			break // the one that was being written, or nothing
		}
		text, err := digests.ReadBytes('\n')
		digest := audit.Digest(sha256.Sum256(line))
		if err != nil || !bytes.Equal(bytes.TrimSuffix(text, []byte("\n")), []byte(digestText(digest))) {
			break
		}
		out.digests = append(out.digests, digest)
		end, noted = end+int64(len(line))+1, noted+int64(len(text))
	}
	if err := errors.Join(cutOff(out.file, end), cutOff(out.journal, noted)); err != nil {
		return nil, fmt.Errorf("going on with chunks: %w", err)
	}
	return out, nil
}

// cutOff ends a file there, and goes on from there.
func cutOff(file *os.File, end int64) error {
	_, err := file.Seek(end, io.SeekStart)
	return errors.Join(file.Truncate(end), err)
}

// wholeLines splits into lines that have an end.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	advance, token, err := bufio.ScanLines(data, atEOF)
	if atEOF && advance > 0 && data[advance-1] != '\n' {
		return 0, nil, nil
	}
	return advance, token, err
}
