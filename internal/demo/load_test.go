package demo

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/internal/assembly"
)

// Load brings the data of the story in and tells nothing. It returns everybody who was in
// it, without the members of the cast, whom the story needs.
func Load(ctx context.Context, house *assembly.House, audience Audience, config Config) ([]Person, ShopFacts, error) {
	s := &stage{house: house, audience: audience, config: config, story: &Story{}, members: map[role][]*Member{}}
	if err := s.load(ctx); err != nil {
		return nil, ShopFacts{}, err
	}
	people := NewShop(Seed, config.Now()).People
	if config.Data != "" {
		j, err := s.readJourney()
		if err != nil {
			return nil, ShopFacts{}, err
		}
		people = j.people(config.Now().UTC().Truncate(24 * time.Hour))
	}
	cast := map[string]bool{}
	for _, list := range s.members {
		for _, m := range list {
			cast[m.Customer] = true
		}
	}
	var others []Person
	for i := range people {
		if !cast[people[i].Customer] {
			others = append(others, people[i])
		}
	}
	return others, s.story.Shop, nil
}

// PersonWords are the words of people that must not stand in clear anywhere.
func PersonWords(people []Person) []string { return sortedWords(personWords(people)[1:]) }
