package postgres

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

// readPart adds one row. The raw values are valid only until the next row.
func readPart(s *gate.Snapshot, load *gate.LoadQuery, v [][]byte) error {
	switch binary.BigEndian.Uint32(v[0]) {
	case partPerson:
		s.Known = true
		s.WrappedKey = append([]byte(nil), v[5]...)
		s.Jurisdiction = privacy.Jurisdiction(v[6])
		s.Restricted = !isFalse(v[7])
	case partRecord:
		s.Records = append(s.Records, gate.SealedRecord{
			Slot: rawSlot(v[2]), Version: rawInt(v[4]), Sealed: append([]byte(nil), v[5]...),
		})
	case partChunk:
		s.Chunks = append(s.Chunks, gate.SealedChunk{
			Slot: rawSlot(v[2]), Chunk: rawInt(v[3]), Version: rawInt(v[4]), Sealed: append([]byte(nil), v[5]...),
		})
	case partConsent:
		record, err := readConsent(load.DataSubject, v)
		if err != nil {
			return err
		}
		s.Consents = append(s.Consents, record)
	case partExposure:
		s.Exposure = gate.ExposureRow{
			DataSubject: load.DataSubject, Recipient: load.Recipient,
			Number: rawInt(v[3]), Sealed: append([]byte(nil), v[5]...), ReleasedAt: rawTime(v[8]),
		}
	case partCase:
		s.Case = casework.Case{
			ID: load.Case, DataSubject: load.DataSubject, Recipient: load.Recipient,
			OpenedAt: rawTime(v[8]), EndsAt: rawTime(v[9]),
		}
	default:
		return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
	}
	return nil
}

func readConsent(id privacy.DataSubjectID, v [][]byte) (consent.Record, error) {
	record := consent.Record{
		ID: rawSlot(v[2]), DataSubject: id, Explicit: isTrue(v[7]),
		EffectiveAt: rawTime(v[8]), ValidUntil: rawTime(v[9]),
	}
	if len(v[3]) > 0 {
		record.StaleAt = time.UnixMicro(rawInt(v[3])).UTC()
	}
	words := string(v[6])
	var word [6]string
	for i := range word {
		var more bool
		word[i], words, more = strings.Cut(words, " ")
		if !more {
			return record, fmt.Errorf("reading consent record: %w", privacy.ErrDamaged)
		}
	}
	record.Purpose, record.Channel = privacy.Purpose(word[0]), privacy.Channel(word[1])
	record.Action, record.Basis = consent.Action(word[2]), privacy.LegalBasis(word[3])
	record.Incentive = word[4] != "f"
	switch word[5] { // whoever acted and is no guardian counts as the person
	case "verified":
		record.Actor, record.GuardianVerified = consent.ByGuardian, true
	case "guardian":
		record.Actor = consent.ByGuardian
	default:
		record.Actor = consent.ByDataSubject
	}
	if words != "" {
		for category := range strings.SplitSeq(words, ",") {
			record.Categories = append(record.Categories, privacy.DataCategory(category))
		}
	}
	return record, nil
}

// bindNow makes every no count that was recorded. None is dated later than the clock was
// when it was recorded, so one that seems to lie ahead tells of a clock that was set back,
// or of another machine's after a failover; it must not wait for the clock to come back.
// A yes waits.
func bindNow(records []consent.Record, at time.Time) {
	for i := range records {
		if r := &records[i]; !r.Action.IsYes() && r.EffectiveAt.After(at) {
			r.EffectiveAt = at
		}
	}
}

func rawSlot(b []byte) (slot [16]byte) {
	copy(slot[:], b)
	return slot
}

func rawInt(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// isTrue reports whether b is the boolean true, and nothing else.
func isTrue(b []byte) bool { return len(b) == 1 && b[0] == 1 }

// isFalse reports whether b is the boolean false. Anything else, null included, counts
// as the stricter true.
func isFalse(b []byte) bool { return len(b) == 1 && b[0] == 0 }

// rawTime reads a timestamptz: microseconds since 2000-01-01 UTC. Null is the zero time.
func rawTime(b []byte) time.Time {
	if len(b) != 8 {
		return time.Time{}
	}
	const epoch = 946684800
	micros := int64(binary.BigEndian.Uint64(b))
	return time.Unix(epoch+micros/1e6, micros%1e6*1e3).UTC()
}
