package tamper

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const peopleFile = "number,name,mail,city,country,born\nK-1,Fiona,fiona@example.com,Cork,IE,1979-12-24\n"

const peopleMap = `version: 1
source: test
jurisdiction: EU
jurisdiction_from: {column: country}
identifiers:
  - {kind: customer_number, column: number}
  - {kind: email, column: mail, optional: true}
attributes:
  - {name: first_name, column: name, source: declared, quality: verified}
  - {name: email, column: mail, source: declared, quality: verified}
  - {name: language, const: tr, source: declared, quality: verified}
  - {name: location.city, column: city, source: declared, quality: verified}
  - {name: birth_date, column: born, source: declared, quality: verified}
`

// What callers ask: a query is written by Append, a consent by AppendTx.
var questions = []struct{ path, body string }{
	{"/v1/query", `{"data_subject":{"identifier":{"kind":"customer_number","value":"K-1"}},"purpose":"recommendations","channel":"web","attributes":["location.city"]}`},
	{"/v1/query", `{"data_subject":{"identifier":{"kind":"customer_number","value":"K-404"}},"purpose":"greeting","channel":"web","attributes":["first_name"]}`},
	{"/v1/consents", `{"data_subject":{"identifier":{"kind":"customer_number","value":"K-1"}},"action":"granted","purpose":"recommendations","channel":"web","legal_basis":"consent","notice_version":"n1","source":"web_form"}`},
}

// shop is a Mahrem as it is run: processes of the real command, which HTTP callers ask.
type shop struct {
	*ground
	// service and officer are tokens.
	service, officer string
	// logKey is the file with the key of the signer, once there is one.
	logKey  string
	closing atomic.Bool

	mu      sync.Mutex
	servers []*exec.Cmd
	at      []string       // addresses
	told    map[string]int // answers with receipts, by path
	refused map[int]int    // answers without, by status
}

func (s *shop) home() string { return filepath.Join(s.dir, "home") }

// mahrem returns the real command as a process.
func (s *shop) mahrem(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestLogChild$")
	cmd.Env = append(os.Environ(), commandEnv+"="+strings.Join(args, "\n"),
		"MAHREM_HOME="+s.home(), "MAHREM_DATABASE_URL="+s.server.URL(), "MAHREM_LOG_KEY="+s.logKey,
		// A machine that runs tests may be slow, and rules that come late to a decision refuse it.
		"MAHREM_PATIENCE=100")
	return cmd
}

// run runs a command to its end.
func (s *shop) run(args ...string) string {
	s.t.Helper()
	cmd := s.mahrem(args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("mahrem %s: %v\n%s%s", args[0], err, out, stderr.String())
	}
	return string(out)
}

// serve starts a server in that place, and starts it again until it answers: the database
// may be away.
func (s *shop) serve(i int) {
	s.t.Helper()
	for until := time.Now().Add(patience); ; {
		cmd := s.mahrem("serve", "--listen", "127.0.0.1:0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if _, err := cmd.StdinPipe(); err != nil { // closed when this process ends
			s.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if at := addressForm.FindString(line); err == nil && at != "" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			s.mu.Lock()
			s.servers[i], s.at[i] = cmd, at
			s.mu.Unlock()
			return
		}
		kill9(cmd.Process.Pid)
		_ = cmd.Wait()
		if strings.Contains(stderr.String(), "damaged") || time.Now().After(until) {
			s.t.Fatalf("serve does not start: %s", stderr.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var (
	addressForm = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	receiptForm = regexp.MustCompile(`"log":\{"index":([0-9]+),"leaf_hash":"([0-9a-f]{64})"\}`)
)

// ask asks until the end, and keeps the receipts.
func (s *shop) ask(client *http.Client) {
	for n := 0; !s.closing.Load(); n++ {
		s.mu.Lock()
		at := s.at[n%len(s.at)]
		s.mu.Unlock()
		question := questions[n%len(questions)]
		request, err := http.NewRequest(http.MethodPost, "http://"+at+question.path, strings.NewReader(question.body))
		if err != nil {
			return
		}
		token := s.service
		if question.path == "/v1/consents" {
			token = s.officer
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // somebody was killed
			continue
		}
		// An answer counts when all of it has come.
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			continue
		}
		match := receiptForm.FindSubmatch(body)
		if response.StatusCode/100 != 2 || match == nil {
			s.mu.Lock()
			s.refused[response.StatusCode]++
			s.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		s.told[question.path]++
		s.mu.Unlock()
		index, _ := strconv.ParseUint(string(match[1]), 10, 64)
		hash, _ := hex.DecodeString(string(match[2]))
		s.ground.mu.Lock()
		if before, twice := s.acks[index]; twice && before != [32]byte(hash) {
			s.doubles++
		}
		s.acks[index] = [32]byte(hash)
		s.ground.told++
		s.ground.mu.Unlock()
	}
}

// TestKilledServers kills the real server and the real signer, as they are run, while callers
// ask over HTTP, and the database with them. Every answer that a caller has is in the log by
// its receipt; the signer goes on by itself after each kill, and each checkpoint that it ever
// kept is one of the log, none shorter than the one before; and mahrem audit verify, with what
// servers and signer kept outside the database, finds the log whole.
func TestKilledServers(t *testing.T) {
	t.Parallel()
	kills := 30
	if testing.Short() {
		kills = 4
	}
	s := &shop{ground: newGround(t, rand.New(rand.NewPCG(rand.Uint64(), 3))), told: map[string]int{}, refused: map[int]int{}} //nolint:gosec // a test
	s.run("init")
	for name, content := range map[string]string{"people.csv": peopleFile, "people.yaml": peopleMap} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.run("intake", "load", filepath.Join(s.dir, "people.csv"), "--map", filepath.Join(s.dir, "people.yaml"))
	s.service = strings.TrimSpace(s.run("token", "mint", "--role", "service", "--recipient", "recommender"))
	s.officer = strings.TrimSpace(s.run("token", "mint", "--role", "dpo"))
	signer := s.appoint()
	t.Cleanup(signer.dismiss)
	s.servers, s.at = make([]*exec.Cmd, 2), make([]string, 2)
	t.Cleanup(func() {
		s.closing.Store(true)
		for _, server := range s.servers {
			if server != nil {
				kill9(server.Process.Pid)
				_ = server.Wait()
			}
		}
	})
	s.serve(0)
	s.serve(1)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() { s.ask(client) })
	}
	signer.awaitBeyond(signer.size())
	counts := map[string]int{}
	for killed := range kills {
		s.work(20 + s.random.IntN(100))
		time.Sleep(time.Duration(s.random.Int64N(int64(100 * time.Millisecond))))
		n := s.random.IntN(6)
		if killed == 0 {
			n = 5 // each of a short run, too
		}
		switch n {
		case 4, 5:
			counts["signer"]++
			before := signer.size()
			if s.random.IntN(2) == 0 { // not long after it has signed
				signer.awaitBeyond(before)
				before = signer.size()
			}
			signer.kill()
			signer.awaitBeyond(before)
		case 0:
			counts["postmaster"]++
			s.killPostmaster()
		case 1:
			counts["backend"]++
			for !s.killBackend() {
				time.Sleep(5 * time.Millisecond)
			}
		default:
			counts["server"]++
			i := n % 2
			kill9(s.servers[i].Process.Pid)
			_ = s.servers[i].Wait()
			s.serve(i)
		}
	}
	s.work(50)
	signer.awaitBeyond(signer.size()) // nobody has to come for it, whatever was killed
	s.closing.Store(true)
	for _, server := range s.servers {
		kill9(server.Process.Pid)
	}
	callers.Wait()
	s.connect().Close(t.Context())
	if entries, _, size := s.lost(); entries != 0 || size == 0 {
		t.Errorf("%d of %d answers are not in the log", entries, len(s.acks))
	}
	s.compareReceipts()
	signer.dismiss()
	s.run("auditd", "status") // its exit code says whether it refuses
	kept := signer.kept()
	out := s.run(append([]string{"audit", "verify"}, kept...)...)
	if !strings.HasPrefix(out, "OK, ") {
		t.Errorf("after the kills: %s", out)
	}
	if s.told["/v1/query"] == 0 || s.told["/v1/consents"] == 0 {
		t.Errorf("answers by path: %v", s.told)
	}
	fmt.Printf("%d kills (mahrem serve %d, mahrem auditd %d, backends %d, postmaster %d): %d answers over HTTP have receipts %v, 0 are missing from the log; "+
		"%d checkpoints that auditd kept, all of this log, none shorter than one before; refused meanwhile by status: %v; %s",
		kills, counts["server"], counts["signer"], counts["backend"], counts["postmaster"], len(s.acks), s.told, len(kept)/2, s.refused, out)
}

// compareReceipts has the product compare what callers were told with the log.
func (s *shop) compareReceipts() {
	s.t.Helper()
	var answers strings.Builder
	for index, hash := range s.acks {
		fmt.Fprintf(&answers, `{"log":{"index":%d,"leaf_hash":"%x"}}`+"\n", index, hash)
	}
	path := filepath.Join(s.dir, "answers.ndjson")
	if err := os.WriteFile(path, []byte(answers.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if out := s.run("audit", "prove", "--receipt", path); !strings.HasPrefix(out, fmt.Sprintf("OK: %d of %[1]d receipts", len(s.acks))) {
		s.t.Errorf("receipts of %d answers: %s", len(s.acks), out)
	}
}
