package policies

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/open-policy-agent/opa/v1/format"
)

// Finding is what one part of [Check] found.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Check looks at a bundle as somebody should before it is put to use: that catalogue and
// rules are well formed and compile, that the rules are written as this house does, that
// tests pass and reach every rule, that facts which must be denied are, and that in every
// cell of the table holds what must always hold. It goes on as far as that makes sense.
func Check(ctx context.Context, bundle fs.FS) []Finding {
	var found []Finding
	note := func(check string, err error, detail string) bool {
		f := Finding{Check: check, OK: err == nil, Detail: detail}
		if err != nil {
			f.Detail = err.Error()
		}
		found = append(found, f)
		return f.OK
	}
	content, err := readBundle(bundle)
	if !note("bundle", err, fmt.Sprintf("%d files", len(content))) {
		return found
	}
	revision, err := New(Config{}).build(ctx, content)
	if !note("compile", err, "rules and catalogue, strictly, without clock, network and chance") {
		return found
	}
	found = append(found, places("format", unformatted(content), "as opa fmt writes"))
	tests, err := TestRego(ctx, bundle)
	if note("tests", err, "") {
		found[len(found)-1] = places("tests", tests.Failed, fmt.Sprintf("%d pass", tests.Ran))
		found = append(found, places("coverage", tests.Uncovered, "every rule is reached by a test"))
	}
	tried, err := revision.Probe(ctx)
	note("attack", err, fmt.Sprintf("%d spoiled facts are denied", tried))
	table, err := revision.Table(ctx)
	if err != nil {
		note("table", err, "")
		return found
	}
	all, open := table.Cells()
	note("table", nil, fmt.Sprintf("total: %s cells, %s open, from %d evaluations; hash sha256:%x", all, open, table.Evaluations(), table.Hash()))
	violations := table.Violations()
	for _, violation := range violations {
		note("invariant", violation, "")
	}
	if len(violations) == 0 {
		note("invariants", nil, fmt.Sprintf("%d hold in every cell", len(table.Invariants())))
	}
	return found
}

// places is a finding about places or names that should not be there.
func places(check string, wrong []string, fine string) Finding {
	if len(wrong) > 0 {
		return Finding{check, false, strings.Join(wrong, ", ")}
	}
	return Finding{check, true, fine}
}

// unformatted returns the rule files that opa fmt would change.
func unformatted(content bundleContent) []string {
	var names []string
	for _, name := range content.names() {
		if !strings.HasPrefix(name, regoDir+"/") || !strings.HasSuffix(name, ".rego") {
			continue
		}
		if formatted, err := format.Source(name, content[name]); err != nil || !bytes.Equal(formatted, content[name]) {
			names = append(names, name)
		}
	}
	return names
}
