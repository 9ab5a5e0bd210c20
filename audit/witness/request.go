package witness

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxProof is the most hashes that a consistency proof may have.
const MaxProof = 63

// maxRequest is more than any request takes: 63 hashes and a note with many signatures.
const maxRequest = 1 << 17

// FormatRequest writes the body of an add-checkpoint request (C2SP tlog-witness): that the
// signed checkpoint continues the tree of size old, with the proof (RFC 6962 section 2.1.2).
func FormatRequest(old uint64, proof []tlog.Hash, signed []byte) []byte {
	body := append(strconv.AppendUint([]byte("old "), old, 10), '\n')
	for _, hash := range proof {
		body = append(base64.StdEncoding.AppendEncode(body, hash[:]), '\n')
	}
	return append(append(body, '\n'), signed...)
}

// ParseRequest reads what [FormatRequest] writes and nothing else. The error wraps
// [privacy.ErrInvalid].
func ParseRequest(body []byte) (old uint64, proof []tlog.Hash, signed []byte, err error) {
	refuse := func(what string) (uint64, []tlog.Hash, []byte, error) {
		return 0, nil, nil, invalid("reading add-checkpoint request: %s", what)
	}
	head, signed, found := bytes.Cut(body, []byte("\n\n"))
	if !found || len(body) > maxRequest || len(signed) == 0 {
		return refuse("no proof and checkpoint apart from each other")
	}
	lines := strings.Split(string(head), "\n")
	number, found := strings.CutPrefix(lines[0], "old ")
	if old, err = strconv.ParseUint(number, 10, 63); !found || err != nil || strconv.FormatUint(old, 10) != number {
		return refuse("old size")
	}
	if len(lines)-1 > MaxProof {
		return refuse("more than 63 hashes")
	}
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize || base64.StdEncoding.EncodeToString(hash) != line {
			return refuse("hash of the proof")
		}
		proof = append(proof, tlog.Hash(hash))
	}
	return old, proof, signed, nil
}
