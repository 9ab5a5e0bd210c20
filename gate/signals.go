package gate

import (
	"context"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/privacy"
)

// heed returns the records together with what the signals of the query take away, for the
// purpose and for those by whose objection it is bound. Each purpose is bound by the signals
// that the catalogue names for it.
func (r *request) heed(s *sheet, p *state) []consent.Record {
	if r.Signals == nil {
		return p.consents
	}
	records := p.consents
	apply := func(id privacy.Purpose) {
		if purpose, ok := s.catalogue.Purpose(id); ok {
			records = signal.Apply(records, r.Signals, id, purpose.Signals, p.at)
		}
	}
	apply(r.Purpose)
	if purpose, ok := s.catalogue.Purpose(r.Purpose); ok && purpose.Marketing {
		for _, general := range s.marketing {
			if general != r.Purpose {
				apply(general)
			}
		}
	}
	return records
}

// reject writes down, once for a query, which of its signals were not understood. They are
// no consent; that they came is no error.
func (g *Gate) reject(ctx context.Context, d *decision) error {
	r := d.request
	if r.Signals == nil || len(r.Signals.Rejections) == 0 || r.rejected {
		return nil
	}
	_, err := g.log.Append(ctx, audit.Event{
		Kind: audit.SignalRejected, Outcome: audit.Denied, Principal: d.principal, Subject: d.subject,
		Purpose: r.Purpose, Channel: r.Channel, Checks: r.Signals.Checks(),
	})
	if err != nil {
		return notLogged(err)
	}
	r.rejected = true
	return nil
}

// caseSignals are the signals that come with the question of a case.
type caseSignals struct {
	SecGPC      []string          `yaml:"sec_gpc"`
	TCF         string            `yaml:"tcf"`
	GPP         string            `yaml:"gpp"`
	ConsentMode map[string]string `yaml:"consent_mode"`
}

func (c *caseSignals) given() signal.Given {
	return signal.Given{SecGPC: c.SecGPC, TCF: c.TCF, GPP: c.GPP, ConsentMode: c.ConsentMode}
}
