package retention

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Withholder picks out of an erasure what law or a legal hold forbids to destroy.
type Withholder struct {
	catalogue func() *policies.Catalogue
	keys      tagger
}

// tagger makes the tags by which the scopes of holds are compared; [vault.Vault] does.
type tagger interface {
	WordTag(words ...string) [16]byte
}

var _ dsar.Withholder = (*Withholder)(nil)

// NewWithholder returns one that goes by the exceptions of the catalogue in force.
func NewWithholder(catalogue func() *policies.Catalogue, keys tagger) (*Withholder, error) {
	if catalogue == nil || keys == nil {
		return nil, fmt.Errorf("making withholder without catalogue or keys: %w", privacy.ErrInvalid)
	}
	return &Withholder{catalogue, keys}, nil
}

// GroundHold is the ground of what a legal hold keeps.
const GroundHold = "legal_hold"

// claims is where the law of data protection makes room for legal claims. Everywhere else
// it is GDPR Article 17(3)(e).
var claims = map[privacy.Jurisdiction]string{
	"TR": "KVKK-5-2-e", "UK": "UK-GDPR-17-3-e", "US-CA": "US-CA-1798.145-a", "BR": "BR-13709-7-VI",
}

// reason is why something is kept: one of the two is set.
type reason struct {
	exception policies.ExceptionID
	hold      [16]byte
}

// part is what is kept of one category for one reason until one moment.
type part struct {
	reason
	category  privacy.DataCategory
	attribute privacy.AttributeName
	until     time.Time
}

func (p part) compare(other part) int {
	return cmp.Or(cmp.Compare(p.category, other.category), cmp.Compare(p.attribute, other.attribute),
		cmp.Compare(p.exception, other.exception), slices.Compare(p.hold[:], other.hold[:]), p.until.Compare(other.until))
}

// Withhold is [dsar.Withholder]'s. What is kept for two reasons is kept twice, each until
// its own reason ends.
func (w *Withholder) Withhold(ctx context.Context, input dsar.WithholdInput) ([]dsar.Kept, error) {
	catalogue := w.catalogue()
	jurisdiction := catalogue.JurisdictionOf(string(input.Jurisdiction))
	exceptions := catalogue.RetentionExceptions(jurisdiction, input.At)
	var scopes map[[16]byte]dsar.HoldScope
	if len(input.Holds) > 0 {
		scopes = dsar.HoldScopes(catalogue, w.keys)
	}
	events := map[part][]vault.Event{}
	// last is until when the last event of an exception is kept.
	last := map[policies.ExceptionID]time.Time{}
	for _, stream := range input.Streams {
		// A stream that nothing can keep is not read.
		if len(input.Holds) == 0 && !slices.ContainsFunc(exceptions, func(e *policies.RetentionException) bool { return slices.Contains(e.Events, stream) }) {
			continue
		}
		err := input.Events(ctx, stream, func(chunk []vault.Event) error {
			for _, event := range chunk {
				for _, e := range exceptions {
					if until := wholeMonth(e.Ends(event.At)); e.Covers(stream, event.Type) && until.After(input.At) {
						p := part{reason: reason{exception: e.ID}, category: stream, until: until}
						events[p] = append(events[p], event)
						if until.After(last[e.ID]) {
							last[e.ID] = until
						}
					}
				}
				for _, hold := range input.Holds {
					// A hold on a word that the catalogue does not have any more keeps everything.
					if scopes[hold.Scope].Covers(stream, "") {
						p := part{reason: reason{hold: hold.Hold}, category: stream}
						events[p] = append(events[p], event)
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading events to withhold: %w", err)
		}
	}
	records := map[part]vault.Record{}
	for category, record := range input.Records {
		for name, field := range record {
			for _, e := range exceptions {
				if until, any := last[e.ID]; any && slices.Contains(e.Attributes, name) {
					records[part{reason: reason{exception: e.ID}, category: category, attribute: name, until: until}] = vault.Record{name: field}
				}
			}
			for _, hold := range input.Holds {
				scope := scopes[hold.Scope]
				if !scope.Covers(category, name) {
					continue
				}
				p := part{reason: reason{hold: hold.Hold}, category: category, attribute: scope.Attribute}
				if records[p] == nil {
					records[p] = vault.Record{}
				}
				records[p][name] = field
			}
		}
	}
	return w.list(catalogue, jurisdiction, events, records), nil
}

// wholeMonth is the first moment of a month that is no earlier than t: years of events end
// in a few steps and not in one for each event.
func wholeMonth(t time.Time) time.Time {
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	if first.Equal(t) {
		return first
	}
	return first.AddDate(0, 1, 0)
}

// list brings what is kept into its one order.
func (w *Withholder) list(catalogue *policies.Catalogue, jurisdiction privacy.Jurisdiction, events map[part][]vault.Event, records map[part]vault.Record) []dsar.Kept {
	parts := slices.Collect(maps.Keys(events))
	for p := range records {
		if _, both := events[p]; !both {
			parts = append(parts, p)
		}
	}
	slices.SortFunc(parts, part.compare)
	list := make([]dsar.Kept, 0, len(parts))
	for _, p := range parts {
		k := dsar.Kept{
			Withheld: dsar.Withheld{Category: p.category, Attribute: p.attribute, Until: p.until},
			Hold:     p.hold, Record: records[p], Events: events[p],
		}
		if p.exception == "" {
			k.Ground, k.Article = GroundHold, cmp.Or(claims[jurisdiction], "GDPR-17-3-e")
		} else {
			e, _ := catalogue.RetentionException(p.exception)
			k.Ground, k.Article = string(e.Ground), e.Article
		}
		k.Items = int64(len(k.Events))
		for _, field := range k.Record {
			k.Items += int64(len(field.Values))
		}
		list = append(list, k)
	}
	return list
}
