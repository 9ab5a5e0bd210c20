package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// entryName is how somebody names an entry of the log: by its place, by its random id, or by
// both, as a decision id does.
type entryName struct {
	index   uint64
	indexed bool
	id      [16]byte
	named   bool
}

func parseEntryName(text string) (entryName, error) {
	if d, err := audit.ParseDecisionID(text); err == nil {
		return entryName{d.Index, true, d.EntryID, true}, nil
	}
	var name entryName
	if len(text) == hex.EncodedLen(len(name.id)) {
		if _, err := hex.Decode(name.id[:], []byte(text)); err == nil && hex.EncodeToString(name.id[:]) == text {
			name.named = true
			return name, nil
		}
	}
	var err error
	if name.index, err = strconv.ParseUint(text, 10, 63); err != nil || strconv.FormatUint(name.index, 10) != text {
		return entryName{}, usagef("ID is a decision id, an entry id of 32 hexadecimal digits, or an index")
	}
	name.indexed = true
	return name, nil
}

// proofDocument is what audit prove and audit verify-proof say of a proof.
type proofDocument struct {
	Valid    bool   `json:"valid"`
	Reason   string `json:"reason,omitempty"`
	Entry    *entry `json:"entry,omitempty"`
	Leaf     string `json:"leaf,omitempty"`
	Origin   string `json:"origin,omitempty"`
	Size     uint64 `json:"size,omitempty"`
	RootHash string `json:"root_hash,omitempty"`
	// Cosigned are the witnesses that vouch for the checkpoint, as far as a policy names them.
	Cosigned []string `json:"cosigned_by,omitempty"`
	File     string   `json:"file,omitempty"`
	// Proof is the content of the file, where none was asked for.
	Proof string `json:"proof,omitempty"`
}

func newProofDocument(proved bundle.Proved) (proofDocument, error) {
	e, err := newEntry(audit.StoredEntry{Index: proved.Index, Leaf: proved.Entry.Leaf(), LeafHash: audit.LeafHash(proved.Entry.Leaf())})
	return proofDocument{
		Valid: true, Entry: &e, Leaf: string(proved.Entry.Leaf()), Origin: proved.Checkpoint.Origin,
		Size: proved.Checkpoint.Size, RootHash: hex.EncodeToString(proved.Checkpoint.Root[:]),
	}, err
}

func (a *app) auditProve() *cobra.Command {
	var out, receipts string
	var from logSource
	cmd := &cobra.Command{
		Use: "prove ID", Short: "Prove that one entry is in the log, or that kept receipts are", Args: cobra.MaximumNArgs(1),
		Long: `Write a proof that one entry is in the log: a C2SP tlog-proof file with the entry in it,
which anybody can check with the log's public key and nothing else ("mahrem audit
verify-proof"). ID is a decision id, an entry id of 32 hexadecimal digits, or an index.
That an entry was handed out is logged first (log.read).

With --from the proof is made out of a bundle or a mirror of the log, without this house.

With --receipt FILE no proof is written: FILE has answers as they were received, JSON one
after the other, and each receipt in them is compared with the log. One that is missing,
or in whose place another entry stands, is named, and the exit code is 1: the log is not
the one that gave the answer.`,
		Example: "  mahrem audit prove 1742-6f1c21a4c06be5a0c3f2a8d1b7e95d04 --out decision.tlog-proof\n" +
			"  mahrem audit prove --receipt answers.ndjson --from /mnt/bundle --key log.vkey",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case receipts != "" && (len(args) > 0 || out != ""):
				return usagef("--receipt takes neither an ID nor --out")
			case receipts != "":
				return a.checkReceipts(cmd.Context(), receipts, from)
			case len(args) == 0:
				return usagef("say which entry, or --receipt FILE")
			}
			name, err := parseEntryName(args[0])
			if err != nil {
				return err
			}
			proof, err := a.prove(cmd.Context(), name, from)
			if err != nil {
				return err
			}
			return a.writeProof(out, proof)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the proof to this new file (default: print it)")
	cmd.Flags().StringVar(&receipts, "receipt", "", "a file with answers whose receipts are compared with the log")
	from.flags(cmd)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) prove(ctx context.Context, name entryName, from logSource) (proof audit.Inclusion, err error) {
	if from.given() {
		proof, err = a.proveFrom(ctx, name, from)
	} else {
		proof, err = a.proveHere(ctx, name)
	}
	if errors.Is(err, audit.ErrArchived) {
		return proof, fmt.Errorf("%w; make the proof out of the archive, with --from", err)
	}
	if err != nil || !name.named {
		return proof, err
	}
	e, err := audit.ParseEntry(proof.Leaf)
	if err == nil && e.ID != name.id {
		err = fmt.Errorf("another entry stands at index %d: %w", name.index, privacy.ErrNotFound)
	}
	return proof, err
}

func (a *app) proveHere(ctx context.Context, name entryName) (audit.Inclusion, error) {
	house, err := a.open(ctx)
	if err != nil {
		return audit.Inclusion{}, err
	}
	defer a.close(house)
	if !name.indexed {
		progress := newBar(a.screen.err, "looking", "entries", -1)
		name.index, err = house.Log.FindEntry(ctx, name.id, func(done, total uint64) { progress.set(int64(done), int64(total)) })
		progress.finish()
		if err != nil {
			return audit.Inclusion{}, err
		}
	}
	proof, err := house.Log.Prove(ctx, name.index)
	if err != nil {
		return audit.Inclusion{}, house.SayWhere(ctx, name.index, err)
	}
	_, err = house.Log.Append(ctx, audit.Event{Kind: audit.LogRead, Principal: operator(), Outcome: audit.Done, Count: 1})
	return proof, err
}

func (a *app) proveFrom(ctx context.Context, name entryName, from logSource) (audit.Inclusion, error) {
	if !name.indexed {
		return audit.Inclusion{}, usagef("with --from, name the entry by its index or decision id")
	}
	b, err := a.openSource(ctx, from)
	if err != nil {
		return audit.Inclusion{}, err
	}
	return b.Prove(ctx, name.index)
}

func (a *app) writeProof(path string, proof audit.Inclusion) error {
	content := audit.FormatProof(proof)
	e, err := audit.ParseEntry(proof.Leaf)
	if err != nil {
		return err
	}
	checkpoint, err := audit.PeekCheckpoint(proof.Checkpoint) // its signature was checked when the proof was made
	if err != nil {
		return err
	}
	document, err := newProofDocument(bundle.Proved{Index: proof.Index, Entry: e, Checkpoint: checkpoint, Note: proof.Checkpoint})
	if err != nil {
		return err
	}
	if path == "" {
		document.Proof = string(content)
		return a.screen.print(document, func(w io.Writer) { _, _ = w.Write(content) })
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usagef("--out: %w", err)
	}
	if _, err = file.Write(content); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing proof: %w", err)
	}
	document.File = path
	return a.screen.print(document, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s: entry %d (%s) is in %s of %d entries\n", path, proof.Index, e.Kind, document.Origin, document.Size)
	})
}
