package assembly

import (
	"context"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/server"
)

// Server returns the HTTP API over this house.
func (h *House) Server(config server.Config) (*server.Server, error) {
	way, err := pseudonym.NewReidentifier(h.People, h.Gate, h.Log)
	if err != nil {
		return nil, err
	}
	services := server.Services{
		Tokens:        h.Tokens,
		Gate:          h.Gate,
		Evaluator:     h.Gate,
		Audiences:     h.Gate,
		RoomEvaluator: h.evaluator(),
		RoomQueries:   h.Rooms.Questions,
		RoomActivator: h.Activator(),
		Rooms:         h.Rooms.Reader,
		RoomAdmitter:  h.Rooms.Admissions,
		RoomFiler:     cleanroom.NewFilingDesk(h.Rooms.Register, h.Log),
		Obligations: func() []string {
			var names []string
			for _, id := range h.Engine.Revision().Catalogue().Obligations() {
				names = append(names, string(id))
			}
			return names
		},
		Directory:  h.People,
		Pseudonyms: h.Pseudonyms,
		Reidentify: reidentifier{way, wordsOf(h.Engine)},
		Consent:    h.Consent,
		Consents:   h,
		Signals:    h.Signals,
		Withdrawer: h.Consent,
		Links:      h.Withdrawals,
		Receipts:   h.Receipts,
		Cases:      h.Cases,
		Requests:   h.Requests,
		Objections: h.Fulfil,
		Letters:    letters{h.Settings.Controller, h.options.Now},
		Identity:   h.Identity,
		Intake:     h.Loader,
		Decisions:  h.Archive,
		Notices:    h.Notices,
		Exports:    h.ExportLinks,
		Log:        h.Log,
		Tiles:      h.tiles(),
		Health:     health{h},
		Callbacks:  h.OpenDSR.Listener,
	}
	if h.OpenDSR.Desk != nil {
		services.Processor = h.OpenDSR.Desk
	}
	if config.RequestTimeout == 0 {
		config.RequestTimeout = h.Settings.Patience.With(server.RequestTimeout)
	}
	return server.New(services, config), nil
}

// reidentifier refuses purposes that are not in the catalogue before anything is asked or
// logged: no word of a caller's own goes into the log.
type reidentifier struct {
	way   *pseudonym.Reidentifier
	words words
}

func (r reidentifier) Reidentify(ctx context.Context, principal privacy.Principal, purpose privacy.Purpose,
	names *pseudonym.Pseudonyms, text pseudonym.Pseudonym,
) (privacy.DataSubjectID, audit.Receipt, error) {
	if !r.words.KnowsPurpose(purpose) {
		return privacy.DataSubjectID{}, audit.Receipt{}, &privacy.FieldError{Pointer: "/purpose", Reason: "is not in the catalogue"}
	}
	return r.way.Reidentify(ctx, principal, purpose, names, text)
}

// health looks at what an answer needs.
type health struct{ *House }

func (h health) Checks(ctx context.Context) []server.Check {
	ctx, cancel := context.WithTimeout(ctx, h.Settings.Patience.With(readyWithin))
	defer cancel()
	size, err := h.Log.Size(ctx)
	checks := []server.Check{
		{Name: "database", Err: h.DB.Ping(ctx)},
		{Name: "log", Detail: fmt.Sprintf("%d entries", size), Err: err},
	}
	return append(checks, h.checkpointCheck(ctx), h.policyCheck())
}

var _ gate.Engine = (*policies.Engine)(nil)

// Gauges are totals of the gate for /metrics. How often something was taken away is not
// among them: a recipient who looks before and after its query would learn whether it was
// from its own answer.
func (h *House) Gauges() []server.Gauge {
	counter := func(name, help string, read func(gate.Counters) uint64) server.Gauge {
		return server.Gauge{Name: name, Help: help, Counter: true, Read: func() float64 { return float64(read(h.Gate.Counters())) }}
	}
	return append(slices.Concat(h.policyGauges(), h.outboxGauges(), h.logGauges(), h.signingGauges(), h.anchorGauges(), h.keyUseGauges()),
		counter("mahrem_gate_exposures_total", "Answers that were added to an exposure ledger.",
			func(c gate.Counters) uint64 { return c.Exposures }),
		counter("mahrem_gate_redone_total", "Decisions that were made again because another query came first.",
			func(c gate.Counters) uint64 { return c.Redone }),
		counter("mahrem_gate_audience_disagreements_total", "Kinds of people whom a filter let into an audience against the policies; they were left out.",
			func(c gate.Counters) uint64 { return c.Disagreed }),
		memoGauge(h.Engine, "hits_total", "Decisions that were remembered, since the policies changed, in hundreds.", true,
			func(hits, _ uint64) float64 { return float64(inHundreds(hits)) }),
		memoGauge(h.Engine, "misses_total", "Decisions that had to be made, since the policies changed, in hundreds.", true,
			func(_, misses uint64) float64 { return float64(inHundreds(misses)) }),
		memoGauge(h.Engine, "hit_ratio", "Share of the decisions that were remembered, since the policies changed.", false,
			func(hits, misses uint64) float64 {
				return float64(inHundreds(hits)) / float64(max(1, inHundreds(hits)+inHundreds(misses)))
			}),
	)
}

// inHundreds leaves out what single questions do: whether a decision was remembered says
// something about the facts of a person, such as a refusal where others never answered.
func inHundreds(n uint64) uint64 { return n - n%100 }

// memoGauge reads the memo of the revision that is active when somebody looks.
func memoGauge(engine *policies.Engine, name, help string, counter bool, read func(hits, misses uint64) float64) server.Gauge {
	return server.Gauge{Name: "mahrem_policy_memo_" + name, Help: help, Counter: counter, Read: func() float64 {
		revision := engine.Revision()
		if revision == nil {
			return 0
		}
		memo := revision.Memo()
		return read(memo.Hits, memo.Misses)
	}}
}
