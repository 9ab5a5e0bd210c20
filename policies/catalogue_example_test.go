package policies_test

import (
	"fmt"

	"github.com/mahrem/mahrem/policies"
)

// What a shop calls a product finds a product group, in three languages.
func ExampleCatalogue_GroupByTerm() {
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"Bebek bezi 4 numara", "Organic baby carrots", "Červené víno 0,75 l", "a riddle"} {
		id, ok := c.GroupByTerm(text)
		fmt.Println(text, "→", id, ok)
	}
	// Output:
	// Bebek bezi 4 numara → baby.diapers true
	// Organic baby carrots → fresh.vegetables true
	// Červené víno 0,75 l → alcohol.wine true
	// a riddle →  false
}

func ExampleCatalogue_Entry() {
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		fmt.Println(err)
		return
	}
	entry, err := c.Entry("inferences", "pregnancy")
	fmt.Println(entry.Title.In("cs"), entry.Fields["thresholds"], err)
	// Output: Těhotenství map[DE:90 TR:80 default:100] <nil>
}

func ExampleLintCatalogue() {
	findings, err := policies.LintCatalogue(policies.Bundle(), "catalogue")
	fmt.Println(len(findings), err)
	// Output: 0 <nil>
}

func ExampleSchema() {
	schema, err := policies.Schema("purposes")
	fmt.Println(len(schema) > 0, err)
	// Output: true <nil>
}
