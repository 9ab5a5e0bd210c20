package gate

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// caseRoom is an act in a clean room, as a case asks about it: no person is in it.
type caseRoom struct {
	Act     policies.RoomAct      `yaml:"act"`
	Party   privacy.RecipientID   `yaml:"party"`
	Members []privacy.RecipientID `yaml:"members"`
	Roles   []string              `yaml:"roles"`
	Purpose privacy.Purpose       `yaml:"purpose"`
	// RoomPurpose is the room's, if it is another than that of the act.
	RoomPurpose privacy.Purpose   `yaml:"room_purpose"`
	Mode        string            `yaml:"mode"`
	Template    bool              `yaml:"template"`
	Datasets    []caseRoomDataset `yaml:"datasets"`
	Columns     []caseRoomColumn  `yaml:"columns"`
}

type caseRoomDataset struct {
	Owner    privacy.RecipientID `yaml:"owner"`
	Purposes []privacy.Purpose   `yaml:"purposes"`
	Source   string              `yaml:"source"`
	AdHoc    bool                `yaml:"ad_hoc"`
}

type caseRoomColumn struct {
	Dataset    int                  `yaml:"dataset"`
	Category   privacy.DataCategory `yaml:"category"`
	Role       string               `yaml:"role"`
	Name       string               `yaml:"name"`
	Vocabulary string               `yaml:"vocabulary"`
	Values     []string             `yaml:"values"`
	Other      string               `yaml:"other"`
}

func (c *caseRoom) facts() policies.RoomFacts {
	facts := policies.RoomFacts{
		Act: c.Act, Party: c.Party, Members: c.Members, Roles: c.Roles, Purpose: c.Purpose, RoomPurpose: c.RoomPurpose,
		Mode: c.Mode, Template: c.Template,
	}
	if facts.RoomPurpose == "" {
		facts.RoomPurpose = c.Purpose
	}
	for _, d := range c.Datasets {
		facts.Datasets = append(facts.Datasets, policies.RoomDataset(d))
	}
	for _, column := range c.Columns {
		facts.Columns = append(facts.Columns, policies.RoomColumn(column))
	}
	return facts
}

// play decides about the act, and compares the limits with what the case expects.
func (c *caseRoom) play(ctx context.Context, s *sheet, expect *caseExpect) (Answer, audit.Event, []string, error) {
	decision, err := s.revision.DecideRoom(ctx, c.facts())
	for n := 1; n < patience && errors.Is(err, policies.ErrPolicy); n++ {
		decision, err = s.revision.DecideRoom(ctx, c.facts())
	}
	if err != nil {
		return Answer{}, audit.Event{}, nil, fmt.Errorf("deciding about a room: %w", err)
	}
	var failures []string
	if decision.MinimumPeople != expect.MinimumPeople {
		failures = append(failures, fmt.Sprintf("minimum_people: got %d, want %d", decision.MinimumPeople, expect.MinimumPeople))
	}
	if decision.QueryCap != expect.QueryCap {
		failures = append(failures, fmt.Sprintf("query_cap: got %d, want %d", decision.QueryCap, expect.QueryCap))
	}
	return yesOrNo(decision.Allow), audit.Event{Checks: decision.Failed}, failures, nil
}
