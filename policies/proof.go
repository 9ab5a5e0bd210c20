package policies

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"

	"github.com/mahrem/mahrem/privacy"
)

// canonicalInputs are the parts of the facts that the canonical bytes contain. A rule
// that reads anything else could decide differently under equal keys.
var canonicalInputs = map[string]bool{
	"input.v": true, "input.action": true, "input.role": true, "input.recipient": true, "input.purpose": true,
	"input.channel": true, "input.reference": true, "input.subject.known": true, "input.subject.age": true,
	"input.subject.jurisdiction": true, "input.subject.restricted": true, "input.subject.objected": true,
	"input.subject.household": true, "input.consent.state": true, "input.consent.explicit": true,
	"input.consent.basis": true, "input.consent.incentive": true, "input.trigger": true, "input.case": true,
	"input.grants": true, "input.categories": true,
}

// proveExact shows that a plan depends on nothing but the canonical facts and the
// bundle, from OPA's own dependency analysis: every input that the entrypoint reads is
// in the key, every datum belongs to the bundle, and no builtin has a will of its own.
// The error says which part of the proof fails.
func proveExact(compiler *ast.Compiler) error {
	return proveReads(compiler, planQuery, func(name string) bool {
		return canonicalInputs[name] || strings.HasPrefix(name, "data.catalogue.")
	})
}

// proveRoomExact is proveExact for decisions in rooms.
func proveRoomExact(compiler *ast.Compiler) error {
	return proveReads(compiler, roomQuery, func(name string) bool {
		return roomInputs[name] || strings.HasPrefix(name, "data.catalogue.")
	})
}

// maxRoomDecisions bounds how many decisions in rooms a generation of the memo holds.
const maxRoomDecisions = 4096

// proveReads shows that the answer to a query depends on what is admitted alone.
func proveReads(compiler *ast.Compiler, query string, admitted func(name string) bool) error {
	body, err := ast.ParseBody(query)
	if err != nil {
		return fmt.Errorf("proving memo exact: %w", err)
	}
	refs, err := dependencies.Base(compiler, body)
	if err != nil {
		return fmt.Errorf("proving memo exact: %w", err)
	}
	if len(refs) == 0 {
		return fmt.Errorf("proving memo exact: the entrypoint reads nothing: %w", ErrPolicy)
	}
	for _, ref := range refs {
		if name := ref.String(); !admitted(name) {
			return fmt.Errorf("proving memo exact: the rules read %s: %w", name, ErrPolicy)
		}
	}
	for _, builtin := range compiler.Required.Builtins {
		known, ok := ast.BuiltinMap[builtin.Name]
		if !ok || known.Nondeterministic {
			return fmt.Errorf("proving memo exact: builtin %s: %w", builtin.Name, ErrPolicy)
		}
	}
	return nil
}

// checkReads refuses rules that read facts which do not exist: such a rule can never
// pass, or worse, always.
func checkReads(compiler *ast.Compiler, query string, inputs map[string]bool) error {
	refs, err := dependencies.Base(compiler, ast.MustParseBody(query))
	if err != nil {
		return fmt.Errorf("checking what rules read: %w", err)
	}
	for _, ref := range refs {
		name := ref.String()
		if strings.HasPrefix(name, "input") && !inputs[name] {
			return fmt.Errorf("checking what rules read: %s reads %s, which is no fact: %w", query, name, privacy.ErrInvalid)
		}
		if query == verdictQuery && !inputs[name] {
			return fmt.Errorf("checking what rules read: %s reads %s beside its input: %w", query, name, privacy.ErrInvalid)
		}
	}
	return nil
}
