package keyuse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault"
)

// ID is the random number of a report.
type ID [16]byte

// Report is what one process opened keys for in a span of time.
type Report struct {
	ID           ID
	Since, Until time.Time
	// Uses are those that occurred, in the order of [vault.Uses].
	Uses []vault.UseCount
}

// Opened is how many keys were opened, for whatever.
func (r *Report) Opened() (n uint64) {
	for _, use := range r.Uses {
		n += use.Opened
	}
	return n
}

// Covered is a report, and the entry that stands for it in the log.
type Covered struct {
	Report
	// Digest is the list of the entry keys.counted that covers the report; zero as long as
	// none does.
	Digest audit.Digest
}

// Digest is what an entry keys.counted has for its list: the SHA-256 of the reports that
// it covers, one line for each use of each, sorted:
//
//	report (32 hexadecimal digits) SP since SP until SP use SP opened SP abandoned LF
//
// with times in milliseconds since 1970 (docs/spec/keycount.md).
func Digest(reports []Report) audit.Digest {
	var lines [][]byte
	for i := range reports {
		r := &reports[i]
		for _, use := range r.Uses {
			line := hex.AppendEncode(nil, r.ID[:])
			for _, n := range []int64{r.Since.UnixMilli(), r.Until.UnixMilli()} {
				line = strconv.AppendInt(append(line, ' '), n, 10)
			}
			line = append(append(line, ' '), use.Use...)
			line = strconv.AppendUint(append(line, ' '), use.Opened, 10)
			line = strconv.AppendUint(append(line, ' '), use.Abandoned, 10)
			lines = append(lines, append(line, '\n'))
		}
	}
	slices.SortFunc(lines, bytes.Compare)
	return sha256.Sum256(slices.Concat(lines...))
}

// Store keeps reports.
//
// Add must be durable when it returns. Cover must commit the entry for the event together
// with the note of which reports it covers, and fail with an error that wraps
// privacy.ErrConflict, leaving nothing, if one of them is covered already.
type Store interface {
	Add(ctx context.Context, report Report) error
	// Uncovered returns reports that no entry covers yet, the oldest first.
	Uncovered(ctx context.Context, limit int) ([]Report, error)
	Cover(ctx context.Context, reports []Report, event audit.Event) (audit.Receipt, error)
	// Reports returns all reports, the oldest first.
	Reports(ctx context.Context) ([]Covered, error)
}

// MaxCovered is how many reports one entry covers at most.
const MaxCovered = 1000

// Count covers what has been reported and is not covered yet. It returns how many reports
// that were.
func Count(ctx context.Context, store Store) (int, error) {
	covered := 0
	for {
		reports, err := store.Uncovered(ctx, MaxCovered)
		if err != nil {
			return covered, fmt.Errorf("counting key uses: %w", err)
		}
		if len(reports) == 0 {
			return covered, nil
		}
		var opened uint64
		for i := range reports {
			opened += reports[i].Opened()
		}
		event := audit.Event{Kind: audit.KeysCounted, Outcome: audit.Done, List: Digest(reports), Count: opened}
		if _, err := store.Cover(ctx, reports, event); err != nil {
			return covered, fmt.Errorf("counting key uses: %w", err)
		}
		covered += len(reports)
	}
}
