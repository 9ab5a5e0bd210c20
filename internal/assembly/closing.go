package assembly

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/postgres"
)

// tendEntries has it noted where the log has erasures that were cut off before they could:
// without it they are never certified.
func (h *House) tendEntries(store *postgres.EraseStore) {
	h.tend(chore{time.Minute, "erasures whose log entry is not noted cannot be certified, it will be", func(ctx context.Context) error {
		cut, err := store.WithoutEntry(ctx, certifyAtOnce)
		if err != nil {
			return err
		}
		var errs []error
		for _, id := range cut {
			_, err := h.Eraser.Erasure(ctx, id)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}})
}

// toldAll reports whether each processor of a plan was told. One that could not be stands in
// no list, so that a person has to say what is to be done.
func (h *House) toldAll(ctx context.Context, request dsar.RequestID) (bool, error) {
	stored, err := h.eraseStore().LastPlan(ctx, request)
	if err != nil {
		return false, err
	}
	plan, err := h.Eraser.OpenPlan(ctx, &stored)
	if err != nil || len(plan.Processors) == 0 {
		return err == nil, err
	}
	tasks, err := h.OpenDSR.Processors.Tasks(ctx, request)
	if err != nil {
		return false, err
	}
	for _, id := range plan.Processors {
		if !slices.ContainsFunc(tasks, func(t opendsr.Task) bool { return t.Processor == id }) {
			return false, nil
		}
	}
	return true, nil
}
