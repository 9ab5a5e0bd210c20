package server

import (
	"io"
	"sync"
)

// buffer is a reused piece of memory for a body or an answer. It held personal data, so
// it is wiped before it goes back.
type buffer struct{ data []byte }

// keptBuffer is the largest buffer that is kept: ingest bodies are for the collector.
const keptBuffer = 64 << 10

type bufferPool struct{ pool sync.Pool }

var buffers = bufferPool{pool: sync.Pool{New: func() any { return &buffer{data: make([]byte, 0, 4<<10)} }}}

func (p *bufferPool) get() *buffer { return p.pool.Get().(*buffer) }

func (p *bufferPool) put(b *buffer) {
	clear(b.data)
	if cap(b.data) <= keptBuffer {
		b.data = b.data[:0]
		p.pool.Put(b)
	}
}

// readAll reads r to its end, and reports false when there is more than limit.
func (b *buffer) readAll(r io.Reader, limit int) (bool, error) {
	b.data = b.data[:0]
	for {
		if len(b.data) == cap(b.data) {
			grown := make([]byte, len(b.data), 2*cap(b.data))
			copy(grown, b.data)
			clear(b.data)
			b.data = grown
		}
		n, err := r.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		if len(b.data) > limit {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return true, err
		}
	}
}
