package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mahrem/mahrem/internal/localpg"
)

// commands are what the scripts have besides mahrem itself.
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"owner":       owner,
		"await":       await,
		"call":        call,
		"await-ready": awaitReady,
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

// await FILE TEXT: wait until a file holds a text.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE TEXT")
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
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

// awaitReady ADDRESS PATTERN: ask /readyz until the answer matches.
func awaitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await-ready ADDRESS PATTERN")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	url := strings.TrimSpace(ts.ReadFile(args[0])) + "/readyz"
	var content []byte
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
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
