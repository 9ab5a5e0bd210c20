package bench

import (
	"net/http"
	"sync/atomic"
)

// counter counts the answers that leave a handler. It adds one atomic operation and one
// small wrapper to the side of the gate, which is the side that must not be flattered.
type counter struct {
	handler http.Handler
	answers atomic.Uint64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.handler.ServeHTTP(&counting{ResponseWriter: w, counter: c}, r)
}

type counting struct {
	http.ResponseWriter
	counter *counter
}

func (w *counting) WriteHeader(status int) {
	if status == http.StatusOK {
		w.counter.answers.Add(1)
	}
	w.ResponseWriter.WriteHeader(status)
}
