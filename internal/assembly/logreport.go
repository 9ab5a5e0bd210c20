package assembly

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/tally"
	"github.com/mahrem/mahrem/privacy"
)

// ReportLog counts what the log says about a period; config.Begin and config.Checkpoint
// are filled in. That by reads the log is in the log first.
func (h *House) ReportLog(ctx context.Context, by privacy.Principal, config tally.Config) (tally.Report, tally.Proof, error) {
	fail := func(err error) (tally.Report, tally.Proof, error) {
		return tally.Report{}, tally.Proof{}, fmt.Errorf("reporting on the log: %w", err)
	}
	if by.Role != privacy.RoleAuditor && by.Role != privacy.RoleDPO {
		return fail(privacy.ErrForbidden)
	}
	if err := audit.NewReads(h.Log, 0, h.options.Now).Note(ctx, by); err != nil {
		return fail(err)
	}
	var err error
	if config.Begin, err = h.Log.Begin(ctx); err != nil {
		return fail(err)
	}
	// The checkpoint comes before the size: the log may grow meanwhile.
	signed, err := h.Log.LatestCheckpoint(ctx)
	switch {
	case errors.Is(err, privacy.ErrNotFound):
	case err != nil:
		return fail(err)
	default:
		text := signed[:bytes.LastIndex(signed, []byte("\n\n"))+1] // its signature was checked
		if config.Checkpoint, err = audit.ParseCheckpoint(string(text)); err != nil {
			return fail(err)
		}
	}
	report, proof, err := tally.Read(ctx, h.Log, config)
	if err != nil {
		return fail(err)
	}
	return report, proof, nil
}
