package bundle

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Receipt is what an answer of Mahrem says of its evidence, as whoever got the answer has
// kept it.
type Receipt struct {
	// Answer counts the JSON documents of the file from 1; the receipt was in this one.
	Answer   int
	Index    uint64
	LeafHash tlog.Hash
}

// maxReceipts bounds what is kept in memory, and with it a file.
const maxReceipts = 10_000_000

// ReadReceipts reads kept answers: JSON documents one after the other, such as a line for
// each. Every object in them that has "index" and "leaf_hash" is a receipt, as it stands in
// an answer under "log"; nothing else in them is looked at or kept. It also returns how many
// answers had none. The error wraps [privacy.ErrInvalid].
func ReadReceipts(r io.Reader) (receipts []Receipt, without int, err error) {
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	for answer := 1; ; answer++ {
		var document any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return receipts, without, nil
		}
		if err != nil {
			// What a syntax error quotes may be somebody's name.
			return nil, 0, fmt.Errorf("reading receipts: answer %d is not JSON: %w", answer, privacy.ErrInvalid)
		}
		before := len(receipts)
		if receipts, err = collect(receipts, document, answer, 0); err != nil {
			return nil, 0, err
		}
		if len(receipts) == before {
			without++
		}
		if len(receipts) > maxReceipts {
			return nil, 0, fmt.Errorf("reading receipts: more than %d: %w", maxReceipts, privacy.ErrInvalid)
		}
	}
}

func collect(receipts []Receipt, value any, answer, depth int) ([]Receipt, error) {
	if depth > 64 {
		return nil, fmt.Errorf("reading receipts: answer %d is nested too deeply: %w", answer, privacy.ErrInvalid)
	}
	var err error
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if receipts, err = collect(receipts, item, answer, depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		index, hasIndex := value["index"]
		hash, hasHash := value["leaf_hash"]
		if hasIndex && hasHash {
			receipt, err := readReceipt(index, hash)
			if err != nil {
				return nil, fmt.Errorf("reading receipts: answer %d: %w", answer, err)
			}
			receipt.Answer = answer
			return append(receipts, receipt), nil
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if receipts, err = collect(receipts, value[name], answer, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return receipts, nil
}

func readReceipt(index, hash any) (Receipt, error) {
	number, isNumber := index.(json.Number)
	text, isText := hash.(string)
	n, err := strconv.ParseUint(string(number), 10, 63)
	raw, hexErr := hex.DecodeString(text)
	if !isNumber || !isText || err != nil || hexErr != nil || len(raw) != tlog.HashSize {
		return Receipt{}, fmt.Errorf("index and leaf_hash are not those of a receipt: %w", privacy.ErrInvalid)
	}
	return Receipt{Index: n, LeafHash: tlog.Hash(raw)}, nil
}

// Verdict is what became of a receipt.
type Verdict string

// The verdicts on receipts that do not fit. A log that was cut off, rolled back or written
// anew shows in them, also to somebody who has nothing but their own answers.
const (
	// ReceiptMissing: the log ends before the entry.
	ReceiptMissing Verdict = "missing"
	// ReceiptOther: another entry stands in its place.
	ReceiptOther Verdict = "other"
	// ReceiptArchived: the part of the log is not there, so nothing can be said.
	ReceiptArchived Verdict = "archived"
)

// Unfit is a receipt that the log does not bear out, and why.
type Unfit struct {
	Receipt
	Verdict Verdict
}

// ReceiptReport is what came of comparing receipts with a log.
type ReceiptReport struct {
	Checkpoint audit.Checkpoint
	// Fit is how many receipts are in the log as they say.
	Fit int
	// Unfit are the others, in the order of their index.
	Unfit []Unfit
}

// Broken reports whether some receipt shows that the log is not the one it was.
func (r *ReceiptReport) Broken() bool {
	return slices.ContainsFunc(r.Unfit, func(u Unfit) bool { return u.Verdict != ReceiptArchived })
}

// CheckReceipts compares kept receipts with the log. It reads hashes only, never entries, so
// whoever has kept their answers can check them against a public log without a token. An
// error says that something could not be read or is not true to the checkpoint.
func (b *Bundle) CheckReceipts(ctx context.Context, receipts []Receipt) (ReceiptReport, error) {
	report := ReceiptReport{Checkpoint: b.checkpoint}
	sorted := slices.Clone(receipts)
	slices.SortStableFunc(sorted, func(x, y Receipt) int { return cmp.Compare(x.Index, y.Index) })
	hashes := b.hashes(ctx)
	for len(sorted) > 0 && sorted[0].Index < b.checkpoint.Size {
		// Those under one tile together.
		tile := sorted[0].Index / audit.TileWidth
		n := 0
		var stored []int64
		for ; n < len(sorted) && sorted[n].Index/audit.TileWidth == tile && sorted[n].Index < b.checkpoint.Size; n++ {
			stored = append(stored, tlog.StoredHashIndex(0, int64(sorted[n].Index)))
		}
		found, err := hashes.ReadHashes(stored)
		archived := errors.Is(err, audit.ErrArchived) || errors.Is(err, fs.ErrNotExist) && sorted[0].Index < b.manifest.Begin
		if err != nil && !archived {
			return ReceiptReport{}, fmt.Errorf("comparing receipts: %w", err)
		}
		for i, receipt := range sorted[:n] {
			switch {
			case archived:
				report.Unfit = append(report.Unfit, Unfit{receipt, ReceiptArchived})
			case found[i] != receipt.LeafHash:
				report.Unfit = append(report.Unfit, Unfit{receipt, ReceiptOther})
			default:
				report.Fit++
			}
		}
		sorted = sorted[n:]
	}
	for _, receipt := range sorted {
		report.Unfit = append(report.Unfit, Unfit{receipt, ReceiptMissing})
	}
	return report, nil
}
