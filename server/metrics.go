package server

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics in the Prometheus text format, counted by hand: five families do not need a
// library, and a label that is an index into a table cannot hold personal data.

// Gauge is a value that another part of the house offers to /metrics.
type Gauge struct {
	// Name is a metric name, "mahrem_log_queue_depth".
	Name string
	// Help says what it is, in one line.
	Help string
	// Counter says that the value only grows.
	Counter bool
	// Read returns the value. It must be quick and safe for concurrent use.
	Read func() float64
}

// latencyBounds are the upper bounds of the histogram, in seconds.
var latencyBounds = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// counted are the status codes that the server sends; 0 stands for any other.
var counted = [...]int{200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503, 0}

// routeMetrics is what is counted of one route.
type routeMetrics struct {
	method, path string
	codes        [len(counted)]atomic.Uint64
	buckets      [len(latencyBounds) + 1]atomic.Uint64
	nanoseconds  atomic.Uint64
}

type metrics struct {
	routes []routeMetrics // the last one is for paths that do not exist
	panics atomic.Uint64
	// complaints are lines that net/http wanted to log: broken handshakes and the like.
	complaints atomic.Uint64
	gauges     []Gauge

	mu        sync.RWMutex
	decisions map[decision]*atomic.Uint64
	// rejections are signals that were not understood, by signal and reason.
	rejections map[rejection]uint64
}

type decision struct{ purpose, outcome string }

// maxDecisions bounds the decision series, should purposes come and go for years.
const maxDecisions = 512

func newMetrics(routes []route, gauges []Gauge) *metrics {
	m := &metrics{routes: make([]routeMetrics, len(routes)+1), gauges: gauges, decisions: map[decision]*atomic.Uint64{}, rejections: map[rejection]uint64{}}
	for i := range routes {
		m.routes[i].method, m.routes[i].path = routes[i].method, routes[i].path
	}
	m.routes[len(routes)].path = "other"
	return m
}

func (m *metrics) observe(route, status int, took time.Duration) {
	r := &m.routes[route]
	code := 0
	for code < len(counted)-1 && counted[code] != status {
		code++
	}
	r.codes[code].Add(1)
	seconds, bucket := took.Seconds(), 0
	for bucket < len(latencyBounds) && seconds > latencyBounds[bucket] {
		bucket++
	}
	r.buckets[bucket].Add(1)
	r.nanoseconds.Add(uint64(took))
}

// decided counts an outcome. The purpose must come from the catalogue.
func (m *metrics) decided(purpose, outcome string) {
	key := decision{purpose, outcome}
	m.mu.RLock()
	counter := m.decisions[key]
	m.mu.RUnlock()
	if counter == nil {
		m.mu.Lock()
		if counter = m.decisions[key]; counter == nil {
			if len(m.decisions) >= maxDecisions {
				key = decision{"other", "other"}
			}
			if counter = m.decisions[key]; counter == nil {
				counter = new(atomic.Uint64)
				m.decisions[key] = counter
			}
		}
		m.mu.Unlock()
	}
	counter.Add(1)
}

func (m *metrics) append(b []byte) []byte {
	b = appendFamily(b, "mahrem_http_requests_total", "counter", "Answers by route and status code.")
	for i := range m.routes {
		r := &m.routes[i]
		for j := range counted {
			if n := r.codes[j].Load(); n > 0 {
				b = append(b, "mahrem_http_requests_total"...)
				b = appendLabels(b, "method", r.method, "route", r.path, "code", strconv.Itoa(counted[j]))
				b = append(strconv.AppendUint(b, n, 10), '\n')
			}
		}
	}
	b = appendFamily(b, "mahrem_http_request_seconds", "histogram", "Time to answer, by route.")
	for i := range m.routes {
		b = m.routes[i].appendHistogram(b)
	}
	b = appendFamily(b, "mahrem_decisions_total", "counter", "Decisions of the gate by purpose and outcome.")
	m.mu.RLock()
	for key, counter := range m.decisions {
		b = append(b, "mahrem_decisions_total"...)
		b = appendLabels(b, "purpose", key.purpose, "outcome", key.outcome)
		b = append(strconv.AppendUint(b, counter.Load(), 10), '\n')
	}
	m.mu.RUnlock()
	b = m.appendRejections(b)
	b = appendFamily(b, "mahrem_http_panics_total", "counter", "Requests that ended in a panic.")
	b = append(b, "mahrem_http_panics_total "...)
	b = append(strconv.AppendUint(b, m.panics.Load(), 10), '\n')
	b = appendFamily(b, "mahrem_http_connection_errors_total", "counter", "Connections that broke below a request.")
	b = append(b, "mahrem_http_connection_errors_total "...)
	b = append(strconv.AppendUint(b, m.complaints.Load(), 10), '\n')
	for _, gauge := range m.gauges {
		sort := "gauge"
		if gauge.Counter {
			sort = "counter"
		}
		b = appendFamily(b, gauge.Name, sort, gauge.Help)
		b = append(append(b, gauge.Name...), ' ')
		b = append(strconv.AppendFloat(b, gauge.Read(), 'g', -1, 64), '\n')
	}
	return b
}

func (r *routeMetrics) appendHistogram(b []byte) []byte {
	var total uint64
	var counts [len(latencyBounds) + 1]uint64
	for i := range r.buckets {
		counts[i] = r.buckets[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return b
	}
	var sum uint64
	for i, n := range counts {
		sum += n
		bound := "+Inf"
		if i < len(latencyBounds) {
			bound = strconv.FormatFloat(latencyBounds[i], 'g', -1, 64)
		}
		b = append(b, "mahrem_http_request_seconds_bucket"...)
		b = appendLabels(b, "method", r.method, "route", r.path, "le", bound)
		b = append(strconv.AppendUint(b, sum, 10), '\n')
	}
	b = appendLabels(append(b, "mahrem_http_request_seconds_sum"...), "method", r.method, "route", r.path)
	b = append(strconv.AppendFloat(b, time.Duration(r.nanoseconds.Load()).Seconds(), 'g', -1, 64), '\n')
	b = appendLabels(append(b, "mahrem_http_request_seconds_count"...), "method", r.method, "route", r.path)
	return append(strconv.AppendUint(b, total, 10), '\n')
}

func appendFamily(b []byte, name, sort, help string) []byte {
	return append(b, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+sort+"\n"...)
}

// appendLabels appends {name="value",...} and a space, without labels of empty value.
func appendLabels(b []byte, pairs ...string) []byte {
	b = append(b, '{')
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(append(append(b, pairs[i]...), '='), pairs[i+1])
	}
	return append(b, '}', ' ')
}

func showMetrics(_ context.Context, c *call) error {
	buffer := buffers.get()
	defer buffers.put(buffer)
	buffer.data = c.server.metrics.append(buffer.data[:0])
	c.write(http.StatusOK, []string{"text/plain; version=0.0.4; charset=utf-8"}, buffer.data)
	return nil
}
