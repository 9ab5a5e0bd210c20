package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// breakingHouse takes chunks, and breaks the line in the midst of some of them.
type breakingHouse struct {
	serving sync.Mutex // and all below
	t       *testing.T
	members int // how many of the chunks are of members
	all     int
	chunks  []string
	breaks  []int // after how many chunks of a line it breaks
	posts   int
	begins  []int
}

func (h *breakingHouse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serving.Lock()
	defer h.serving.Unlock()
	state := "loading"
	if len(h.chunks) == h.all {
		state = "staged"
	}
	if r.Method == http.MethodGet {
		if len(h.chunks) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintf(w, `{"room":"spring","state":%q,"member_chunks":%d,"row_chunks":%d}`, state, min(len(h.chunks), h.members), max(0, len(h.chunks)-h.members))
		return
	}
	h.posts++
	in := bufio.NewReader(r.Body)
	line, err := in.ReadBytes('\n')
	head, headErr := prepare.ParseHead(line)
	if err != nil || headErr != nil || head.From != len(h.chunks) {
		h.t.Errorf("the head: %v, %v, from %d and %d are there", err, headErr, head.From, len(h.chunks))
	}
	h.begins = append(h.begins, head.From)
	for n := 0; ; n++ {
		if len(h.breaks) > 0 && n == h.breaks[0] {
			h.breaks = h.breaks[1:]
			panic(http.ErrAbortHandler)
		}
		chunk, err := in.ReadString('\n')
		if err != nil {
			break
		}
		h.chunks = append(h.chunks, chunk)
	}
	_, _ = io.WriteString(w, `{"room":"spring","state":"staged"}`)
}

// mustPrepared is a delivery of two chunks of members and two of rows.
func mustPrepared(t *testing.T) *prepare.Delivery {
	t.Helper()
	secret, _, err := cleanroom.GenerateKey(rand.Reader, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	const n = prepare.ChunkSize + 5
	var b strings.Builder
	b.WriteString("mail,ok,tier\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@example.com,yes,gold\n", i)
	}
	dir := filepath.Join(t.TempDir(), "list")
	_, err = prepare.Run(t.Context(), intake.Source{Name: "x.csv", Size: int64(b.Len()), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(b.String())), nil
	}}, dir, prepare.Config{
		Room: "spring", Epoch: 1, Matcher: match.NewOperator(), Identifier: privacy.Email, IdentifierColumn: "mail", ConsentColumn: "ok", ConsentYes: "yes",
		Contract: &cleanroom.SignedContract{Contract: &cleanroom.Contract{
			Owner: "brand_partner", Dataset: "audience", Version: 1, Source: cleanroom.FromParty,
			Columns: []cleanroom.Column{{Name: "tier", Role: cleanroom.Dimension, Type: cleanroom.Enum, Domain: []string{"gold"}}},
		}},
		Declared: n, Minimum: 2, Signer: signer, Noise: noise.Secure{}, Random: rand.Reader, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := prepare.OpenDelivery(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// A delivery goes on where its line broke, and gives up only where nothing gets through.
func TestSendingGoesOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks []int
		begins string
		fails  bool
	}{
		"a line that holds":           {nil, "[0]", false},
		"one that breaks twice":       {[]int{1, 2}, "[0 1 3]", false},
		"nothing gets through":        {[]int{0, 0, 0, 0, 0, 0}, "[0 0 0 0]", true},
		"a little gets through":       {[]int{0, 0, 1, 0, 0, 1}, "[0 0 0 1 1 1 2]", false},
		"the answer does not arrive":  {[]int{4}, "[0]", false},
		"nothing more after a little": {[]int{2, 0, 0, 0, 0, 0}, "[0 2 2 2 2]", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := mustPrepared(t)
			house := &breakingHouse{t: t, members: d.MemberChunks, all: d.Chunks(), breaks: test.breaks}
			listening := httptest.NewServer(house)
			defer listening.Close()
			base, err := url.Parse(listening.URL)
			if err != nil {
				t.Fatal(err)
			}
			var waits []time.Duration
			s := &sending{client: &houseClient{base, "token", listening.Client(), time.Minute, time.Minute, nil}, delivery: d, bar: &bar{}, tries: 3, wait: func(_ context.Context, while time.Duration) error {
				waits = append(waits, while)
				return nil
			}}
			document, err := s.run(t.Context())
			if test.fails != (err != nil) || !test.fails && document.State != "staged" {
				t.Errorf("%+v, %v", document, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "run the same command again") || !strings.Contains(err.Error(), " of 4 chunks are there")) {
				t.Errorf("it does not say what to do: %v", err)
			}
			listening.Close()
			house.serving.Lock()
			defer house.serving.Unlock()
			if got := fmt.Sprint(house.begins); got != test.begins {
				t.Errorf("began at chunks %s, want %s", got, test.begins)
			}
			if !test.fails {
				whole, _, err := d.From(0)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(whole)
				_, rest, _ := strings.Cut(string(text), "\n")
				if err != nil || strings.Join(house.chunks, "") != rest {
					t.Errorf("%d chunks came, and they are not what was prepared", len(house.chunks))
				}
			}
			for _, while := range waits {
				if while < time.Second || while > 45*time.Second {
					t.Errorf("waited for %s", while)
				}
			}
		})
	}
}

// A house that takes a call and says nothing more does not hold up the party for ever, and the
// call may be made again.
func TestASilentHouseIsGivenUp(t *testing.T) {
	t.Parallel()
	silent := make(chan struct{})
	var answers atomic.Bool
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/snapshots/") && answers.Load() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		<-silent
	}))
	defer listening.Close()
	defer close(silent)
	base, err := url.Parse(listening.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &houseClient{base, "token", listening.Client(), 50 * time.Millisecond, 50 * time.Millisecond, func(context.Context, time.Duration) error { return nil }}
	_, filing := client.file(t.Context(), roomPath("spring", "contracts"), nil, []byte("note"))
	_, evaluating := client.evaluate("spring", "audience", 3)(t.Context(), 1, nil)
	d := mustPrepared(t)
	line := &sending{client: client, delivery: d, bar: &bar{}}
	_, _, asking := line.once(t.Context(), roomPath("spring", "snapshots"))
	client.patience = time.Minute // for what is asked before
	answers.Store(true)
	_, _, sending := line.once(t.Context(), roomPath("spring", "snapshots"))
	client.patience = 50 * time.Millisecond
	line.tries, line.wait = 2, func(context.Context, time.Duration) error { return nil }
	var waits int
	line.waiting = func(why error, _ time.Duration) {
		if waits++; !errors.Is(why, privacy.ErrUnavailable) {
			t.Errorf("waiting for %v", why)
		}
	}
	answers.Store(false)
	_, running := line.run(t.Context())
	if waits != 2 || running == nil || strings.Contains(running.Error(), "-1") || !strings.Contains(running.Error(), "nobody knows how much is there") {
		t.Errorf("waited %d times, and then %v", waits, running)
	}
	for what, err := range map[string]error{
		"reading": client.get(t.Context(), "/v1/rooms", &struct{}{}), "filing": filing, "evaluating": evaluating, "asking": asking, "sending": sending,
	} {
		if !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What is not allowed is told with the checks that it does not pass.
func TestRefusalsNameTheirChecks(t *testing.T) {
	t.Parallel()
	err := refusalOf(http.StatusForbidden, []byte(`{"type":"urn:mahrem:problem:room-denied","title":"No.","checks":["room_member","room.role"]}`))
	if !strings.Contains(err.Error(), "room_member, room.role") {
		t.Error(err)
	}
}

// A name of a room does not lead anywhere else.
func TestRoomPathStaysInRooms(t *testing.T) {
	t.Parallel()
	if got := roomPath("../x?y#z", "snapshots"); got != "/v1/rooms/..%2Fx%3Fy%23z/snapshots" {
		t.Error(got)
	}
}
