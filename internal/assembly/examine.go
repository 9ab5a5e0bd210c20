package assembly

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/vault/keydir"
)

// Finding is what was found out about one part.
type Finding struct {
	Part   string `json:"part"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// clockTolerance is how far this machine's clock may be from the database's. Tokens and
// the log go by the one, decisions by the other.
const clockTolerance = 2 * time.Second

// Examine looks at every part that [Open] needs, in the order of dependence, and goes on
// after one that is wrong as far as that makes sense. It changes nothing.
func Examine(ctx context.Context, settings config.Config, logger *slog.Logger) []Finding {
	e := &examination{}
	e.note("settings", nil, "home %s", settings.Home)
	engine, err := trustedPolicies(ctx, settings)
	if e.note("policies", err, "") {
		catalogue := engine.Revision().Catalogue()
		e.last().Detail = fmt.Sprintf("revision %s, %d purposes, %d attributes, %d inferences", engine.Revision().String()[:19],
			len(catalogue.Purposes()), len(catalogue.Attributes()), len(catalogue.Inferences()))
	}
	if settings.DatabaseURL == "" {
		programs, err := localpg.FindPrograms()
		if !e.note("PostgreSQL programs", err, "version %d in %s", programs.Major, programs.Dir) {
			return e.findings
		}
	}
	_, err = keydir.Open(settings.Keys, keydir.Config{})
	if !e.note("keys", err, "%s, readable by its owner alone", settings.Keys) {
		return e.findings
	}
	database, err := OpenDatabase(ctx, settings)
	if !e.note("database", err, "embedded in %s", settings.PostgresDir()) {
		return e.findings
	}
	defer func() { _ = database.Close() }()
	if settings.DatabaseURL != "" {
		e.last().Detail = "the one that database_url names"
	}
	e.migrations(ctx, database)
	house, err := Open(ctx, settings, Options{Base: true, Database: database, Logger: logger})
	if !e.note("KEK", err, "opens what this database was sealed with") {
		return e.findings
	}
	defer func() { _ = house.Close(context.WithoutCancel(ctx)) }()
	e.clock(ctx, house)
	e.schema(ctx, house)
	e.log(ctx, house)
	return e.findings
}

// trustedPolicies activates what a house would, but for what only the database knows.
func trustedPolicies(ctx context.Context, settings config.Config) (*policies.Engine, error) {
	if settings.Policies == "" {
		return OpenPolicies(ctx, "", settings.Patience)
	}
	keys, err := policyKeys(settings)
	if err != nil {
		return nil, err
	}
	source, err := policySource(settings.Policies)
	if err != nil {
		return nil, err
	}
	engine := policies.New(policies.Config{EvaluationLimit: settings.Patience.With(policies.EvaluationLimit), Keys: keys, Examine: examine})
	return engine, engine.ActivateFrom(ctx, source)
}

type examination struct{ findings []Finding }

func (e *examination) last() *Finding { return &e.findings[len(e.findings)-1] }

func (e *examination) note(part string, err error, format string, args ...any) bool {
	f := Finding{Part: part, OK: err == nil}
	if err != nil {
		f.Detail = err.Error()
	} else {
		f.Detail = fmt.Sprintf(format, args...)
	}
	e.findings = append(e.findings, f)
	return f.OK
}

func (e *examination) migrations(ctx context.Context, database *Database) {
	list, err := database.MigrationStatus(ctx)
	pending := 0
	for _, m := range list {
		if m.IsPending() {
			pending++
		}
	}
	if err == nil && pending > 0 {
		err = fmt.Errorf("%d of %d are pending; run: mahrem migrate up", pending, len(list))
	}
	e.note("migrations", err, "all %d applied", len(list))
}

func (e *examination) clock(ctx context.Context, house *House) {
	before := time.Now()
	at, err := house.DB.Clock(ctx)
	apart, surely := clocksApart(before, time.Since(before), at)
	if err == nil && surely > clockTolerance {
		err = fmt.Errorf("this machine and the database differ by %v; synchronize them (NTP)", apart)
	}
	e.note("clock", err, "%v from the database's", apart)
}

// clocksApart says by how much a clock is ahead that was asked before and answered within took,
// and how far away it is surely: it may have been read at any moment in between.
func clocksApart(before time.Time, took time.Duration, at time.Time) (apart, surely time.Duration) {
	apart = at.Sub(before.Add(took / 2))
	return apart.Round(time.Millisecond), max(0, apart.Abs()-took/2)
}

// schema looks whether what guards the log in the database is in its place.
func (e *examination) schema(ctx context.Context, house *House) {
	differences, err := house.LogSchema(ctx)
	if err == nil && len(differences) > 0 {
		err = fmt.Errorf("%d facts are not as shipped, the first: %s; run: mahrem audit doctor", len(differences), differences[0])
	}
	e.note("log schema", err, "triggers, functions and grants as shipped")
}

// log opens the log, which recomputes its root from the right edge of the tree.
func (e *examination) log(ctx context.Context, house *House) {
	err := house.openLog(ctx)
	if !e.note("log", err, "") {
		e.last().Detail += "; mahrem audit verify names the first bad index"
		return
	}
	size, err := house.Log.Size(ctx)
	if err != nil {
		e.last().OK, e.last().Detail = false, err.Error()
		return
	}
	e.last().Detail = fmt.Sprintf("%s, %d entries, the root recomputes", house.Settings.Origin, size)
}
