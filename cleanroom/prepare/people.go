package prepare

import (
	"fmt"
	"hash/maphash"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// people are those of a file, in the order in which they first come: what is to be masked of
// them, and whether they agree. A person costs 32 bytes, and until the file has been read
// about 30 more to be found again.
type people struct {
	seed   maphash.Seed
	find   map[uint64]uint32 // hash (or the next free number behind it) to place + 1
	blocks [][]match.Seed
	count  int
	no     []uint64 // a bit for each person who does not agree
}

// blockSize is how many people a block has. Blocks are not copied when there are more.
const blockSize = 1 << 15

func newPeople() *people {
	return &people{seed: maphash.MakeSeed(), find: map[uint64]uint32{}}
}

// at returns what is to be masked of a person.
func (p *people) at(person int) match.Seed { return p.blocks[person/blockSize][person%blockSize] }

// add returns the place of a person, and whether it is new.
func (p *people) add(seed match.Seed) (int, bool, error) {
	hash := maphash.Bytes(p.seed, seed[:])
	for ; ; hash++ {
		place, taken := p.find[hash]
		if !taken {
			break
		}
		if p.at(int(place-1)) == seed {
			return int(place - 1), false, nil
		}
	}
	person := p.count
	if person == MaximumMembers {
		return 0, false, fmt.Errorf("reading people: there are more than %d: %w", MaximumMembers, privacy.ErrInvalid)
	}
	if person%blockSize == 0 {
		p.blocks = append(p.blocks, make([]match.Seed, blockSize))
	}
	if person%64 == 0 {
		p.no = append(p.no, 0)
	}
	p.blocks[person/blockSize][person%blockSize] = seed
	p.find[hash] = uint32(person) + 1
	p.count++
	return person, true, nil
}

// sayNo notes that a person does not agree.
func (p *people) sayNo(person int) { p.no[person/64] |= 1 << (person % 64) }

// saysNo reports whether a row of a person said something else than yes.
func (p *people) saysNo(person int) bool { return p.no[person/64]&(1<<(person%64)) != 0 }

// forget gives up what finds people: nobody comes in any more.
func (p *people) forget() { p.find = nil }
