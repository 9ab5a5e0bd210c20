package gate_test

import (
	"context"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
)

// A case is a situation, a question and the complete answer that is expected. The shop
// below thinks that a stranger may greet by name.
func ExampleRunCases() {
	ctx := context.Background()
	engine, err := policies.Open(ctx, policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	cases := fstest.MapFS{"greeting.yaml": {Data: []byte(`
scenario: S17
situation: A shop wants to greet by name.
people:
  ece: {jurisdiction: TR, attributes: {first_name: Ece}}
cases:
  - name: the shop greets
    person: ece
    ask: {recipient: web_shop, purpose: greeting, channel: web, attributes: [first_name]}
    expect: {decision: allow, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract]}
  - name: so does a stranger
    person: ece
    ask: {recipient: ad_network, purpose: greeting, channel: web, attributes: [first_name]}
    expect: {decision: allow, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract]}
`)}}
	results, err := gate.RunCases(ctx, cases, engine.Revision())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Printf("%s: passed %t\n", r.Name, r.Passed())
	}
	fmt.Println(results[1].Failures[1])
	// Output:
	// the shop greets: passed true
	// so does a stranger: passed false
	// decision: got deny, want allow
}
