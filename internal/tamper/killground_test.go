package tamper

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/postgres"
)

// killSeedEnv repeats a run.
const killSeedEnv = "MAHREM_TEST_KILL_SEED"

// patience bounds whatever only a hung machine would exceed.
const patience = 10 * time.Minute

// ground is a database server and processes that write one log there, and what they said.
type ground struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	server *localpg.Server
	crew   []*child

	mu      sync.Mutex
	acks    map[uint64][32]byte // by index
	doubles int                 // indexes that were acknowledged twice, with other entries
	changes []string            // nonces of changes that were acknowledged
	told    int
	notes   map[string]bool // what the signer published
}

// child is one of the processes.
type child struct {
	order childOrder
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // all that it said was read
	fault strings.Builder
}

func newGround(t *testing.T, random *rand.Rand) *ground {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "mk-") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	g := &ground{t: t, random: random, dir: dir, acks: map[uint64][32]byte{}, notes: map[string]bool{}}
	t.Cleanup(func() {
		g.dismiss()
		if g.server != nil {
			_ = g.server.Close()
		}
		_ = os.RemoveAll(dir)
	})
	g.start()
	if _, err := postgres.Migrate(t.Context(), g.server.URL()); err != nil {
		t.Fatal(err)
	}
	g.exec(`create schema trial; grant usage on schema trial to mahrem_app;
		create table trial.change (nonce text primary key); grant insert, select on trial.change to mahrem_app`)
	return g
}

// start starts the database server, which recovers if it was killed. What is left of the
// one before may still be about to notice.
func (g *ground) start() {
	g.t.Helper()
	for until := time.Now().Add(patience); ; {
		server, err := localpg.Start(g.t.Context(), localpg.Config{Dir: g.dir + "/pg", SharedBuffers: 64})
		if err == nil {
			g.server = server
			return
		}
		if time.Now().After(until) {
			g.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// connect waits until the server has recovered.
func (g *ground) connect() *pgx.Conn {
	g.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := pgx.Connect(g.t.Context(), g.server.AdminURL(localpg.DatabaseName))
		if err == nil {
			return conn
		}
		if time.Now().After(until) {
			g.t.Fatal(err)
		}
	}
}

func (g *ground) exec(sql string) {
	g.t.Helper()
	conn := g.connect()
	defer conn.Close(g.t.Context())
	if _, err := conn.Exec(g.t.Context(), sql); err != nil {
		g.t.Fatal(err)
	}
}

// hire starts one more process.
func (g *ground) hire(order childOrder) {
	g.t.Helper()
	order.Database, order.Memory = g.server.URL(), g.dir
	c := &child{order: order}
	g.crew = append(g.crew, c)
	g.begin(c)
}

func (g *ground) begin(c *child) {
	g.t.Helper()
	text, err := json.Marshal(c.order)
	if err != nil {
		g.t.Fatal(err)
	}
	c.cmd = exec.Command(os.Args[0], "-test.run=^TestLogChild$")
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = &c.fault
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		g.t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			g.hear(lines.Text())
		}
	}()
}

// hear takes down what a process says.
func (g *ground) hear(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	words := strings.Fields(line)
	switch {
	case len(words) == 4 && words[0] == "ack":
		index, err := strconv.ParseUint(words[1], 10, 64)
		hash, err2 := hex.DecodeString(words[2])
		if err != nil || err2 != nil || len(hash) != 32 {
			return
		}
		if before, twice := g.acks[index]; twice && before != [32]byte(hash) {
			g.doubles++
		}
		g.acks[index] = [32]byte(hash)
		g.told++
		if words[3] != "-" {
			g.changes = append(g.changes, words[3])
		}
	case len(words) == 2 && words[0] == "note":
		if note, err := base64.StdEncoding.DecodeString(words[1]); err == nil {
			g.notes[string(note)] = true
		}
	}
}

func (g *ground) heard() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.told
}

// end kills a process and hears it out. One that had ended by itself had a reason.
func (g *ground) end(c *child) {
	g.t.Helper()
	kill9(c.cmd.Process.Pid)
	<-c.ended
	_ = c.cmd.Wait()
	_ = c.stdin.Close()
	if c.cmd.ProcessState.Exited() {
		g.t.Fatalf("the %s ended by itself: %s", c.order.Role, c.fault.String())
	}
}

func (g *ground) dismiss() {
	for _, c := range g.crew {
		kill9(c.cmd.Process.Pid)
		<-c.ended
		_ = c.cmd.Wait()
	}
	g.crew = nil
}

// work waits until at least n more entries were acknowledged.
func (g *ground) work(n int) {
	g.t.Helper()
	since := g.heard()
	for until := time.Now().Add(patience); g.heard() < since+n; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			g.t.Fatalf("nothing is acknowledged any more (%d so far)", since)
		}
		for _, c := range g.crew {
			select {
			case <-c.ended:
				g.end(c)
			default:
			}
		}
	}
}

// kill kills a process of that role and replaces it.
func (g *ground) kill(role string) {
	g.t.Helper()
	var candidates []*child
	for _, c := range g.crew {
		if c.order.Role == role {
			candidates = append(candidates, c)
		}
	}
	c := candidates[g.random.IntN(len(candidates))]
	g.end(c)
	g.begin(c)
}

// killPostmaster kills the database server as a whole and starts it again.
func (g *ground) killPostmaster() {
	g.t.Helper()
	kill9(g.server.PID())
	<-g.server.Done()
	_ = g.server.Close()
	g.start()
}

// killBackend kills one process of the database server, which then takes the others with
// it and recovers by itself. It reports false if there was none to kill just now.
func (g *ground) killBackend() bool {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, g.server.AdminURL("postgres"))
	if err != nil {
		return false // it is recovering
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select pid from pg_stat_activity where pid <> pg_backend_pid() order by pid`)
	if err != nil {
		return false
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(pids) == 0 {
		return false
	}
	kill9(pids[g.random.IntN(len(pids))])
	// The server takes everybody with it as soon as it notices, this connection too. Whoever
	// connects after that waits until it has recovered.
	for err == nil {
		_, err = conn.Exec(ctx, "select 1")
	}
	return true
}

// lost compares what was acknowledged with the log: entries and changes that are not
// there, or not as they were acknowledged.
func (g *ground) lost() (entries, changes int, size uint64) {
	g.t.Helper()
	conn := g.connect()
	defer conn.Close(g.t.Context())
	g.mu.Lock()
	defer g.mu.Unlock()
	rows, err := conn.Query(g.t.Context(), `select seq, leaf_hash from audit.entry order by seq`)
	if err != nil {
		g.t.Fatal(err)
	}
	there := 0
	var index uint64
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&index, &hash}, func() error {
		if index != size {
			g.t.Errorf("entry %d follows %d: there is a gap", index, size)
		}
		size = index + 1
		if acked, ok := g.acks[index]; ok && string(acked[:]) == string(hash) {
			there++
		}
		return nil
	}); err != nil {
		g.t.Fatal(err)
	}
	var kept int
	if err := conn.QueryRow(g.t.Context(), `select count(*) from unnest($1::text[]) as said (nonce) join trial.change using (nonce)`, g.changes).Scan(&kept); err != nil {
		g.t.Fatal(err)
	}
	return len(g.acks) - there + g.doubles, len(g.changes) - kept, size
}

// check has the log recomputed and compared with all that was said about it.
func (g *ground) check() {
	g.t.Helper()
	if entries, changes, _ := g.lost(); entries != 0 || changes != 0 {
		g.t.Errorf("%d entries and %d changes were acknowledged and lost", entries, changes)
	}
	_ = g.connect().Close(g.t.Context())
	db, err := postgres.Open(g.t.Context(), postgres.Config{URL: g.server.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		g.t.Fatal(err)
	}
	defer db.Close()
	var notes [][]byte
	g.mu.Lock()
	for note := range g.notes {
		notes = append(notes, []byte(note))
	}
	g.mu.Unlock()
	report, err := postgres.VerifyAuditLog(g.t.Context(), db, origin, publicKey(), nil, notes...)
	if err != nil || !report.Whole() {
		g.t.Fatalf("log after the kills: %v, %v", report.Damages, err)
	}
	if last, err := noteFile(g.dir + "/last-checkpoint").Load(); err != nil || len(notes) > 0 && last == nil {
		g.t.Errorf("the signer remembers nothing: %v", err)
	} else if kept, err := audit.OpenCheckpoint(last, logVerifier(g.t)); err != nil || kept.Size < report.Kept.Size {
		g.t.Errorf("the signer remembers size %d, but has published %d: %v", kept.Size, report.Kept.Size, err)
	}
	// A change and its entry are both there or neither is, acknowledged or not.
	conn := g.connect()
	defer conn.Close(g.t.Context())
	var changes, evidence int
	if err := conn.QueryRow(g.t.Context(), `select (select count(*) from trial.change),
		(select count(*) from audit.entry where convert_from(leaf, 'UTF8') like '%"k":"consent.withdrawn"%')`).Scan(&changes, &evidence); err != nil {
		g.t.Fatal(err)
	}
	if changes != evidence || changes == 0 {
		g.t.Errorf("%d changes have %d entries", changes, evidence)
	}
}
