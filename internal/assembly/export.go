package assembly

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openExports opens the room in which people are handed what is held about them.
func (h *House) openExports() (err error) {
	store := postgres.NewExportStore(h.People, h.Log)
	h.Exporter, err = export.New(store, h.Log, h.Archive, export.Config{
		Origin: h.Settings.Origin, Key: h.Keys.LogPublicKey(), Sign: h.Keys.SignLog, LogKey: h.signing.current, Now: h.options.Now,
		Catalogue: func() *policies.Catalogue { return h.Engine.Revision().Catalogue() },
	})
	if err != nil {
		return err
	}
	h.ExportLinks, err = export.NewLinks(store, h.Keys.Vault(), export.Dir(h.Settings.ExportsDir()), h.options.Random)
	return err
}

// ExportOrder is what is wanted of one request for access or portability.
type ExportOrder struct {
	Request dsar.RequestID
	// Lock is for whom the file is encrypted.
	Lock export.Lock
	// Path is where the file goes. Empty: it waits to be fetched by a link, which lives for
	// Life.
	Path string
	Life time.Duration
	// KeepOpen leaves the request as it is, where more is to come before it is fulfilled.
	KeepOpen bool
	Progress func(done, total int64)
}

// Exported is what came of an order.
type Exported struct {
	// Err is why there is no file, or no link, or why the request is not fulfilled. A file
	// that Result names exists all the same.
	Err    error
	Result export.Result
	// Link is there if the order has no path.
	Link *export.Link
	// Request is as it is now.
	Request   dsar.Request
	Fulfilled audit.Receipt
}

// ExportRequests carries out requests for access and portability: it writes the files, after
// one pass over the log for all of them, makes the links, and fulfils the requests with what
// was handed over as evidence. The error is about all; each order has its own.
func (h *House) ExportRequests(ctx context.Context, by privacy.Principal, orders []ExportOrder, scanned func(done, total uint64)) ([]Exported, error) {
	if by.Role != privacy.RoleDPO {
		return nil, fmt.Errorf("exporting person: %w", privacy.ErrForbidden)
	}
	list, ids := make([]Exported, len(orders)), make([]export.ID, len(orders))
	var jobs []export.Job
	var of []int
	for i := range orders {
		job, err := h.exportJob(ctx, &orders[i], &list[i], &ids[i])
		if err != nil {
			list[i].Err = err
			continue
		}
		jobs, of = append(jobs, job), append(of, i)
	}
	results, err := h.Exporter.ExportMany(ctx, by, jobs, scanned)
	if err != nil {
		return nil, err
	}
	for n, i := range of {
		list[i].Result, list[i].Err = results[n], results[n].Err
		if list[i].Err == nil {
			list[i].Err = h.handOver(ctx, by, &orders[i], &jobs[n], &list[i], ids[i])
		}
	}
	return list, nil
}

// exportJob makes the job of an order, if the request is one that can be carried out.
func (h *House) exportJob(ctx context.Context, order *ExportOrder, out *Exported, id *export.ID) (export.Job, error) {
	request, err := h.Requests.Find(ctx, order.Request)
	if err != nil {
		return export.Job{}, err
	}
	out.Request = request
	switch {
	case request.Kind != dsar.Access && request.Kind != dsar.Portability:
		return export.Job{}, fmt.Errorf("the request is for %s, and an export answers access and portability: %w", request.Kind, privacy.ErrInvalid)
	case request.State != dsar.InProgress && request.State != dsar.Extended:
		return export.Job{}, fmt.Errorf("the request is %s; an export needs one that is in_progress, with the identity proved: %w", request.State, privacy.ErrInvalid)
	case request.DataSubject.IsZero():
		return export.Job{}, fmt.Errorf("nobody here is known by what the request names: there is nothing to export, and the answer says so: %w", privacy.ErrNotFound)
	}
	job := export.Job{
		Person: request.DataSubject, Request: request.ID, Kind: request.Kind, Language: request.Language,
		Lock: order.Lock, Progress: order.Progress,
		Create: func() (export.File, error) { return export.CreateFile(order.Path) },
	}
	if order.Path == "" {
		*id, job.Create, err = h.ExportLinks.Prepare()
	}
	return job, err
}

// handOver makes the link, if one is wanted, and closes the request.
func (h *House) handOver(ctx context.Context, by privacy.Principal, order *ExportOrder, job *export.Job, out *Exported, id export.ID) error {
	if order.Path == "" {
		link, err := h.ExportLinks.Create(ctx, by, id, job, &out.Result, order.Life)
		if err != nil {
			return err
		}
		out.Link = &link
	}
	if order.KeepOpen {
		return nil
	}
	request, receipt, err := h.Requests.Fulfil(ctx, by, order.Request, dsar.Evidence{Digest: out.Result.Manifest})
	if err != nil {
		return fmt.Errorf("the export was written, but the request could not be fulfilled: %w", err)
	}
	out.Request, out.Fulfilled = request, receipt
	return nil
}

// SweepingExports removes exports to which no link leads any more, until ctx ends. The
// channel is closed when it has stopped.
func (h *House) SweepingExports(ctx context.Context, every time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			if _, err := h.ExportLinks.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
				h.options.Logger.Warn("exports that nobody can fetch any more were not removed", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return stopped
}
