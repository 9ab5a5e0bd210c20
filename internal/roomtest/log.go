package roomtest

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/mahrem/mahrem/audit"
)

// Log is a log in memory.
type Log struct {
	mu      sync.Mutex
	entries []audit.Event
}

var _ audit.Appender = (*Log)(nil)

// Append keeps an event.
func (l *Log) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, event)
	var id [16]byte
	binary.BigEndian.PutUint64(id[8:], uint64(len(l.entries)))
	return audit.Committed(id, [32]byte{}, uint64(len(l.entries)-1)), nil
}

// Entries returns the events that were appended.
func (l *Log) Entries() []audit.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]audit.Event(nil), l.entries...)
}

// Kinds counts the events of each kind.
func (l *Log) Kinds() map[audit.Kind]int {
	counts := map[audit.Kind]int{}
	for _, event := range l.Entries() {
		counts[event.Kind]++
	}
	return counts
}
