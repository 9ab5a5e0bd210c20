package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/cli"
	"github.com/mahrem/mahrem/internal/evidence"
	"github.com/mahrem/mahrem/internal/localpg"
)

// traceFile names the file in which a mahrem of a script notes what it was asked.
const traceFile = "MAHREM_TEST_TRACE"

// ran is one command that a script ran, with its time in milliseconds, as entries have it.
type ran struct {
	Args []string `json:"args"`
	From int64    `json:"from"`
	To   int64    `json:"to"`
	Exit int      `json:"exit"`
}

// traced is main, with a note of what was asked and when.
func traced() {
	r := ran{Args: os.Args[1:], From: time.Now().UnixMilli()}
	r.Exit = cli.Run(context.Background(), r.Args, os.Stdin, os.Stdout, os.Stderr)
	r.To = time.Now().UnixMilli()
	if path := os.Getenv(traceFile); path != "" {
		if err := r.note(path); err != nil {
			panic(err)
		}
	}
	os.Exit(r.Exit)
}

func (r *ran) note(path string) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// operation finds what was asked in the table; nil for what is not in it, such as help.
func (r *ran) operation(table []evidence.Operation) *evidence.Operation {
	words := append([]string{"mahrem"}, r.Args...)
	for n := min(4, len(words)); n >= 2; n-- {
		name := strings.Join(words[:n], " ")
		if i := slices.IndexFunc(table, func(o evidence.Operation) bool { return o.Name == name }); i >= 0 {
			return &table[i]
		}
	}
	return nil
}

// broken are scripts that take entries out of the log. What they leave is checked, and not
// that it is all there.
var broken = []string{"auditd", "kept", "replay", "restore", "tamper"}

// elsewhere are commands that leave something in no script, with the test that has them do so.
var elsewhere = map[string]string{
	"mahrem dsar readmit": "internal/assembly",
	"mahrem dsar resume":  "dsar",
	"mahrem dsar extend":  "dsar",
	"mahrem dsar pause":   "dsar",
	// A full partition, a person come back, an open certificate, a request from outside:
	// no script has them.
	"mahrem audit archive":     "internal/assembly",
	"mahrem certificate issue": "dsar/certificate",
	"mahrem erasure check":     "internal/assembly",
	"mahrem audience refresh":  "internal/assembly", // a birthday
	// A registry that answers.
	"mahrem iys export":     "internal/assembly",
	"mahrem iys pull":       "internal/assembly",
	"mahrem opendsr accept": "internal/assembly",
}

// watcher compares what the commands of all scripts left in the log with the table.
type watcher struct {
	t        *testing.T
	commands []evidence.Operation
	servers  []audit.Kind // what a server may leave while a command runs
	opening  []audit.Kind // what opening a house may finish

	mu      sync.Mutex
	scripts int
	left    map[string]bool
}

func newWatcher(t *testing.T) *watcher {
	w := &watcher{t: t, commands: evidence.Commands(), left: map[string]bool{}}
	for _, o := range slices.Concat(evidence.Routes(), evidence.Chores()) {
		w.servers = append(w.servers, o.Kinds()...)
	}
	chores := evidence.Chores()
	w.opening = chores[0].Kinds()
	t.Cleanup(w.finish)
	return w
}

// finish looks whether something never left what it should. Only a run of all scripts
// can tell.
func (w *watcher) finish() {
	all, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || w.t.Failed() || w.scripts < len(all) {
		return
	}
	for i := range w.commands {
		o := &w.commands[i]
		switch _, known := elsewhere[o.Name]; {
		case known && w.left[o.Name]:
			w.t.Errorf("%s is left by a script: take it out of the list", o.Name)
		case o.Reason == "" && !w.left[o.Name] && !known:
			w.t.Errorf("%s leaves %v in no script", o.Name, o.Leaves)
		}
	}
}

// watch has the commands of a script note themselves, and compares at its end.
func (w *watcher) watch(env *testscript.Env, home string) {
	trace := filepath.Join(home, "trace")
	env.Setenv(traceFile, trace)
	script := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	env.Defer(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.scripts++
		lines, err := os.ReadFile(trace)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		var commands []ran
		for line := range strings.Lines(string(lines)) {
			var r ran
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				w.t.Error(err)
				return
			}
			commands = append(commands, r)
		}
		entries, err := entriesOf(filepath.Join(home, "home"))
		if err != nil {
			w.t.Errorf("%s: reading the log: %v", script, err)
			return
		}
		w.compare(script, commands, entries)
	})
}

func (w *watcher) compare(script string, commands []ran, entries []audit.Entry) {
	for i := range commands {
		r := &commands[i]
		if slices.Contains(r.Args, "--home") {
			continue // works on another house
		}
		if slices.Contains(r.Args, "--help") {
			continue
		}
		o := r.operation(w.commands)
		if o == nil {
			o = &evidence.Operation{Name: "mahrem " + strings.Join(r.Args, " "), Reason: "is in no table"}
		}
		var left []audit.Kind
		for j := range entries {
			if at := entries[j].Time.UnixMilli(); r.From <= at && at <= r.To {
				left = append(left, entries[j].Kind)
			}
		}
		alone := !slices.ContainsFunc(commands, func(other ran) bool {
			return &other != r && other.From < r.To && r.From < other.To && other.From != r.From
		})
		checked := *o
		if checked.May = append(slices.Clone(o.May), w.opening...); !alone || o.Name == "mahrem serve" {
			checked.May = append(checked.May, w.servers...)
			for _, other := range commands {
				if with := other.operation(w.commands); with != nil && other.From < r.To && r.From < other.To {
					checked.May = append(checked.May, with.Kinds()...)
				}
			}
		}
		checked.Each = o.Each && !slices.Contains(broken, script)
		if wrong := checked.Check(r.Exit == 0, left); wrong != "" {
			w.t.Errorf("%s: mahrem %s: exit %d: %s", script, strings.Join(r.Args, " "), r.Exit, wrong)
		}
		if slices.ContainsFunc(slices.Concat(o.Leaves...), func(k audit.Kind) bool { return slices.Contains(left, k) }) {
			w.left[o.Name] = true
		}
	}
}

// entriesOf reads the log of the embedded database of a home, if there is one.
func entriesOf(home string) ([]audit.Entry, error) {
	dir := filepath.Join(home, "postgres")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Close() }()
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "select leaf from audit.entry order by seq")
	if err != nil {
		return nil, err
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, err
	}
	var entries []audit.Entry
	for _, leaf := range leaves {
		if entry, err := audit.ParseEntry(leaf); err == nil { // a script may have damaged one
			entries = append(entries, entry)
		}
	}
	return entries, nil
}
