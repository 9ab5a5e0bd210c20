package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/mahrem/mahrem/privacy"
)

// Entrypoints: the one that decides, and the one that expands at activation.
const (
	planQuery    = "data.mahrem.plan.plan"
	verdictQuery = "data.mahrem.expand.verdict"
	// roomQuery decides in clean rooms.
	roomQuery = "data.mahrem.room.decision"
	// requiredQuery names the checks that every request needs.
	requiredQuery = "data.mahrem.gate.required"
	// askedQuery and passedQuery hold the checks that passed: those about the question,
	// and those about the person.
	askedQuery  = "data.mahrem.asked.passed"
	passedQuery = "data.mahrem.gate.passed"
)

// capabilities are what rules may use: everything but what reaches outside of the facts
// and the catalogue, such as clocks, networks, randomness, the process, and keys.
func capabilities() *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	all.Builtins = slices.DeleteFunc(all.Builtins, func(b *ast.Builtin) bool {
		if b.Nondeterministic {
			return true
		}
		family, _, _ := strings.Cut(b.Name, ".")
		return slices.Contains([]string{"http", "net", "opa", "rego", "time", "rand", "uuid", "io", "crypto", "graphql", "providers"}, family)
	})
	all.AllowNet = []string{}
	return all
}

// parseModules parses the rules of a bundle; with tests also their tests.
func parseModules(content bundleContent, tests bool) (map[string]*ast.Module, error) {
	modules := map[string]*ast.Module{}
	for _, name := range content.names() {
		if !strings.HasPrefix(name, regoDir+"/") || !strings.HasSuffix(name, ".rego") ||
			!tests && strings.HasSuffix(name, "_test.rego") {
			continue
		}
		module, err := ast.ParseModuleWithOpts(name, string(content[name]), ast.ParserOptions{
			RegoVersion: ast.RegoV1, ProcessAnnotation: true, Capabilities: capabilities(),
		})
		if err != nil {
			return nil, fmt.Errorf("parsing rules: %w: %w", err, privacy.ErrInvalid)
		}
		modules[name] = module
	}
	if len(modules) == 0 {
		return nil, fmt.Errorf("parsing rules: there are none: %w", privacy.ErrInvalid)
	}
	return modules, nil
}

func compileModules(modules map[string]*ast.Module) (*ast.Compiler, error) {
	compiler := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, fmt.Errorf("compiling rules: %w: %w", compiler.Errors, privacy.ErrInvalid)
	}
	return compiler, nil
}

// newStore holds the catalogue as the rules see it. Values stay in the rules' own form,
// so that looking one up converts nothing.
func newStore(document map[string]any) storage.Store {
	return inmem.NewFromObjectWithOpts(map[string]any{"catalogue": document},
		inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
}

func prepare(ctx context.Context, compiler *ast.Compiler, store storage.Store, query string) (rego.PreparedEvalQuery, error) {
	prepared, err := rego.New(rego.Query(query), rego.Compiler(compiler), rego.Store(store)).PrepareForEval(ctx)
	if err != nil {
		return prepared, fmt.Errorf("preparing %s: %w: %w", query, err, privacy.ErrInvalid)
	}
	return prepared, nil
}

// document is the catalogue as the rules see it: objects keyed by name, with sets as
// objects of true, and every property that a rule tests present.
func (c *Catalogue) document() map[string]any {
	doc := map[string]any{}
	doc["jurisdictions"] = list(c.Jurisdictions())
	doc["channels"] = object(c.channels, func(ch *Channel) any {
		return map[string]any{"discloses_to": string(ch.DisclosesTo)}
	})
	doc["recipients"] = object(c.recipients, func(r *Recipient) any {
		references := set(r.References)
		references[string(ByPseudonym)] = true
		return map[string]any{
			"relationship": string(r.Relationship), "purposes": set(r.Purposes),
			"references": references,
		}
	})
	doc["categories"] = object(c.categories, func(k *Category) any {
		free := slices.DeleteFunc(c.Jurisdictions(), func(j privacy.Jurisdiction) bool {
			return k.Special || slices.Contains(k.ExplicitIn, j)
		})
		cases := set([]Case{HandledCase})
		if !k.Case {
			cases[string(NoCase)] = true
		}
		return map[string]any{"special": k.Special, "sensitive": k.Sensitive, "free_in": list(free), "cases": cases}
	})
	doc["attributes"] = object(c.attributes, func(a *Attribute) any {
		return map[string]any{
			"category": string(a.Category), "source": string(a.Source), "precise": a.Precise,
			"generalizable": a.Generalize != nil, "persona": a.Persona,
		}
	})
	doc["purposes"] = object(c.purposes, func(p *Purpose) any {
		return map[string]any{
			"actions": set(p.Actions), "profiling": p.Profiling, "explicit": p.Explicit, "special": p.Special,
			"reidentification": p.Reidentification, "bases": levels(p.Bases), "ages": list(p.Ages),
			"relationships": set(p.Relationships), "channels": set(p.Channels), "discloses": set(p.DisclosesTo),
			"categories": levels(p.Categories), "attributes": levels(p.Attributes), "persona": p.Persona,
			"trigger": string(p.Trigger), "despite_restriction": p.DespiteRestriction,
			"despite_objection": p.DespiteObjection, "yes": list(p.YesStates()), "room": set(p.roomCategories()),
			"audience_minimum": p.AudienceMinimum,
		}
	})
	return doc
}

func object[K ~string, V any](entries map[K]*V, value func(*V) any) map[string]any {
	o := make(map[string]any, len(entries))
	for k, v := range entries {
		o[string(k)] = value(v)
	}
	return o
}

func set[T ~string](list []T) map[string]any {
	o := make(map[string]any, len(list))
	for _, item := range list {
		o[string(item)] = true
	}
	return o
}

// list is for what a rule compares with a fact about the person: rules look such facts
// up with "in", never as a key, so that a filter can be made of them.
func list[T ~string](items []T) []any {
	l := make([]any, len(items))
	for i, item := range items {
		l[i] = string(item)
	}
	return l
}

func levels[K ~string](m map[K]Level) map[string]any {
	o := make(map[string]any, len(m))
	for k, level := range m {
		o[string(k)] = level.String()
	}
	return o
}
