package vault

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// firstDay is the first day an observation can have. Day numbers count from it, and
// zero says that the day is unknown.
var firstDay = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	secondsPerDay = 24 * 60 * 60
	maxDay        = 3_000_000 // the year 10113
)

// EncodeRecord writes the plaintext of a record: the same bytes for equal records. The
// format is in docs/spec/record.md. The error wraps [privacy.ErrInvalid] when a field
// has no value, an unknown source or quality, or exceeds a limit.
func EncodeRecord(record Record) ([]byte, error) {
	if len(record) > MaxFields {
		return nil, fmt.Errorf("encoding record of %d attributes: %w", len(record), privacy.ErrInvalid)
	}
	names := make([]privacy.AttributeName, 0, len(record))
	values, size := 0, 8
	for name, field := range record {
		names = append(names, name)
		values += len(field.Values)
		size += len(name) + 8
		for _, value := range field.Values {
			size += len(value.RevealPersonalData()) + 3
		}
	}
	slices.Sort(names)
	out := make([]byte, 0, size)
	out = append(out, codecVersion)
	out = binary.AppendUvarint(out, uint64(len(names)))
	out = binary.AppendUvarint(out, uint64(values))
	var err error
	for _, name := range names {
		if out, err = appendField(out, name, record[name]); err != nil {
			return nil, err
		}
	}
	if len(out) > MaxPlaintext {
		return nil, fmt.Errorf("encoding record of %d bytes: %w", len(out), privacy.ErrInvalid)
	}
	return out, nil
}

func appendField(out []byte, name privacy.AttributeName, field Field) ([]byte, error) {
	out, err := appendName(out, string(name))
	if err != nil {
		return nil, err
	}
	source := slices.Index(sources[1:], field.Source) + 1
	quality := slices.Index(qualities[1:], field.Quality) + 1
	if source == 0 || quality == 0 || len(field.Values) == 0 {
		return nil, fmt.Errorf("encoding attribute %s without a value, known source or known quality: %w", name, privacy.ErrInvalid)
	}
	day, err := dayNumber(field.ObservedAt)
	if err != nil {
		return nil, fmt.Errorf("encoding attribute %s: %w", name, err)
	}
	out = append(out, byte(source), byte(quality))
	out = binary.AppendUvarint(out, day)
	out = binary.AppendUvarint(out, uint64(len(field.Values)))
	for _, value := range field.Values {
		if out, err = appendPlain(out, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DecodeRecord reads what [EncodeRecord] wrote and nothing else: unknown versions, names
// out of order, numbers not in their shortest form and trailing bytes fail with an error
// that wraps [privacy.ErrDamaged].
func DecodeRecord(plaintext []byte) (Record, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, fmt.Errorf("decoding record of %d bytes: %w", len(plaintext), privacy.ErrDamaged)
	}
	r := &reader{text: string(plaintext)}
	if version := r.byte(); version != codecVersion {
		return nil, fmt.Errorf("decoding record of format %d: %w", version, privacy.ErrDamaged)
	}
	fields := r.count(MaxFields)
	left := r.count(MaxPlaintext)
	record := make(Record, fields)
	values := make([]privacy.Plain, left)
	var last string
	for range fields {
		name := r.string(MaxName)
		if name <= last { // also refuses the empty name
			r.fail()
		}
		last = name
		source, quality, day := r.byte(), r.byte(), r.uvarint()
		n := r.count(left)
		if r.broken || source == 0 || int(source) >= len(sources) || quality == 0 || int(quality) >= len(qualities) ||
			day > maxDay || n == 0 {
			r.fail()
			break
		}
		for i := range n {
			values[i] = privacy.NewPlain(r.string(MaxPlaintext))
		}
		record[privacy.AttributeName(name)] = Field{
			Values: values[:n:n], Source: sources[source], Quality: qualities[quality], ObservedAt: dayTime(day),
		}
		values, left = values[n:], left-n
	}
	if left != 0 {
		r.fail()
	}
	if err := r.end("record"); err != nil {
		return nil, err
	}
	return record, nil
}

// dayNumber is 0 for the zero time, else one more than the days since firstDay.
func dayNumber(at time.Time) (uint64, error) {
	if at.IsZero() {
		return 0, nil
	}
	seconds := at.Unix() - firstDay.Unix()
	if seconds < 0 || seconds/secondsPerDay >= maxDay {
		return 0, fmt.Errorf("encoding a day before 1900 or too late: %w", privacy.ErrInvalid)
	}
	return uint64(seconds/secondsPerDay) + 1, nil
}

func dayTime(day uint64) time.Time {
	if day == 0 {
		return time.Time{}
	}
	return time.Unix(firstDay.Unix()+int64(day-1)*secondsPerDay, 0).UTC()
}
