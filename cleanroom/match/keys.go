package match

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Keys is what the house keys people of rooms with. The key never changes: seats are where
// people are found again when they leave. They are safe for concurrent use and print as
// REDACTED.
type Keys struct{ set *prf.Set }

// NewKeys returns keys over the pseudorandom function of a keyset (HMAC-SHA256), which the key
// directory keeps.
func NewKeys(set *prf.Set) (*Keys, error) {
	k := &Keys{set}
	if _, err := k.compute(nil, Size); err != nil {
		return nil, fmt.Errorf("opening keys of rooms: %w", privacy.ErrDamaged)
	}
	return k, nil
}

// Seat is where a person sits in a snapshot: with the keys it is found from the person, and
// without them it says nothing about anybody.
type Seat [16]byte

// What is keyed; the number is part of what goes into the function.
const (
	forTag   byte = 1
	forSeat  byte = 2
	forOPRF  byte = 3
	forSeed  byte = 4
	forCrowd byte = 5
)

// Tags turns the tokens of one list into what the house keeps, on all cores. Tags of equal
// tokens are equal within a room and epoch, and unrelated in any other.
func (k *Keys) Tags(ctx context.Context, room *cleanroom.Room, epoch int, tokens []Token) ([]Tag, error) {
	label := appendText(appendText(input(forTag), string(room.ID)), string(room.Matching))
	key, err := k.compute(binary.BigEndian.AppendUint64(label, uint64(epoch)), Size)
	if err != nil {
		return nil, err
	}
	tags := make([]Tag, len(tokens))
	err = each(ctx, len(tokens), func(from, to int) error {
		mac := hmac.New(sha256.New, key)
		for i := from; i < to; i++ {
			mac.Reset()
			_, _ = mac.Write(tokens[i][:]) // never fails
			mac.Sum(tags[i][:0])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}

// Seat returns where a person of the house sits in a snapshot.
func (k *Keys) Seat(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) (Seat, error) {
	out, err := k.compute(append(binary.BigEndian.AppendUint64(input(forSeat), uint64(snapshot)), person[:]...), len(Seat{}))
	if err != nil {
		return Seat{}, err
	}
	return Seat(out), nil
}

// Seed returns the number by which a plan draws the groups in which a person counts, from
// the digest of the question: the same question draws the same ones, and nobody can choose
// a question for what it draws.
func (k *Keys) Seed(question [32]byte) (int64, error) {
	out, err := k.compute(append(input(forSeed), question[:]...), 8)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(out)), nil
}

// Crowd returns the key by which people are made up who fill a recipient's lists in a room.
func (k *Keys) Crowd(room cleanroom.RoomID, recipient privacy.RecipientID) ([32]byte, error) {
	out, err := k.compute(appendText(appendText(input(forCrowd), string(room)), string(recipient)), 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(out), nil
}

func (k *Keys) compute(input []byte, size int) ([]byte, error) {
	out, err := k.set.ComputePrimaryPRF(input, uint32(size))
	if err != nil {
		return nil, fmt.Errorf("keying what is in a room: %w", err)
	}
	return out, nil
}

// input begins what goes into the function.
func input(what byte) []byte { return append([]byte("mahrem/room"), 1, what) }

// appendText appends a text and its length.
func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// Format says REDACTED for every verb and flag.
func (*Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// Format says REDACTED for every verb and flag.
func (*Pair) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// Format says REDACTED for every verb and flag.
func (blind) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }
