package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// evaluateMany decides each evaluation by itself. What goes wrong with one is a denial
// with the error in its context.
func (c *call) evaluateMany(ctx context.Context, request *evaluationsRequest) error {
	select {
	case c.server.batches <- struct{}{}:
		defer func() { <-c.server.batches }()
	default:
		return &problem{kind: unavailable, cause: errors.New("too many batches at once")}
	}
	results := make(manyEvaluated, len(request.items))
	switch request.semantic {
	case executeAll:
		var workers sync.WaitGroup
		var next atomic.Int64
		for range min(batchWidth, len(results)) {
			workers.Go(func() {
				for i := int(next.Add(1)) - 1; i < len(results); i = int(next.Add(1)) - 1 {
					results[i] = c.evaluateItem(ctx, &request.items[i])
				}
			})
		}
		workers.Wait()
	default:
		// One after the other: what comes behind the end was never asked.
		for i := range results {
			results[i] = c.evaluateItem(ctx, &request.items[i])
			if results[i].allow == (request.semantic == permitOnFirstPermit) {
				results = results[:i+1]
				break
			}
		}
	}
	return c.writeJSON(http.StatusOK, results)
}

// evaluateItem never fails: a denial says what went wrong.
func (c *call) evaluateItem(ctx context.Context, e *evaluationRequest) (result evaluated) {
	defer func() {
		if thrown := recover(); thrown != nil {
			c.server.metrics.panics.Add(1)
			c.server.config.Log.Error("panic", "request", c.requestID, "type", fmt.Sprintf("%T", thrown), "stack", string(debug.Stack()))
			result = evaluated{failure: refuse(internal)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.server.config.RequestTimeout)
	defer cancel()
	result, err := c.evaluate(ctx, e)
	if err == nil {
		return result
	}
	p := problemOf(err, c.principal)
	if p.kind.status >= http.StatusInternalServerError && c.request.Context().Err() == nil {
		c.server.config.Log.Error("request failed", "request", c.requestID, "problem", p.kind.name, "error", err.Error())
	}
	return evaluated{failure: p}
}
