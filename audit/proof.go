package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

const (
	// ProofHeader is the first line of a proof file.
	ProofHeader = "c2sp.org/tlog-proof@v1"
	// MaxProof is the most bytes that a proof file may have: the largest entry in base64,
	// the longest path, and a checkpoint with many cosignatures.
	MaxProof = 256 << 10
	// maxPath is how many hashes lead from a leaf to the root of the largest tree.
	maxPath = 63
)

// FormatProof writes a proof as a C2SP tlog-proof file, with the bytes of the entry as its
// extra data: whoever has the file and the log's public key needs nothing else. The
// checkpoint stands in it as it is, with the cosignatures that it has.
func FormatProof(i Inclusion) []byte {
	var b bytes.Buffer
	b.WriteString(ProofHeader + "\n")
	b.WriteString("extra " + base64.StdEncoding.EncodeToString(i.Leaf) + "\n")
	b.WriteString("index " + strconv.FormatUint(i.Index, 10) + "\n")
	for _, hash := range i.Path {
		b.WriteString(base64.StdEncoding.EncodeToString(hash[:]) + "\n")
	}
	b.WriteString("\n")
	b.Write(i.Checkpoint)
	return b.Bytes()
}

// ParseProof reads a proof file. It does not check the proof: [Inclusion.Verify] does. A
// file without the entry in it is refused, because there would be nothing to check, and so
// is any spelling but the one that [FormatProof] writes: of a file in which some byte can be
// changed unseen nobody knows which one they have. The error wraps [privacy.ErrDamaged].
func ParseProof(file []byte) (Inclusion, error) {
	proof, err := parseProof(file)
	if err != nil {
		return Inclusion{}, fmt.Errorf("reading proof: %w: %w", err, privacy.ErrDamaged)
	}
	return *proof, nil
}

func parseProof(file []byte) (*Inclusion, error) {
	if len(file) > MaxProof {
		return nil, errors.New("it is too long")
	}
	head, checkpoint, found := strings.Cut(string(file), "\n\n")
	if !found {
		return nil, errors.New("it has no checkpoint")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != ProofHeader {
		return nil, errors.New("the first line is not " + ProofHeader)
	}
	if len(lines) < 3 || !strings.HasPrefix(lines[1], "extra ") {
		return nil, errors.New("the entry is not in it")
	}
	proof := &Inclusion{Checkpoint: []byte(checkpoint)}
	var err error
	if proof.Leaf, err = decodeLine(strings.TrimPrefix(lines[1], "extra ")); err != nil || len(proof.Leaf) == 0 || len(proof.Leaf) > MaxLeaf {
		return nil, errors.New("the entry does not decode")
	}
	number, found := strings.CutPrefix(lines[2], "index ")
	if proof.Index, err = strconv.ParseUint(number, 10, 63); !found || err != nil || strconv.FormatUint(proof.Index, 10) != number {
		return nil, errors.New("the third line is not an index")
	}
	if len(lines)-3 > maxPath {
		return nil, errors.New("the path is longer than any tree is high")
	}
	for _, line := range lines[3:] {
		hash, err := decodeLine(line)
		if err != nil || len(hash) != tlog.HashSize {
			return nil, errors.New("a line of the path is not a hash")
		}
		proof.Path = append(proof.Path, tlog.Hash(hash))
	}
	if !hasPlainSignatures(checkpoint) {
		return nil, errors.New("a signature of the checkpoint is spelled otherwise")
	}
	return proof, nil
}

// HasPlainSignatures reports whether the part behind the last empty line of a signed note
// consists of signature lines whose base64 has its one spelling. Package note takes others
// too; but of a note in which a byte may be changed unseen nobody knows which one they have.
func HasPlainSignatures(signed []byte) bool { return hasPlainSignatures(string(signed)) }

func hasPlainSignatures(signed string) bool {
	i := strings.LastIndex(signed, "\n\n")
	if i < 0 || !strings.HasSuffix(signed, "\n") {
		return false
	}
	signatures := strings.TrimSuffix(signed[i+2:], "\n")
	for line := range strings.SplitSeq(signatures, "\n") {
		rest, dash := strings.CutPrefix(line, "— ")
		name, signature, found := strings.Cut(rest, " ")
		if raw, err := decodeLine(signature); !dash || !found || name == "" || err != nil || len(raw) < 5 {
			return false
		}
	}
	return true
}

// decodeLine decodes base64 that has its one spelling: padded, spare bits zero, nothing in
// between.
func decodeLine(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodeToString(raw) != text {
		return nil, errors.New("base64 is spelled otherwise")
	}
	return raw, nil
}
