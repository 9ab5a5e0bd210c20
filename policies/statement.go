package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Statement is what the signer of a bundle says about it.
type Statement struct {
	// Digest is the bundle's; see [BundleDigest].
	Digest [sha256.Size]byte
	// Sequence counts the bundles of a house from 1. Once one was active, none with a
	// lower number becomes so again: an old bundle, though signed, may be the one with
	// the hole.
	Sequence uint64
	// NotAfter is when the statement stops holding, in whole seconds. Whoever holds back
	// the new bundles can delay them until then, and no longer.
	NotAfter time.Time
}

// statementVersion begins every statement, so that a signature over one is none over
// anything else.
const statementVersion = "mahrem.policy-bundle/v1"

// FormatStatement writes the text of a statement, which is what is signed.
func FormatStatement(s Statement) string {
	return statementVersion + "\n" +
		"digest sha256:" + hex.EncodeToString(s.Digest[:]) + "\n" +
		"sequence " + strconv.FormatUint(s.Sequence, 10) + "\n" +
		"not-after " + s.NotAfter.UTC().Format(time.RFC3339) + "\n"
}

// ParseStatement reads exactly what [FormatStatement] writes of a sequence from 1 to
// 2^63-1 and a year of four digits. Anything else is an error that wraps
// [privacy.ErrInvalid].
func ParseStatement(text string) (Statement, error) {
	invalid := func(what string) (Statement, error) {
		return Statement{}, fmt.Errorf("parsing statement: %s: %w", what, privacy.ErrInvalid)
	}
	lines := strings.Split(text, "\n")
	if lines[0] != statementVersion {
		return invalid("version")
	}
	if len(lines) != 5 || lines[4] != "" {
		return invalid("number of lines")
	}
	var s Statement
	digest, ok := strings.CutPrefix(lines[1], "digest sha256:")
	raw, err := hex.DecodeString(digest)
	if !ok || err != nil || copy(s.Digest[:], raw) != len(s.Digest) {
		return invalid("digest")
	}
	sequence, _ := strings.CutPrefix(lines[2], "sequence ")
	if s.Sequence, err = strconv.ParseUint(sequence, 10, 63); err != nil || s.Sequence == 0 {
		return invalid("sequence")
	}
	notAfter, _ := strings.CutPrefix(lines[3], "not-after ")
	if s.NotAfter, err = time.Parse(time.RFC3339, notAfter); err != nil {
		return invalid("not-after")
	}
	s.NotAfter = s.NotAfter.UTC()
	if FormatStatement(s) != text {
		return invalid("spelling")
	}
	return s, nil
}
