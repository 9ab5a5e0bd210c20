package policies

import (
	"sync"
	"sync/atomic"
)

// memory remembers decisions by what they depend on, in two generations: when the young
// one is full it becomes the old one, and what was not asked for since is forgotten.
type memory[V any] struct {
	limit        int
	mu           sync.RWMutex
	young, old   map[string]*V
	hits, misses atomic.Uint64
}

// memo remembers plans by canonical facts.
type memo = memory[Plan]

// defaultMemoLimit bounds a generation; a plan with its key is about 1 KiB.
const defaultMemoLimit = 32768

func newMemo(limit int) *memo { return newMemory[Plan](limit) }

func newMemory[V any](limit int) *memory[V] {
	return &memory[V]{limit: limit, young: map[string]*V{}}
}

func (m *memory[V]) get(key []byte) (value V, known bool) {
	m.mu.RLock()
	found, ok := m.young[string(key)]
	old := false
	if !ok {
		found, ok = m.old[string(key)]
		old = ok
	}
	m.mu.RUnlock()
	if !ok {
		m.misses.Add(1)
		return value, false
	}
	m.hits.Add(1)
	if old {
		m.put(key, *found)
	}
	return *found, true
}

func (m *memory[V]) put(key []byte, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.limit {
		m.old, m.young = m.young, make(map[string]*V, m.limit/4)
	}
	m.young[string(key)] = &value
}

// MemoStatus says how the memo of a revision does.
type MemoStatus struct {
	// Exact is whether it was proven exact. Without the proof nothing is remembered.
	Exact bool
	// Note says why not.
	Note         string
	Hits, Misses uint64
	Entries      int
}

// Memo returns the state of the revision's memo.
func (r *Revision) Memo() MemoStatus {
	if r.memo == nil {
		return MemoStatus{Note: r.memoNote}
	}
	r.memo.mu.RLock()
	defer r.memo.mu.RUnlock()
	return MemoStatus{
		Exact: true, Hits: r.memo.hits.Load(), Misses: r.memo.misses.Load(),
		Entries: len(r.memo.young) + len(r.memo.old),
	}
}
