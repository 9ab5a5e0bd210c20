package policies

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/mahrem/mahrem/privacy"
)

//go:embed conformance/authzen.rego
var conformanceRules string

// conformanceQuery is the entrypoint of the fixture.
const conformanceQuery = "data.mahrem.conformance.decision"

// Entity is a subject, a resource or, without an ID, an action of an access request. Its
// Properties are a JSON object, or empty.
type Entity struct {
	Type, ID   string
	Properties []byte
}

// Access asks whether a subject may do something with a resource (AuthZEN
// Authorization API 1.0). It is about access in general; questions about people's data
// are [Facts].
type Access struct{ Subject, Action, Resource Entity }

// Conformance decides about [Access] by the fixture of the AuthZEN certification. It is
// for showing that the protocol is kept and for measuring it, and knows nobody.
type Conformance struct {
	query rego.PreparedEvalQuery
	// memo is nil when it could not be proven exact.
	memo *memory[bool]
}

// Limits of what the fixture remembers.
const (
	conformanceMemo = 4096
	conformanceKey  = 1 << 10
)

// OpenConformance compiles the fixture that is built into the program, with the same
// restrictions as every bundle.
func OpenConformance(ctx context.Context) (*Conformance, error) {
	module, err := ast.ParseModuleWithOpts("conformance/authzen.rego", conformanceRules, ast.ParserOptions{
		RegoVersion: ast.RegoV1, ProcessAnnotation: true, Capabilities: capabilities(),
	})
	if err != nil {
		return nil, fmt.Errorf("parsing conformance rules: %w: %w", err, privacy.ErrInvalid)
	}
	return openConformance(ctx, module)
}

func openConformance(ctx context.Context, module *ast.Module) (*Conformance, error) {
	if complaints := lint(module); len(complaints) > 0 {
		return nil, fmt.Errorf("checking conformance rules: %s: %w", complaints[0], privacy.ErrInvalid)
	}
	compiler, err := compileModules(map[string]*ast.Module{"conformance/authzen.rego": module})
	if err != nil {
		return nil, err
	}
	query, err := prepare(ctx, compiler, inmem.New(), conformanceQuery)
	if err != nil {
		return nil, err
	}
	c := &Conformance{query: query}
	err = proveReads(compiler, conformanceQuery, func(name string) bool {
		return strings.HasPrefix(name, "input.subject.") || strings.HasPrefix(name, "input.action.") ||
			name == "input.resource" || strings.HasPrefix(name, "input.resource.")
	})
	if err == nil {
		c.memo = newMemory[bool](conformanceMemo)
	}
	return c, nil
}

// Decide returns whether the access is allowed. Properties that are not a JSON object
// are an error wrapping [privacy.ErrInvalid]; nothing is allowed with an error.
//
// A decision that was made before about the same bytes is given again; that it depends on
// nothing else was proven when the fixture was opened.
func (c *Conformance) Decide(ctx context.Context, access Access) (bool, error) {
	if c.memo == nil {
		return c.evaluate(ctx, &access)
	}
	var room [256]byte
	key := access.appendKey(room[:0])
	if allowed, known := c.memo.get(key); known {
		return allowed, nil
	}
	allowed, err := c.evaluate(ctx, &access)
	if err == nil && len(key) <= conformanceKey {
		c.memo.put(key, allowed)
	}
	return allowed, err
}

// appendKey appends bytes that are equal for equal requests and for no others.
func (a *Access) appendKey(b []byte) []byte {
	for _, e := range [...]*Entity{&a.Subject, &a.Action, &a.Resource} {
		b = binary.AppendUvarint(b, uint64(len(e.Type)))
		b = append(b, e.Type...)
		b = binary.AppendUvarint(b, uint64(len(e.ID)))
		b = append(b, e.ID...)
		b = binary.AppendUvarint(b, uint64(len(e.Properties)))
		b = append(b, e.Properties...)
	}
	return b
}

func (c *Conformance) evaluate(ctx context.Context, access *Access) (bool, error) {
	subject, err := access.Subject.value(keyConformanceType)
	if err != nil {
		return false, err
	}
	action, err := access.Action.value(keyConformanceName)
	if err != nil {
		return false, err
	}
	resource, err := access.Resource.value(keyConformanceType)
	if err != nil {
		return false, err
	}
	input := ast.NewObject(
		[2]*ast.Term{keySubject, subject}, [2]*ast.Term{keyAction, action}, [2]*ast.Term{keyConformanceResource, resource},
	)
	// The rules are our own and end. On a busy machine the narrow limit would be wrong.
	value, err := evaluate(ctx, &c.query, input, activationLimit)
	if err != nil {
		return false, err
	}
	decision, ok := value.(ast.Boolean)
	if !ok {
		return false, fmt.Errorf("reading decision: not a yes or no: %w", ErrPolicy)
	}
	return bool(decision), nil
}

var (
	keyConformanceType       = ast.StringTerm("type")
	keyConformanceName       = ast.StringTerm("name")
	keyConformanceID         = ast.StringTerm("id")
	keyConformanceResource   = ast.StringTerm("resource")
	keyConformanceProperties = ast.StringTerm("properties")
)

// value is the entity as the rules see it. What is empty is not there.
func (e *Entity) value(key *ast.Term) (*ast.Term, error) {
	object := ast.NewObject([2]*ast.Term{key, ast.StringTerm(e.Type)})
	if e.ID != "" {
		object.Insert(keyConformanceID, ast.StringTerm(e.ID))
	}
	if len(e.Properties) > 0 {
		if !json.Valid(e.Properties) || e.Properties[0] != '{' {
			return nil, fmt.Errorf("reading properties: not a JSON object: %w", privacy.ErrInvalid)
		}
		properties, err := ast.ValueFromReader(bytes.NewReader(e.Properties))
		if err != nil {
			return nil, fmt.Errorf("reading properties: %w", privacy.ErrInvalid)
		}
		object.Insert(keyConformanceProperties, ast.NewTerm(properties))
	}
	return ast.NewTerm(object), nil
}
