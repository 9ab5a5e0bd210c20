package certificate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// header is the first line of what is signed. A checkpoint begins with an origin, which
// never looks like this, so that no signature under one can pass for the other.
const header = "mahrem erasure certificate v1"

// MaxSize is the longest certificate that is read, in bytes.
const MaxSize = 1 << 20

// SignerName is the name under which the log of origin signs certificates.
func SignerName(origin string) string { return origin + "/certificate" }

// Sign writes a certificate as a C2SP signed note. The signer must have the name
// [SignerName]. The error wraps [privacy.ErrInvalid] if the certificate lacks what every
// one must have.
func Sign(c *Certificate, signer note.Signer) ([]byte, error) {
	if problem := c.problem(); problem != "" {
		return nil, fmt.Errorf("signing certificate: %s: %w", problem, privacy.ErrInvalid)
	}
	text, err := c.text()
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	if len(signed) > MaxSize {
		return nil, fmt.Errorf("signing certificate of more than %d bytes: %w", MaxSize, privacy.ErrInvalid)
	}
	return signed, nil
}

// Parse reads a certificate without believing it: no signature is checked. Only the exact
// bytes that [Sign] writes are read; the error wraps [privacy.ErrDamaged] otherwise.
func Parse(signed []byte) (*Certificate, error) {
	if len(signed) > MaxSize {
		return nil, damaged("more than %d bytes", MaxSize)
	}
	text, signatures, found := strings.Cut(string(signed), "\n\n")
	if !found || strings.Count(signatures, "\n") != 1 || !strings.HasSuffix(signatures, "\n") {
		return nil, damaged("not a note with one signature")
	}
	return parseText(text + "\n")
}

func (c *Certificate) text() (string, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(c); err != nil {
		return "", err
	}
	return header + "\n" + buffer.String(), nil
}

func parseText(text string) (*Certificate, error) {
	body, found := strings.CutPrefix(text, header+"\n")
	if !found {
		return nil, damaged("not a certificate of a known version")
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	var c Certificate
	if err := decoder.Decode(&c); err != nil {
		return nil, damaged("content")
	}
	// One spelling only: what two readers could read differently is refused.
	if again, err := c.text(); err != nil || again != text {
		return nil, damaged("spelling")
	}
	if problem := c.problem(); problem != "" {
		return nil, damaged("%s", problem)
	}
	return &c, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("reading certificate: "+format+": %w", append(args, privacy.ErrDamaged)...)
}

// inclusion is the proof in the certificate, in the form that package audit checks.
func (l *Log) inclusion() (audit.Inclusion, error) {
	proof := audit.Inclusion{Index: l.Index, Leaf: []byte(l.Leaf), Checkpoint: []byte(l.Checkpoint)}
	for _, text := range l.Path {
		hash, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(hash) != tlog.HashSize {
			return audit.Inclusion{}, damaged("path")
		}
		proof.Path = append(proof.Path, tlog.Hash(hash))
	}
	return proof, nil
}

// NewLog takes the proof into the form of the certificate.
func NewLog(proof *audit.Inclusion) Log {
	l := Log{Index: proof.Index, Leaf: string(proof.Leaf), Path: []string{}, Checkpoint: string(proof.Checkpoint)}
	for _, hash := range proof.Path {
		l.Path = append(l.Path, base64.StdEncoding.EncodeToString(hash[:]))
	}
	return l
}
