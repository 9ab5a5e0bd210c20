package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/privacy"
)

// checkedProof is the document of mahrem-verify proof.
type checkedProof struct {
	Valid      bool       `json:"valid"`
	Reason     string     `json:"reason,omitempty"`
	Origin     string     `json:"origin,omitempty"`
	Index      uint64     `json:"index"`
	Size       uint64     `json:"size,omitempty"`
	RootHash   string     `json:"root_hash,omitempty"`
	Leaf       string     `json:"leaf,omitempty"`
	Cosigned   []string   `json:"cosigned_by,omitempty"`
	CosignedAt *time.Time `json:"cosigned_at,omitempty"`
}

// proof checks one file of a proof.
func (c *command) proof(_ context.Context, args []string, options verdict.Options) (int, error) {
	if len(args) != 1 {
		return 2, fmt.Errorf("proof takes one FILE: %w", privacy.ErrInvalid)
	}
	if len(options.Kept) > 0 || options.Token != "" {
		return 2, fmt.Errorf("--kept and --token-file are not for a proof: %w", privacy.ErrInvalid)
	}
	content, err := readBounded(args[0], audit.MaxProof)
	if err != nil {
		return 2, err
	}
	p, err := verdict.OfProof(content, options)
	if err != nil && !errors.Is(err, privacy.ErrDamaged) {
		return 2, err
	}
	if err != nil {
		d := checkedProof{Reason: strings.TrimSuffix(err.Error(), ": "+privacy.ErrDamaged.Error())}
		return 1, c.print(d, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "NOT VALID: %s. Do not rely on anything in this file.\n", d.Reason)
		})
	}
	d := checkedProof{
		Valid: true, Origin: p.Checkpoint.Origin, Index: p.Index, Size: p.Checkpoint.Size,
		RootHash: hex.EncodeToString(p.Checkpoint.Root[:]), Leaf: string(p.Entry.Leaf()), Cosigned: p.Witnesses(),
	}
	if !p.Cosigned.At.IsZero() {
		d.CosignedAt = &p.Cosigned.At
	}
	return 0, c.print(d, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "VALID: entry %d is in %s of %d entries, root %s\n\n%s\n", d.Index, d.Origin, d.Size, d.RootHash[:16], d.Leaf)
		if len(d.Cosigned) > 0 {
			_, _ = fmt.Fprintf(w, "\nCosigned by %s.\n", strings.Join(d.Cosigned, ", "))
		}
	})
}

// checkedReceipts is the document of mahrem-verify receipts.
type checkedReceipts struct {
	Broken  bool           `json:"broken"`
	Fit     int            `json:"fit"`
	Unfit   []unfitReceipt `json:"unfit"`
	Without int            `json:"answers_without_receipt"`
	Origin  string         `json:"origin"`
	Size    uint64         `json:"size"`
	OwnKeys bool           `json:"own_keys"`
}

type unfitReceipt struct {
	Answer   int            `json:"answer"`
	Index    uint64         `json:"index"`
	LeafHash string         `json:"leaf_hash"`
	Verdict  bundle.Verdict `json:"verdict"`
}

// words say what a verdict means to whoever has kept the answer.
var words = map[bundle.Verdict]string{
	bundle.ReceiptMissing:  "MISSING: the log ends before it",
	bundle.ReceiptOther:    "OTHER: another entry stands there",
	bundle.ReceiptArchived: "not checked: no part that was given has it",
}

// receipts compares kept answers with a log.
func (c *command) receipts(ctx context.Context, args []string, options verdict.Options) (int, error) {
	if len(args) < 2 {
		return 2, fmt.Errorf("receipts takes a FILE with answers and the log to compare them with: %w", privacy.ErrInvalid)
	}
	if len(options.Kept) > 0 {
		return 2, fmt.Errorf("--kept is not for receipts: %w", privacy.ErrInvalid)
	}
	file, err := os.Open(args[0])
	if err != nil {
		return 2, err
	}
	defer func() { _ = file.Close() }()
	kept, without, err := bundle.ReadReceipts(file)
	if err == nil && len(kept) == 0 {
		err = fmt.Errorf("there is no receipt in it: %w", privacy.ErrInvalid)
	}
	if err != nil {
		return 2, fmt.Errorf("%s: %w", args[0], err)
	}
	report, err := verdict.Receipts(ctx, args[1:], kept, options)
	if errors.Is(err, privacy.ErrDamaged) {
		// The log itself is not true to its checkpoint, or nobody who counts signed it.
		_, _ = fmt.Fprintf(c.errs, "mahrem-verify: %v\n", err)
		return 1, nil
	}
	if err != nil {
		return 2, err
	}
	d := checkedReceipts{
		Broken: report.Broken(), Fit: report.Fit, Unfit: []unfitReceipt{}, Without: without,
		Origin: report.Checkpoint.Origin, Size: report.Checkpoint.Size, OwnKeys: len(options.Keys) == 0,
	}
	for _, u := range report.Unfit {
		d.Unfit = append(d.Unfit, unfitReceipt{u.Answer, u.Index, hex.EncodeToString(u.LeafHash[:]), u.Verdict})
	}
	code := 0
	if d.Broken {
		code = 1
	} else if len(d.Unfit) > 0 {
		code = 2
	}
	return code, c.print(d, func(w io.Writer) { d.write(w, code) })
}

func (d *checkedReceipts) write(w io.Writer, code int) {
	if d.OwnKeys {
		_, _ = fmt.Fprint(w, "NO KEY WAS GIVEN: the key that lies in the bundle was used, which anybody can put there. Use --key.\n\n")
	}
	for _, u := range d.Unfit {
		_, _ = fmt.Fprintf(w, "answer %d, index %d, leaf hash %s: %s\n", u.Answer, u.Index, u.LeafHash[:16], words[u.Verdict])
	}
	_, _ = fmt.Fprintf(w, "%s: %d of %d receipts are in %s of %d entries.\n",
		[]string{"OK", "BROKEN", "NOT ALL CHECKED"}[code], d.Fit, d.Fit+len(d.Unfit), d.Origin, d.Size)
	if d.Without > 0 {
		_, _ = fmt.Fprintf(w, "%d answers have no receipt.\n", d.Without)
	}
}

// print writes a document as the command line asks for it.
func (c *command) print(document any, write func(io.Writer)) error {
	if !c.asJSON {
		write(c.out)
		return nil
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes: %w", path, limit, privacy.ErrInvalid)
	}
	return content, nil
}
