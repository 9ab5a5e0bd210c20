package policies

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/mahrem/mahrem/privacy"
)

// questionInputs are the facts that make up a question: those that are the same for
// everybody about whom it is asked. They must all be in [Facts.appendQuestion].
var questionInputs = map[string]bool{
	"input.v": true, "input.action": true, "input.role": true, "input.recipient": true, "input.purpose": true,
	"input.channel": true, "input.reference": true, "input.trigger": true, "input.case": true, "input.categories": true,
}

// appendQuestion appends the facts of the question, in a form that is one to one.
func (f *Facts) appendQuestion(b []byte) []byte {
	for _, word := range [...]string{
		string(f.Action), string(f.Role), string(f.Recipient), string(f.Purpose), string(f.Channel),
		string(f.Reference), string(f.Trigger), string(f.Case),
	} {
		b = append(append(b, word...), ' ') // no word contains a space
	}
	return appendList(b, f.Categories)
}

// maxQuestions bounds how many questions a revision remembers, maxRemembered how much of
// each.
const (
	maxQuestions  = 4096
	maxRemembered = 64
)

// asked remembers, question by question, what rules say that read nothing about the
// person. Most checks of a request are of this kind, and few questions are put about
// many people. It is exact for the same reason as the memo: which rules these are comes
// from OPA's dependency analysis, and the key holds all that they read.
type asked struct {
	rules     []ast.Ref // paths of such rules
	catalogue ast.Value // the data document

	mu        sync.RWMutex
	questions map[string][]remembered
	scratch   sync.Pool
}

// remembered is the value of a rule; nil means that it is undefined.
type remembered struct {
	ref   [maxRef]*ast.Term
	n     int
	value *ast.Term
}

// maxRef bounds the length of a path that is remembered.
const maxRef = 6

// expandRules run at activation and never for a question, roomRules for no person.
var (
	expandRules = ast.MustParseRef("data.mahrem.expand")
	roomRules   = ast.MustParseRef("data.mahrem.room")
)

// newAsked finds the rules that read the question and the catalogue alone.
func newAsked(ctx context.Context, compiler *ast.Compiler, store storage.Store) (*asked, error) {
	a := &asked{questions: map[string][]remembered{}}
	a.scratch.New = func() any { return &scratch{} }
	seen := map[string]bool{}
	for _, name := range sortedKeys(compiler.Modules) {
		home := len(compiler.Modules[name].Package.Path)
		for _, rule := range compiler.Modules[name].Rules {
			path := rule.Ref()[:home+1] // of an object that rules make together, the whole
			if len(rule.Head.Args) > 0 || seen[path.String()] || path.HasPrefix(expandRules) || path.HasPrefix(roomRules) {
				continue
			}
			seen[path.String()] = true
			reads, err := dependencies.Base(compiler, ast.NewBody(ast.NewExpr(ast.NewTerm(path))))
			if err != nil {
				return nil, fmt.Errorf("finding what rules read: %w: %w", err, privacy.ErrInvalid)
			}
			if readsQuestion(reads) {
				a.rules = append(a.rules, path)
			}
		}
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	defer store.Abort(ctx, txn)
	root, err := store.Read(ctx, txn, storage.RootPath)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	a.catalogue, _ = root.(ast.Value)
	return a, nil
}

func readsQuestion(refs []ast.Ref) bool {
	for _, ref := range refs {
		name := ref.String()
		if !questionInputs[name] && !strings.HasPrefix(name, "data.catalogue.") {
			return false
		}
	}
	return true
}

// about reports whether a path leads to what a rule of this kind says.
func (a *asked) about(ref []*ast.Term) bool {
	for _, rule := range a.rules {
		if len(rule) <= len(ref) && samePath(rule, ref[:len(rule)]) {
			return true
		}
	}
	return false
}

// open returns an empty cache for one evaluation that knows what is remembered of the
// question.
func (a *asked) open(question []byte) *scratch {
	s := a.scratch.Get().(*scratch)
	a.mu.RLock()
	s.known = a.questions[string(question)]
	a.mu.RUnlock()
	s.learned, s.frames, s.depth = s.learned[:0], s.frames[:0], 0
	return s
}

// close remembers what the evaluation learned about the question, if it went well.
func (a *asked) close(s *scratch, question []byte, well bool) {
	var learned []remembered
	if well {
		for i := range s.learned {
			if r := &s.learned[i]; a.about(r.ref[:r.n]) {
				learned = append(learned, *r)
			}
		}
	}
	if len(learned) > 0 && len(s.known)+len(learned) <= maxRemembered {
		a.mu.Lock()
		if len(a.questions) >= maxQuestions {
			clear(a.questions)
		}
		if known := a.questions[string(question)]; len(known) == len(s.known) {
			a.questions[string(question)] = append(known[:len(known):len(known)], learned...)
		}
		a.mu.Unlock()
	}
	clear(s.learned)
	s.known = nil
	a.scratch.Put(s)
}

// Get and Put make the catalogue readable without the bookkeeping of a store.
func (a *asked) Get(ref ast.Ref) ast.Value {
	value := a.catalogue
	for _, term := range ref[1:] {
		object, ok := value.(ast.Object)
		if !ok {
			return nil
		}
		next := object.Get(term)
		if next == nil {
			return nil
		}
		value = next.Value
	}
	return value
}

// Put is never needed: what is not in the catalogue is nowhere.
func (a *asked) Put(ast.Ref, ast.Value) {}

var (
	_ topdown.BaseCache    = (*asked)(nil)
	_ topdown.VirtualCache = (*scratch)(nil)
)

// scratch holds what rules said during one evaluation. A list serves better than a tree
// of maps: there are few entries.
type scratch struct {
	known   []remembered
	learned []remembered
	// frames are where the entries of each level of "with" begin. Below a "with", what
	// is known of the question does not hold.
	frames []int
	depth  int
}

// Push begins a level.
func (s *scratch) Push() { s.frames = append(s.frames, len(s.learned)); s.depth++ }

// Pop ends a level.
func (s *scratch) Pop() {
	s.depth--
	begin := s.frames[len(s.frames)-1]
	s.frames, s.learned = s.frames[:len(s.frames)-1], s.learned[:begin]
}

// Get returns the value of a rule, or whether it is known to be undefined.
func (s *scratch) Get(ref ast.Ref) (*ast.Term, bool) {
	begin := 0
	if s.depth > 0 {
		begin = s.frames[len(s.frames)-1]
	}
	for i := len(s.learned) - 1; i >= begin; i-- {
		if r := &s.learned[i]; samePath(r.ref[:r.n], ref) {
			return r.value, r.value == nil
		}
	}
	if s.depth > 0 {
		return nil, false
	}
	for i := range s.known {
		if r := &s.known[i]; samePath(r.ref[:r.n], ref) {
			return r.value, r.value == nil
		}
	}
	return nil, false
}

// Put remembers the value of a rule.
func (s *scratch) Put(ref ast.Ref, value *ast.Term) {
	if len(ref) > maxRef {
		return
	}
	r := remembered{n: len(ref), value: value}
	for i, term := range ref {
		if _, ok := term.Value.(ast.String); i > 0 && !ok {
			return
		}
		r.ref[i] = term
	}
	s.learned = append(s.learned, r)
}

// Keys is for tracers, of which there are none.
func (s *scratch) Keys() []ast.Ref { return nil }

// samePath compares from the end, where paths differ.
func samePath(a, b []*ast.Term) bool {
	if len(a) != len(b) {
		return false
	}
	for i := len(a) - 1; i > 0; i-- {
		if a[i] == b[i] {
			continue
		}
		x, ok := a[i].Value.(ast.String)
		y, same := b[i].Value.(ast.String)
		if !ok || !same || x != y {
			return false
		}
	}
	return true
}
