package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/internal/assembly"
)

// receiptsDocument is what audit prove --receipt says.
type receiptsDocument struct {
	Fit     int            `json:"fit"`
	Unfit   []unfitReceipt `json:"unfit"`
	Without int            `json:"answers_without_receipt"`
	Origin  string         `json:"origin"`
	Size    uint64         `json:"size"`
	Broken  bool           `json:"broken"`
}

type unfitReceipt struct {
	Answer   int            `json:"answer"`
	Index    uint64         `json:"index"`
	LeafHash string         `json:"leaf_hash"`
	Verdict  bundle.Verdict `json:"verdict"`
}

// verdicts say what a verdict means to whoever has kept the answer.
var verdicts = map[bundle.Verdict]string{
	bundle.ReceiptMissing:  "MISSING: the log ends before it",
	bundle.ReceiptOther:    "OTHER: another entry stands there",
	bundle.ReceiptArchived: "not checked: that part of the log was archived",
}

// checkReceipts compares kept answers with the log. It hands out nothing, so it leaves no
// entry.
func (a *app) checkReceipts(ctx context.Context, path string, from logSource) error {
	file, err := os.Open(path)
	if err != nil {
		return usagef("--receipt: %w", err)
	}
	defer func() { _ = file.Close() }()
	receipts, without, err := bundle.ReadReceipts(file)
	if err != nil {
		return fmt.Errorf("--receipt: %w", err)
	}
	if len(receipts) == 0 {
		return usagef("--receipt: there is no receipt in %s", path)
	}
	report, err := a.compareReceipts(ctx, receipts, from)
	if err != nil {
		return err
	}
	document := receiptsDocument{
		Fit: report.Fit, Unfit: []unfitReceipt{}, Without: without,
		Origin: report.Checkpoint.Origin, Size: report.Checkpoint.Size, Broken: report.Broken(),
	}
	for _, u := range report.Unfit {
		document.Unfit = append(document.Unfit, unfitReceipt{u.Answer, u.Index, hex.EncodeToString(u.LeafHash[:]), u.Verdict})
	}
	if err := a.screen.print(document, func(w io.Writer) { writeReceipts(w, document) }); err != nil {
		return err
	}
	switch {
	case document.Broken:
		return exitWith(exitFailure)
	case len(document.Unfit) > 0:
		return exitWith(exitUsage)
	}
	return nil
}

func (a *app) compareReceipts(ctx context.Context, receipts []bundle.Receipt, from logSource) (bundle.ReceiptReport, error) {
	if from.given() {
		b, err := a.openSource(ctx, from)
		if err != nil {
			return bundle.ReceiptReport{}, err
		}
		return b.CheckReceipts(ctx, receipts)
	}
	house, err := a.openWith(ctx, assembly.Options{})
	if err != nil {
		return bundle.ReceiptReport{}, err
	}
	defer a.close(house)
	return house.CheckReceipts(ctx, receipts)
}

func writeReceipts(w io.Writer, d receiptsDocument) {
	if len(d.Unfit) > 0 {
		t := table{header: []string{"answer", "index", "leaf hash", ""}}
		for _, u := range d.Unfit {
			t.add(strconv.Itoa(u.Answer), strconv.FormatUint(u.Index, 10), u.LeafHash[:16], verdicts[u.Verdict])
		}
		t.writeTo(w, "")
		_, _ = fmt.Fprintln(w)
	}
	word := "OK"
	if d.Broken {
		word = "BROKEN"
	} else if len(d.Unfit) > 0 {
		word = "NOT ALL CHECKED"
	}
	_, _ = fmt.Fprintf(w, "%s: %d of %d receipts are in %s of %d entries.\n", word, d.Fit, d.Fit+len(d.Unfit), d.Origin, d.Size)
	if d.Without > 0 {
		_, _ = fmt.Fprintf(w, "%d answers have no receipt: refusals of a request have none.\n", d.Without)
	}
}
