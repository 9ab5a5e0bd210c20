package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// sending brings a delivery to the house over lines that may break.
type sending struct {
	client   *houseClient
	delivery *prepare.Delivery
	bar      *bar
	tries    int
	// wait waits for a while, or returns an error when the context ends.
	wait func(ctx context.Context, while time.Duration) error
	// waiting tells whoever looks on that the line broke, and how long it is waited. It may be nil.
	waiting func(why error, while time.Duration)
}

// standingDocument is how much the house has.
type standingDocument struct {
	admittedDocument
	MemberChunks int    `json:"member_chunks"`
	RowChunks    int    `json:"row_chunks"`
	Remasked     string `json:"remasked"`
}

// run sends until all is there. Each try begins where the house stands; those without any
// progress are counted, and waited for longer and longer.
func (s *sending) run(ctx context.Context) (*admittedDocument, error) {
	path := roomPath(cleanroom.RoomID(s.delivery.Room), "snapshots")
	best, failed := -1, 0
	for {
		document, chunk, err := s.once(ctx, path)
		if err == nil {
			return document, nil
		}
		// 409 says that another line was quicker, or that the house has forgotten.
		again := errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, privacy.ErrConflict)
		if !again || ctx.Err() != nil {
			return nil, err
		}
		if failed++; chunk > best {
			best, failed = chunk, 1
		}
		if failed > s.tries {
			there := "nobody knows how much is there"
			if best >= 0 {
				there = fmt.Sprintf("%d of %d chunks are there", best, s.delivery.Chunks())
			}
			return nil, fmt.Errorf("%w; %s: run the same command again to go on", err, there)
		}
		while := pause(failed)
		if s.waiting != nil {
			s.waiting(err, while)
		}
		if err := s.wait(ctx, while); err != nil {
			return nil, err
		}
		s.bar.describe("sending")
	}
}

// once asks where the house stands, and sends from there. It returns the chunk that it began
// with, or -1 if it did not get to know.
func (s *sending) once(ctx context.Context, path string) (*admittedDocument, int, error) {
	standing := &standingDocument{}
	err := s.client.get(ctx, path+fmt.Sprintf("/%x", s.delivery.Manifest), standing)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, -1, err
	}
	chunk, done := s.stands(standing)
	if err == nil && done {
		return &standing.admittedDocument, chunk, nil
	}
	body, size, err := s.delivery.From(chunk)
	if err != nil {
		return nil, chunk, err
	}
	document := &admittedDocument{}
	before := s.delivery.Size - size
	// A house that takes nothing more is one whose line broke.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.client.patience, func() { cancel(errors.New("nothing more is taken, or answered")) })
	defer silence.Stop()
	told := &told{in: body, tell: func(n int64) {
		s.bar.set(max(before, 0)+n, s.delivery.Size)
		if n < size {
			silence.Reset(s.client.patience)
		} else {
			silence.Reset(s.client.admitting)
		}
	}}
	err = s.client.post(ctx, path, "application/x-ndjson", told, size, document)
	return document, chunk, err
}

// stands is the chunk that comes next, and whether there is nothing left to send.
func (s *sending) stands(at *standingDocument) (chunk int, done bool) {
	statement := s.delivery.Remasked != audit.Digest{}
	if statement && at.Remasked != fmt.Sprintf("%x", s.delivery.Remasked) {
		return 0, false
	}
	done = at.State == "staged" || at.State == "matched" || at.State == "waiting" && !statement
	return s.delivery.Next(at.MemberChunks, at.RowChunks), done
}

// pause is how long to wait before a further try: a second, two, four, up to half a minute,
// and up to half of it more, so that many senders do not come back together.
func pause(failed int) time.Duration {
	while := min(time.Second<<min(failed-1, 5), 30*time.Second)
	return while + rand.N(while/2)
}

// told tells how much was read.
type told struct {
	in   io.Reader
	done int64
	tell func(n int64)
}

func (t *told) Read(b []byte) (int, error) {
	n, err := t.in.Read(b)
	t.done += int64(n)
	t.tell(t.done)
	return n, err
}
