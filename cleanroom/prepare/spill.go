package prepare

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mahrem/mahrem/cleanroom/match"
)

// spill keeps rows on disk until they are shuffled: each goes into a file drawn for it, and
// each file is then shuffled in memory. Every order of all rows is as likely as any other,
// and there is never more than one file's part of them in memory.
type spill struct {
	dir     string
	columns int
	files   []*os.File
	out     []*bufio.Writer
	random  io.Reader
	seed    [seedSize]byte
	record  []byte
}

// The files are as many as a power of two, so that a mask draws one of them evenly.
const (
	spillBytes   = 4 << 20 // of the input, for a file
	maximumSpill = 256
)

func spillFiles(size int64) int {
	n := 1
	for n < maximumSpill && int64(n)*spillBytes < size {
		n *= 2
	}
	return n
}

func newSpill(dir string, files, columns int, seed [seedSize]byte) (*spill, error) {
	random, err := stream(seed, "spill")
	if err != nil {
		return nil, err
	}
	s := &spill{dir: dir, columns: columns, random: random, seed: seed, record: make([]byte, 4+8*columns)}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("making room for rows: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making room for rows: %w", err)
	}
	for i := range files {
		file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(i)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("making room for rows: %w", err), s.close())
		}
		s.files = append(s.files, file)
		s.out = append(s.out, bufio.NewWriterSize(file, 16<<10))
	}
	return s, nil
}

// add keeps a row of a person, who is not in order yet.
func (s *spill) add(person int, values []int64) error {
	var drawn [2]byte
	if _, err := io.ReadFull(s.random, drawn[:]); err != nil {
		return fmt.Errorf("drawing order: %w", err)
	}
	binary.LittleEndian.PutUint32(s.record, uint32(person))
	for i, value := range values {
		binary.LittleEndian.PutUint64(s.record[4+8*i:], uint64(value))
	}
	if _, err := s.out[int(binary.LittleEndian.Uint16(drawn[:]))&(len(s.out)-1)].Write(s.record); err != nil {
		return fmt.Errorf("keeping rows: %w", err)
	}
	return nil
}

// each calls f for every row, in the new order.
func (s *spill) each(f func(person int, values []int64) error) error {
	values := make([]int64, s.columns)
	for i, file := range s.files {
		if err := s.out[i].Flush(); err != nil {
			return fmt.Errorf("keeping rows: %w", err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("reading rows again: %w", err)
		}
		records, err := io.ReadAll(file)
		if err != nil {
			return fmt.Errorf("reading rows again: %w", err)
		}
		size := len(s.record)
		random, err := stream(s.seed, "rows/"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		order, err := match.Permutation(random, len(records)/size)
		if err != nil {
			return err
		}
		for _, at := range order {
			record := records[int(at)*size:]
			for j := range values {
				values[j] = int64(binary.LittleEndian.Uint64(record[4+8*j:]))
			}
			if err := f(int(binary.LittleEndian.Uint32(record)), values); err != nil {
				return err
			}
		}
	}
	return nil
}

// close takes the rows off the disk.
func (s *spill) close() error {
	var err error
	for _, file := range s.files {
		err = errors.Join(err, file.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
