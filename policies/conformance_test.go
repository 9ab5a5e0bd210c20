package policies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

type conformanceCase struct {
	subject, action, resource                               string
	subjectProperties, actionProperties, resourceProperties string
	want                                                    bool
}

// conformanceCases are the required decisions of the certification scenario, and others
// that must not follow from them.
var conformanceCases = []conformanceCase{
	{subject: "alice", action: "read", resource: "record-1", want: true},
	{subject: "alice", action: "write", resource: "record-1", want: true},
	{subject: "bob", action: "read", resource: "record-1", want: true},
	{subject: "bob", action: "write", resource: "record-1"},
	{subject: "alice", action: "write", resource: "record-2", resourceProperties: `{"status":"archived"}`},
	{subject: "alice", action: "write", resource: "record-1", resourceProperties: `{"status":"archived"}`},
	{subject: "bob", action: "write", resource: "record-2", subjectProperties: `{"role":"admin"}`, resourceProperties: `{"status":"archived"}`, want: true},
	{subject: "alice", action: "delete", resource: "record-1", actionProperties: `{"soft":true}`, want: true},
	{subject: "alice", action: "delete", resource: "record-1", actionProperties: `{"soft":false}`},
	{subject: "alice", action: "delete", resource: "record-1", actionProperties: `{"soft":"true"}`},
	{subject: "alice", action: "delete", resource: "record-1", actionProperties: `{"soft":null}`},
	{subject: "alice", action: "delete", resource: "record-1"},
	{subject: "bob", action: "delete", resource: "record-1", actionProperties: `{"soft":true}`},
	{subject: "alice", action: "delete", resource: "record-2", actionProperties: `{"soft":true}`},
	{subject: "alice", action: "write", resource: "record-2"},
	{subject: "bob", action: "write", resource: "record-1", subjectProperties: `{"role":"admin"}`},
	{subject: "bob", action: "write", resource: "record-2", subjectProperties: `{"role":["admin"]}`, resourceProperties: `{"status":"archived"}`},
	{subject: "bob", action: "write", resource: "record-2", subjectProperties: `{"role":"admin"}`, want: true},
	{subject: "mallory", action: "read", resource: "record-1"},
	{subject: "alice", action: "read", resource: "record-3"},
	{subject: "alice", action: "read", resource: "record-2", want: true},
	{subject: "alice", action: "share", resource: "record-1"},
	{subject: "", action: "read", resource: "record-1"},
	{subject: "alice", action: "", resource: "record-1"},
}

func (c *conformanceCase) access() Access {
	return Access{
		Subject:  Entity{Type: "user", ID: c.subject, Properties: []byte(c.subjectProperties)},
		Action:   Entity{Type: c.action, Properties: []byte(c.actionProperties)},
		Resource: Entity{Type: "record", ID: c.resource, Properties: []byte(c.resourceProperties)},
	}
}

// playConformance returns the cases that come out otherwise.
func playConformance(t *testing.T, conformance *Conformance) []string {
	t.Helper()
	var wrong []string
	for _, c := range conformanceCases {
		got, err := conformance.Decide(context.Background(), c.access())
		if err != nil || got != c.want {
			wrong = append(wrong, fmt.Sprintf("%+v: %t, %v", c, got, err))
		}
	}
	return wrong
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance, err := OpenConformance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range playConformance(t, conformance) {
		t.Error(wrong)
	}
	for _, change := range []func(*Access){
		func(a *Access) { a.Subject.Type = "group" },
		func(a *Access) { a.Resource.Type = "folder" },
	} {
		access := conformanceCases[0].access()
		change(&access)
		if got, err := conformance.Decide(t.Context(), access); got || err != nil {
			t.Errorf("%+v: %t, %v", access, got, err)
		}
	}
	for _, properties := range []string{`[]`, `"admin"`, `{`, `null`, `{} {}`} {
		access := conformanceCases[0].access()
		access.Subject.Properties = []byte(properties)
		if got, err := conformance.Decide(t.Context(), access); got || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("properties %s: %t, %v, want ErrInvalid", properties, got, err)
		}
	}
}

// TestConformanceRemembersExactly: a decision is given again for the same request and
// for no other, and the rules read nothing that is not in the key.
func TestConformanceRemembersExactly(t *testing.T) {
	t.Parallel()
	conformance, err := OpenConformance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if conformance.memo == nil {
		t.Fatal("the memo was not proven exact")
	}
	for range 3 {
		for _, wrong := range playConformance(t, conformance) {
			t.Error(wrong)
		}
	}
	if hits, misses := conformance.memo.hits.Load(), conformance.memo.misses.Load(); misses != uint64(len(conformanceCases)) || hits != 2*misses {
		t.Errorf("%d hits, %d misses, %d cases", hits, misses, len(conformanceCases))
	}
	long := conformanceCases[0].access()
	long.Subject.Properties = []byte(`{"x":"` + strings.Repeat("x", conformanceKey) + `"}`)
	before := len(conformance.memo.young)
	if allowed, err := conformance.Decide(t.Context(), long); !allowed || err != nil || len(conformance.memo.young) != before {
		t.Errorf("%t, %v; %d remembered", allowed, err, len(conformance.memo.young))
	}
	a := Access{Subject: Entity{Type: "ab", ID: "c"}}
	b := Access{Subject: Entity{Type: "a", ID: "bc"}}
	if bytes.Equal(a.appendKey(nil), b.appendKey(nil)) {
		t.Error("two requests have one key")
	}
	// Rules that read the context are not remembered.
	module := ast.MustParseModuleWithOpts(conformanceRules+"\nallowed if input.context.anything\n", ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
	if other, err := openConformance(t.Context(), module); err != nil || other.memo != nil {
		t.Errorf("rules that read more are remembered, %v", err)
	}
}

// TestEveryConformanceRuleMatters takes away one rule after the other.
func TestEveryConformanceRuleMatters(t *testing.T) {
	t.Parallel()
	module := ast.MustParseModuleWithOpts(conformanceRules, ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
	for i := range module.Rules {
		without := module.Copy()
		without.Rules = slices.Delete(without.Rules, i, i+1)
		conformance, err := openConformance(t.Context(), without)
		if err != nil {
			continue // what refers to it does not compile
		}
		if wrong := playConformance(t, conformance); len(wrong) == 0 {
			t.Errorf("rule %s at line %d can be left out", module.Rules[i].Head.Name, module.Rules[i].Location.Row)
		}
	}
}

func BenchmarkConformance(b *testing.B) {
	conformance, err := OpenConformance(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	access := conformanceCases[6].access()
	b.ReportAllocs()
	for b.Loop() {
		if allowed, err := conformance.Decide(b.Context(), access); err != nil || !allowed {
			b.Fatal(allowed, err)
		}
	}
}

func ExampleConformance() {
	conformance, err := OpenConformance(context.Background())
	if err != nil {
		panic(err)
	}
	allowed, err := conformance.Decide(context.Background(), Access{
		Subject: Entity{Type: "user", ID: "bob"}, Action: Entity{Type: "write"}, Resource: Entity{Type: "record", ID: "record-1"},
	})
	fmt.Println(allowed, err)
	// Output: false <nil>
}
