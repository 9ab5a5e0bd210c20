package policies

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mahrem/mahrem/privacy"
)

// fieldInner is not a field of the table: a rule that looks into an inner document, such
// as a check that looks at the granted categories, is asked once as if the category were
// in there, and once as if it were not.
const fieldInner = fieldCount

// innerDocuments says into which other document the rules of a document look.
var innerDocuments = map[string]string{passedQuery: grantedDocument, grantedDocument: clearedDocument}

// tableRule is one thing that the rules say, alone: a rule of a set, or a document.
type tableRule struct {
	// document is what it belongs to, such as "data.mahrem.category.granted"; member is the
	// constant that it puts into it, empty if it puts in the category that is asked for.
	document, member string
	// yields and body make the query: the set of what it yields where the body holds.
	yields, body string
	start        ast.Ref // the rule itself
	// fields are what it depends on, in order; kinds holds for each which values of the
	// field it cannot tell apart.
	fields []int
	kinds  map[int][]int
	// holds are, for each value that the query can yield, the cells in which it does.
	holds map[string]diagram
}

// Documents that rules put something into, and those that are whole.
const (
	grantedDocument = "data.mahrem.category.granted"
	clearedDocument = "data.mahrem.category.cleared"
	dueDocument     = "data.mahrem.obligation.due"
	basisDocument   = "data.mahrem.basis.name"
	ceilingDocument = "data.mahrem.basis.ceiling"
)

// isolate compiles the rules again, with each rule that belongs to one of the sets once
// more under a name of its own, so that it can be asked alone.
func (r *Revision) isolate() (*ast.Compiler, []*tableRule, error) {
	modules := map[string]*ast.Module{}
	var rules []*tableRule
	for _, name := range sortedKeys(r.modules) {
		module := r.modules[name].Copy()
		module.Annotations = nil
		for _, rule := range slices.Clone(module.Rules) {
			document := module.Package.Path.String() + "." + rule.Head.Ref().String()
			switch document {
			case askedQuery, passedQuery:
				document = passedQuery
			case grantedDocument, clearedDocument, dueDocument:
			default:
				continue
			}
			if rule.Head.Key == nil || rule.Head.Value != nil || rule.Else != nil {
				return nil, nil, fmt.Errorf("reading rules for the table: %s is no rule of a set: %w", rule.Location, privacy.ErrInvalid)
			}
			alone, own := rule.Copy(), ast.Var(fmt.Sprintf("table_%d", len(rules)))
			made := &tableRule{document: document}
			if key, ok := rule.Head.Key.Value.(ast.String); ok {
				made.member = string(key)
				alone.Head = ast.NewHead(own, nil, ast.BooleanTerm(true))
				made.yields, made.body = strconv.Quote(made.member), fmt.Sprintf("%s.%s", module.Package.Path, own)
				made.start = ast.MustParseRef(fmt.Sprintf("%s.%s", module.Package.Path, own))
			} else {
				alone.Head = ast.NewHead(own, rule.Head.Key.Copy())
				made.yields, made.body = "x", fmt.Sprintf("%s.%s[x]", module.Package.Path, own)
				made.start = ast.MustParseRef(fmt.Sprintf("%s.%s", module.Package.Path, own))
			}
			alone.Head.Location, alone.Module = rule.Head.Location, module
			module.Rules = append(module.Rules, alone)
			rules = append(rules, made)
		}
		modules[name] = module
	}
	for _, document := range [...]string{basisDocument, ceilingDocument} {
		rules = append(rules, &tableRule{document: document, start: ast.MustParseRef(document), yields: "x", body: "x = " + document})
	}
	compiler, err := compileModules(modules)
	return compiler, rules, err
}

// mentions are the words that rules compare a field with, and whether they do anything
// else with it.
type mentions struct {
	words [fieldCount]map[string]bool
	other [fieldCount]bool
}

// read looks at how a rule, as it was written, uses the fields.
func (m *mentions) read(rule *ast.Rule) {
	compared := map[*ast.Term]bool{}
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		if len(expr.With) > 0 || !expr.IsCall() || len(expr.Operands()) != 2 {
			return false
		}
		switch expr.Operator().String() {
		case ast.Equal.Name, ast.Equality.Name, ast.Member.Name:
		default:
			return false
		}
		for i, operand := range expr.Operands() {
			field, is := fieldAt(operand)
			words, constant := constantWords(expr.Operand(1 - i))
			if !is || !constant {
				continue
			}
			compared[operand] = true
			if m.words[field] == nil {
				m.words[field] = map[string]bool{}
			}
			for _, word := range words {
				m.words[field][word] = true
			}
		}
		return false
	})
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		if field, is := fieldAt(term); is && !compared[term] {
			m.other[field] = true
		}
		return false
	})
}

func fieldAt(term *ast.Term) (int, bool) {
	ref, ok := term.Value.(ast.Ref)
	if !ok {
		return 0, false
	}
	name := ref.ConstantPrefix().String()
	for field := range tableFields {
		if in := tableFields[field].input; name == in || strings.HasPrefix(name, in+"[") {
			return field, true
		}
	}
	return 0, false
}

// constantWords returns the strings that a constant, or a collection of constants, is.
func constantWords(term *ast.Term) ([]string, bool) {
	switch value := term.Value.(type) {
	case ast.String:
		return []string{string(value)}, true
	case ast.Set, *ast.Array:
		var words []string
		plain := true
		each := func(item *ast.Term) {
			word, ok := item.Value.(ast.String)
			words, plain = append(words, string(word)), plain && ok
		}
		if set, ok := value.(ast.Set); ok {
			set.Foreach(each)
		} else {
			value.(*ast.Array).Foreach(each)
		}
		return words, plain
	}
	return nil, false
}

// depend finds out, from OPA's dependency analysis, which fields a rule can read at all,
// and from how the rules are written, which values of them it cannot tell apart.
func (t *tableRule) depend(compiler *ast.Compiler, written map[string]*ast.Rule, space *tableSpace) error {
	var use mentions
	reads := map[int]bool{}
	err := reach(compiler, t.start, innerDocuments[t.document], map[*ast.Rule]bool{}, func(rule *ast.Rule) {
		if as := written[rule.Location.String()]; as != nil {
			rule = as
		}
		use.read(rule)
	}, func(ref ast.Ref) error {
		name := ref.String()
		if name == innerDocuments[t.document] {
			reads[fieldInner], reads[fieldCategory] = true, true
			return nil
		}
		if !strings.HasPrefix(name, "input") || name == "input.v" {
			return nil
		}
		for field := range tableFields {
			if tableFields[field].input == name {
				reads[field] = true
				return nil
			}
		}
		return fmt.Errorf("reading rules for the table: a rule reads %s, which is no single fact: %w", name, privacy.ErrInvalid)
	})
	if err != nil {
		return err
	}
	if reads[fieldAgreed] {
		reads[fieldCategory] = true // agreed to what
	}
	t.fields = slices.Sorted(maps.Keys(reads))
	if reads[fieldInner] { // first, as its diagram asks fields of its own
		t.fields = append([]int{fieldInner}, t.fields[:len(t.fields)-1]...)
	}
	t.kinds = map[int][]int{}
	for _, field := range t.fields {
		if field == fieldInner {
			t.kinds[field] = []int{0, 1}
			continue
		}
		kinds, rest := make([]int, len(space.values[field])), -1
		for value, word := range space.values[field] {
			kinds[value] = value
			if use.other[field] || use.words[field][word] || tableFields[field].set == nil {
				continue
			}
			if rest < 0 {
				rest = value
			}
			kinds[value] = rest
		}
		t.kinds[field] = kinds
	}
	return nil
}

// reach visits every rule that a reference can reach, and what none of them makes: facts
// and data. It stops at an inner document.
func reach(compiler *ast.Compiler, ref ast.Ref, inner string, seen map[*ast.Rule]bool, visit func(*ast.Rule), base func(ast.Ref) error) error {
	ref = ref.ConstantPrefix()
	if name := ref.String(); inner != "" && (name == inner || strings.HasPrefix(name, inner+"[")) {
		return base(ast.MustParseRef(inner))
	}
	rules := compiler.GetRules(ref)
	if len(rules) == 0 {
		return base(ref)
	}
	for _, rule := range rules {
		if seen[rule] {
			continue
		}
		seen[rule] = true
		visit(rule)
		refs, err := dependencies.Minimal(rule)
		if err != nil {
			return fmt.Errorf("reading rules for the table: %w", err)
		}
		for _, next := range refs {
			if err := reach(compiler, next, inner, seen, visit, base); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask evaluates the rule in every cell that it can tell apart, and returns the outcomes by
// the numbers of the kinds. Fields that it does not read have their first value.
func (t *tableRule) ask(ctx context.Context, compiler *ast.Compiler, r *Revision, space *tableSpace) (map[string][]string, error) {
	outcomes := map[string][]string{}
	queries := map[string]*rego.PreparedEvalQuery{}
	cell := make([]int, fieldCount+1)
	var walk func(depth int) error
	walk = func(depth int) error {
		if depth == len(t.fields) {
			facts := space.facts(cell[:fieldCount])
			text := fmt.Sprintf("{%s | %s}", t.yields, t.body)
			if len(t.fields) > 0 && t.fields[0] == fieldInner {
				inner := "set()"
				if cell[fieldInner] == 1 {
					inner = fmt.Sprintf("{%q}", space.values[fieldCategory][cell[fieldCategory]])
				}
				text = fmt.Sprintf("{%s | %s with %s as %s}", t.yields, t.body, innerDocuments[t.document], inner)
			}
			query := queries[text]
			if query == nil {
				prepared, err := prepare(ctx, compiler, r.store, text)
				if err != nil {
					return err
				}
				query, queries[text] = &prepared, &prepared
			}
			value, err := evaluate(ctx, query, facts.value(r.words), r.activating())
			if err != nil {
				return err
			}
			outcome, err := t.outcome(value, &facts)
			outcomes[t.key(cell)] = outcome
			return err
		}
		field := t.fields[depth]
		for value, kind := range t.kinds[field] {
			if cell[field] = value; value == kind {
				if err := walk(depth + 1); err != nil {
					return err
				}
			}
		}
		cell[field] = 0
		return nil
	}
	return outcomes, walk(0)
}

// key names the kind of cell.
func (t *tableRule) key(cell []int) string {
	key := make([]byte, 0, 2*len(t.fields))
	for _, field := range t.fields {
		key = binary.BigEndian.AppendUint16(key, uint16(t.kinds[field][cell[field]])) //nolint:gosec // a catalogue has far fewer words
	}
	return string(key)
}

// outcome reads what the rule yields. A rule that puts in what nobody asked for does not
// fit into a table.
func (t *tableRule) outcome(value ast.Value, facts *Facts) ([]string, error) {
	set, ok := value.(ast.Set)
	if !ok {
		return nil, fmt.Errorf("evaluating %s for the table: not a set: %w", t.body, ErrPolicy)
	}
	var words []string
	bad := false
	set.Foreach(func(term *ast.Term) {
		word, ok := term.Value.(ast.String)
		words, bad = append(words, string(word)), bad || !ok
	})
	bad = bad || len(words) > 1
	if open := t.document == grantedDocument || t.document == clearedDocument; open && len(words) == 1 {
		list := facts.Categories
		if t.document == clearedDocument {
			list = facts.Grants
		}
		bad = bad || len(list) != 1 || string(list[0]) != words[0]
		words = []string{""}
	}
	if bad {
		return nil, fmt.Errorf("evaluating %s for the table: it yields what nobody asked for: %w", t.body, ErrPolicy)
	}
	return words, nil
}

// draw turns the outcomes into diagrams. inner are the cells whose category is in the
// inner document.
func (t *tableRule) draw(d *diagrams, outcomes map[string][]string, inner diagram) {
	t.holds = map[string]diagram{}
	var results []string
	for _, outcome := range outcomes {
		for _, word := range outcome {
			if !slices.Contains(results, word) {
				results = append(results, word)
			}
		}
	}
	slices.Sort(results)
	cell := make([]int, fieldCount+1)
	for _, result := range results {
		var build func(depth int) diagram
		build = func(depth int) diagram {
			if depth == len(t.fields) {
				if slices.Contains(outcomes[t.key(cell)], result) {
					return everything
				}
				return nothing
			}
			field := t.fields[depth]
			if field == fieldInner {
				no := build(depth + 1)
				cell[field] = 1
				yes := build(depth + 1)
				cell[field] = 0
				return d.or(d.and(inner, yes), d.without(no, inner))
			}
			next := make([]diagram, d.sizes[field])
			for value, kind := range t.kinds[field] {
				if cell[field] = value; value == kind {
					next[value] = build(depth + 1)
				} else {
					next[value] = next[kind]
				}
			}
			cell[field] = 0
			return d.node(field, next)
		}
		t.holds[result] = build(0)
	}
}
