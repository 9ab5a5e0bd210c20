package tamper

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What callers do about one person.
type choice struct {
	person int
	act    string // granted, withdrawn, or query
}

// consentModel is what the two servers together must look like: one register for each person,
// which changes at some moment between the call of a change and its answer, and which every
// query reads at some moment between its call and its answer. So no query that begins after
// the answer to a withdrawal gets data.
var consentModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		people := map[int][]porcupine.Operation{}
		for _, o := range history {
			p := o.Input.(choice).person
			people[p] = append(people[p], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range people {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		switch input.(choice).act {
		case "granted":
			return true, true
		case "withdrawn":
			return true, false
		}
		return output.(bool) == state.(bool), state
	},
}

// TestWithdrawalsAreLinearizable has callers grant, withdraw and ask at two real servers over
// one database, each call at either, and checks the history. The control asks through a cache
// of a few answers, which must be found.
func TestWithdrawalsAreLinearizable(t *testing.T) {
	t.Parallel()
	calls := 100_000
	if testing.Short() {
		calls = 1_500
	}
	const callers = 16
	people := group * (1 + calls/callsOfGroup)
	s := &shop{ground: newGround(t, rand.New(rand.NewPCG(1, 4))), told: map[string]int{}, refused: map[int]int{}} //nolint:gosec // a test
	s.run("init")
	file := "number,name,mail,city,country,born\n"
	for p := range people {
		file += fmt.Sprintf("L-%d,Fiona,fiona%d@example.com,Cork,IE,1979-12-24\n", p, p)
	}
	for name, content := range map[string]string{"people.csv": file, "people.yaml": peopleMap} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.run("intake", "load", filepath.Join(s.dir, "people.csv"), "--map", filepath.Join(s.dir, "people.yaml"))
	s.service = strings.TrimSpace(s.run("token", "mint", "--role", "service", "--recipient", "recommender"))
	s.officer = strings.TrimSpace(s.run("token", "mint", "--role", "dpo"))
	s.servers, s.at = make([]*exec.Cmd, 2), make([]string, 2)
	t.Cleanup(func() {
		for _, server := range s.servers {
			if server != nil {
				kill9(server.Process.Pid)
				_ = server.Wait()
			}
		}
	})
	s.serve(0)
	s.serve(1)
	client := &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	begun := time.Now()
	history := s.history(client, calls, callers, people, 0)
	took := time.Since(begun)
	if result, _ := porcupine.CheckOperationsVerbose(consentModel, history, 10*time.Minute); result != porcupine.Ok {
		t.Errorf("%d calls: %s", len(history), result)
	}
	got, none := 0, 0
	for _, o := range history {
		if o.Input.(choice).act == "query" {
			if o.Output.(bool) {
				got++
			} else {
				none++
			}
		}
	}
	if got < calls/20 || none < calls/20 {
		t.Errorf("%d queries got data and %d did not: nothing is shown", got, none)
	}
	// Of 16 callers at a time one call in so many meets a cached answer that is provably old:
	// of 150 calls about one in 200 times none does, of ten times as many none in practice.
	control := s.history(client, max(calls/10, 1500), callers, people, 5)
	if result, _ := porcupine.CheckOperationsVerbose(consentModel, control, 10*time.Minute); result != porcupine.Illegal {
		t.Errorf("a cache of answers: %s, want it found", result)
	}
	fmt.Printf("%d grants, withdrawals and queries at two servers in %.1f s, linearizable; %d queries got data, %d did not; with a cache in between it is found\n",
		len(history), took.Seconds(), got, none)
}

// Callers all turn to the same few people, so that they meet; and then to the next ones, so
// that nobody has more choices on record than the gate reads.
const group, callsOfGroup = 24, 2000

// history makes calls and returns them with their times. With cached, that many queries after
// one about the same person get its answer, from wherever they come.
func (s *shop) history(client *http.Client, calls, callers, people, cached int) []porcupine.Operation {
	s.t.Helper()
	start := time.Now()
	var next atomic.Int64
	var mu sync.Mutex
	type answer struct{ got, left int }
	cache := map[int]answer{}
	histories := make([][]porcupine.Operation, callers)
	// Everybody begins without a consent, also after a history before this one.
	for p := range people {
		if _, err := s.choose(client, 0, choice{p, "withdrawn"}); err != nil {
			s.t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(caller), uint64(cached))) //nolint:gosec // a test
			for n := next.Add(1); n <= int64(calls); n = next.Add(1) {
				c := choice{(random.IntN(group) + int(n)/callsOfGroup*group) % people, []string{"granted", "withdrawn", "query", "query"}[random.IntN(4)]}
				called := time.Since(start).Nanoseconds()
				got, hit := false, false
				if c.act == "query" && cached > 0 {
					mu.Lock()
					if a := cache[c.person]; a.left > 0 {
						cache[c.person], got, hit = answer{a.got, a.left - 1}, a.got == 1, true
					}
					mu.Unlock()
				}
				if !hit {
					var err error
					if got, err = s.choose(client, random.IntN(2), c); err != nil {
						s.t.Errorf("%s: %v", c.act, err)
						return
					}
				}
				if c.act == "query" && cached > 0 && !hit {
					a := answer{left: cached}
					if got {
						a.got = 1
					}
					mu.Lock()
					cache[c.person] = a
					mu.Unlock()
				}
				histories[caller] = append(histories[caller], porcupine.Operation{
					ClientId: caller, Input: c, Call: called, Output: got, Return: time.Since(start).Nanoseconds(),
				})
			}
		})
	}
	running.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}

// choose makes one call at one of the servers, and says whether data came back.
func (s *shop) choose(client *http.Client, server int, c choice) (got bool, err error) {
	person := fmt.Sprintf(`{"identifier":{"kind":"customer_number","value":"L-%d"}}`, c.person)
	path, token := "/v1/query", s.service
	body := `{"data_subject":` + person + `,"purpose":"recommendations","channel":"web","attributes":["location.city"]}`
	if c.act != "query" {
		path, token = "/v1/consents", s.officer
		body = `{"data_subject":` + person + `,"action":"` + c.act + `","purpose":"recommendations","channel":"web","legal_basis":"consent","source":"web_form"`
		if c.act == "granted" {
			body += `,"notice_version":"n1"`
		}
		body += `}`
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+s.at[server]+path, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		return false, fmt.Errorf("%d %s, %v", response.StatusCode, answer, err)
	}
	return strings.Contains(string(answer), "Cork"), nil
}
