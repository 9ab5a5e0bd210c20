package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// CheckRoomWellFormed is the check that fails for facts about a room which nobody can read.
const CheckRoomWellFormed = "room.well_formed"

// roomInputs are the facts that the rules about rooms may read.
var roomInputs = map[string]bool{
	"input.v": true, "input.act": true, "input.party": true, "input.members": true, "input.roles": true,
	"input.purpose": true, "input.room_purpose": true, "input.mode": true, "input.template": true,
	"input.datasets": true, "input.columns": true,
}

// DecideRoom says whether an act in a clean room is allowed, and under which limits. An
// error, which wraps [ErrPolicy], is a no as well.
//
// What was decided before under equal facts is returned again, if it was proven when the
// revision was activated that this is exact: the rules read nothing else.
func (r *Revision) DecideRoom(ctx context.Context, facts RoomFacts) (RoomDecision, error) {
	input := facts.input(r.catalogue)
	if r.roomMemo == nil {
		return r.decideRoom(ctx, &input)
	}
	var buffer [1024]byte
	key := input.append(buffer[:0])
	if decision, ok := r.roomMemo.get(key); ok {
		decision.Failed = slices.Clone(decision.Failed)
		return decision, nil
	}
	decision, err := r.decideRoom(ctx, &input)
	if err == nil {
		kept := decision
		kept.Failed = slices.Clone(kept.Failed)
		r.roomMemo.put(key, kept)
	}
	return decision, err
}

func (r *Revision) decideRoom(ctx context.Context, input *roomInput) (decision RoomDecision, err error) {
	denied := RoomDecision{Failed: []string{CheckRoomWellFormed}, Policy: r.digest}
	facts := input.value()
	var value ast.Value
	for range slowTries {
		if value, err = r.evaluateRoom(ctx, facts, r.limit); !errors.Is(err, errSlow) {
			break
		}
	}
	if err == nil {
		decision, err = decodeRoom(value)
	}
	if err != nil {
		r.failures.count(err)
		return denied, fmt.Errorf("deciding in a room: %w", err)
	}
	decision.Policy = r.digest
	return decision, nil
}

// evaluateRoom asks the rules about rooms, which read the catalogue as it lies in memory.
func (r *Revision) evaluateRoom(ctx context.Context, input ast.Value, limit time.Duration) (ast.Value, error) {
	scratch := r.asked.open(nil)
	defer r.asked.close(scratch, nil, false)
	return evaluate(ctx, &r.room, input, limit, rego.EvalVirtualCache(scratch), rego.EvalBaseCache(r.asked))
}

// decodeRoom reads what the rules said. Whatever has another shape or contradicts itself is
// an error, and nothing is allowed on a guess.
func decodeRoom(value ast.Value) (RoomDecision, error) {
	object, ok := value.(ast.Object)
	if !ok || object.Len() != 4 {
		return RoomDecision{}, fmt.Errorf("reading what was decided: not an object of four: %w", ErrPolicy)
	}
	d := planDecoder{object: object}
	decision := RoomDecision{Allow: d.boolean(keyAllow), Failed: words[string](&d, keyFailed)}
	decision.MinimumPeople = int(d.number(ast.StringTerm("minimum_people")))
	decision.QueryCap = d.number(ast.StringTerm("query_cap"))
	switch {
	case d.bad != "":
		return RoomDecision{}, fmt.Errorf("reading what was decided: field %s: %w", d.bad, ErrPolicy)
	case decision.Allow == (len(decision.Failed) > 0),
		decision.Allow && (decision.MinimumPeople < 2 || decision.MinimumPeople > 1<<30 || decision.QueryCap < 0):
		return RoomDecision{}, fmt.Errorf("reading what was decided: it contradicts itself: %w", ErrPolicy)
	}
	return decision, nil
}

func (d *planDecoder) number(key *ast.Term) int64 {
	number, ok := d.get(key).(ast.Number)
	if !ok {
		d.bad = key.String()
		return 0
	}
	n, err := json.Number(number).Int64()
	if err != nil {
		d.bad = key.String()
	}
	return n
}
