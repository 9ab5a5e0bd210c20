package assembly

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTending(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var output bytes.Buffer
	h := &House{options: Options{Logger: slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, to: &output}, nil))}}
	again, failed := make(chan struct{}, 100), make(chan struct{}, 100)
	h.tend(chore{time.Millisecond, "never said", func(context.Context) error { again <- struct{}{}; return nil }})
	h.tend(chore{time.Hour, "the shelves are not dusted", func(context.Context) error { failed <- struct{}{}; return errors.New("no duster") }})
	ctx, stop := context.WithCancel(t.Context())
	stopped := h.Tending(ctx)
	<-again
	<-again
	<-failed
	for logged := false; !logged; {
		mu.Lock()
		logged = strings.Contains(output.String(), "the shelves are not dusted")
		mu.Unlock()
	}
	stop()
	for open := true; open; {
		select {
		case _, open = <-stopped:
		case <-again: // it may be at it
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(output.String(), "never said") || !strings.Contains(output.String(), "no duster") {
		t.Errorf("said %s", output.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}
