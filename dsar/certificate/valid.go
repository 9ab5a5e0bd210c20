package certificate

import (
	"encoding/hex"
	"time"
)

// problem names the first thing that no certificate may have or lack, or returns "".
func (c *Certificate) problem() string {
	switch {
	case c.Revision < 1:
		return "revision"
	case c.Request.ID == "" || c.Request.Regime == "":
		return "request"
	case c.Erasure.ID == "":
		return "erasure"
	case c.Erasure.Method != Shredded:
		return "method"
	case !isDigest(c.Erasure.Plan):
		return "plan"
	case c.Erasure.Approvals < 1:
		return "approvals"
	case c.Erasure.Keys == nil || c.Erasure.Destroyed == nil || c.Erasure.Suppressed < 0 || c.Erasure.LedgerSequence < 1:
		return "what was destroyed"
	case c.Withheld == nil || c.Processors == nil || c.Log.Path == nil:
		return "a list that is missing"
	case c.Log.Leaf == "" || c.Log.Checkpoint == "":
		return "log"
	}
	for _, key := range c.Erasure.Keys {
		if !isDigest(key) {
			return "digest of a key"
		}
	}
	for _, n := range c.Erasure.Destroyed {
		if n < 0 {
			return "a count"
		}
	}
	for _, w := range c.Withheld {
		if w.Category == "" || w.Ground == "" || w.Article == "" || w.Items < 1 {
			return "what was withheld"
		}
	}
	for _, p := range c.Processors {
		if p.Name == "" || p.Status != Open && p.Status != Completed && p.Status != Refused || p.Status != Open && p.At == nil {
			return "a processor"
		}
	}
	if !c.timesAreExact() {
		return "a time"
	}
	return ""
}

// timesAreExact reports whether every time is there that must be, in UTC, to the
// millisecond: so that there is one way to write it.
func (c *Certificate) timesAreExact() bool {
	times := []*time.Time{&c.IssuedAt, &c.Request.ReceivedAt, &c.Erasure.ErasedAt, c.Request.DueAt, c.Erasure.RowsGoneAt}
	for i := range c.Withheld {
		times = append(times, c.Withheld[i].Until, c.Withheld[i].ErasedAt)
	}
	for i := range c.Processors {
		times = append(times, c.Processors[i].At)
	}
	for _, t := range times {
		if t != nil && (t.IsZero() || t.Location() != time.UTC || !t.Equal(t.Truncate(time.Millisecond))) {
			return false
		}
	}
	return true
}

func isDigest(text string) bool {
	digest, err := hex.DecodeString(text)
	return err == nil && len(digest) == 32 && hex.EncodeToString(digest) == text
}
