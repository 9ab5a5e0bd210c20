package verdict

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// OpenBundle opens a bundle, or a log that is served, by whichever of the keys signed its
// checkpoint, or by its own key if there is none. With a policy enough witnesses must have
// signed it, too.
func OpenBundle(ctx context.Context, place string, options Options) (*bundle.Bundle, error) {
	verifiers, err := logKeys(options.Keys)
	if err != nil {
		return nil, err
	}
	if len(verifiers) == 0 {
		verifiers = []note.Verifier{nil}
	}
	files, err := Open(place, options.Token)
	if err != nil {
		return nil, err
	}
	var first error
	for _, verifier := range verifiers {
		b, err := bundle.Open(ctx, files, verifier)
		if err == nil {
			_, err = cosigned(b.Note(), options)
			return b, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Receipts compares kept receipts with the parts of one log: each with the part that has its
// entry. What no part has is archived if the log reaches that far, and missing if it does not.
// It reads hashes only. An error that wraps [privacy.ErrDamaged] says that a part is not true
// to its checkpoint; any other that the receipts could not be compared.
func Receipts(ctx context.Context, places []string, receipts []bundle.Receipt, options Options) (report bundle.ReceiptReport, err error) {
	var parts []*bundle.Bundle
	for _, place := range places {
		b, err := OpenBundle(ctx, place, options)
		if err != nil {
			return report, fmt.Errorf("%s: %w", place, err)
		}
		if len(parts) > 0 && b.Checkpoint().Origin != parts[0].Checkpoint().Origin {
			return report, fmt.Errorf("%s is of another log: %w", place, privacy.ErrInvalid)
		}
		parts = append(parts, b)
	}
	if len(parts) == 0 {
		return report, fmt.Errorf("no log to compare receipts with: %w", privacy.ErrInvalid)
	}
	// That which reaches furthest comes last: it knows what is missing.
	slices.SortStableFunc(parts, func(a, b *bundle.Bundle) int { return cmp.Compare(a.Checkpoint().Size, b.Checkpoint().Size) })
	newest := parts[len(parts)-1].Checkpoint()
	report.Checkpoint = newest
	of := make([][]bundle.Receipt, len(parts))
	for _, receipt := range receipts {
		at := slices.IndexFunc(parts, func(b *bundle.Bundle) bool {
			return receipt.Index >= b.Range().Begin && receipt.Index < b.Range().End
		})
		switch {
		case at >= 0:
			of[at] = append(of[at], receipt)
		case receipt.Index >= newest.Size:
			report.Unfit = append(report.Unfit, bundle.Unfit{Receipt: receipt, Verdict: bundle.ReceiptMissing})
		default:
			report.Unfit = append(report.Unfit, bundle.Unfit{Receipt: receipt, Verdict: bundle.ReceiptArchived})
		}
	}
	for i, b := range parts {
		found, err := b.CheckReceipts(ctx, of[i])
		if err != nil {
			return report, err
		}
		report.Fit += found.Fit
		report.Unfit = append(report.Unfit, found.Unfit...)
	}
	slices.SortStableFunc(report.Unfit, func(a, b bundle.Unfit) int { return cmp.Compare(a.Index, b.Index) })
	return report, nil
}
