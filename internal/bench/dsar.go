package bench

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/vault"
)

// DSARConfig says what [DSAR] measures. The database is one that is thrown away: it is
// filled with requests and people who do not exist.
type DSARConfig struct {
	// OwnerURL reaches the database with the right to write into every table.
	OwnerURL string
	// Queue lists requests.
	Queue RequestQueue
	// Loader brings people in.
	Loader Loader
	// Requests is how many the queue has; zero means 100,000.
	Requests int
	// Exporter, Asker and Finder export people, ask about them, and find them; Exports is
	// how many are exported, and zero means 1,000.
	Exporter Exporter
	Asker    Asker
	Finder   PeopleFinder
	Exports  int
	// Desk takes requests in, Vault seals, and Eraser makes an eraser that tells how long
	// each transaction took that destroys a key; nobody is told if watch is nil.
	Desk   RequestDesk
	Vault  *vault.Vault
	Eraser func(watch func(took time.Duration)) (Eraser, error)
	// Erasures is how many people are erased side by side; zero means 2,000.
	Erasures int
	// EraseRounds is how often people with few and with many records are erased in turn;
	// zero means 21. ManyEvents is how many many are; zero means 100,000.
	EraseRounds, ManyEvents int
	// Only names the measurements to make; without any, all of [DSARMeasurements].
	Only []string
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// dsarMeasurements are made in this order.
var dsarMeasurements = []measurement[DSARConfig]{
	{"queue", measureQueue},
	{"erase", measureErase},
	{"export", measureExport},
}

// DSARMeasurements names the measurements.
func DSARMeasurements() []string { return namesOf(dsarMeasurements) }

// DSAR measures what answering data subjects costs.
func DSAR(ctx context.Context, config DSARConfig) (Report, error) {
	if config.Requests <= 0 {
		config.Requests = 100_000
	}
	if config.Exports <= 0 {
		config.Exports = 1000
	}
	if config.Erasures <= 0 {
		config.Erasures = 2000
	}
	if config.EraseRounds <= 0 {
		config.EraseRounds = eraseRounds
	}
	if config.ManyEvents <= 0 {
		config.ManyEvents = manyEvents
	}
	if config.Progress == nil {
		config.Progress = nobody
	}
	return measure(ctx, config, dsarMeasurements, config.Only, func(name string, i int) {
		config.Progress("measuring "+name, i, len(dsarMeasurements))
	})
}
