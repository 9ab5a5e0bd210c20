package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// load brings the shop in, through the same intake as any file.
func (s *stage) load(ctx context.Context) error {
	begin := time.Now()
	var err error
	if s.config.Data != "" {
		err = s.loadJourney(ctx)
	} else {
		err = s.loadShop(ctx)
	}
	if err != nil {
		return err
	}
	for _, list := range s.members {
		for _, m := range list {
			if err := s.resolve(ctx, m); err != nil {
				return err
			}
		}
	}
	// Personas are told in a crowd alone, and a crowd is counted by its profiles.
	if _, err := s.house.Refresher.RefreshAll(ctx, nil); err != nil {
		return fmt.Errorf("making profiles: %w", err)
	}
	s.story.Shop.LoadSeconds = time.Since(begin).Seconds()
	return nil
}

func (s *stage) loadShop(ctx context.Context) error {
	shop := NewShop(Seed, s.config.Now())
	groupOf := map[string]policies.GroupID{}
	for _, p := range products {
		groupOf[p.SKU] = policies.GroupID(p.Group)
	}
	history := map[string][]policies.GroupID{}
	for _, p := range shop.Purchases {
		history[p.Customer] = append(history[p.Customer], groupOf[p.SKU])
	}
	assignPersonas(s.catalogue(), shop.People, history)
	s.story.Shop.Name = "bundled shop"
	s.story.Shop.Synthetic = []string{"every person", "every purchase", "every consent"}
	s.cast(shop.People)

	var people, articles, purchases bytes.Buffer
	for _, err := range []error{WritePeople(&people, shop.People), WriteProducts(&articles), shop.WritePurchases(&purchases)} {
		if err != nil {
			return err
		}
	}
	if err := s.loadFile(ctx, "people.yaml", memory("people.csv", people.Bytes(), nil)); err != nil {
		return err
	}
	siblings := map[string][]byte{"products.csv": articles.Bytes()}
	return s.loadFile(ctx, "purchases.yaml", memory("purchases.ndjson", purchases.Bytes(), siblings))
}

// cast finds the members of the story among the people.
func (s *stage) cast(people []Person) {
	for i := range people {
		if part := people[i].role; part != none {
			s.members[part] = append(s.members[part], &Member{Person: people[i]})
		}
	}
}

// assignPersonas gives people the label that fits their history, unless fewer people
// than the catalogue's minimum would share it.
func assignPersonas(catalogue *policies.Catalogue, people []Person, history map[string][]policies.GroupID) {
	counts := map[policies.PersonaID]int{}
	labels := make([]policies.PersonaID, len(people))
	for i := range people {
		if label, found := catalogue.PersonaFor(history[people[i].Customer]); found && people[i].age >= 18 {
			labels[i] = label
			counts[label]++
		}
	}
	for i, label := range labels {
		if label != "" && counts[label] >= catalogue.PersonaMinimum() {
			people[i].Persona = string(label)
		}
	}
}

// memory is a source of intake that lies in memory.
func memory(name string, content []byte, siblings map[string][]byte) intake.Source {
	return intake.Source{
		Name: name, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		Sibling: func(name string) (intake.Source, error) {
			if content, found := siblings[name]; found {
				return memory(name, content, nil), nil
			}
			return intake.Source{}, fmt.Errorf("finding joined file: %w", privacy.ErrNotFound)
		},
	}
}

// loadFile loads one source by one of the demo's own mappings.
func (s *stage) loadFile(ctx context.Context, mapping string, source intake.Source) error {
	text, err := mapFiles.ReadFile("maps/" + mapping)
	if err != nil {
		return err
	}
	parsed, err := intake.ParseMapping(text)
	if err != nil {
		return err
	}
	return s.loadSource(ctx, parsed, source)
}

func (s *stage) loadSource(ctx context.Context, mapping *intake.Mapping, source intake.Source) error {
	summary, err := s.house.Loader.Load(ctx, source, mapping, intake.Options{
		Principal: privacy.Principal{ID: "demo-ingest", Role: privacy.RoleIngest},
		Progress:  &loadProgress{audience: s.audience, title: source.Name},
	})
	if err != nil {
		return fmt.Errorf("loading %s: %w", source.Name, err)
	}
	s.audience.Notice(fmt.Sprintf("loaded %s: %d rows, %d new people, %d new events, %.1f s",
		source.Name, summary.Accepted, summary.NewPersons, summary.NewEvents, summary.Duration.Seconds()))
	facts := &s.story.Shop
	facts.People += int(summary.NewPersons)
	facts.Events += int(summary.NewEvents)
	facts.Rejected += int(summary.Rejected)
	facts.Rows += int(summary.Rows)
	return nil
}

// loadProgress passes a load's progress to the audience.
type loadProgress struct {
	audience Audience
	title    string
	total    int64
}

func (p *loadProgress) Begin(total int64)      { p.total = total }
func (p *loadProgress) Step(rows, bytes int64) { p.audience.Progress(p.title, rows, bytes, p.total) }
func (p *loadProgress) End()                   {}
