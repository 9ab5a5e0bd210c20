package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// Exporter writes exports; [export.Exporter] does.
type Exporter interface {
	ExportMany(ctx context.Context, by privacy.Principal, jobs []export.Job, scanned func(done, total uint64)) ([]export.Result, error)
}

// Asker answers questions about people; [gate.Gate] does.
type Asker interface {
	Ask(ctx context.Context, principal privacy.Principal, query gate.Query) (gate.Answer, error)
}

// PeopleFinder finds people; the vault does.
type PeopleFinder interface {
	ResolveIdentifier(ctx context.Context, identifier privacy.Identifier) (privacy.DataSubjectID, error)
}

// asksEach is how many questions there were about each person: one a month.
const asksEach = 12

// nowhere is a file that is thrown away. What the disk does is another matter.
type nowhere struct{ io.Writer }

func (nowhere) Keep() error { return nil }
func (nowhere) Drop() error { return nil }

// measureExport measures the export of many average people, each with a consent, eight
// attributes, 60 events and a year of questions, in one go: one pass over the log, then a
// signed and encrypted file each.
func measureExport(ctx context.Context, config DSARConfig) ([]Row, error) {
	if config.Exporter == nil || config.Asker == nil || config.Finder == nil || config.Loader == nil {
		return nil, errors.New("nothing to export with")
	}
	config.Progress("bringing people in", 0, config.Exports)
	if err := seed(ctx, config.Loader, config.Exports); err != nil {
		return nil, err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("drawing key: %w", err)
	}
	lock, err := export.ForRecipient(identity.Recipient().String())
	if err != nil {
		return nil, err
	}
	service := privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient}
	jobs := make([]export.Job, config.Exports)
	for n := range jobs {
		identifier := privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(customer(n))}
		person, err := config.Finder.ResolveIdentifier(ctx, identifier)
		if err != nil {
			return nil, err
		}
		for range asksEach {
			_, err := config.Asker.Ask(ctx, service, gate.Query{
				DataSubject: gate.Ref{Identifier: identifier}, Purpose: "recommendations", Channel: "web",
				Attributes: []privacy.AttributeName{"loyalty_tier", "location.city"},
			})
			if err != nil {
				return nil, fmt.Errorf("asking: %w", err)
			}
		}
		jobs[n] = export.Job{
			Person: person, Request: dsar.RequestID{1}, Kind: dsar.Access, Language: export.Languages()[n%3], Lock: lock,
			Create: func() (export.File, error) { return nowhere{io.Discard}, nil },
		}
		config.Progress("asking about them", n, config.Exports)
	}
	config.Progress("exporting", 0, 1)
	var scan time.Duration
	var size uint64
	began := time.Now()
	results, err := config.Exporter.ExportMany(ctx, privacy.Principal{ID: "bench", Role: privacy.RoleDPO}, jobs, func(done, total uint64) {
		scan, size = time.Since(began), total
	})
	took := time.Since(began)
	if err != nil {
		return nil, err
	}
	var events, entries, bytes int64
	for i := range results {
		if results[i].Err != nil {
			return nil, results[i].Err
		}
		if results[i].Events == 0 || results[i].Entries < asksEach {
			return nil, errors.New("an export lacks what there is")
		}
		events, entries, bytes = events+results[i].Events, entries+results[i].Entries, bytes+results[i].Size
	}
	return []Row{
		Row{
			What: fmt.Sprintf("exporting %d average people", len(jobs)), Figure: took.Seconds(), Unit: "s",
			Note: fmt.Sprintf("%d events, %d log entries, %.1f MB; each encrypted for an age key", events, entries, float64(bytes)/1e6),
		}.atMost(60),
		{
			What: "of that, going once through the log for all of them", Figure: scan.Seconds(), Unit: "s",
			Note: fmt.Sprintf("%d entries, %.1f million tries a second", size, float64(size)*float64(len(jobs))/scan.Seconds()/1e6),
		},
	}, nil
}
