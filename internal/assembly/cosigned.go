package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/postgres"
)

// Quorum is whether the newest checkpoint has the witnesses that it should have.
type Quorum string

// What a quorum can be. Demanding none is not the same as having one.
const (
	QuorumThere   Quorum = "yes"
	QuorumMissing Quorum = "no"
	QuorumNone    Quorum = "none asked for"
)

// LastCosigned is what witnesses vouch for, as it stands wherever the log is shown.
type LastCosigned struct {
	// Entries is the size of the last checkpoint that witnesses have signed, enough of them if a
	// quorum is demanded; zero is never.
	Entries uint64 `json:"entries"`
	// At is when, by the witnesses' own clocks, and AgeSeconds how long ago.
	At         time.Time `json:"at,omitzero"`
	AgeSeconds int64     `json:"age_seconds,omitempty"`
	// By names them as the policy does.
	By []string `json:"by"`
	// Quorum is whether the newest checkpoint has it.
	Quorum Quorum `json:"quorum"`
	// Named is whether there are witnesses at all.
	Named bool `json:"witnesses_named"`
	// Unknown says why nothing could be read.
	Unknown string `json:"unknown,omitempty"`
}

// LastCosigned looks what witnesses vouch for. It works on a house that was opened as Base
// too, and on a log that was changed: what could not be read is said in the result.
func (h *House) LastCosigned(ctx context.Context) LastCosigned {
	status, err := h.CheckpointStatus(ctx)
	last := h.lastCosigned(&status)
	if err != nil {
		last.Unknown = err.Error()
	}
	return last
}

func (h *House) lastCosigned(status *postgres.CheckpointStatus) LastCosigned {
	last := LastCosigned{Entries: status.Cosigned, At: status.CosignedAt, By: status.CosignedBy, Quorum: QuorumNone, Named: h.signing.witnesses != nil}
	switch {
	case status.Demanded && status.Quorum:
		last.Quorum = QuorumThere
	case status.Demanded:
		last.Quorum = QuorumMissing
	}
	if last.By == nil {
		last.By = []string{}
	}
	if !last.At.IsZero() {
		last.AgeSeconds = max(0, int64(h.options.Now().Sub(last.At)/time.Second))
	}
	return last
}
