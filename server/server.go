package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Config configures [New]. The zero value is ready for use.
type Config struct {
	// Log takes diagnostics: refused starts, failed parts, panics. It never gets
	// personal data. Nil means slog.Default().
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// RequestTimeout ends the work on one request; zero means 5 s.
	RequestTimeout time.Duration
	// IngestTimeout ends the work on one delivery; zero means 60 s.
	IngestTimeout time.Duration
	// QueryLimit is the most bytes that a JSON body may have; zero means 64 KiB.
	QueryLimit int
	// IngestLimit is the most bytes that a delivery may have; zero means 8 MiB.
	IngestLimit int
	// SnapshotLimit is the most bytes that a party may bring into a clean room at once; zero
	// means 16 GiB. SnapshotTimeout ends the work on it; zero means an hour. It is worked on
	// as it streams past.
	SnapshotLimit   int64
	SnapshotTimeout time.Duration
	// SnapshotPatience is how long nothing may come over a line that brings a delivery into a
	// clean room; zero means a minute. What came before stays.
	SnapshotPatience time.Duration
	// IngestSlots is how many deliveries are worked on at once, which bounds the
	// memory they need; another one gets 503. Zero means 4.
	IngestSlots int
	// SnapshotSlots is how many parties' deliveries are taken at once; another one gets 503.
	// They may take long to come, so they do not share the places of IngestSlots, and one party
	// takes no more than half of them. Zero means 4.
	SnapshotSlots int
	// EvaluationSlots is how many calls have blinded elements masked at once, half of which one
	// party may have; another one gets 503. Zero means 4.
	EvaluationSlots int
	// BatchLimit is the most bytes that a batch of questions may have; zero means 2 MiB.
	BatchLimit int
	// BatchSlots is how many batches are worked on at once; another one gets 503. Zero
	// means 16.
	BatchSlots int
	// AudienceSlots is how many audiences are found and sent at once, each of which is held in
	// memory until it is sent, and half of them of one recipient; another one gets 503. Zero means 4.
	AudienceSlots int
	// TileSlots is how many tiles of the log are read at once; another one waits. Zero
	// means 4.
	TileSlots int
	// PublicLog lets everybody read the checkpoint and the hashes of the log. Its entries
	// stay with those who have a token for them.
	PublicLog bool
	// PublicURL is the address by which others know this server: https, without a path,
	// a query or a slash at the end. Empty means whatever name a caller came by.
	PublicURL string
	// Gauges are further values to show under /metrics.
	Gauges []Gauge
}

// RequestTimeout bounds a request unless it is said otherwise.
const RequestTimeout = 5 * time.Second

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	setDefault(&c.RequestTimeout, RequestTimeout)
	setDefault(&c.IngestTimeout, 60*time.Second)
	setDefault(&c.QueryLimit, 64<<10)
	setDefault(&c.IngestLimit, 8<<20)
	setDefault(&c.SnapshotLimit, 16<<30)
	setDefault(&c.SnapshotTimeout, time.Hour)
	setDefault(&c.SnapshotPatience, time.Minute)
	setDefault(&c.IngestSlots, 4)
	setDefault(&c.SnapshotSlots, 4)
	setDefault(&c.EvaluationSlots, 4)
	setDefault(&c.BatchLimit, 2<<20)
	setDefault(&c.BatchSlots, 16)
	setDefault(&c.AudienceSlots, 4)
	setDefault(&c.TileSlots, 4)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Server is the policy API as an [http.Handler]. It is safe for concurrent use.
type Server struct {
	services Services
	config   Config
	mux      *http.ServeMux
	nowhere  http.HandlerFunc
	rules    *rules
	metrics  *metrics
	health   *healthCache
	ingests  chan struct{}
	batches  chan struct{}
	// snapshots has a place for each delivery into a clean room that is coming.
	snapshots *places
	// evaluations has a place for each call that has blinded elements masked.
	evaluations *places
	// audiences holds a place for each audience that is found or sent.
	audiences *places
	// tiles holds a place for each tile that is read.
	tiles chan struct{}

	requestPrefix string
	requestNumber atomic.Uint64
}

// New returns the API over the given services.
func New(services Services, config Config) *Server {
	s := &Server{services: services, config: config.withDefaults(), mux: http.NewServeMux(), rules: newRules()}
	s.metrics = newMetrics(routes, s.config.Gauges)
	s.health = &healthCache{source: services.Health, now: s.config.Now, log: s.config.Log, within: s.config.RequestTimeout}
	s.ingests = make(chan struct{}, s.config.IngestSlots)
	s.snapshots = newPlaces(s.config.SnapshotSlots)
	s.evaluations = newPlaces(s.config.EvaluationSlots)
	s.batches = make(chan struct{}, s.config.BatchSlots)
	s.audiences = newPlaces(s.config.AudienceSlots)
	s.tiles = make(chan struct{}, s.config.TileSlots)
	var prefix [8]byte
	_, _ = rand.Read(prefix[:]) // never fails: crypto/rand ends the program instead
	s.requestPrefix = hex.EncodeToString(prefix[:])

	allowed := map[string][]string{}
	for i := range routes {
		s.mux.Handle(routes[i].method+" "+routes[i].path, s.wrap(&routes[i], i))
		allowed[routes[i].path] = append(allowed[routes[i].path], routes[i].method)
	}
	// What the table does not name gets a problem document too.
	for path, methods := range allowed {
		if path == pathLogEntries {
			continue // that of the other tiles has it too
		}
		allow := strings.Join(methods, ", ")
		s.mux.Handle(path, s.wrap(&route{run: func(context.Context, *call) error {
			return &problem{kind: methodNotAllowed, allow: allow}
		}}, len(routes)))
	}
	s.nowhere = s.wrap(&route{run: func(context.Context, *call) error { return refuse(notFound) }}, len(routes))
	s.mux.Handle("/", s.nowhere)
	// Otherwise the mux would redirect to the same path with a slash behind it.
	s.mux.Handle("/log/tile/{level}", s.nowhere)
	return s
}

// ServeHTTP answers one request. A path that is not in its plain form would make the
// mux redirect, with a body that repeats the path; here it simply does not exist.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := strings.TrimPrefix(r.URL.Path, "/.well-known")
	if strings.Contains(p, "//") || strings.Contains(p, "/.") || r.Method == http.MethodConnect {
		s.nowhere(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// wrap is what happens around every endpoint.
func (s *Server) wrap(route *route, number int) http.HandlerFunc {
	timeout := s.config.RequestTimeout
	if route.slow {
		timeout = s.config.IngestTimeout
	}
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{server: s, writer: w, request: r, requestID: s.requestID(r)}
		header := w.Header()
		header["X-Request-Id"] = []string{route.echo(r, c.requestID)}
		header["Cache-Control"] = headerNoStore
		header["X-Content-Type-Options"] = headerNoSniff
		header["Content-Security-Policy"] = headerPolicy
		header["Referrer-Policy"] = headerReferrer
		if r.TLS != nil {
			header["Strict-Transport-Security"] = headerHSTS
		}
		defer func() {
			if thrown := recover(); thrown != nil {
				if thrown == http.ErrAbortHandler { // an answer that could not be sent to its end
					s.metrics.observe(number, c.status, time.Since(start))
					panic(thrown)
				}
				s.metrics.panics.Add(1)
				// The value may be anything, personal data too: its type must do.
				s.config.Log.Error("panic", "request", c.requestID, "type", fmt.Sprintf("%T", thrown), "stack", string(debug.Stack()))
				if c.status != 0 {
					// Half an answer must not look like a whole one.
					s.metrics.observe(number, http.StatusInternalServerError, time.Since(start))
					panic(http.ErrAbortHandler)
				}
				c.writeProblem(refuse(internal))
			}
			s.metrics.observe(number, c.status, time.Since(start))
		}()
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if err := s.run(ctx, c, route); err != nil {
			s.fail(c, err)
		}
	}
}

// run lets in whoever may call the route, and nobody else.
func (s *Server) run(ctx context.Context, c *call, route *route) error {
	if len(route.roles) > 0 && !(route.public && s.config.PublicLog) {
		if err := c.authenticate(); err != nil {
			return err
		}
		if !route.admits(c.principal.Role) {
			return refuse(forbidden)
		}
	}
	return route.run(ctx, c)
}

// fail turns err into the answer and tells the operator about what is ours to repair.
func (s *Server) fail(c *call, err error) {
	p := problemOf(err, c.principal)
	if p.kind.status >= http.StatusInternalServerError && c.request.Context().Err() == nil {
		s.config.Log.Error("request failed", "request", c.requestID, "problem", p.kind.name, "error", err.Error())
	}
	c.writeProblem(p)
}

// authenticate sets the principal, or returns a 401.
func (c *call) authenticate() error {
	c.challenge = `Bearer realm="mahrem"`
	values := c.request.Header["Authorization"]
	if len(values) != 1 || c.server.services.Tokens == nil {
		return refuse(unauthenticated)
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return refuse(unauthenticated)
	}
	principal, err := c.server.services.Tokens.Verify(token)
	if err != nil {
		c.challenge = `Bearer realm="mahrem", error="invalid_token"`
		return err
	}
	if principal == (privacy.Principal{}) {
		return refuse(unauthenticated)
	}
	c.principal = principal
	return nil
}

// requestID returns the caller's id if it is harmless, otherwise a new one.
func (s *Server) requestID(r *http.Request) string {
	if values := r.Header["X-Request-Id"]; len(values) == 1 && isRequestID(values[0]) {
		return values[0]
	}
	return fmt.Sprintf("%s-%d", s.requestPrefix, s.requestNumber.Add(1))
}

// echo returns what stands in the answer as the request's id. Where the protocol wants
// the caller's own one back, any that can stand in a header is; the log has ours.
func (route *route) echo(r *http.Request, requestID string) string {
	if values := r.Header["X-Request-Id"]; route.echoes && len(values) == 1 && len(values[0]) <= maxEcho {
		return values[0]
	}
	return requestID
}

// maxEcho bounds a request id that is returned as it came.
const maxEcho = 256

// isRequestID reports whether id is 8 to 64 letters, digits, - or _.
func isRequestID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
