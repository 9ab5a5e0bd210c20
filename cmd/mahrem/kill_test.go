package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
)

// killSeedEnv repeats a run.
const killSeedEnv = "MAHREM_TEST_KILL_SEED"

// tool runs mahrem in a directory of its own, and kills it.
type tool struct {
	t      *testing.T
	binary string
	dir    string
	env    []string
	random *rand.Rand
}

// TestKilledCommandsComeToTheSameEnd: the commands of a party that take long are killed with
// SIGKILL again and again, and run again, and what is there in the end is, byte by byte, what
// is there if nobody disturbs them.
func TestKilledCommandsComeToTheSameEnd(t *testing.T) {
	t.Parallel()
	binary, err := exec.LookPath("mahrem")
	if plain := plainBinary(t); plain != "" {
		binary, err = filepath.Join(plain, "mahrem"), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	if text := os.Getenv(killSeedEnv); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", killSeedEnv, seed)
	for i, test := range []struct {
		name string
		run  func(*tool)
	}{{"remask", (*tool).remasks}, {"send", (*tool).sends}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := &tool{t: t, binary: binary, dir: dir, random: rand.New(rand.NewPCG(seed, uint64(i)))} //nolint:gosec // can be repeated
			w.env = append(os.Environ(), "MAHREM_HOME="+filepath.Join(dir, "home"), "MAHREM_PATIENCE=30", traceFile+"=")
			test.run(w)
		})
	}
}

func (w *tool) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *tool) path(name string) string { return filepath.Join(w.dir, name) }

func (w *tool) write(name, text string) {
	w.t.Helper()
	w.must(os.WriteFile(w.path(name), []byte(text), 0o600))
}

func (w *tool) command(words string) (*exec.Cmd, *bytes.Buffer) {
	var out bytes.Buffer
	cmd := exec.CommandContext(w.t.Context(), w.binary, strings.Fields(words)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, w.env, &out, &out
	return cmd, &out
}

// mahrem runs a command to its end, and returns what it said.
func (w *tool) mahrem(words string) string {
	w.t.Helper()
	cmd, out := w.command(words)
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("mahrem %s: %v\n%s", words, err, out)
	}
	return out.String()
}

// killed runs a command, and reports whether it was killed and did not come to its end. Until
// it ends, watch is called with what kills it.
func (w *tool) killed(words string, watch func(kill func()) (stop func())) bool {
	w.t.Helper()
	cmd, out := w.command(words)
	// Who watches looks before there is anything to see.
	started := make(chan struct{})
	stop := watch(func() { <-started; _ = cmd.Process.Kill() })
	err := cmd.Start()
	close(started)
	w.must(err)
	err = cmd.Wait()
	stop()
	if err == nil {
		return false
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		w.t.Fatal(err)
	}
	if status, is := exit.Sys().(syscall.WaitStatus); !is || status.Signal() != syscall.SIGKILL {
		w.t.Fatalf("mahrem %s: %v\n%s", words, err, out)
	}
	return true
}

const killedContract = `{"owner":"brand_partner","dataset":"audience","version":1,"source":"party","unit":"person","purposes":["campaign_measurement"],
 "columns":[{"name":"tier","role":"dimension","type":"enum","category":"purchases","domain":["gold","silver"]}],
 "minimum_people":50,"cap_nanorho":147000000,"consumer_cap_nanorho":36750000,"query_cap_nanorho":5880000,
 "max_groups_per_person":1,"ad_hoc":true}`

// list has the brand prepare a list of n people.
func (w *tool) list(n int, flags string) {
	w.t.Helper()
	var b strings.Builder
	b.WriteString("mail,optin,tier\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d@example.com,yes,%s\n", i, []string{"gold", "silver"}[i%2])
	}
	w.write("crm.csv", b.String())
	w.write("audience.json", killedContract)
	w.mahrem("room key new --party brand_partner --output brand.key")
	w.mahrem("room contract sign audience.json --key brand.key --out contract")
	w.mahrem(fmt.Sprintf("room prepare crm.csv --room spring --epoch 1 --contract contract --key brand.key --identifier email=mail --consent optin=yes --people %d --minimum-members 2 --output list %s", n, flags))
}

// remasks masks another party's list once more.
func (w *tool) remasks() {
	const people = 4*4096 + 5
	w.mahrem("room key new --kind shared --output salt")
	w.mahrem("room key new --kind pair --output brand.scalar")
	w.mahrem("room key new --kind pair --output shop.scalar")
	w.mahrem("room key new --party retail_media --output shop.key")
	w.list(people, "--matching pair --shared-file salt --pair-file brand.scalar")
	remask := "room remask list --from brand.key.pub --key shop.key --shared-file salt --pair-file shop.scalar --output "
	w.mahrem(remask + "whole")
	size := func() int64 {
		info, err := os.Stat(w.path("killed/members.ndjson"))
		if err != nil {
			return -1
		}
		return info.Size()
	}
	whole, err := os.Stat(w.path("whole/members.ndjson"))
	w.must(err)
	kills := 0
	done := func() bool {
		_, err := os.Stat(w.path("killed/remasked"))
		return err == nil
	}
	// A machine may be so quick, or so late with the kill, that it is done before it was killed
	// twice: then it begins anew, and is killed sooner.
	soon := 60 * time.Millisecond
	anew := func() {
		w.must(os.RemoveAll(w.path("killed")))
		kills, soon = 0, max(soon/2, time.Microsecond)
	}
	for range 100 {
		if kills == 12 {
			break
		}
		if done() {
			if kills >= 2 {
				break // killed between the end and its exit
			}
			anew()
		}
		// Twice before it can be done, and then, if the machine lets us look in time, in the
		// midst of a chunk, or between two.
		more, late := int64(-1), time.Duration(w.random.Int64N(int64(soon)))
		if kills >= 2 {
			more = size() + 1 + w.random.Int64N(whole.Size()/5)
		}
		if !w.killed(remask+"killed", func(kill func()) func() {
			ended := make(chan struct{})
			var watching sync.WaitGroup
			watching.Go(func() {
				for size() < more {
					select {
					case <-ended:
						return
					case <-time.After(time.Millisecond):
					}
				}
				time.Sleep(late)
				kill()
			})
			return func() { close(ended); watching.Wait() }
		}) {
			if kills >= 2 {
				break
			}
			anew()
			continue
		}
		kills++
	}
	if kills < 2 {
		w.t.Fatalf("killed only %d times", kills)
	}
	if !done() {
		w.mahrem(remask + "killed")
	}
	// A statement says when it was signed; the digests in it are those of the chunks.
	for _, name := range []string{"members.ndjson", "manifest.of"} {
		a, err := os.ReadFile(w.path("killed/" + name))
		w.must(err)
		b, err := os.ReadFile(w.path("whole/" + name))
		w.must(err)
		if !bytes.Equal(a, b) {
			w.t.Errorf("%s came out otherwise after %d kills", name, kills)
		}
	}
	w.t.Logf("killed %d times", kills)
}

// serve starts a house behind the line.
func (w *tool) serve(l *line) *exec.Cmd {
	w.t.Helper()
	cmd, _ := w.command("serve --listen 127.0.0.1:0")
	cmd.Stdout = nil
	said, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	text := make([]byte, 256)
	n, err := said.Read(text)
	w.must(err)
	go func() { _, _ = io.Copy(io.Discard, said) }()
	address := strings.TrimPrefix(strings.TrimSpace(string(text[:n])), "http://")
	l.house.Store(&address)
	return cmd
}

// sends brings a list to a house that is killed, too, once.
func (w *tool) sends() {
	const people = 4*4096 + 5
	database := pgtest.NewEmpty(w.t)
	w.env = append(w.env, "MAHREM_DATABASE_URL="+database.URL())
	w.mahrem("init")
	w.list(people, "--matching operator")
	w.mahrem("room party add brand_partner --key brand.key.pub")
	w.mahrem("room open spring --purpose campaign_measurement --matching operator --minimum-members 2 --member brand_partner:owns_data --dataset brand_partner.audience")
	w.mahrem("room contract add contract")
	w.write("token", w.mahrem("token mint --role service --recipient brand_partner"))
	l := w.newLine()
	house := w.serve(l)
	send := "room send list --token-file token --server http://" + l.listener.Addr().String()
	info, err := os.Stat(w.path("list/members.ndjson"))
	w.must(err)
	kills := 0
	sendKilled := func(after int64) {
		w.t.Helper()
		if !w.killed(send, func(kill func()) func() {
			l.next(after, false, kill)
			return func() { l.next(0, false, nil) }
		}) {
			w.t.Fatalf("not killed after %d bytes", after)
		}
		kills++
	}
	// Each time a chunk comes through at most, of four large ones and five small ones; so one
	// large one is left for the house.
	chunk := info.Size() / 4
	for range 3 {
		sendKilled(1 + w.random.Int64N(chunk*19/10))
	}
	// The house goes as well, and the party's tool waits until it is back.
	cmd, out := w.command(send + " --tries 40")
	fallen := make(chan struct{})
	l.next(1+w.random.Int64N(chunk/2), false, func() {
		_ = house.Process.Kill()
		l.house.Store(nil) // its port may be somebody else's
		close(fallen)
	})
	w.must(cmd.Start())
	select {
	case <-fallen:
	case <-time.After(10 * time.Minute):
		w.t.Fatal("nothing comes through")
	}
	_ = house.Wait()
	// It is killed once more when all of it is in and the party has not heard so.
	l.next(0, true, func() { _ = cmd.Process.Kill() })
	house = w.serve(l)
	if err := cmd.Wait(); err == nil {
		w.t.Fatalf("the answer came through: %s", out)
	}
	l.next(0, false, nil)
	if said := w.mahrem(send); !strings.Contains(said, "all of it was there before") {
		w.t.Errorf("after %d kills: %s", kills, said)
	}
	pool := database.OwnerPool(w.t)
	manifest, err := os.ReadFile(w.path("list/manifest"))
	w.must(err)
	id, killed := w.staged(pool, people)
	if n := w.admissions(pool, sha256.Sum256(manifest)); n != 1 {
		w.t.Errorf("%d entries say that the list came in", n)
	}
	// Once more, and nobody disturbs it.
	w.mahrem("room drop spring " + strconv.Itoa(id))
	w.mahrem(send)
	if _, whole := w.staged(pool, people); whole != killed {
		w.t.Errorf("what is in the room came out otherwise after %d kills", kills)
	}
	if n := w.admissions(pool, sha256.Sum256(manifest)); n != 2 {
		w.t.Errorf("%d entries say that the list came in, of which it did twice", n)
	}
	w.must(house.Process.Signal(syscall.SIGTERM))
	w.must(house.Wait())
	w.mahrem("audit verify")
}

// staged sees that one list of so many people waits in the room and nothing else is there, and
// returns all that is stored of it.
func (w *tool) staged(pool *pgxpool.Pool, people int) (id int, content string) {
	w.t.Helper()
	var all, members, rows int
	err := pool.QueryRow(w.t.Context(), `select count(*), max(snapshot_id), max(members), max(rows) from cleanroom.snapshot where state <> 'dropped'`).Scan(&all, &id, &members, &rows)
	w.must(err)
	if all != 1 || members != people || rows != people {
		w.t.Errorf("%d lists are there, of %d members with %d rows", all, members, rows)
	}
	err = pool.QueryRow(w.t.Context(), `
		select (select md5(string_agg(to_jsonb(m) - 'snapshot_id' #>> '{}', ' ' order by m.ordinal)) from cleanroom.staged_member m)
			|| (select md5(string_agg(to_jsonb(r) - 'snapshot_id' #>> '{}', ' ' order by r.ordinal)) from cleanroom.staged_row r)`).Scan(&content)
	w.must(err)
	return id, content
}

// admissions counts the entries that say that a list came in.
func (w *tool) admissions(pool *pgxpool.Pool, manifest audit.Digest) (n int) {
	w.t.Helper()
	rows, err := pool.Query(w.t.Context(), `select leaf from audit.entry order by seq`)
	w.must(err)
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	w.must(err)
	for _, leaf := range leaves {
		entry, err := audit.ParseEntry(leaf)
		w.must(err)
		if entry.Kind == audit.SnapshotAdmitted && entry.List == manifest {
			n++
		}
	}
	return n
}
