package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// call is one request on its way through the server.
type call struct {
	server    *Server
	writer    http.ResponseWriter
	request   *http.Request
	requestID string
	principal privacy.Principal
	challenge string // what a 401 says
	status    int    // of the answer; 0 as long as nothing was written
}

// endpoint answers a call, or returns why it cannot.
type endpoint func(ctx context.Context, c *call) error

// encoder is an answer that knows its JSON form.
type encoder interface {
	appendJSON(b []byte) ([]byte, error)
}

// checker is a request with rules that tags cannot say.
type checker interface {
	check() []fieldProblem
}

// statuser is an answer that may have another status than the usual one.
type statuser interface {
	status(usual int) int
}

// Header values, ready to be put into a header map. They are shared: never changed.
var (
	headerJSON     = []string{"application/json"}
	headerProblem  = []string{"application/problem+json"}
	headerText     = []string{"text/plain; charset=utf-8"}
	headerYAML     = []string{"application/yaml"}
	headerNoStore  = []string{"no-store"}
	headerNoSniff  = []string{"nosniff"}
	headerPolicy   = []string{"default-src 'none'; frame-ancestors 'none'"}
	headerReferrer = []string{"no-referrer"}
	headerHSTS     = []string{"max-age=31536000"}
)

// write sends the whole answer at once, so that an answer is either complete or absent.
func (c *call) write(status int, contentType []string, body []byte) {
	c.status = status
	c.writer.Header()["Content-Type"] = contentType
	c.writer.WriteHeader(status)
	// An error means that the caller has gone; there is nobody to tell.
	_, _ = c.writer.Write(body)
}

// writeJSON encodes answer into a reused buffer and sends it.
func (c *call) writeJSON(status int, answer encoder) error {
	buffer := buffers.get()
	defer buffers.put(buffer)
	data, err := answer.appendJSON(buffer.data[:0])
	if err != nil {
		return err
	}
	buffer.data = data
	c.write(status, headerJSON, data)
	return nil
}

// handle makes an endpoint of a function from request to answer: it reads the body
// strictly as Req, checks it, and writes the answer with the given status.
func handle[Req any, Resp encoder](status int, do func(ctx context.Context, c *call, request *Req) (Resp, error)) endpoint {
	shape := shapeOf(reflect.TypeFor[Req]())
	return func(ctx context.Context, c *call) error {
		if c.request.URL.RawQuery != "" {
			return refuse(malformed)
		}
		var request Req
		if err := c.decode(shape, &request); err != nil {
			return err
		}
		answer, err := do(ctx, c, &request)
		if err != nil {
			return err
		}
		if other, ok := any(answer).(statuser); ok {
			return c.writeJSON(other.status(status), answer)
		}
		return c.writeJSON(status, answer)
	}
}

// decode reads the body into request, a pointer. Every error is a problem.
func (c *call) decode(s *shape, request any) error {
	buffer := buffers.get()
	defer buffers.put(buffer)
	if err := c.readBody(buffer, "application/json", c.server.config.QueryLimit); err != nil {
		return err
	}
	return c.server.parse(buffer.data, s, request)
}

// parse reads one JSON text into request, a pointer. Every error is a problem.
func (s *Server) parse(data []byte, shape *shape, request any) error {
	if f := decodeStrict(data, shape, reflect.ValueOf(request).Elem()); f != nil {
		k := invalid
		if f.syntax {
			k = malformed
		}
		return refuseField(k, f.pointer, f.reason)
	}
	faults := s.rules.check(request)
	if extra, ok := request.(checker); ok && len(faults) == 0 {
		faults = extra.check()
	}
	if len(faults) > 0 {
		return &problem{kind: invalid, errors: faults}
	}
	return nil
}

// readBody reads the whole body into buffer if it has the media type and keeps the
// limit. Compressed bodies are refused: a small one may unpack to a large one.
func (c *call) readBody(buffer *buffer, mediaTypeWanted string, limit int) error {
	header := c.request.Header
	if !isMediaType(header.Get("Content-Type"), mediaTypeWanted) || header.Get("Content-Encoding") != "" {
		return refuse(mediaType)
	}
	if c.request.ContentLength > int64(limit) {
		return refuse(tooLarge)
	}
	within, err := buffer.readAll(c.request.Body, limit)
	switch {
	case err == nil && within:
		return nil
	case err == nil:
		return refuse(tooLarge)
	case errors.Is(err, io.ErrUnexpectedEOF) || c.request.Context().Err() != nil:
		return refuse(malformed)
	}
	return &problem{kind: malformed, cause: err}
}

// isMediaType reports whether a Content-Type names the wanted type, in UTF-8 if it
// names a charset at all.
func isMediaType(contentType, wanted string) bool {
	if contentType == wanted {
		return true
	}
	found, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || found != wanted {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
