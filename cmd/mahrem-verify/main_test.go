package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmallAndStatic: what an auditor gets has nothing in it that could decide, answer or
// store, links nothing, and is small.
func TestSmallAndStatic(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{end}}{{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const house = "github.com/mahrem/mahrem"
	allowed := map[string]bool{
		house + "/privacy": true, house + "/audit": true, house + "/audit/bundle": true, house + "/audit/witness": true,
		house + "/audit/verdict": true, house + "/cmd/mahrem-verify": true,
	}
	for line := range strings.Lines(string(out)) {
		module, path, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && module != "golang.org/x/mod" && !allowed[path] {
			t.Errorf("it must not depend on %s of %s", path, module)
		}
	}
	name := filepath.Join(t.TempDir(), "mahrem-verify")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(8 << 20); info.Size() > limit {
		t.Errorf("it has %d bytes, and should have at most %d", info.Size(), limit)
	}
	t.Logf("%d bytes", info.Size())
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"--nonsense", "x"},
		{"nowhere"},
		{"--key", "nowhere", "x"},
		{"--witnesses", "nowhere", "x"},
		{"ftp://host/log"},
		{"a", "b"},
		{"proof"},
		{"proof", "nowhere"},
		{"proof", "main.go"},
		{"proof", "main.go", "main.go"},
		{"proof", "--kept", "main.go", "main.go"},
		{"receipts", "main.go"},
		{"receipts", "main.go", "."},
		{"receipts", "nowhere", "."},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 2 || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, out.String(), errs.String())
		}
	}
}
