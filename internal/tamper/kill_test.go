package tamper

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestKilled kills servers, the database and the signer at random points under load.
// Afterwards every entry that was acknowledged is in the log, there is no gap, the root is
// that of the entries, each change has its entry and none is without, and the log begins
// with every checkpoint that the signer ever published.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 300
	if testing.Short() {
		kills = 12
	}
	seed := rand.Uint64()
	if text := os.Getenv(killSeedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", killSeedEnv, seed)
	g := newGround(t, rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // can be repeated
	for range 2 {
		g.hire(childOrder{Role: "writer", Appends: 10, Changes: 5})
	}
	g.hire(childOrder{Role: "signer"})
	g.work(100)
	began, counts := time.Now(), map[string]int{}
	for killed := 0; killed < kills; killed++ {
		if g.random.IntN(5) > 0 { // otherwise in the middle of recovering
			g.work(1 + g.random.IntN(100))
		}
		time.Sleep(time.Duration(g.random.Int64N(int64(60 * time.Millisecond))))
		what := "writer"
		switch n := g.random.IntN(100); {
		case n < 20:
			what = "postmaster"
			g.killPostmaster()
		case n < 50:
			what = "backend"
			for !g.killBackend() {
				time.Sleep(5 * time.Millisecond)
			}
		case n < 68:
			what = "signer"
			g.kill(what)
		default:
			g.kill(what)
		}
		if counts[what]++; killed%100 == 99 {
			g.work(1)
			g.check()
		}
	}
	g.work(100)
	g.dismiss()
	g.check()
	entries, changes, size := g.lost()
	fmt.Printf("%d kills in %v (servers %d, signer %d, backends %d, postmaster %d): %d entries acknowledged, %d lost; %d changes acknowledged, %d lost; "+
		"%d entries in the log, no gap, the root recomputes; %d published checkpoints, all of this log\n", kills, time.Since(began).Round(time.Second),
		counts["writer"], counts["signer"], counts["backend"], counts["postmaster"], len(g.acks), entries, len(g.changes), changes, size, len(g.notes))
	if size == 0 || len(g.notes) == 0 {
		t.Error("nothing happened")
	}
}

// asynchronous makes every commit of the log and every flush one that does not wait for
// the disk, whatever the product asks for, and the server slow to write by itself.
var asynchronous = []string{
	`create function trial.hasten() returns trigger language plpgsql as
		$$ begin perform set_config('synchronous_commit', 'off', true); return new; end $$`,
	`create trigger hasten before insert on audit.batch for each row execute function trial.hasten()`,
	`create function trial.pg_logical_emit_message(boolean, text, text) returns pg_lsn language plpgsql as
		$$ begin perform set_config('synchronous_commit', 'off', true); return pg_catalog.pg_logical_emit_message($1, $2, $3); end $$`,
	`alter database mahrem set search_path = trial, pg_catalog, public`,
	`alter system set wal_writer_delay = '10s'`,
}

// TestKilledWithoutFlush is the negative control: with commits that are acknowledged
// before the disk has them, the same kills do lose entries and changes, and the same
// comparison sees it.
func TestKilledWithoutFlush(t *testing.T) {
	t.Parallel()
	g := newGround(t, rand.New(rand.NewPCG(rand.Uint64(), 2))) //nolint:gosec // a test
	for _, statement := range asynchronous {
		g.exec(statement)
	}
	g.killPostmaster()
	g.hire(childOrder{Role: "writer", Appends: 10, Changes: 5})
	for kills := 1; kills <= 20; kills++ {
		g.work(200)
		if kills%2 == 0 {
			g.killPostmaster()
		} else {
			for !g.killBackend() {
				time.Sleep(5 * time.Millisecond)
			}
		}
		g.work(1)
		if entries, changes, _ := g.lost(); entries > 0 && changes > 0 {
			g.dismiss() // nobody speaks any more
			fmt.Printf("negative control, no flush before acknowledging: %d of %d entries and %d of %d changes were acknowledged and lost after %d kills\n",
				entries, len(g.acks), changes, len(g.changes), kills)
			return
		}
	}
	t.Error("nothing was lost although nothing waited for the disk: the test does not bite")
}
