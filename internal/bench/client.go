package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// target is a server and the requests that are sent to it, ready to be written.
type target struct {
	address  string
	requests [][]byte
	// want must be in every answer's body: an answer that is wrong is not counted as
	// fast.
	want []byte
	// pieces is how often it must be in there; zero means once or more.
	pieces int
	// names are the pseudonyms of the people whom the requests are about.
	names []string
}

// connection is one keep-alive connection over loopback TCP.
type connection struct {
	net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(address string) (*connection, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting client: %w", err)
	}
	return &connection{Conn: c, in: bufio.NewReaderSize(c, 16<<10)}, nil
}

var (
	contentLength = []byte("Content-Length: ")
	chunked       = []byte("Transfer-Encoding: chunked")
	errAnswer     = errors.New("the answer is not the expected one")
)

// ask sends one request and reads the whole answer, whose body stays valid until the
// next call.
func (c *connection) ask(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, fmt.Errorf("sending: %w", err)
	}
	length, pieces := -1, false
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, fmt.Errorf("receiving: %w", err)
		}
		line = bytes.TrimSpace(line)
		switch {
		case first:
			if len(line) < 12 {
				return 0, nil, errAnswer
			}
			status, _ = strconv.Atoi(string(line[9:12]))
		case len(line) == 0 && pieces:
			err := c.chunks()
			return status, c.body, err
		case len(line) == 0:
			if length < 0 {
				return 0, nil, errAnswer
			}
			c.body = slices.Grow(c.body[:0], length)[:length]
			_, err := io.ReadFull(c.in, c.body)
			return status, c.body, err
		case bytes.Equal(line, chunked):
			pieces = true
		case bytes.HasPrefix(line, contentLength):
			if length, err = strconv.Atoi(string(line[len(contentLength):])); err != nil {
				return 0, nil, errAnswer
			}
		}
	}
}

// chunks reads a body that comes in pieces (RFC 9112 section 7.1) without trailers.
func (c *connection) chunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return errAnswer
		}
		n := len(c.body)
		c.body = slices.Grow(c.body, int(size)+2)[:n+int(size)+2]
		if _, err := io.ReadFull(c.in, c.body[n:]); err != nil {
			return err
		}
		if c.body = c.body[:n+int(size)]; size == 0 {
			return nil
		}
	}
}

// matches reports whether a body is an expected one.
func (t *target) matches(body []byte) bool {
	if t.pieces == 0 {
		return bytes.Contains(body, t.want)
	}
	return bytes.Count(body, t.want) == t.pieces
}

// sample is what one round came to.
type sample struct {
	answers   int
	elapsed   time.Duration
	latencies []time.Duration
}

// load asks t from so many clients for the given time, each going through the requests
// from a place of its own.
func load(ctx context.Context, t target, clients int, length time.Duration) (sample, error) {
	var (
		group   sync.WaitGroup
		failure atomic.Pointer[error]
		mu      sync.Mutex
		total   sample
	)
	connections := make([]*connection, clients)
	for i := range connections {
		var err error
		if connections[i], err = dial(t.address); err != nil {
			return sample{}, err
		}
		defer func() { _ = connections[i].Close() }()
	}
	begin := time.Now()
	end := begin.Add(length)
	for i, c := range connections {
		group.Go(func() {
			latencies := make([]time.Duration, 0, 1<<12)
			for n := i * len(t.requests) / clients; failure.Load() == nil && ctx.Err() == nil; n++ {
				start := time.Now()
				if !start.Before(end) {
					break
				}
				status, body, err := c.ask(t.requests[n%len(t.requests)])
				if err == nil && (status != http.StatusOK || !t.matches(body)) {
					err = fmt.Errorf("status %d: %w", status, errAnswer)
				}
				if err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
				latencies = append(latencies, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			total.latencies = append(total.latencies, latencies...)
		})
	}
	group.Wait()
	if err := failure.Load(); err != nil {
		return sample{}, *err
	}
	if err := ctx.Err(); err != nil {
		return sample{}, err
	}
	total.elapsed, total.answers = time.Since(begin), len(total.latencies)
	return total, nil
}

// Figures are rate and latency of one side.
type Figures struct {
	// Rate is answers per second.
	Rate float64       `json:"rate"`
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	// Answers is how many were counted.
	Answers int `json:"answers"`
}

func figures(samples []sample) Figures {
	var f Figures
	var elapsed time.Duration
	var all []time.Duration
	for _, s := range samples {
		f.Answers += s.answers
		elapsed += s.elapsed
		all = append(all, s.latencies...)
	}
	if len(all) == 0 || elapsed == 0 {
		return f
	}
	slices.Sort(all)
	f.Rate = float64(f.Answers) / elapsed.Seconds()
	f.P50, f.P99 = all[len(all)/2], all[len(all)*99/100]
	return f
}

// serve runs a handler on loopback until the returned function is called. Both sides
// get the same server.
func serve(handler http.Handler) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listening: %w", err)
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(listener) }()
	return listener.Addr().String(), func() { _ = web.Close() }, nil
}

// post makes the bytes of a request.
func post(path, token, contentType string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, token, contentType, len(body))
	b.Write(body)
	return b.Bytes()
}

func get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}
