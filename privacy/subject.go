package privacy

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// DataSubjectID names one data subject (GDPR Article 4(1)) inside Mahrem. It is 16
// random bytes, drawn when the person is first seen, and says nothing about them.
//
// It is still personal data, because it singles a person out: it never leaves the
// process except as a column value or through a pseudonym. Its String and LogValue
// therefore say REDACTED; [DataSubjectID.Reveal] gives the text form to the database
// and to a DPO's own screen.
type DataSubjectID [16]byte

// NewDataSubjectID draws an identifier from random, which must be cryptographically
// strong (crypto/rand.Reader outside tests). The version and variant bits are those
// of a UUIDv4 (RFC 9562 section 5.4), so that PostgreSQL stores it as a uuid.
func NewDataSubjectID(random io.Reader) (DataSubjectID, error) {
	var id DataSubjectID
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return DataSubjectID{}, fmt.Errorf("drawing data subject id: %w", err)
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}

// ParseDataSubjectID reads the form that [DataSubjectID.Reveal] writes. It returns an
// error that wraps [ErrInvalid] and does not repeat the input.
func ParseDataSubjectID(s string) (DataSubjectID, error) {
	var id DataSubjectID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("parsing data subject id: %w", ErrInvalid)
	}
	compact := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(id[:], []byte(compact)); err != nil {
		return DataSubjectID{}, fmt.Errorf("parsing data subject id: %w", ErrInvalid)
	}
	return id, nil
}

// Reveal returns the 36-character text form. Its callers are the database adapter and
// output that a DPO asked for.
func (id DataSubjectID) Reveal() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	b[8] = '-'
	hex.Encode(b[9:13], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b[:])
}

// IsZero reports whether id is the zero value, which names nobody.
func (id DataSubjectID) IsZero() bool { return id == DataSubjectID{} }

// String says REDACTED.
func (DataSubjectID) String() string { return Redacted }

// Format says REDACTED for every verb, %x included.
func (DataSubjectID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue says REDACTED.
func (DataSubjectID) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalJSON says REDACTED.
func (DataSubjectID) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }
