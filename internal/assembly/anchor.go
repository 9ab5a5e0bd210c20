package assembly

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/anchor"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// Ways in which a checkpoint is anchored. They stand in the log as the channel.
const (
	AnchorFile  privacy.Channel = "file"
	AnchorHTTP  privacy.Channel = "http"
	AnchorPrint privacy.Channel = "print"
)

// anchored is the file in the home that says when what was anchored last, so that it is not
// done more often than is wanted, by whichever process.
const anchored = "anchored"

type lastAnchor struct {
	At   time.Time `json:"at"`
	Size uint64    `json:"size"`
}

// Anchored is a checkpoint that was put somewhere.
type Anchored struct {
	Way        privacy.Channel
	Checkpoint audit.Checkpoint
	Anchor     anchor.Anchor
	Receipt    audit.Receipt
}

// anchorMeter is what /metrics says of anchoring.
type anchorMeter struct {
	last     atomic.Int64 // unix seconds
	failures atomic.Uint64
}

func (h *House) openAnchoring() error {
	s := h.Settings.Anchoring
	if s.AnchorFile == "" && s.AnchorURL == "" {
		return nil
	}
	if last, err := h.lastAnchors(); err == nil {
		for _, l := range last {
			h.anchoring.last.Store(max(h.anchoring.last.Load(), l.At.Unix()))
		}
	}
	h.tend(chore{
		every:   min(s.Every(), time.Minute),
		warning: "a checkpoint of the log was not anchored; entries since the last anchor can still be rewritten by whoever has the database and the log's key",
		do: func(ctx context.Context) error {
			_, err := h.Anchor(ctx, privacy.Principal{}, false)
			if err != nil {
				h.anchoring.failures.Add(1)
			}
			return err
		},
	})
	return nil
}

// latest returns the newest checkpoint.
func (h *House) latest(ctx context.Context) (anchor.Anchor, audit.Checkpoint, error) {
	signed, err := h.Log.LatestCheckpoint(ctx)
	if err != nil {
		return anchor.Anchor{}, audit.Checkpoint{}, fmt.Errorf("anchoring checkpoint: %w", err)
	}
	// The log has verified it.
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	c, err := audit.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return anchor.Anchor{}, audit.Checkpoint{}, fmt.Errorf("anchoring checkpoint: %w", err)
	}
	return anchor.Anchor{At: h.options.Now().UTC().Truncate(time.Millisecond), Note: signed}, c, nil
}

// Anchor puts the newest checkpoint wherever the settings say, unless that was done within
// the time that they name, or the log has not grown. With now the time does not count.
// That it was done is in the log afterwards: a checkpoint says nothing about anybody, and
// an entry about an anchor that does not exist would say too much.
func (h *House) Anchor(ctx context.Context, by privacy.Principal, now bool) (done []Anchored, err error) {
	lock, err := os.OpenFile(filepath.Join(h.Settings.Home, "."+anchored+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("anchoring checkpoint: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil // another process is at it
	} else if err != nil {
		return nil, fmt.Errorf("anchoring checkpoint: %w", err)
	}
	last, err := h.lastAnchors()
	if err != nil {
		return nil, fmt.Errorf("anchoring checkpoint: %w", err)
	}
	a, c, err := h.latest(ctx)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, nil // none is signed yet
	}
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, target := range h.anchorTargets() {
		before := last[target.way]
		if c.Size < before.Size {
			errs = append(errs, fmt.Errorf("anchoring checkpoint (%s): one of %d entries was anchored, and the log is signed up to %d: it was rolled back; "+
				"after a restore of your own remove %s: %w", target.way, before.Size, c.Size, filepath.Join(h.Settings.Home, anchored), privacy.ErrDamaged))
			continue
		}
		// The entries about anchors do not make a log worth anchoring again.
		grown := before.Size == 0 || c.Size > before.Size+uint64(len(h.anchorTargets()))
		if !now && (!grown || a.At.Sub(before.At) < h.Settings.Anchoring.Every()) {
			continue
		}
		if err := target.put(ctx, a, c); err != nil {
			errs = append(errs, fmt.Errorf("anchoring checkpoint (%s): %w", target.way, err))
			continue
		}
		receipt, err := h.logAnchored(ctx, by, target.way, a)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		last[target.way] = lastAnchor{a.At, c.Size}
		h.anchoring.last.Store(a.At.Unix())
		done = append(done, Anchored{target.way, c, a, receipt})
	}
	if len(done) > 0 {
		errs = append(errs, h.keepLastAnchors(last))
	}
	return done, errors.Join(errs...)
}

// AnchorPrint gives out the newest checkpoint to be printed, after the log says so.
func (h *House) AnchorPrint(ctx context.Context, by privacy.Principal) (Anchored, error) {
	a, c, err := h.latest(ctx)
	if err != nil {
		return Anchored{}, err
	}
	receipt, err := h.logAnchored(ctx, by, AnchorPrint, a)
	return Anchored{AnchorPrint, c, a, receipt}, err
}

func (h *House) logAnchored(ctx context.Context, by privacy.Principal, way privacy.Channel, a anchor.Anchor) (audit.Receipt, error) {
	receipt, err := h.Log.Append(ctx, audit.Event{
		Kind: audit.LogAnchored, Outcome: audit.Done, Principal: by, Channel: way, List: sha256.Sum256(a.Note),
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("logging that a checkpoint was anchored: %w", err)
	}
	return receipt, nil
}

func (h *House) lastAnchors() (map[privacy.Channel]lastAnchor, error) {
	last := map[privacy.Channel]lastAnchor{}
	content, err := os.ReadFile(filepath.Join(h.Settings.Home, anchored))
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &last)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s; it may be removed: %w", filepath.Join(h.Settings.Home, anchored), err)
	}
	return last, nil
}

func (h *House) keepLastAnchors(last map[privacy.Channel]lastAnchor) error {
	content, err := json.Marshal(last)
	if err != nil {
		return err
	}
	path := filepath.Join(h.Settings.Home, anchored)
	if err := writeDurably(path+".new", append(content, '\n')); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (h *House) anchorGauges() []server.Gauge {
	if h.Settings.Anchoring.AnchorFile == "" && h.Settings.Anchoring.AnchorURL == "" {
		return nil
	}
	return []server.Gauge{
		{
			Name: "mahrem_log_last_anchored_timestamp_seconds", Help: "When a checkpoint of the log was last put elsewhere; 0 before the first.",
			Read: func() float64 { return float64(h.anchoring.last.Load()) },
		},
		{
			Name: "mahrem_log_anchor_failures_total", Help: "Attempts to put a checkpoint of the log elsewhere that failed.", Counter: true,
			Read: func() float64 { return float64(h.anchoring.failures.Load()) },
		},
	}
}

// CheckAnchors makes sure that a key of the log signed each of them, and that they follow one
// another.
func (h *House) CheckAnchors(anchors []anchor.Anchor) error {
	keys, err := audit.NewVerifiers(h.Settings.Origin, h.signing.keys()...)
	if err != nil {
		return err
	}
	_, err = anchor.Open(anchors, keys...)
	return err
}
