package consent

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// What the source of an [Expired] record says.
const (
	// SourceEnd: the yes reached the end that it was given with.
	SourceEnd = "end_reached"
	// SourceBirthday: the law ceased to call the person a child.
	SourceBirthday = "birthday"
)

// Expiry is the record that notes that a yes has ended at a moment. Its ID follows from what
// it says, so that noting it twice changes nothing.
func Expiry(yes *Record, at time.Time, source string) Record {
	h := sha256.New()
	text := "mahrem/consent/expired/v1\x00" + string(yes.Purpose) + "\x00" + string(yes.Channel) + "\x00" + source + "\x00"
	_, _ = h.Write([]byte(text)) // never fails
	_, _ = h.Write(binary.BigEndian.AppendUint64(yes.DataSubject[:], uint64(at.UnixMicro())))
	return Record{
		ID: [16]byte(h.Sum(nil)), DataSubject: yes.DataSubject, Purpose: yes.Purpose, Channel: yes.Channel,
		Action: Expired, Basis: yes.Basis, NoticeVersion: yes.NoticeVersion, Source: source, Actor: BySystem,
		Jurisdiction: yes.Jurisdiction, EffectiveAt: at,
	}
}

// GrownUp returns the records that note that what was said while the person was a child has
// ended, as far as the records do not say so already: one for each purpose and channel on
// which there was a yes.
func GrownUp(records []Record, childhood Childhood, now time.Time) []Record {
	var ends []Record
	for i := range records {
		yes := &records[i]
		if !yes.Action.IsYes() {
			continue
		}
		child, grown := childhood.at(yes.EffectiveAt)
		if !child || grown.IsZero() || grown.After(now) {
			continue
		}
		// The last moment of the childhood: what is said from the birthday on counts.
		end := Expiry(yes, grown.Add(-time.Microsecond), SourceBirthday)
		known := func(r Record) bool {
			return r.Action == Expired && r.Purpose == yes.Purpose && (r.Channel == yes.Channel || r.Channel == privacy.AnyChannel) &&
				!r.EffectiveAt.Before(yes.EffectiveAt)
		}
		if !slices.ContainsFunc(records, known) && !slices.ContainsFunc(ends, known) {
			ends = append(ends, end)
		}
	}
	return ends
}
