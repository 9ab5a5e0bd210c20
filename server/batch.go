package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// MaxBatch is how many questions one batch may hold.
const MaxBatch = 1000

const (
	// batchWidth is how many questions of a batch are under way at once. They share the
	// statements that read and the commits of the log, like those of as many callers.
	batchWidth = 64
	// batchAhead is how many answers may wait for one before them to be written.
	batchAhead = 2 * batchWidth
	// batchChunk is how many bytes are gathered before they are sent.
	batchChunk = 32 << 10
)

var headerNDJSON = []string{"application/x-ndjson"}

// batch is one call with many questions on its way through the server.
type batch struct {
	call  *call
	items []batchItem
	// ahead holds a place for each answer that is being worked out or waits.
	ahead chan struct{}
	next  atomic.Int64
	// failed is whether the operator was told of a failure: once is enough.
	failed atomic.Bool
}

type batchItem struct {
	request queryRequest
	// err is what is wrong with the line itself.
	err error
	// after is closed when the question about the same person before this one is
	// answered. Nil without one.
	after <-chan struct{}
	done  chan struct{}
	// out is the answer, once done is closed.
	out *buffer
	// held is whether it has a place ahead.
	held bool
}

// wipe gives the memory of a written answer back.
func (i *batchItem) wipe() {
	if i.out != nil {
		buffers.put(i.out)
		i.out = nil
	}
}

// queryBatch answers each line of NDJSON as if it had been asked alone, in the order of
// the lines. Whatever is wrong with one is its own answer.
func queryBatch() endpoint {
	shape := shapeOf(reflect.TypeFor[queryRequest]())
	return func(ctx context.Context, c *call) error {
		if c.server.services.Gate == nil {
			return refuse(unavailable)
		}
		if c.request.URL.RawQuery != "" {
			return refuse(malformed)
		}
		select {
		case c.server.batches <- struct{}{}:
			defer func() { <-c.server.batches }()
		default:
			return &problem{kind: unavailable, cause: errors.New("too many batches at once")}
		}
		buffer := buffers.get()
		defer buffers.put(buffer)
		if err := c.readBody(buffer, "application/x-ndjson", c.server.config.BatchLimit); err != nil {
			return err
		}
		b := &batch{call: c, ahead: make(chan struct{}, batchAhead)}
		if err := b.read(buffer.data, shape); err != nil {
			return err
		}
		return b.run(ctx)
	}
}

// read takes the lines apart and finds out which of them are about the same person.
// Those are answered one after the other, as if they had been asked so: at the same time
// they would only be in one another's way.
func (b *batch) read(body []byte, shape *shape) error {
	body = bytes.TrimSuffix(body, []byte("\n"))
	if len(body) == 0 {
		return refuseField(malformed, "", "the body is empty")
	}
	n := bytes.Count(body, []byte("\n")) + 1
	if n > MaxBatch {
		return refuseField(invalid, "", fmt.Sprintf("must have at most %d lines", MaxBatch))
	}
	b.items = make([]batchItem, n)
	people := make(map[string]<-chan struct{}, n)
	for i := range b.items {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte("\n"))
		item := &b.items[i]
		item.done = make(chan struct{})
		if len(line) > b.call.server.config.QueryLimit {
			item.err = refuse(tooLarge)
			continue
		}
		if item.err = b.call.server.parse(line, shape, &item.request); item.err != nil {
			continue
		}
		who := item.request.DataSubject.key()
		item.after = people[who]
		people[who] = item.done
	}
	return nil
}

// run answers and writes. It returns when nobody works on the batch any more.
func (b *batch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	defer func() {
		cancel()
		workers.Wait()
		for i := range b.items {
			b.items[i].wipe()
		}
	}()
	for range min(batchWidth, len(b.items)) {
		workers.Go(func() { b.work(ctx) })
	}
	c := b.call
	c.status = http.StatusOK
	c.writer.Header()["Content-Type"] = headerNDJSON
	c.writer.WriteHeader(http.StatusOK)
	out := buffers.get()
	defer buffers.put(out)
	for i := range b.items {
		item := &b.items[i]
		select {
		case <-item.done:
		default:
			// While one is waited for, those before it go out.
			if err := b.send(out); err != nil {
				return nil
			}
			<-item.done
		}
		out.data = append(out.data, item.out.data...)
		out.data = append(out.data, '\n')
		item.wipe()
		if item.held {
			<-b.ahead
		}
		if len(out.data) >= batchChunk {
			if err := b.send(out); err != nil {
				return nil
			}
		}
	}
	_ = b.send(out)
	return nil
}

// send writes what was gathered. An error means that the caller has gone.
func (b *batch) send(out *buffer) error {
	if len(out.data) == 0 {
		return nil
	}
	_, err := b.call.writer.Write(out.data)
	clear(out.data)
	out.data = out.data[:0]
	if err == nil {
		err = http.NewResponseController(b.call.writer).Flush()
		if errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	return err
}

// work answers one item after the other. Items are taken in order and wait only for
// earlier ones, so somebody always gets on.
func (b *batch) work(ctx context.Context) {
	for {
		select {
		case b.ahead <- struct{}{}:
		case <-ctx.Done():
			b.giveUp()
			return
		}
		i := int(b.next.Add(1)) - 1
		if i >= len(b.items) {
			<-b.ahead
			return
		}
		b.items[i].held = true
		b.answer(ctx, &b.items[i])
	}
}

// giveUp ends the items that nobody has begun, because the time is over.
func (b *batch) giveUp() {
	for {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.items) {
			return
		}
		item := &b.items[i]
		item.out = buffers.get()
		item.out.data = refuse(unavailable).appendJSON(item.out.data[:0], b.call.requestID)
		close(item.done)
	}
}

// answer works one item out. Whatever happens, its answer is a line, and done is closed.
func (b *batch) answer(ctx context.Context, item *batchItem) {
	item.out = buffers.get()
	defer close(item.done)
	defer func() {
		if thrown := recover(); thrown != nil {
			server := b.call.server
			server.metrics.panics.Add(1)
			server.config.Log.Error("panic", "request", b.call.requestID, "type", fmt.Sprintf("%T", thrown), "stack", string(debug.Stack()))
			item.out.data = refuse(internal).appendJSON(item.out.data[:0], b.call.requestID)
		}
	}()
	if item.after != nil {
		<-item.after
	}
	err := item.err
	if err == nil {
		err = b.ask(ctx, item)
	}
	if err != nil {
		item.out.data = b.problemOf(err).appendJSON(item.out.data[:0], b.call.requestID)
	}
}

func (b *batch) ask(ctx context.Context, item *batchItem) error {
	ctx, cancel := context.WithTimeout(ctx, b.call.server.config.RequestTimeout)
	defer cancel()
	given, err := query(ctx, b.call, &item.request)
	if err != nil {
		return err
	}
	item.out.data, err = given.appendJSON(item.out.data[:0])
	return err
}

// problemOf is what the caller is told; the operator is told of the first failure.
func (b *batch) problemOf(err error) *problem {
	c := b.call
	p := problemOf(err, c.principal)
	if p.kind.status >= http.StatusInternalServerError && c.request.Context().Err() == nil && b.failed.CompareAndSwap(false, true) {
		c.server.config.Log.Error("request failed", "request", c.requestID, "problem", p.kind.name, "error", err.Error())
	}
	return p
}
