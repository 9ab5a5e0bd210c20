package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

const roomBody = `{"room":"spring","from":[{"dataset":"brand.segments","as":"s"}],"group_by":["s.segment"],"metrics":[{"fn":"people","as":"reach"}],` +
	`"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"campaign_measurement"}`

// fakeRooms answers as a room does.
type fakeRooms struct {
	*fake
	err error
}

var fakeLeft = []cleanroom.Left{{
	Dataset: cleanroom.DatasetRef{Owner: "brand", Dataset: "segments"}, Cap: 100_000_000, Spent: 1_250_000, ConsumerCap: 20_000_000, Consumed: 1_250_000,
}}

func (f *fakeRooms) Ask(context.Context, privacy.Principal, cleanroom.RoomID, []byte) (*cleanroom.Answer, error) {
	if f.err != nil {
		return nil, f.err
	}
	const answer = `{"groups":[{"key":{"brand.segments.segment":"gold"},"values":{"people":{"high":340,"low":260,"value":300}}}]}`
	return &cleanroom.Answer{
		Release: &cleanroom.Release{Answer: []byte(answer), Digest: audit.Digest{7}}, Names: map[string]string{"reach": "people"}, Receipt: receipt(42),
	}, nil
}

func (f *fakeRooms) Price(context.Context, privacy.Principal, cleanroom.RoomID, []byte) (*cleanroom.Price, error) {
	if f.err != nil {
		return nil, f.err
	}
	return &cleanroom.Price{
		Query: []byte(`{"room":"spring"}`), Cost: 1_250_000, MinimumPeople: 50, Threshold: 83, Left: fakeLeft, Questions: 15, Receipt: receipt(42),
		Metrics: []cleanroom.MetricPrice{{Name: "people", NoiseSD: 20, HalfWidth: 40}, {Name: "avg(brand.segments.points)", HalfWidth: 7, AverageOf: 1000}},
	}, nil
}

func (f *fakeRooms) Budget(context.Context, privacy.Principal, cleanroom.RoomID) (*cleanroom.Budget, error) {
	if f.err != nil {
		return nil, f.err
	}
	return &cleanroom.Budget{Room: "spring", Left: fakeLeft, Example: 1_250_000, Questions: []int64{15}}, nil
}

func askingRoom(path, body string) request {
	return request{target: path, token: "service", contentType: "application/json", body: body}
}

func TestRoomAnswers(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	const log = `"log":{"index":42,"leaf_hash":"`
	for path, want := range map[string]string{
		"/v1/rooms/spring/queries":       `{"release":{"groups":[{"key":{"brand.segments.segment":"gold"},"values":{"people":{"high":340,"low":260,"value":300}}}]},"digest":"07` + strings.Repeat("0", 62) + `","repeated":false,"names":{"reach":"people"},"released_at":"0001-01-01T00:00:00Z",` + log,
		"/v1/rooms/spring/queries:price": `{"question":"` + strings.Repeat("0", 64) + `","query":{"room":"spring"},"cost_nanorho":1250000,"minimum_people":50,"threshold":83,"metrics":[{"name":"people","noise_sd":20,"half_width":40},{"name":"avg(brand.segments.points)","average_of":1000,"half_width":7}],"left":[{"dataset":"brand.segments","cap_nanorho":100000000,"spent_nanorho":1250000,"consumer_cap_nanorho":20000000,"consumer_spent_nanorho":1250000,"left_nanorho":18750000}],"questions_left":15,` + log,
	} {
		w := do(s, askingRoom(path, roomBody))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, w.Code, w.Body, want)
		}
	}
	w := do(s, request{method: "GET", target: "/v1/rooms/spring/budget", token: "service"})
	const want = `{"room":"spring","example_nanorho":1250000,"left":[{"dataset":"brand.segments","cap_nanorho":100000000,"spent_nanorho":1250000,"consumer_cap_nanorho":20000000,"consumer_spent_nanorho":1250000,"left_nanorho":18750000,"questions_left":15}]}`
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What the errors of a room become. Where a place is told, nothing was charged.
func TestRoomProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{&privacy.FieldError{Pointer: "/where/0/val", Reason: "this is not in the column's domain"}, 422, `"type":"urn:mahrem:problem:invalid-request"`},
		{&privacy.FieldError{Pointer: "/where/0/val", Reason: "this is not in the column's domain"}, 422, `"errors":[{"pointer":"/where/0/val","reason":"this is not in the column's domain"}]`},
		{&cleanroom.Denied{Checks: []string{"room.special"}}, 403, `"type":"urn:mahrem:problem:room-denied"`},
		{&cleanroom.Denied{Checks: []string{"room.special"}}, 403, `"checks":["room.special"]`},
		{&cleanroom.Exhausted{Left: fakeLeft}, 409, `"type":"urn:mahrem:problem:room-budget-exhausted"`},
		{&cleanroom.Exhausted{Left: fakeLeft}, 409, `"left":[{"dataset":"brand.segments","cap_nanorho":100000000,`},
		{cleanroom.ErrFailed, 500, `"type":"urn:mahrem:problem:room-failed"`},
		{privacy.ErrUnavailable, 503, `"type":"urn:mahrem:problem:unavailable"`},
	} {
		f := &fake{}
		s := New(Services{Tokens: f, RoomQueries: &fakeRooms{f, test.err}}, Config{Log: slog.New(slog.DiscardHandler)})
		for _, path := range []string{"/v1/rooms/spring/queries", "/v1/rooms/spring/queries:price"} {
			if w := do(s, askingRoom(path, roomBody)); w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%s: %v becomes %d %s", path, test.err, w.Code, w.Body)
			}
		}
		if w := do(s, request{method: "GET", target: "/v1/rooms/spring/budget", token: "service"}); w.Code != test.status {
			t.Errorf("%v becomes %d", test.err, w.Code)
		}
	}
}

// Whatever went wrong with the data: the same status, the same bytes, the same headers, and
// nothing in the operator's log that could say more.
func TestRoomFailuresAreOne(t *testing.T) {
	t.Parallel()
	var first string
	for _, cause := range []error{errors.New("bigint out of range"), privacy.ErrUnavailable, privacy.ErrInvalid, context.DeadlineExceeded, audit.ErrUnvouched, &cleanroom.Denied{}} {
		var seen bytes.Buffer
		f := &fake{}
		service := cleanroom.New(failingRooms{}, allowAll{}, failingRooms{}, failingRooms{cause}, nil, failingRooms{}, cleanroom.Config{Limit: 1, Grid: 1})
		s := New(Services{Tokens: f, RoomQueries: service}, Config{Log: slog.New(slog.NewTextHandler(&seen, nil))})
		r := askingRoom("/v1/rooms/spring/queries", roomBody)
		r.header = map[string]string{"X-Request-ID": "6f1c2d3e4f5061728394a5b6c7d8e9f0"}
		w := do(s, r)
		header, err := json.Marshal(w.Header())
		if err != nil {
			t.Fatal(err)
		}
		got := http.StatusText(w.Code) + string(header) + w.Body.String()
		if !strings.Contains(got, "room-failed") {
			t.Fatalf("%v: %s", cause, got)
		}
		if first == "" {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("%v can be told apart: %s", cause, diff)
		}
		if strings.Contains(seen.String(), cause.Error()) {
			t.Errorf("the server's log says %s", seen.String())
		}
	}
}

type allowAll struct{}

func (allowAll) DecideRoom(context.Context, policies.RoomFacts) (policies.RoomDecision, error) {
	return policies.RoomDecision{Allow: true}, nil
}

// failingRooms is a room in which every charged question fails.
type failingRooms struct{ cause error }

func (f failingRooms) Append(context.Context, audit.Event) (audit.Receipt, error) {
	return receipt(1), nil
}

func (f failingRooms) RoomOf(context.Context, cleanroom.RoomID) (*cleanroom.Room, error) {
	return &cleanroom.Room{ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private, Members: []cleanroom.Member{
		{Party: "brand", Roles: []cleanroom.Role{cleanroom.OwnsData}}, {Party: "shop", Roles: []cleanroom.Role{cleanroom.MayQuery}},
	}}, nil
}

func (f failingRooms) contract() *cleanroom.SignedContract {
	return &cleanroom.SignedContract{Contract: &cleanroom.Contract{
		Owner: "brand", Dataset: "segments", Version: 1, Unit: "person", Purposes: []privacy.Purpose{"campaign_measurement"},
		Columns:  []cleanroom.Column{{Name: "segment", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "segments", Domain: []string{"gold"}}},
		QueryCap: cleanroom.OneRho, MinimumPeople: 50, MaxGroupsPerPerson: 1, AdHoc: true,
	}}
}

func (f failingRooms) ContractsOf(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return []*cleanroom.SignedContract{f.contract()}, nil
}

func (f failingRooms) SnapshotsOf(context.Context, cleanroom.RoomID) ([]cleanroom.MatchedSnapshot, error) {
	return []cleanroom.MatchedSnapshot{{ID: 1, Dataset: f.contract().Ref(), Prepared: f.contract()}}, nil
}

func (f failingRooms) Template(context.Context, cleanroom.RoomID, string, int) (*cleanroom.SignedTemplate, error) {
	return nil, privacy.ErrNotFound
}

func (f failingRooms) Begin(context.Context, cleanroom.Charge, audit.Event) (cleanroom.Run, error) {
	return cleanroom.Run{ID: 1, Receipt: receipt(1)}, nil
}

func (f failingRooms) Finish(context.Context, cleanroom.RunID, *cleanroom.Release, audit.Event) (audit.Receipt, error) {
	return receipt(2), nil
}

func (f failingRooms) Fail(context.Context, cleanroom.RunID, audit.Event) error { return nil }

func (f failingRooms) Repeat(context.Context, cleanroom.Charge, audit.Event) (audit.Receipt, error) {
	return receipt(2), nil
}

func (f failingRooms) Left(context.Context, cleanroom.PartyID, []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	return fakeLeft, nil
}

func (f failingRooms) Run(context.Context, cleanroom.RoomID, *cleanroom.Plan) ([]cleanroom.Group, error) {
	return nil, f.cause
}
