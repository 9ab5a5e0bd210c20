package activate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// MadeUp is how many people are made up for a recipient of a room, who are on each of its
	// lists for which they pass.
	MadeUp = 2048
	// stopLooking ends the search for more of them, who fill a list up as the noise has it.
	stopLooking = 8192
)

// crowd are people who are made up, once for all lists of a recipient of a room. Each has rows
// in the datasets, as people have, whose words and days are drawn evenly from what the
// contracts declare, and is on a list exactly if they pass the question: in which lists
// somebody is says as little of whether they are real as it can without looking at who is.
type crowd struct{ mac hash.Hash }

func newCrowd(key [32]byte) *crowd { return &crowd{hmac.New(sha256.New, key[:])} }

// What is drawn of a person; the number is part of what is keyed.
const (
	drawID byte = iota + 1
	drawRows
	drawValue
	drawRest
)

// draw returns a random number of somebody's, the same each time.
func (c *crowd) draw(what byte, person, row int, of ...string) [16]byte {
	c.mac.Reset()
	b := binary.BigEndian.AppendUint32(append(make([]byte, 0, 64), what), uint32(person))
	b = binary.BigEndian.AppendUint32(b, uint32(row))
	for _, text := range of {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	_, _ = c.mac.Write(b) // never fails
	return [16]byte(c.mac.Sum(nil)[:16])
}

// id returns whose pseudonym somebody has: nobody's.
func id(drawn [16]byte) privacy.DataSubjectID {
	drawn[6], drawn[8] = drawn[6]&0x0f|0x40, drawn[8]&0x3f|0x80 // as ids of people are
	return drawn
}

// passes reports whether somebody passes a question. Half of them have one row in a dataset,
// a quarter two, the others four or eight; they are in all of the house's datasets, and in
// every second one of others.
func (c *crowd) passes(person int, question *cleanroom.Question) bool {
	rows := func(dataset cleanroom.DatasetRef, source cleanroom.Source) int {
		drawn := c.draw(drawRows, person, 0, dataset.String())
		if source != cleanroom.FromHouse && drawn[1]&1 == 0 {
			return 0
		}
		return 1 << bits.TrailingZeros8(drawn[0]|1<<3)
	}
	return question.Passes(rows, func(dataset cleanroom.DatasetRef, row int, column string) uint64 {
		drawn := c.draw(drawValue, person, row, dataset.String(), column)
		return binary.BigEndian.Uint64(drawn[:])
	})
}

// fill calls add with everybody of the crowd who is on a list, and with so many more, in an
// order that is always the same, so that lists of one question differ in nothing but how far they
// go. If there are not as many who pass, people are made up for those alone whom the question is
// about, however noisily: lists of the same ones have them in common as they have the real ones.
func (c *crowd) fill(question *cleanroom.Question, more int64, add func(privacy.DataSubjectID) error) error {
	for person := 0; person < MadeUp || more > 0 && person < stopLooking; person++ {
		if !c.passes(person, question) {
			continue
		}
		if person >= MadeUp {
			more--
		}
		if err := add(id(c.draw(drawID, person, 0))); err != nil {
			return err
		}
	}
	whom := string(question.Whom())
	for person := 0; more > 0; person, more = person+1, more-1 {
		if err := add(id(c.draw(drawRest, person, 0, whom))); err != nil {
			return err
		}
	}
	return nil
}
