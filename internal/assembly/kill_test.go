package assembly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// eraserEnv makes the test binary a process that erases people until it is killed, by an
// [eraserOrder] in JSON.
const eraserEnv = "MAHREM_TEST_ERASER"

// killSeedEnv repeats a run.
const killSeedEnv = "MAHREM_TEST_KILL_SEED"

// eraserOrder is what such a process does.
type eraserOrder struct {
	Home, Database string
	Requests       []dsar.RequestID
	// Workers erase side by side.
	Workers int
	// Where it kills itself: the Nth time that it comes by there, and After that.
	Where string
	Nth   int64
	After time.Duration
}

// The places to die at. An erasure that another process broke off comes by them too.
var breakpoints = []string{
	"open", "prepared", "told", "before the ledger", "in the ledger", "in the ledger", "committed", "noted", "swept a little", "finished",
}

var (
	firstOfficer  = Operator("first")
	secondOfficer = Operator("second")
)

func killMyself() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// TestEraserChild is the process that is killed. Run by itself it has nothing to do.
func TestEraserChild(t *testing.T) {
	text := os.Getenv(eraserEnv)
	if text == "" {
		t.Skip("only as a process of TestKilledErasures")
	}
	var order eraserOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(order.Home, func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: order.Database})
	if err != nil {
		t.Fatal(err)
	}
	var passed atomic.Int64
	house, err := openPart(t.Context(), settings, func(where string) {
		if where != order.Where || passed.Add(1) != order.Nth {
			return
		}
		if order.After == 0 {
			killMyself()
		}
		time.AfterFunc(order.After, killMyself)
	})
	if err != nil {
		t.Fatal(err)
	}
	house.Eraser.EraseMany(t.Context(), firstOfficer, order.Requests, order.Workers, func(o dsar.Outcome) {
		refusal, refused := errors.AsType[*dsar.Refusal](o.Err)
		switch {
		case refused && (refusal.Check == string(dsar.CheckNoHold) || refusal.Check == string(dsar.CheckPlanCurrent)):
			// A hold came first.
		case o.Err != nil:
			fmt.Fprintln(os.Stderr, "erasing:", o.Err)
			os.Exit(1)
		default:
			if _, err := house.Eraser.Sweep(t.Context(), o.Record.ID, nil); err != nil {
				fmt.Fprintln(os.Stderr, "sweeping:", err)
				os.Exit(1)
			}
		}
	})
	killMyself() // nothing is closed in good order
}

// TestKilledErasures: whenever a process that erases people is killed, everybody is either
// whole, with a plan that still fits, or, once the house is open again, erased to the end:
// never half, never twice, and nobody who was under a hold.
func TestKilledErasures(t *testing.T) {
	t.Parallel()
	kills, lanes := 1000, 2
	if testing.Short() {
		kills, lanes = 20, 1
	}
	seed := rand.Uint64()
	if text := os.Getenv(killSeedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", killSeedEnv, seed)
	for lane := range lanes {
		t.Run(strconv.Itoa(lane), func(t *testing.T) {
			t.Parallel()
			w := newKilling(t, rand.New(rand.NewPCG(seed, uint64(lane)))) //nolint:gosec // can be repeated
			for w.kills < kills/lanes {
				w.round(t)
			}
			w.end(t)
		})
	}
}

// round kills one process, or one after the other, and opens the house again.
func (w *killing) round(t *testing.T) {
	t.Helper()
	w.replenish(t)
	w.kill(t)
	if w.random.IntN(4) == 0 {
		w.kill(t) // in the middle of finishing, perhaps
	}
	w.reopen(t)
	if w.random.IntN(2) == 0 {
		w.sweep(t)
	}
	w.check(t)
	if w.rounds++; w.rounds%100 == 0 {
		w.verifyLog(t)
	}
}

// kill has a process erase a few people, and kills it.
func (w *killing) kill(t *testing.T) {
	t.Helper()
	var chosen []*victim
	for range 1 + w.random.IntN(5) {
		chosen = append(chosen, w.open[w.random.IntN(len(w.open))])
	}
	order := eraserOrder{Home: w.settings.Home, Database: w.database.KilledURL(), Workers: 1 + 3*w.random.IntN(2)}
	for _, v := range chosen {
		order.Requests = append(order.Requests, v.request)
	}
	delay := time.Duration(0)
	switch w.random.IntN(3) {
	case 0:
		delay = time.Duration(w.random.Int64N(int64(2 * w.typical)))
	case 1:
		order.Where, order.Nth = breakpoints[w.random.IntN(len(breakpoints))], 1+w.random.Int64N(3)
	default:
		order.Where, order.Nth = "in the ledger", 1+w.random.Int64N(3)
		order.After = time.Duration(1 + w.random.Int64N(int64(4*time.Millisecond)))
	}
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestEraserChild$")
	cmd.Env = append(os.Environ(), eraserEnv+"="+string(text))
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if delay > 0 {
		time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
	}
	held := make(chan struct{})
	holding, stop := context.WithCancel(t.Context())
	defer stop()
	if w.random.IntN(4) == 0 {
		v, wait, scope := chosen[w.random.IntN(len(chosen))], time.Duration(w.random.Int64N(int64(w.typical))), dsar.HoldScope{}
		if w.random.IntN(2) == 0 {
			scope.Category = "contact"
		}
		go func() {
			defer close(held)
			time.Sleep(wait)
			w.hold(holding, v, scope)
		}()
	} else {
		close(held)
	}
	err = cmd.Wait()
	took := time.Since(began)
	stop()
	<-held
	state, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !state.Signaled() || state.Signal() != syscall.SIGKILL || ctx.Err() != nil {
		t.Fatalf("the process ended by itself: %v\n%s", err, output.String())
	}
	if delay == 0 && took < 10*time.Second {
		w.typical = (9*w.typical + took) / 10
	}
	w.kills++
}

// hold sets a hold while a process is erasing. Whether it stands is seen in the database:
// if Set says so it must.
func (w *killing) hold(ctx context.Context, v *victim, scope dsar.HoldScope) {
	hold, _, err := w.house.Holds.Set(ctx, secondOfficer, dsar.HoldRequest{
		Reason: dsar.HoldLitigation, Authority: "8C-1/2026", Identifiers: []privacy.Identifier{v.identifier}, Scope: scope,
	})
	if err == nil && hold.People > 0 {
		v.held = true
	}
}

// reopen opens the house again as the next process does, which finishes what was broken
// off; now and then the whole house.
func (w *killing) reopen(t *testing.T) {
	t.Helper()
	w.holdBroken(t)
	if err := w.house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.rounds%12 == 3 {
		w.house, err = Open(t.Context(), w.settings, Options{MaxConns: 8})
		w.whole++
	} else {
		w.house, err = openPart(t.Context(), w.settings, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if behind, err := w.house.Behind(t.Context()); err != nil || behind != 0 {
		t.Fatalf("an open house lacks %d lines of the ledger, %v", behind, err)
	}
}

func (w *killing) sweep(t *testing.T) {
	t.Helper()
	// A sweep leaves alone whom another one is at, and a killed one may be for a while.
	w.database.AwaitKilled(t)
	if _, err := w.house.Eraser.Sweep(t.Context(), dsar.ErasureID{}, nil); err != nil {
		t.Fatal(err)
	}
	w.swept = true
}

func (w *killing) verifyLog(t *testing.T) {
	t.Helper()
	if _, err := w.house.VerifyLog(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// end brings everybody to an end: nothing that was broken off stands in the way.
func (w *killing) end(t *testing.T) {
	t.Helper()
	for _, v := range w.open {
		if v.held {
			continue
		}
		if _, err := w.house.Eraser.Erase(t.Context(), firstOfficer, v.request); err != nil {
			t.Fatal(err)
		}
	}
	w.sweep(t)
	w.open = w.all // everybody once more
	w.check(t)
	w.verifyLog(t)
	held := 0
	for _, v := range w.all {
		if v.held {
			held++
		}
	}
	if erased := len(w.all) - held; w.erased != erased {
		t.Errorf("%d people are erased, want all %d but those under a hold", w.erased, erased)
	}
	t.Logf("%d kills, %d openings of which %d of the whole house; broken off between ledger and commit: %d erasures, %d holds came too late; "+
		"%d people erased (%d with parts withheld), %d under a hold and whole; %d entries in the log, %d lines in the ledger",
		w.kills, w.rounds, w.whole, w.broken, w.late, w.erased, w.withheld, held, w.nextEntry, w.lines)
}

// newKilling makes a house with a processor and nobody in it.
func newKilling(t *testing.T, random *rand.Rand) *killing {
	t.Helper()
	database := pgtest.New(t)
	w := &killing{
		random: random, settings: settingsFor(t, database), database: database, owner: database.OwnerPool(t),
		typical: 150 * time.Millisecond, entries: map[[32]byte]int{},
	}
	mustInit(t, w.settings)
	var err error
	if w.house, err = openPart(t.Context(), w.settings, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.house.Close(context.WithoutCancel(t.Context())) })
	w.addProcessor(t)
	return w
}
