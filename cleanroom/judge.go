package cleanroom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Judged is a question that may be asked.
type Judged struct {
	Principal privacy.Principal
	Room      *Room
	Member    Member
	Question  *Question
	Policy    audit.Digest // of the policies that let it through

	digest audit.Digest
}

// Intent is what is about to be done with a question.
type Intent struct {
	Act  policies.RoomAct
	Role Role // that the party must have
}

// Asking is the intent to have an answer computed.
func Asking() Intent { return Intent{policies.QueryRoom, MayQuery} }

// Activating is the intent to have an audience made of the people whom a question is about.
func Activating() Intent { return Intent{policies.ActivateFromRoom, MayActivate} }

// Judge reads a question, looks it up and asks the policies. Nothing of it reads data. What is
// not allowed is written down, with a [Denied]; what says something impossible is a
// [privacy.FieldError].
func (s *Service) Judge(ctx context.Context, principal privacy.Principal, id RoomID, document []byte, intent Intent) (*Judged, error) {
	query, err := ParseQuery(document)
	if err != nil {
		return nil, err
	}
	if query.Room != id {
		return nil, fault("/room", "this is another room than that of the address")
	}
	j, err := s.enter(ctx, principal, id, intent.Role)
	if err != nil {
		return nil, err
	}
	scope, err := s.scope(ctx, j.Room)
	if err != nil {
		return nil, err
	}
	scope.Activating = intent.Act == policies.ActivateFromRoom
	if query.Template == "" {
		j.Question, err = NewQuestion(query, scope, false)
	} else {
		j.Question, err = s.followed(ctx, j, query, scope)
	}
	if err != nil {
		return nil, err
	}
	if err := s.decide(ctx, j, intent.Act); err != nil {
		return nil, err
	}
	if scope.Activating && j.Room.Mode != Private {
		return nil, s.deny(ctx, j, CheckMode) // whatever the policies say
	}
	j.digest = j.Question.Digest()
	return j, nil
}

// enter returns a room that a principal's party is in with a role; without a role any will do.
func (s *Service) enter(ctx context.Context, principal privacy.Principal, id RoomID, role Role) (*Judged, error) {
	j := &Judged{Principal: principal}
	room, err := s.rooms.RoomOf(ctx, id)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, fmt.Errorf("reading room: %w", err)
	}
	ok := err == nil && principal.Role == privacy.RoleService && principal.Recipient != ""
	if ok {
		j.Room = room
		j.Member, ok = room.Member(principal.Recipient)
		ok = ok && room.ClosedAt.IsZero()
	}
	switch {
	case !ok:
		return nil, s.deny(ctx, j, CheckMember)
	case role != "" && !j.Member.Has(role):
		return nil, s.deny(ctx, j, CheckRole)
	}
	return j, nil
}

// deny writes down a refusal and returns it.
func (s *Service) deny(ctx context.Context, j *Judged, checks ...string) error {
	event := audit.Event{Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: j.Principal, Checks: checks, Policy: j.Policy}
	if j.Room != nil {
		event.Purpose = j.Room.Purpose
	}
	if j.Question != nil {
		event.List = j.Question.Digest()
	}
	if _, err := s.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return &Denied{Checks: checks}
}

func (s *Service) scope(ctx context.Context, room *Room) (*Scope, error) {
	contracts, err := s.rooms.ContractsOf(ctx, room.ID)
	if err != nil {
		return nil, fmt.Errorf("reading contracts: %w", err)
	}
	snapshots, err := s.rooms.SnapshotsOf(ctx, room.ID)
	if err != nil {
		return nil, fmt.Errorf("reading snapshots: %w", err)
	}
	return &Scope{Room: room, Contracts: contracts, Snapshots: snapshots}, nil
}

// followed looks up a query that follows a template.
func (s *Service) followed(ctx context.Context, j *Judged, query *Query, scope *Scope) (*Question, error) {
	name, version, _ := splitTemplate(query.Template)
	signed, err := s.rooms.Template(ctx, j.Room.ID, name, version)
	switch {
	case errors.Is(err, privacy.ErrNotFound):
		return nil, s.deny(ctx, j, CheckTemplate)
	case err != nil:
		return nil, fmt.Errorf("reading template: %w", err)
	}
	for _, member := range j.Room.Members {
		if (member.Party == j.Member.Party || member.Has(OwnsData)) && !slices.Contains(signed.Signers, member.Party) {
			return nil, s.deny(ctx, j, CheckTemplate)
		}
	}
	filled, err := signed.Template.Fill(query)
	if err != nil {
		return nil, err
	}
	question, err := NewQuestion(filled, scope, true)
	if err != nil || len(query.From) == 0 {
		return question, err
	}
	// The asker has said it all: it must be the same.
	said, err := NewQuestion(query, scope, true)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(said.Canonical(), question.Canonical()) {
		return nil, fault("/template", "the query does not follow the template")
	}
	return said, nil
}

// decide asks the policies, and tightens the rule by what they say.
func (s *Service) decide(ctx context.Context, j *Judged, act policies.RoomAct) error {
	q := j.Question
	decision, err := s.policy.DecideRoom(ctx, q.facts(j, act))
	j.Policy = decision.Policy
	if err != nil || !decision.Allow {
		checks := decision.Failed
		if len(checks) == 0 {
			checks = []string{policies.CheckRoomWellFormed}
		}
		return s.deny(ctx, j, checks...)
	}
	q.Rule.MinimumPeople = max(q.Rule.MinimumPeople, decision.MinimumPeople)
	if decision.QueryCap > 0 {
		q.Rule.QueryCap = min(q.Rule.QueryCap, Rho(decision.QueryCap))
	}
	return q.CheckCost(q.Rule.QueryCap)
}

// facts are what the policies look at: the datasets that are touched, and those of their
// columns that are.
func (q *Question) facts(j *Judged, act policies.RoomAct) policies.RoomFacts {
	facts := policies.RoomFacts{
		Act: act, Party: j.Member.Party, Purpose: q.query.Purpose, RoomPurpose: j.Room.Purpose,
		Mode: string(j.Room.Mode), Template: q.template,
	}
	for _, member := range j.Room.Members {
		facts.Members = append(facts.Members, member.Party)
	}
	for _, role := range j.Member.Roles {
		facts.Roles = append(facts.Roles, string(role))
	}
	for i := range q.sources {
		c := q.sources[i].contract.Contract
		facts.Datasets = append(facts.Datasets, policies.RoomDataset{Owner: c.Owner, Purposes: c.Purposes, Source: string(c.Source), AdHoc: c.AdHoc})
		for k := range c.Columns {
			if q.touches(i, &c.Columns[k]) {
				facts.Columns = append(facts.Columns, factOf(i, &c.Columns[k]))
			}
		}
	}
	return facts
}

// AdmissionFacts are what the policies decide on when a contract is signed, in whichever room
// its dataset may come.
func AdmissionFacts(c *Contract, purpose privacy.Purpose) policies.RoomFacts {
	facts := policies.RoomFacts{
		Act: policies.AdmitToRoom, Party: c.Owner, Members: []privacy.RecipientID{c.Owner}, Roles: []string{string(OwnsData)},
		Purpose: purpose, RoomPurpose: purpose, Mode: string(Private),
		Datasets: []policies.RoomDataset{{Owner: c.Owner, Purposes: c.Purposes, Source: string(c.Source), AdHoc: c.AdHoc}},
	}
	for i := range c.Columns {
		facts.Columns = append(facts.Columns, factOf(0, &c.Columns[i]))
	}
	return facts
}

// touches reports whether the question says a column of one of its sources.
func (q *Question) touches(source int, column *Column) bool {
	return slices.ContainsFunc(q.sources[source].filters, func(f filter) bool { return f.column == column }) ||
		slices.ContainsFunc(q.keys, func(k key) bool { return k.column == column }) ||
		slices.ContainsFunc(q.measures, func(m measure) bool { return m.column == column })
}

// factOf is what the policies look at of a column.
func factOf(dataset int, column *Column) policies.RoomColumn {
	return policies.RoomColumn{
		Dataset: dataset, Category: column.Category, Role: string(column.Role), Name: column.Name, Vocabulary: column.Vocabulary,
		Values: column.Domain, Other: column.Other,
	}
}
