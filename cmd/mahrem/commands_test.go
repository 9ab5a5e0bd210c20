package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/internal/witnesstest"
)

// commands are what the scripts have besides mahrem itself.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"owner":       owner,
		"await":       await,
		"call":        call,
		"await-ready": awaitReady,
		"await-says":  awaitSays,
		"witness":     witnessCommand,
		"people":      peopleCommand,
	}
}

// owner SQL: run a statement as the owner of the script's embedded database, which is
// more than mahrem may.
func owner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: owner SQL")
	}
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Config{Dir: filepath.Join(ts.Getenv("MAHREM_HOME"), "postgres")})
	ts.Check(err)
	defer func() { ts.Check(server.Close()) }()
	conn, err := pgx.Connect(ctx, server.URL())
	ts.Check(err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, args[0])
	ts.Check(err)
}

// people FILE FROM TO HEADER ROW...: write a CSV file with a row for each number from FROM
// to TO; the rows take turns, and # in them is the number.
func peopleCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: people FILE FROM TO HEADER ROW...")
	}
	from, err := strconv.Atoi(args[1])
	ts.Check(err)
	to, err := strconv.Atoi(args[2])
	ts.Check(err)
	rows := args[4:]
	var file strings.Builder
	file.WriteString(args[3] + "\n")
	for i := from; i <= to; i++ {
		file.WriteString(strings.ReplaceAll(rows[(i-from)%len(rows)], "#", strconv.Itoa(i)) + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(file.String()), 0o600))
}

// await FILE TEXT: wait until a file holds a text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		content, _ := os.ReadFile(ts.MkAbs(args[0]))
		if strings.Contains(string(content), args[1]) {
			return
		}
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

// call ADDRESS METHOD PATH [TOKEN [BODY]]: call the API; ADDRESS, TOKEN and BODY are
// files, and so is what follows an @ in PATH. The status and the body become stdout.
func call(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 5 {
		ts.Fatalf("usage: call ADDRESS METHOD PATH [TOKEN [BODY]]")
	}
	read := func(name string) string { return strings.TrimSpace(ts.ReadFile(name)) }
	var body io.Reader
	if len(args) > 4 {
		body = bytes.NewBufferString(read(args[4]))
	}
	path, file, found := strings.Cut(args[2], "@")
	if found {
		path += read(file)
	}
	request, err := http.NewRequestWithContext(context.Background(), args[1], read(args[0])+path, body)
	ts.Check(err)
	if len(args) > 3 {
		request.Header.Set("Authorization", "Bearer "+read(args[3]))
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write([]byte(response.Status + "\n" + string(content) + "\n"))
	ts.Check(err)
}

// awaitSays PATTERN COMMAND...: run a command until its output matches, whatever its exit
// code. The last output becomes stdout.
func awaitSays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await-says PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		_ = ts.Exec(args[1], args[2:]...)
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("never said %q", args[0])
}

// witness start POLICY KEY: start a witness, to which the log with the key in the file KEY is
// known, and write a policy that demands it. witness leave POLICY, witness return POLICY: it
// goes away, and comes back where it was. witness fork POLICY: it remembers another history
// of the log.
func witnessCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: witness start POLICY KEY, witness leave|return|fork POLICY")
	}
	all := ts.Value(witnessKey).(map[string]scriptWitness)
	if args[0] == "start" {
		text, _, _ := strings.Cut(ts.ReadFile(args[2]), "\n")
		origin, key, err := audit.ParseKey(text)
		ts.Check(err)
		verifier, err := audit.NewVerifier(origin, key)
		ts.Check(err)
		w, err := witnesstest.Start("watcher.example/w", verifier)
		ts.Check(err)
		ts.Defer(w.Leave)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(w.Policy("watcher")), 0o600))
		all[args[1]] = scriptWitness{w, origin}
		return
	}
	at, found := all[args[1]]
	switch {
	case !found:
		ts.Fatalf("no witness was started for %s", args[1])
	case args[0] == "leave":
		at.Leave()
	case args[0] == "return":
		ts.Check(at.Return())
	case args[0] == "fork":
		at.SeeOther(at.origin)
	default:
		ts.Fatalf("a witness cannot %s", args[0])
	}
}

// witnessKey is where a script's witnesses are kept between commands.
const witnessKey = "witness"

// scriptWitness is a witness of a script, and the log that it knows.
type scriptWitness struct {
	*witnesstest.Witness
	origin string
}

// awaitReady ADDRESS PATTERN: ask /readyz until the answer matches.
func awaitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await-ready ADDRESS PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	url := strings.TrimSpace(ts.ReadFile(args[0])) + "/readyz"
	var content []byte
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, err := http.Get(url)
		ts.Check(err)
		content, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		ts.Check(err)
		if pattern.Match(content) {
			return
		}
	}
	ts.Fatalf("/readyz never said %q, but %s", args[1], content)
}
