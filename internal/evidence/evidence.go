package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
)

// Operation is one way in, with what it leaves in the log.
type Operation struct {
	// Name is a method and path, a command, or what a server does.
	Name string
	// Each is whether every success leaves something. Otherwise only one that changes or
	// shows something does.
	Each bool
	// Leaves are the alternatives; the kinds of one come together.
	Leaves [][]audit.Kind
	// May are kinds that may come along, or that a refusal leaves.
	May []audit.Kind
	// Reason says why a success leaves nothing; empty for what leaves something.
	Reason string
}

// Kinds are all kinds that the operation may leave.
func (o *Operation) Kinds() []audit.Kind {
	return append(slices.Concat(o.Leaves...), o.May...)
}

// Check compares what an operation left with what the table says of it. It returns what is
// wrong, or nothing.
func (o *Operation) Check(succeeded bool, left []audit.Kind) string {
	for _, kind := range left {
		if !slices.Contains(o.Kinds(), kind) {
			return fmt.Sprintf("%s left %s, which the table does not have", o.Name, kind)
		}
	}
	if succeeded && o.Each && !o.hasOne(left) {
		return fmt.Sprintf("%s succeeded and left %v, not what the table has", o.Name, left)
	}
	return ""
}

func (o *Operation) hasOne(left []audit.Kind) bool {
	return slices.ContainsFunc(o.Leaves, func(together []audit.Kind) bool {
		return !slices.ContainsFunc(together, func(k audit.Kind) bool { return !slices.Contains(left, k) })
	})
}

// Routes are the operations of the HTTP API.
func Routes() []Operation { return must(parse(routes)) }

// Commands are the commands of the command line.
func Commands() []Operation { return must(parse(commands)) }

// Chores are what a server does by itself.
func Chores() []Operation { return must(parse(chores)) }

func must(operations []Operation, err error) []Operation {
	if err != nil {
		panic(err) // the tables are constants, and a test parses them
	}
	return operations
}

// parse reads a table.
func parse(table string) ([]Operation, error) {
	var operations []Operation
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		o, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("reading table of evidence: %q: %w", line, err)
		}
		operations = append(operations, o)
	}
	return operations, nil
}

func parseLine(line string) (Operation, error) {
	o := Operation{Each: true}
	body, may, along := strings.Cut(strings.TrimSuffix(line, ")"), " (")
	if along != strings.HasSuffix(line, ")") {
		return o, fmt.Errorf("its parentheses do not fit")
	}
	for word := range strings.FieldsSeq(may) {
		o.May = append(o.May, audit.Kind(word))
	}
	var kinds string
	var ok bool
	if o.Name, o.Reason, ok = strings.Cut(body, " - "); ok {
		o.Each = false
	} else if o.Name, kinds, ok = strings.Cut(body, " = "); !ok {
		o.Each = false
		if o.Name, kinds, ok = strings.Cut(body, " ~ "); !ok {
			return o, fmt.Errorf("neither leaves something nor says why not")
		}
	}
	if o.Reason == "" {
		for alternative := range strings.SplitSeq(kinds, " | ") {
			var together []audit.Kind
			for word := range strings.SplitSeq(alternative, " + ") {
				together = append(together, audit.Kind(word))
			}
			o.Leaves = append(o.Leaves, together)
		}
	}
	for _, kind := range o.Kinds() {
		if !kind.Valid() {
			return o, fmt.Errorf("%q is no kind of event", kind)
		}
	}
	return o, nil
}
