package gate

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// memberChunk is how many people are named in one go.
const memberChunk = 4096

// memberList holds pseudonyms, all of one length. They are made on all processors, while
// more people are found; finish waits for them.
type memberList struct {
	names  *pseudonym.Pseudonyms
	count  int
	ids    []privacy.DataSubjectID // who has no pseudonym so far
	chunks []*namedChunk
	busy   chan struct{} // has room for the chunks that are named at once
	naming sync.WaitGroup
	width  int
	order  []memberName
}

// namedChunk has memberChunk pseudonyms, the last one fewer.
type namedChunk struct {
	text []byte
	err  error
}

// memberName is a pseudonym by its place. The key is a part of it, to be compared first.
type memberName struct {
	key   uint64
	place int32
}

// add has a person named.
func (m *memberList) add(id privacy.DataSubjectID) error {
	if m.count >= maxAudience {
		return fmt.Errorf("naming more than %d members: %w", maxAudience, privacy.ErrUnavailable)
	}
	m.count++
	if m.ids == nil {
		m.ids = make([]privacy.DataSubjectID, 0, memberChunk)
	}
	if m.ids = append(m.ids, id); len(m.ids) == memberChunk {
		m.start()
	}
	return nil
}

// start has those named who are not.
func (m *memberList) start() {
	if m.busy == nil {
		m.busy = make(chan struct{}, runtime.GOMAXPROCS(0))
	}
	chunk, ids := &namedChunk{}, m.ids
	m.chunks, m.ids = append(m.chunks, chunk), nil
	m.busy <- struct{}{}
	m.naming.Go(func() {
		chunk.text, chunk.err = nameAll(m.names, ids)
		<-m.busy
	})
}

// nameAll makes the pseudonyms of people, one after the other in one text.
func nameAll(names *pseudonym.Pseudonyms, ids []privacy.DataSubjectID) ([]byte, error) {
	var text []byte
	for i, id := range ids {
		name, err := names.Of(id)
		if err != nil {
			return nil, fmt.Errorf("naming a member: %w", err)
		}
		if i == 0 {
			text = make([]byte, 0, len(ids)*len(name))
		}
		if text = append(text, name...); len(text) != (i+1)*len(name) {
			return nil, fmt.Errorf("naming a member: %w", privacy.ErrDamaged)
		}
	}
	return text, nil
}

// finish waits until everybody has a pseudonym. Nobody can be added after it.
func (m *memberList) finish() error {
	if len(m.ids) > 0 {
		m.start()
	}
	m.naming.Wait()
	named := 0
	for i, chunk := range m.chunks {
		if chunk.err != nil {
			return chunk.err
		}
		size := min(memberChunk, m.count-i*memberChunk)
		if i == 0 {
			m.width = len(chunk.text) / size
		}
		if len(chunk.text) != size*m.width {
			return fmt.Errorf("naming members: %w", privacy.ErrDamaged)
		}
		named += size
	}
	if named != m.count {
		return fmt.Errorf("naming members: %w", privacy.ErrDamaged)
	}
	return nil
}

// all yields the pseudonyms in their order.
func (m *memberList) all(yield func(pseudonym.Pseudonym) bool) {
	for _, name := range m.order {
		if !yield(pseudonym.Pseudonym(m.at(name.place))) {
			return
		}
	}
}

func (m *memberList) len() int { return m.count }

func (m *memberList) at(place int32) []byte {
	return m.chunks[place/memberChunk].text[int(place%memberChunk)*m.width:][:m.width]
}

// sort puts the pseudonyms in order. Where somebody came from, first or last, does not show.
func (m *memberList) sort() {
	// What all begin with is of no use for comparing.
	var shared int
	if m.count > 0 {
		shared = m.width
	}
	for i := range m.count {
		first, name := m.at(0), m.at(int32(i))
		for shared > 0 && string(first[:shared]) != string(name[:shared]) {
			shared--
		}
	}
	m.order = make([]memberName, m.count)
	for i := range m.order {
		var key [8]byte
		copy(key[:], m.at(int32(i))[shared:])
		m.order[i] = memberName{key: binary.BigEndian.Uint64(key[:]), place: int32(i)}
	}
	slices.SortFunc(m.order, func(a, b memberName) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return slices.Compare(m.at(a.place), m.at(b.place))
	})
}

// digest is the SHA-256 of the pseudonyms in order, each followed by a line feed.
func (m *memberList) digest() audit.Digest {
	h := sha256.New()
	lines := make([]byte, 0, memberChunk*(m.width+1))
	for i, name := range m.order {
		lines = append(append(lines, m.at(name.place)...), '\n')
		if len(lines) == cap(lines) || i == len(m.order)-1 {
			_, _ = h.Write(lines) // never fails
			lines = lines[:0]
		}
	}
	return audit.Digest(h.Sum(nil))
}
