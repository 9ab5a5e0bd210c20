package assembly

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/anchor"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/privacy"
)

// anchorTarget is a place for checkpoints.
type anchorTarget struct {
	way privacy.Channel
	put func(context.Context, anchor.Anchor, audit.Checkpoint) error
}

func (h *House) anchorTargets() (targets []anchorTarget) {
	s := h.Settings.Anchoring
	if s.AnchorFile != "" {
		targets = append(targets, anchorTarget{AnchorFile, func(_ context.Context, a anchor.Anchor, c audit.Checkpoint) error {
			return h.appendAnchor(s.AnchorFile, a, c)
		}})
	}
	if s.AnchorURL != "" {
		targets = append(targets, anchorTarget{AnchorHTTP, func(ctx context.Context, a anchor.Anchor, _ audit.Checkpoint) error {
			return postAnchor(ctx, s.AnchorURL, a, s.DangerAnchorPrivateAddresses, nil)
		}})
	}
	return targets
}

// appendAnchor appends a line, durably. It refuses when the file ends with a checkpoint
// that cannot have been before this one: then the log was rolled back, or the file is of
// another one.
func (h *House) appendAnchor(path string, a anchor.Anchor, c audit.Checkpoint) (err error) {
	line, err := a.Line()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }() // unlocks
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	last, whole, err := lastLine(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if last != nil {
		before, err := anchor.Parse(last)
		if err != nil {
			return fmt.Errorf("the last line of %s: %w", path, err)
		}
		size, err := sizeOf(before.Note)
		if err != nil {
			return fmt.Errorf("the last line of %s: %w", path, err)
		}
		if size > c.Size {
			return fmt.Errorf("%s has a checkpoint of %d entries, the log one of %d: it was rolled back, or the file is of another log: %w",
				path, size, c.Size, privacy.ErrDamaged)
		}
	}
	// What was begun and not finished, such as in a power cut, was never an anchor.
	if err := file.Truncate(whole); err != nil {
		return err
	}
	if _, err := file.Write(line); err != nil {
		return err
	}
	return file.Sync()
}

// lastLine returns the last whole line of a file, if it has one, and where it ends.
func lastLine(file *os.File) (line []byte, end int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	from := max(0, info.Size()-2*anchor.MaxLine)
	tail, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return nil, 0, err
	}
	stop := bytes.LastIndexByte(tail, '\n') + 1
	if stop == 0 {
		if from > 0 {
			return nil, 0, fmt.Errorf("it is no file of anchors: %w", privacy.ErrDamaged)
		}
		return nil, 0, nil
	}
	start := bytes.LastIndexByte(tail[:stop-1], '\n') + 1
	return tail[start:stop], from + int64(stop), nil
}

// anchorTimeout bounds one post.
const anchorTimeout = 20 * time.Second

// postAnchor sends the note. As with other messages of the house, the connection is made
// only to an address that anybody could reach, no redirect is followed and no proxy used.
// configure changes the TLS settings in tests; it may be nil.
func postAnchor(ctx context.Context, address string, a anchor.Anchor, private bool, configure func(*tls.Config)) error {
	ctx, cancel := context.WithTimeout(ctx, anchorTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(a.Note))
	if err != nil || request.URL.Scheme != "https" {
		return fmt.Errorf("the address is not an https address: %w", privacy.ErrInvalid)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", "mahrem")
	dialer := &net.Dialer{Timeout: anchorTimeout}
	if !private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return courier.CheckAddress(address) }
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if configure != nil {
		configure(settings)
	}
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: settings, DisableKeepAlives: true,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if errors.Is(err, courier.ErrAddress) {
		return fmt.Errorf("posting: %w", courier.ErrAddress)
	}
	if err != nil { // its text has the address, which may hold a secret
		return fmt.Errorf("posting: no answer: %w", privacy.ErrUnavailable)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("posting: the answer was status %d: %w", response.StatusCode, privacy.ErrUnavailable)
	}
	return nil
}
