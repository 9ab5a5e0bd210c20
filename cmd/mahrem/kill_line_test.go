package main

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// line is what a party reaches the house by. It counts what goes through, and tells when a
// number of bytes has, or that the house has said that the list is in.
type line struct {
	listener net.Listener
	house    atomic.Pointer[string]
	lines    sync.WaitGroup

	mu      sync.Mutex
	passed  int64
	after   int64  // bytes from the party
	created bool   // when the house says that it has all of it, which is not handed on
	strike  func() // once
	cut     bool   // struck: nothing comes through until it is told what is next
}

func (w *tool) newLine() *line {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	l := &line{listener: listener}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			l.lines.Go(func() { l.carry(from) })
		}
	}()
	w.t.Cleanup(func() { _ = listener.Close(); l.lines.Wait() })
	return l
}

// next says when strike is called: after so many bytes, or when the list is in.
func (l *line) next(after int64, created bool, strike func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed, l.after, l.created, l.strike, l.cut = 0, after, created, strike, false
}

// pass counts what goes by, and reports whether it may go on.
func (l *line) pass(toHouse bool, text []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strike == nil {
		return !l.cut
	}
	hit := l.created && !toHouse && bytes.HasPrefix(text, []byte("HTTP/1.1 201 "))
	if toHouse && !l.created {
		l.passed += int64(len(text))
		hit = l.passed >= l.after
	}
	if hit {
		l.strike()
		l.strike, l.cut = nil, true
	}
	return !hit || toHouse
}

func (l *line) carry(from net.Conn) {
	defer func() { _ = from.Close() }()
	house := l.house.Load()
	if house == nil {
		return
	}
	to, err := net.Dial("tcp", *house)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	var ways sync.WaitGroup
	for _, way := range []struct {
		in, out net.Conn
		toHouse bool
	}{{from, to, true}, {to, from, false}} {
		ways.Go(func() {
			defer func() { _, _ = from.Close(), to.Close() }() // whoever ends it ends both
			piece := make([]byte, 16<<10)
			for {
				n, err := way.in.Read(piece)
				if n > 0 && l.pass(way.toHouse, piece[:n]) {
					if _, err := way.out.Write(piece[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		})
	}
	ways.Wait()
}
