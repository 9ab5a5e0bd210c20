package match_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// quotas counts in memory.
type quotas struct {
	declared *match.Declared
	events   []audit.Event
	err      error
}

func (q *quotas) Take(_ context.Context, t match.Taking, event audit.Event) (audit.Receipt, error) {
	if q.err != nil {
		return audit.Receipt{}, q.err
	}
	if q.declared == nil {
		q.declared = &match.Declared{Members: t.Members}
	}
	if q.declared.Members != t.Members {
		return audit.Receipt{}, match.OtherSize()
	}
	q.declared.Elements += int64(t.Elements)
	q.events = append(q.events, event)
	return audit.Committed([16]byte{1}, [32]byte{1}, uint64(len(q.events))), nil
}

func (q *quotas) Declared(context.Context, cleanroom.RoomID, cleanroom.DatasetRef, int) (match.Declared, error) {
	if q.declared == nil {
		return match.Declared{}, privacy.ErrNotFound
	}
	return *q.declared, nil
}

// TestOwnPeopleHaveThePartiesTokens: what the house masks by itself is what a party gets for the
// same people by asking blindly, counted in the same way.
func TestOwnPeopleHaveThePartiesTokens(t *testing.T) {
	t.Parallel()
	keys, q, log := newKeys(t), &quotas{}, &refusals{}
	desk := match.NewDesk(nil, q, func(context.Context) (*match.Keys, error) { return keys, nil }, log)
	room := &cleanroom.Room{ID: "duo", Epoch: 3, Matching: cleanroom.MatchOPRF, Members: []cleanroom.Member{{Party: "shop", Roles: []cleanroom.Role{cleanroom.OwnsData}}}}
	own := match.Own{Room: room, Dataset: cleanroom.DatasetRef{Owner: "shop", Dataset: "homes"}, List: audit.Digest{5}}
	var people []match.Seed
	for i := range match.MaxBatch + 3 {
		people = append(people, match.SeedOPRF(privacy.NewPlain(fmt.Sprintf("p%d@example.com", i))))
	}
	tokens, err := desk.Own(t.Context(), privacy.Principal{}, own, people)
	if err != nil {
		t.Fatal(err)
	}
	if len(q.events) != 2 || q.events[1].List != own.List || q.declared.Elements != int64(len(people)) || q.declared.Members != int64(2*len(people)) {
		t.Errorf("%d entries, %+v", len(q.events), q.declared)
	}
	key, err := keys.Evaluator("duo")
	if err != nil {
		t.Fatal(err)
	}
	party, err := match.NewOPRF(key.PublicKey(), "duo", 4, func(_ context.Context, epoch int, blinded [][]byte) (match.Evaluation, error) {
		return key.Evaluate(epoch, blinded)
	})
	if err != nil {
		t.Fatal(err)
	}
	some := []match.Seed{people[0], people[match.MaxBatch-1], people[match.MaxBatch+2]}
	asked, err := party.Mask(t.Context(), some)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(asked, []match.Token{tokens[0], tokens[match.MaxBatch-1], tokens[match.MaxBatch+2]}) {
		t.Error("the house's tokens are not those of a party")
	}
	// What is not counted is not masked.
	for name, test := range map[string]struct {
		change func(o *match.Own, r *cleanroom.Room)
		people []match.Seed
		want   error
		check  string
	}{
		"another owner":   {func(o *match.Own, _ *cleanroom.Room) { o.Dataset.Owner = "brand" }, people[:1], privacy.ErrForbidden, cleanroom.CheckRole},
		"owns no data":    {func(_ *match.Own, r *cleanroom.Room) { r.Members = []cleanroom.Member{{Party: "shop"}} }, people[:1], privacy.ErrForbidden, cleanroom.CheckRole},
		"another mode":    {func(_ *match.Own, r *cleanroom.Room) { r.Matching = cleanroom.MatchPair }, people[:1], privacy.ErrConflict, ""},
		"a closed room":   {func(_ *match.Own, r *cleanroom.Room) { r.ClosedAt = r.ClosedAt.AddDate(1, 1, 1) }, people[:1], privacy.ErrConflict, ""},
		"nobody":          {func(*match.Own, *cleanroom.Room) {}, nil, privacy.ErrInvalid, ""},
		"beyond what fit": {func(*match.Own, *cleanroom.Room) {}, append(slices.Clone(people), people...), match.ErrQuota, match.CheckQuota},
	} {
		o, r := own, *room
		o.Room = &r
		test.change(&o, &r)
		before := *q.declared
		if _, err := desk.Own(t.Context(), privacy.Principal{}, o, test.people); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if *q.declared != before {
			t.Errorf("%s: something was counted", name)
		}
		if got := log.take(); test.check == "" && got != nil || test.check != "" && (got == nil || got.Checks[0] != test.check || got.List != own.List) {
			t.Errorf("%s left %+v", name, got)
		}
	}
	q.err = privacy.ErrUnavailable
	if tokens, err := desk.Own(t.Context(), privacy.Principal{}, own, people[:1]); err == nil || tokens != nil {
		t.Errorf("without an entry: %v", err)
	}
}
