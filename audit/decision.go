package audit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// DecisionID names a decision by its entry in the log and says where the entry lies, so
// that finding it takes one look and no index over ids: "1742-6f1c…", the entry's index
// in decimal and its random id in 32 hexadecimal digits. Whoever looks it up must
// compare the two: a number alone could be counted up.
type DecisionID struct {
	Index   uint64
	EntryID [16]byte
}

// DecisionID returns the name of the decision that r is evidence of.
func (r Receipt) DecisionID() DecisionID { return DecisionID{r.index, r.entryID} }

// String returns the one text form.
func (d DecisionID) String() string {
	var buffer [20 + 1 + 32]byte
	b := strconv.AppendUint(buffer[:0], d.Index, 10)
	b = append(b, '-')
	return string(hex.AppendEncode(b, d.EntryID[:]))
}

// ParseDecisionID reads what [DecisionID.String] writes, and nothing else: no leading
// zero or sign, no capitals, no space. The error wraps [privacy.ErrInvalid].
func ParseDecisionID(text string) (DecisionID, error) {
	var d DecisionID
	index, id, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(index, 10, 63)
	if err == nil && len(id) == hex.EncodedLen(len(d.EntryID)) {
		d.Index = n
		_, err = hex.Decode(d.EntryID[:], []byte(id))
	}
	if err != nil || d.String() != text {
		return DecisionID{}, fmt.Errorf("parsing decision id: %w", privacy.ErrInvalid)
	}
	return d, nil
}
