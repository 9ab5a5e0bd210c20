package policies

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

var notImport = ast.MustParseRef(`future.keywords["not"]`)

// lint returns what a module does that this house does not do: leave out the import
// that makes "not" safe, define a function whose default means "no objection", or add a
// check to the gate without saying its title and its law.
func lint(module *ast.Module) []string {
	var complaints []string
	safeNot := false
	for _, imported := range module.Imports {
		safeNot = safeNot || imported.Path.Value.Compare(notImport) == 0
	}
	if !safeNot {
		complaints = append(complaints, "does not import future.keywords.not")
	}
	annotated := map[int]*ast.Annotations{}
	for _, annotation := range module.Annotations {
		annotated[annotation.EndLoc().Row] = annotation
	}
	for _, rule := range module.Rules {
		if rule.Default && len(rule.Head.Args) > 0 {
			complaints = append(complaints, "has a default function "+rule.Head.Name.String())
		}
		if rule.Head.Ref().String() != "passed" || strings.HasSuffix(rule.Location.File, "_test.rego") {
			continue
		}
		key, ok := rule.Head.Key.Value.(ast.String)
		if !ok {
			complaints = append(complaints, "passes a check whose name is not a constant")
			continue
		}
		annotation := annotated[rule.Location.Row-1]
		if annotation == nil || annotation.Title == "" || annotation.Labels["check"] != string(key) || annotation.Labels["law"] == nil {
			complaints = append(complaints, "check "+string(key)+" has no title, or no labels check and law")
		}
	}
	return complaints
}
