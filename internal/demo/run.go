package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Config says what the story is told on.
type Config struct {
	// Data is a directory with the files of the Complete Journey. Empty means the
	// bundled shop.
	Data string
	// Home is where somebody can go on after the story; empty means that nothing is kept.
	Home string
	// Now is today; nil means time.Now.
	Now func() time.Time
}

// Member is somebody who appears in the story.
type Member struct {
	Person
	id privacy.DataSubjectID
}

// Name is the full name.
func (m *Member) Name() string { return m.FirstName + " " + m.LastName }

// stage is what the acts work with.
type stage struct {
	house    *assembly.House
	audience Audience
	config   Config
	story    *Story
	members  map[role][]*Member
	dpo      privacy.Principal
}

// Run loads the data into an empty house and tells the story. The story is returned also
// when a claim does not hold; an error means that it could not be told.
func Run(ctx context.Context, house *assembly.House, audience Audience, config Config) (*Story, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	begin := time.Now()
	s := &stage{
		house: house, audience: audience, config: config, story: &Story{},
		members: map[role][]*Member{}, dpo: privacy.Principal{ID: "demo-dpo", Role: privacy.RoleDPO},
	}
	if err := s.load(ctx); err != nil {
		return nil, fmt.Errorf("loading the shop: %w", err)
	}
	for _, act := range []struct {
		id  string
		run func(context.Context, *Act) error
	}{
		{"same-question", s.sameQuestion},
		{"pregnancy", s.pregnancy},
		{"withdrawal", s.withdrawal},
		{"greeting", s.greeting},
		{"manners", s.manners},
		{"desk", s.desk},
		{"reidentification", s.reidentification},
		{"erasure", s.erasure},
		{"clean-room", s.room},
		{"log", s.log},
		{"market", s.market},
	} {
		played := Act{ID: act.id}
		if err := act.run(ctx, &played); err != nil {
			return nil, fmt.Errorf("playing %s: %w", act.id, err)
		}
		s.story.Acts = append(s.story.Acts, played)
		audience.Act(played)
	}
	s.next()
	s.story.Shop.TotalSeconds = time.Since(begin).Seconds()
	s.story.Holds = len(s.story.Failed()) == 0
	return s.story, nil
}

// first returns the first member with a part, or nil when the data has none.
func (s *stage) first(part role) *Member {
	if list := s.members[part]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// question is one query of the story.
type question struct {
	recipient  privacy.RecipientID
	purpose    privacy.Purpose
	channel    privacy.Channel
	attributes []privacy.AttributeName
	trigger    time.Time
	token      string
	// caseNumber is the case that the asker handles.
	caseNumber string
	// identifier is used instead of the recipient's pseudonym.
	identifier privacy.Identifier
}

// ask puts a question to the gate, as the HTTP API does.
func (s *stage) ask(ctx context.Context, m *Member, q question) (gate.Answer, error) {
	query := gate.Query{Purpose: q.purpose, Channel: q.channel, Attributes: q.attributes, ConsentToken: q.token, Case: q.caseNumber}
	if q.identifier.Kind != "" {
		query.DataSubject.Identifier = q.identifier
	} else {
		text, err := s.pseudonym(q.recipient, m)
		if err != nil {
			return gate.Answer{}, err
		}
		query.DataSubject.Pseudonym = text
	}
	if !q.trigger.IsZero() {
		query.Trigger = &gate.Trigger{OccurredAt: q.trigger}
	}
	principal := privacy.Principal{ID: string(q.recipient), Role: privacy.RoleService, Recipient: q.recipient}
	return s.house.Gate.Ask(ctx, principal, query)
}

// pseudonym is what a recipient calls a member.
func (s *stage) pseudonym(recipient privacy.RecipientID, m *Member) (string, error) {
	names, err := s.house.Pseudonyms.Of(recipient)
	if err != nil {
		return "", err
	}
	text, err := names.Of(m.id)
	return string(text), err
}

// resolve finds out under which id a member was stored.
func (s *stage) resolve(ctx context.Context, m *Member) (err error) {
	m.id, err = s.house.People.ResolveIdentifier(ctx, m.customerNumber())
	if errors.Is(err, privacy.ErrNotFound) {
		err = fmt.Errorf("a member of the cast was not loaded: %w", err)
	}
	return err
}

func (m *Member) customerNumber() privacy.Identifier {
	return privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(m.Customer)}
}

func (s *stage) catalogue() *policies.Catalogue { return s.house.Engine.Revision().Catalogue() }
