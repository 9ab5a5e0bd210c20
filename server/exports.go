package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

// ExportDesk hands out exports by links that work once; [export.Links] does. It must log
// that one was fetched before it returns, and must return an error that wraps
// [privacy.ErrNotFound] whatever is wrong with a link.
type ExportDesk interface {
	Fetch(ctx context.Context, token string) (export.Download, error)
}

// fetchExport hands out the encrypted file. The link is the key, so there is no token of a
// caller; whatever is wrong with it, the answer is the same.
func fetchExport(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(notFound)
	}
	// A mail program that looks whether the link is there must not use it up.
	if c.request.Method != http.MethodGet {
		return &problem{kind: methodNotAllowed, allow: http.MethodGet}
	}
	if c.server.services.Exports == nil {
		return refuse(unavailable)
	}
	download, err := c.server.services.Exports.Fetch(ctx, c.request.PathValue("token"))
	if errors.Is(err, privacy.ErrNotFound) {
		return refuse(notFound)
	}
	if err != nil {
		return err
	}
	defer func() { _ = download.Content.Close() }()
	if download.Receipt.IsZero() {
		return errors.New("an export was handed out without evidence")
	}
	header := c.writer.Header()
	header["Content-Type"] = headerBinary
	header["Content-Length"] = []string{strconv.FormatInt(download.Size, 10)}
	header["Content-Disposition"] = headerExport
	header[headerLog] = logHeader(download.Receipt)
	c.status = http.StatusOK
	c.writer.WriteHeader(http.StatusOK)
	if err := c.stream(download.Content); err != nil {
		// Half a file must not look like a whole one, and there is nobody left to tell.
		panic(http.ErrAbortHandler)
	}
	return nil
}

var (
	headerBinary = []string{"application/octet-stream"}
	headerExport = []string{`attachment; filename="export.zip.age"`}
)

// stepTimeout is how long a caller may take for one step of a long answer.
const stepTimeout = time.Minute

// stream copies content, however long it is, as long as the caller goes on taking it.
func (c *call) stream(content io.Reader) error {
	controller := http.NewResponseController(c.writer)
	for {
		// Not every writer has deadlines; the server's own do.
		_ = controller.SetWriteDeadline(time.Now().Add(stepTimeout))
		n, err := io.CopyN(c.writer, content, 1<<20)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		}
	}
}
