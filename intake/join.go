package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// lookup is a joined file in memory: the columns that are kept, by key. It is data
// about products and campaigns, not about people, and must fit.
type lookup struct {
	on      string
	columns []string // as "name.column"
	rows    map[string][]string
	empty   []string
	digest  [sha256.Size]byte
}

// A joined file is held in memory: its rows are bounded, and so are its bytes, counted
// after decompression, since a few kilobytes of gzip can stand for gigabytes.
const (
	maxLookupRows  = 5_000_000
	maxLookupBytes = 512 << 20
)

// ErrLookupTooLarge is the error of a joined file that is longer than 512 MiB.
var ErrLookupTooLarge = fmt.Errorf("a joined file may have 512 MiB, decompressed: %w", privacy.ErrInvalid)

// bounded ends with [ErrLookupTooLarge] after left bytes.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrLookupTooLarge
	}
	return n, err
}

func readLookup(ctx context.Context, source Source, m JoinMap, limits limits, most int64) (*lookup, error) {
	if source.Sibling == nil {
		return nil, fmt.Errorf("joining %s: this source has no other files: %w", m.Name, privacy.ErrInvalid)
	}
	sibling, err := source.Sibling(m.File)
	if err != nil {
		return nil, fmt.Errorf("joining %s: %w", m.Name, err)
	}
	hash := sha256.New()
	file, err := sibling.open(ctx, hash, nil)
	if err != nil {
		return nil, fmt.Errorf("joining %s: %w", m.Name, err)
	}
	defer file.Close()
	in := &bounded{file, most}
	table, err := newCSV(in, ',', limits)
	if err != nil {
		return nil, fmt.Errorf("joining %s: %w", m.Name, err)
	}
	key, keep := -1, make([]int, len(m.Columns))
	for i := range keep {
		keep[i] = -1
	}
	for at, name := range table.header {
		if name == m.Key {
			key = at
		}
		for i, wanted := range m.Columns {
			if name == wanted {
				keep[i] = at
			}
		}
	}
	l := &lookup{on: m.On, rows: map[string][]string{}, empty: make([]string, len(keep))}
	for i, at := range keep {
		if at < 0 || key < 0 {
			return nil, fmt.Errorf("joining %s: the key or a column is not in the file: %w", m.Name, privacy.ErrInvalid)
		}
		l.columns = append(l.columns, m.Name+"."+m.Columns[i])
	}
	words := map[string]string{} // most cells repeat
	for {
		record, row, reason, err := table.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("joining %s: %w", m.Name, err)
		}
		if reason != "" {
			return nil, fmt.Errorf("joining %s: row %d: %s: %w", m.Name, row, reason, privacy.ErrInvalid)
		}
		if len(l.rows) == maxLookupRows {
			return nil, fmt.Errorf("joining %s: more than %d rows: %w", m.Name, maxLookupRows, privacy.ErrInvalid)
		}
		cells := make([]string, len(keep))
		for i, at := range keep {
			word, ok := words[record[at]]
			if !ok {
				word = strings.Clone(record[at])
				words[word] = word
			}
			cells[i] = word
		}
		l.rows[strings.Clone(record[key])] = cells
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return nil, fmt.Errorf("joining %s: %w", m.Name, err)
	}
	hash.Sum(l.digest[:0])
	return l, nil
}

// find returns the kept cells, all empty if there is no match.
func (l *lookup) find(key string) []string {
	if cells, ok := l.rows[key]; ok {
		return cells
	}
	return l.empty
}
