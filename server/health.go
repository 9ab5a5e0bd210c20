package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// readyFor is how long an answer about readiness is repeated. Everybody may ask, so
// asking must not become a way of loading the database.
const readyFor = time.Second

type healthCache struct {
	source Health
	now    func() time.Time
	log    *slog.Logger
	within time.Duration // bounds one look

	mu       sync.Mutex
	at       time.Time
	checks   []Check
	draining bool
}

// drain makes the server unready for good: it is about to stop.
func (h *healthCache) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

func (h *healthCache) get(ctx context.Context) []Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if h.draining {
		return []Check{{Name: "server", Err: errors.New("stopping")}}
	}
	if h.source == nil {
		return []Check{{Name: "server", Err: errors.New("nothing to check")}}
	}
	if h.checks == nil || now.Sub(h.at) >= readyFor || now.Before(h.at) {
		// The asker may go away; what is found out is for everybody.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.within)
		defer cancel()
		h.checks, h.at = h.source.Checks(ctx), now
		for _, check := range h.checks {
			if check.Err != nil {
				h.log.Warn("not ready", "part", check.Name, "error", check.Err.Error())
			}
		}
	}
	return h.checks
}

// readiness is the answer of /readyz.
type readiness []Check

func (r readiness) ready() bool {
	for _, check := range r {
		if check.Err != nil {
			return false
		}
	}
	return len(r) > 0
}

func (r readiness) appendJSON(b []byte) ([]byte, error) {
	status := "not_ready"
	if r.ready() {
		status = "ready"
	}
	b = appendString(appendKey(append(b, '{'), "status"), status)
	b = append(appendKey(b, "checks"), '[')
	for i, check := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(appendKey(append(b, '{'), "name"), check.Name)
		status := "ok"
		if check.Err != nil {
			status = "failing"
		}
		b = appendString(appendKey(b, "status"), status)
		if check.Detail != "" {
			b = appendString(appendKey(b, "detail"), check.Detail)
		}
		b = append(b, '}')
	}
	return append(b, ']', '}'), nil
}

// alive says that the process runs, and nothing else: a supervisor that restarts the
// program because the database is away makes it worse.
func alive(_ context.Context, c *call) error {
	c.write(http.StatusOK, headerJSON, []byte(`{"status":"alive"}`))
	return nil
}

// ready says whether queries can be answered now.
func ready(ctx context.Context, c *call) error {
	checks := readiness(c.server.health.get(ctx))
	status := http.StatusOK
	if !checks.ready() {
		status = http.StatusServiceUnavailable
		c.writer.Header()["Retry-After"] = []string{"1"}
	}
	return c.writeJSON(status, checks)
}
