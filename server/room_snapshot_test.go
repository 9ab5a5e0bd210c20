package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/admit"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// fakeAdmitter reads everything; a body "waiting" waits.
type fakeAdmitter struct{ *fake }

func (f fakeAdmitter) Admit(_ context.Context, _ privacy.Principal, room cleanroom.RoomID, in io.Reader) (*admit.Admitted, error) {
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, errors.Join(prepare.ErrInput, err)
	}
	out := &admit.Admitted{Room: room, Dataset: cleanroom.DatasetRef{Owner: "shop", Dataset: "segments"}, Epoch: 4, Manifest: [32]byte{1}}
	if out.Waiting = strings.Contains(string(text), "waiting"); !out.Waiting && !f.unlogged {
		out.Receipt = receipt(49)
	}
	if out.Before = strings.Contains(string(text), "before"); out.Before {
		out.Receipt = audit.Receipt{}
	}
	return out, f.err
}

// manifestText names the delivery of which fakeAdmitter knows.
const manifestText = "0100000000000000000000000000000000000000000000000000000000000000"

func (f fakeAdmitter) Standing(_ context.Context, by privacy.Principal, room cleanroom.RoomID, manifest audit.Digest) (*admit.Standing, error) {
	if room != "snacks" || manifest != (audit.Digest{1}) || by.Role != privacy.RoleService {
		return nil, privacy.ErrNotFound
	}
	return &admit.Standing{
		Room: room, Dataset: cleanroom.DatasetRef{Owner: "shop", Dataset: "segments"}, Epoch: 4, Manifest: manifest,
		State: cleanroom.SnapshotLoading, MemberChunks: 12, RowChunks: 3, KeptUntil: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
	}, f.err
}

func TestAdmitSnapshot(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{SnapshotLimit: 100})
	call := request{target: "/v1/rooms/snacks/snapshots", token: "service", contentType: "application/x-ndjson", body: "{}\n"}
	w := do(s, call)
	mustStatus(t, w, http.StatusCreated)
	manifest := `"manifest":"01` + strings.Repeat("0", 62) + `"`
	want := `{"room":"snacks","dataset":"shop.segments","epoch":4,` + manifest + `,"state":"staged","log":{"index":49,"leaf_hash":"ab00cd` + strings.Repeat("0", 58) + `"}}`
	if w.Body.String() != want {
		t.Errorf("answered %s", w.Body)
	}
	waiting := call
	waiting.body = "waiting"
	w = do(s, waiting)
	mustStatus(t, w, http.StatusAccepted)
	if want := `{"room":"snacks","dataset":"shop.segments","epoch":4,` + manifest + `,"state":"waiting"}`; w.Body.String() != want {
		t.Errorf("answered %s", w.Body)
	}
	before := call
	before.body = "before"
	w = do(s, before)
	mustStatus(t, w, http.StatusOK)
	if want := `{"room":"snacks","dataset":"shop.segments","epoch":4,` + manifest + `,"state":"staged"}`; w.Body.String() != want {
		t.Errorf("answered %s", w.Body)
	}
	large, typed, asked := call, call, call
	large.body, typed.contentType, asked.target = strings.Repeat("x", 101), "application/json", call.target+"?force=1"
	mustStatus(t, do(s, large), http.StatusRequestEntityTooLarge)
	mustStatus(t, do(s, typed), http.StatusUnsupportedMediaType)
	mustStatus(t, do(s, asked), http.StatusBadRequest)
	for err, status := range map[error]int{
		cleanroom.ErrDuplicates: http.StatusUnprocessableEntity, cleanroom.ErrSizes: http.StatusUnprocessableEntity,
		cleanroom.ErrReplaced: http.StatusUnprocessableEntity, cleanroom.ErrBegun: http.StatusUnprocessableEntity,
		errors.Join(cleanroom.ErrMoved, privacy.ErrConflict): http.StatusConflict, cleanroom.ErrTooFew: http.StatusUnprocessableEntity, privacy.ErrConflict: http.StatusConflict, prepare.ErrInput: http.StatusBadRequest,
		&cleanroom.Denied{Checks: []string{"room_member"}}: http.StatusForbidden, privacy.ErrUnavailable: http.StatusServiceUnavailable,
	} {
		mustStatus(t, do(newServer(&fake{err: err}, Config{}), call), status)
	}
	w = do(newServer(&fake{err: fmt.Errorf("admitting: %w", &cleanroom.Denied{Checks: []string{"room_owner"}})}, Config{}), call)
	if !strings.Contains(w.Body.String(), `"type":"urn:mahrem:problem:room-denied"`) || !strings.Contains(w.Body.String(), `"checks":["room_owner"]`) {
		t.Errorf("what is not allowed is told as %s", w.Body)
	}
	// Without evidence there is no answer.
	mustStatus(t, do(newServer(&fake{unlogged: true}, Config{}), call), http.StatusInternalServerError)
}

// One party, however slowly it sends, leaves places to others.
func TestPlacesOfOneParty(t *testing.T) {
	t.Parallel()
	p := newPlaces(4)
	var leaves []func()
	for range 2 {
		leave, ok := p.enter("shop")
		if !ok {
			t.Fatal("there is no place for the first two")
		}
		leaves = append(leaves, leave)
	}
	if _, ok := p.enter("shop"); ok {
		t.Error("one party has more than half of the places")
	}
	for range 2 {
		if _, ok := p.enter("brand"); !ok {
			t.Error("another party has no place")
		}
	}
	if _, ok := p.enter("agency"); ok {
		t.Error("there are more places than there are")
	}
	leaves[0]()
	if _, ok := p.enter("shop"); !ok {
		t.Error("a place that was left is not free")
	}
	alone := newPlaces(1)
	if _, ok := alone.enter("shop"); !ok {
		t.Error("a single place is for nobody")
	}
}

func TestShowSnapshot(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	call := request{method: "GET", target: "/v1/rooms/snacks/snapshots/" + manifestText, token: "service"}
	w := do(s, call)
	mustStatus(t, w, http.StatusOK)
	want := `{"room":"snacks","dataset":"shop.segments","epoch":4,"manifest":"` + manifestText + `","state":"loading",` +
		`"member_chunks":12,"row_chunks":3,"kept_until":"2026-05-04T03:02:01Z"}`
	if w.Body.String() != want {
		t.Errorf("answered %s", w.Body)
	}
	for _, target := range []string{
		"/v1/rooms/others/snapshots/" + manifestText, "/v1/rooms/snacks/snapshots/02" + manifestText[2:],
		"/v1/rooms/snacks/snapshots/" + manifestText[2:], "/v1/rooms/snacks/snapshots/x" + manifestText[1:], "/v1/rooms/snacks/snapshots/" + manifestText + "00",
	} {
		other := call
		other.target = target
		mustStatus(t, do(s, other), http.StatusNotFound)
	}
	asked := call
	asked.target += "?wait=1"
	mustStatus(t, do(s, asked), http.StatusBadRequest)
	mustStatus(t, do(newServer(&fake{err: privacy.ErrUnavailable}, Config{}), call), http.StatusServiceUnavailable)
}

// A line over which nothing comes any more does not keep its place, and whoever is at its end
// may try again.
func TestASilentLineIsBroken(t *testing.T) {
	t.Parallel()
	house := httptest.NewServer(newServer(&fake{}, Config{SnapshotPatience: 50 * time.Millisecond, SnapshotSlots: 1}))
	defer house.Close()
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	go func() { _, _ = out.Write([]byte("{}\n")) }() // and then nothing
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, house.URL+"/v1/rooms/snacks/snapshots", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer service")
	r.Header.Set("Content-Type", "application/x-ndjson")
	response, err := house.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s", response.Status)
	}
}
