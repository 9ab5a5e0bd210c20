package admit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// people make a delivery of five chunks: three of members would be too slow in pair mode.
const people = 2*prepare.ChunkSize + 100

func delivery(t testing.TB, dir string) *prepare.Delivery {
	t.Helper()
	d, err := prepare.OpenDelivery(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// from is what a delivery is on its way from a chunk on.
func from(t testing.TB, d *prepare.Delivery, chunk int) []byte {
	t.Helper()
	in, size, err := d.From(chunk)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil || int64(len(text)) != size {
		t.Fatalf("%d bytes were announced, and %d come: %v", size, len(text), err)
	}
	return text
}

func cut(text []byte, at int) io.Reader {
	return io.MultiReader(bytes.NewReader(text[:at]), iotest.ErrReader(errors.New("gone")))
}

// However often and wherever a line breaks, what is admitted is what came over one that held.
func TestADeliveryGoesOnWhereItsLineBroke(t *testing.T) {
	t.Parallel()
	whole, broken := newHouse(t, cleanroom.MatchOperator), newHouse(t, cleanroom.MatchOperator)
	dir := whole.prepared(t, people, match.NewOperator(), nil)
	broken.keys, broken.public, broken.contract = whole.keys, whole.public, whole.contract
	if _, err := whole.send(t, service(brand), sent(t, dir)); err != nil {
		t.Fatal(err)
	}
	d := delivery(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	manifest := d.Manifest
	for try := 0; ; try++ {
		at := 0
		standing, err := broken.desk().Standing(t.Context(), service(brand), "spring", manifest)
		switch {
		case err == nil && standing.State == cleanroom.SnapshotLoading:
			at = standing.MemberChunks + standing.RowChunks
			if !standing.KeptUntil.Equal(broken.at.HeardAt.Add(cleanroom.DeliveryKept)) || standing.Waiting {
				t.Errorf("stands at %+v", standing)
			}
		case try > 0 || !errors.Is(err, privacy.ErrNotFound):
			t.Fatalf("asking how much has come: %+v, %v", standing, err)
		}
		// Sometimes the sender does not ask, and sends everything again.
		if try%3 == 2 {
			at = 0
		}
		text := from(t, d, at)
		if try < 12 {
			_, err := broken.desk().Admit(t.Context(), service(brand), "spring", cut(text, 1+random.IntN(len(text)-1)))
			if !errors.Is(err, prepare.ErrInput) || broken.admitted {
				t.Fatalf("a line that breaks: %v, admitted %t", err, broken.admitted)
			}
			continue
		}
		if _, err := broken.desk().Admit(t.Context(), service(brand), "spring", bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		break
	}
	if diff := cmp.Diff(whole.members, broken.members); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(whole.rows, broken.rows); diff != "" {
		t.Error(diff)
	}
	if broken.begun != 1 || len(broken.events) != 1 || broken.events[0].List != manifest {
		t.Errorf("begun %d times, %d entries", broken.begun, len(broken.events))
	}
	// The answer may have been lost: once more changes nothing.
	for _, chunk := range []int{0, 2, d.Chunks()} {
		admitted, err := broken.desk().Admit(t.Context(), service(brand), "spring", bytes.NewReader(from(t, d, chunk)))
		if err != nil || !admitted.Before || !admitted.Receipt.IsZero() || len(broken.events) != 1 || len(broken.members) != people {
			t.Errorf("again from chunk %d: %+v, %v", chunk, admitted, err)
		}
	}
	text := from(t, d, 0)
	text[len(text)-10] ^= 1
	if _, err := broken.send(t, service(brand), text); !errors.Is(err, privacy.ErrInvalid) || !broken.admitted || len(broken.members) != people {
		t.Errorf("again, but changed: %v", err)
	}
}

// Nobody goes on with what another one has begun, or somewhere else than where it stands.
func TestWhoGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	dir := h.prepared(t, people, match.NewOperator(), nil)
	d := delivery(t, dir)
	text := from(t, d, 0)
	second := bytes.IndexByte(text, '\n') + 1
	second += bytes.IndexByte(text[second:], '\n') + 1
	if _, err := h.desk().Admit(t.Context(), service(brand), "spring", cut(text, second+100)); !errors.Is(err, prepare.ErrInput) || h.at.MemberChunks != 1 {
		t.Fatalf("%v, %d chunks", err, h.at.MemberChunks)
	}
	for name, by := range map[string]privacy.Principal{"the other party": service(retailer), "a stranger": service("stranger"), "nobody": service("")} {
		if _, err := h.desk().Standing(t.Context(), by, "spring", d.Manifest); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("%s is told how far it is: %v", name, err)
		}
		if _, err := h.desk().Admit(t.Context(), by, "spring", bytes.NewReader(from(t, d, 1))); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%s goes on: %v", name, err)
		}
	}
	if _, err := h.desk().Standing(t.Context(), service(brand), "spring", audit.Digest{1}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("of another manifest: %v", err)
	}
	if _, err := h.desk().Standing(t.Context(), service(brand), "autumn", d.Manifest); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("of another room: %v", err)
	}
	if _, err := h.send(t, service(brand), from(t, d, 2)); !errors.Is(err, cleanroom.ErrMoved) || !errors.Is(err, privacy.ErrConflict) || !h.loading || h.at.MemberChunks != 1 {
		t.Errorf("a chunk is left out: %v, loading %t", err, h.loading)
	}
	// The rules are asked again each time.
	h.allow = false
	if _, err := h.send(t, service(brand), from(t, d, 1)); !errors.Is(err, privacy.ErrForbidden) || h.admitted {
		t.Errorf("the rules have changed: %v", err)
	}
	h.allow = true
	// What cannot be right leaves nothing, however it began.
	wrong := from(t, d, 1)
	wrong[len(wrong)/2] ^= 1
	if _, err := h.send(t, service(brand), wrong); !errors.Is(err, privacy.ErrInvalid) || h.loading || len(h.members) != 0 {
		t.Errorf("a chunk that is not what was signed: %v, loading %t", err, h.loading)
	}
	if _, err := h.send(t, service(brand), from(t, d, 1)); !errors.Is(err, cleanroom.ErrMoved) {
		t.Errorf("going on with what was forgotten: %v", err)
	}
	if _, err := h.send(t, service(brand), text); err != nil || !h.admitted {
		t.Errorf("from the beginning: %v", err)
	}
}

// When the log cannot be written, nothing is admitted, and nothing has to be sent again.
func TestALogThatIsAwayCostsNoDelivery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	d := delivery(t, h.prepared(t, 20, match.NewOperator(), nil))
	h.failing = privacy.ErrUnavailable
	if _, err := h.send(t, service(brand), from(t, d, 0)); !errors.Is(err, privacy.ErrUnavailable) || !h.loading || h.admitted {
		t.Fatalf("%v, loading %t", err, h.loading)
	}
	h.failing = nil
	if _, err := h.send(t, service(brand), from(t, d, d.Chunks())); err != nil || !h.admitted || len(h.members) != 20 || h.begun != 1 {
		t.Errorf("%v, %d members", err, len(h.members))
	}
}

// The list that the other party has masked goes on, too; another one of it begins anew and
// leaves the rows.
func TestTheOtherPartyGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchPair)
	const n = prepare.ChunkSize + 50
	dir := h.prepared(t, n, newPair(t), nil)
	own := delivery(t, dir)
	first, second := delivery(t, h.other(t, dir, newPair(t))), delivery(t, h.other(t, dir, newPair(t)))
	if own.Chunks() != 2 || first.Chunks() != 2 || first.Remasked == second.Remasked {
		t.Fatalf("%d and %d chunks", own.Chunks(), first.Chunks())
	}
	text := from(t, own, 0)
	if _, err := h.desk().Admit(t.Context(), service(brand), "spring", cut(text, len(text)-10)); !errors.Is(err, prepare.ErrInput) {
		t.Fatal(err)
	}
	if _, err := h.send(t, service(retailer), from(t, first, 0)); pointerOf(err) != "/manifest" || !h.loading {
		t.Errorf("the list before all rows are there: %v", err)
	}
	admitted, err := h.send(t, service(brand), from(t, own, 1))
	if err != nil || !admitted.Waiting {
		t.Fatalf("the owner goes on: %+v, %v", admitted, err)
	}
	text = from(t, first, 0)
	if _, err := h.desk().Admit(t.Context(), service(retailer), "spring", cut(text, len(text)-10)); !errors.Is(err, prepare.ErrInput) {
		t.Fatal(err)
	}
	standing, err := h.desk().Standing(t.Context(), service(retailer), "spring", first.Manifest)
	if err != nil || standing.MemberChunks != 1 || standing.Remasked != first.Remasked || !standing.Waiting {
		t.Fatalf("stands at %+v, %v", standing, err)
	}
	if _, err := h.send(t, service(retailer), from(t, second, 1)); !errors.Is(err, cleanroom.ErrMoved) || len(h.members) != 0 {
		t.Errorf("the end of another list: %v, %d members", err, len(h.members))
	}
	if admitted, err = h.send(t, service(retailer), from(t, second, 0)); err != nil || admitted.Waiting || len(h.members) != n || len(h.rows) != n {
		t.Fatalf("another list: %+v, %v, %d members", admitted, err, len(h.members))
	}
	if admitted, err = h.send(t, service(retailer), from(t, second, 0)); err != nil || !admitted.Before {
		t.Errorf("the same again: %+v, %v", admitted, err)
	}
	if _, err = h.send(t, service(retailer), from(t, first, 0)); pointerOf(err) != "/remasked" || !h.admitted {
		t.Errorf("the other list after it: %v", err)
	}
	if admitted, err = h.send(t, service(brand), from(t, own, 0)); err != nil || !admitted.Before {
		t.Errorf("the owner again: %+v, %v", admitted, err)
	}
}

// Whoever has gone leaves what has come.
func TestWhoeverGoesLeavesWhatHasCome(t *testing.T) {
	t.Parallel()
	h := newHouse(t, cleanroom.MatchOperator)
	d := delivery(t, h.prepared(t, people, match.NewOperator(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := h.desk().AdmitWithProgress(ctx, service(brand), "spring", bytes.NewReader(from(t, d, 0)), func(done, total int64) {
		if total != 2*people {
			t.Errorf("of %d", total)
		}
		if done > prepare.ChunkSize {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || h.at.MemberChunks != 2 || h.admitted {
		t.Fatalf("%v, %d chunks", err, h.at.MemberChunks)
	}
	var last int64
	_, err = h.desk().AdmitWithProgress(t.Context(), service(brand), "spring", bytes.NewReader(from(t, d, 2)), func(done, _ int64) { last = max(last, done) })
	if err != nil || last != 2*people {
		t.Errorf("%v, told %d of %d", err, last, 2*people)
	}
}
