package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
)

// ServeConfig configures [Server.Serve]. The zero value is ready for use.
type ServeConfig struct {
	// Grace is how long running requests may still take after the end was asked for;
	// zero means 20 s.
	Grace time.Duration
	// CertificateFile and KeyFile switch TLS on; both or none.
	CertificateFile, KeyFile string
	// CloseLog closes the audit log once no request can append to it any more. Nil
	// means that somebody else does.
	CloseLog func(context.Context) error
}

// Serve answers requests on listener until ctx is done, and then loses nothing: it
// turns unready, takes no further connection, lets the running requests finish within
// the grace, cuts off and cancels what is left, waits for those handlers too, and only
// then closes the log. So every answer that left has its entry, and no entry is
// attempted on a closed log. It returns nil after an orderly end.
func (s *Server) Serve(ctx context.Context, listener net.Listener, config ServeConfig) error {
	setDefault(&config.Grace, 20*time.Second)
	// Requests outlive ctx: its end asks for the last answers, it does not break them.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	requests = cleanroom.WithEnd(requests)
	var running sync.WaitGroup
	web := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			s.ServeHTTP(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      s.config.IngestTimeout + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(quiet{s}, "", 0),
	}
	served := make(chan error, 1)
	go func() {
		if config.CertificateFile != "" || config.KeyFile != "" {
			served <- web.ServeTLS(listener, config.CertificateFile, config.KeyFile)
			return
		}
		served <- web.Serve(listener)
	}()
	var failure error
	select {
	case err := <-served:
		failure = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.health.drain()

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.Grace)
	defer cancel()
	if err := web.Shutdown(grace); err != nil {
		failure = errors.Join(failure, fmt.Errorf("finishing requests: %w", err))
		cut()
		failure = errors.Join(failure, web.Close())
	}
	if !wait(&running, 5*time.Second) {
		// Somebody may still append: leave the log open, the process is ending anyway.
		return errors.Join(failure, errors.New("stopping: a request does not end"))
	}
	if config.CloseLog != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.Grace)
		defer cancel()
		if err := config.CloseLog(closing); err != nil {
			failure = errors.Join(failure, fmt.Errorf("closing the log: %w", err))
		}
	}
	return failure
}

func wait(group *sync.WaitGroup, limit time.Duration) bool {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// quiet takes what net/http would print. Its lines quote what clients sent, so only
// their number is kept.
type quiet struct{ server *Server }

func (q quiet) Write(p []byte) (int, error) {
	q.server.metrics.complaints.Add(1)
	return len(p), nil
}
