package policies

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LeafChange is a value of the catalogue that changed, came or went.
type LeafChange struct {
	// Where is the file and the path of keys, such as "purposes.yaml pricing.persona".
	Where string `json:"where"`
	// Old and New are the values, empty for none.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// catalogueLeaves returns every value of the catalogue files by where it stands. Titles, which
// mean nothing to a decision, are left out.
func catalogueLeaves(content bundleContent) map[string]string {
	all := map[string]string{}
	for name, file := range content {
		if path.Dir(name) != catalogueDir {
			continue
		}
		var document yaml.Node
		if yaml.Unmarshal(file, &document) != nil {
			continue
		}
		for _, leaf := range yamlLeaves(&document) {
			if !slices.Contains(leaf.path, "title") {
				all[path.Base(name)+" "+strings.Join(leaf.path, ".")] = leaf.value()
			}
		}
	}
	return all
}

// yamlLeaf is a scalar or an empty collection, and the way to it. Items of lists of
// scalars are named by their value, so that an inserted one does not rename the others.
type yamlLeaf struct {
	path   []string
	node   *yaml.Node
	parent *yaml.Node
}

func (l yamlLeaf) value() string {
	if l.node.Kind == yaml.ScalarNode {
		return l.node.Value
	}
	return "empty"
}

func yamlLeaves(document *yaml.Node) []yamlLeaf {
	var all []yamlLeaf
	var walk func(node, parent *yaml.Node, at []string)
	walk = func(node, parent *yaml.Node, at []string) {
		switch {
		case node.Kind == yaml.DocumentNode:
			for _, child := range node.Content {
				walk(child, node, at)
			}
		case node.Kind == yaml.MappingNode && len(node.Content) > 0:
			for i := 0; i+1 < len(node.Content); i += 2 {
				walk(node.Content[i+1], node, append(slices.Clone(at), node.Content[i].Value))
			}
		case node.Kind == yaml.SequenceNode && len(node.Content) > 0:
			for i, child := range node.Content {
				name := strconv.Itoa(i)
				if child.Kind == yaml.ScalarNode {
					name = child.Value
				}
				walk(child, node, append(slices.Clone(at), name))
			}
		default:
			all = append(all, yamlLeaf{at, node, parent})
		}
	}
	walk(document, nil, nil)
	return all
}

func diffLeaves(before, after map[string]string) []LeafChange {
	changes := []LeafChange{}
	for where, value := range before {
		if now, ok := after[where]; !ok || now != value {
			changes = append(changes, LeafChange{where, value, now})
		}
	}
	for where, value := range after {
		if _, ok := before[where]; !ok {
			changes = append(changes, LeafChange{where, "", value})
		}
	}
	slices.SortFunc(changes, func(a, b LeafChange) int { return strings.Compare(a.Where, b.Where) })
	return changes
}

// String describes the change in one line.
func (c LeafChange) String() string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("%s: %s is new", c.Where, c.New)
	case c.New == "":
		return fmt.Sprintf("%s: %s is gone", c.Where, c.Old)
	}
	return fmt.Sprintf("%s: %s becomes %s", c.Where, c.Old, c.New)
}
