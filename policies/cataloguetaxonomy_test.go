package policies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/policies"
)

// taxonomyFile reads a file of the public taxonomies. Without them the test is skipped.
func taxonomyFile(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("MAHREM_TEST_TAXONOMIES")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Skip("the public taxonomies are not here; MAHREM_TEST_TAXONOMIES says where they are")
	}
	return string(text)
}

// shopifyNames returns the names of Shopify's categories in a language, by id.
func shopifyNames(t *testing.T, language string) map[string]string {
	t.Helper()
	names := map[string]string{}
	for line := range strings.Lines(taxonomyFile(t, "taxonomy-shopify/categories."+language+".txt")) {
		id, path, ok := strings.Cut(strings.TrimPrefix(line, "gid://shopify/TaxonomyCategory/"), " : ")
		if ok && line[0] != '#' {
			names[strings.TrimSpace(id)] = strings.TrimSpace(path[strings.LastIndex(path, ">")+1:])
		}
	}
	return names
}

// iabNames returns the names of a taxonomy of the IAB Tech Lab (CC BY 3.0), by id.
func iabNames(t *testing.T, file string) map[string]string {
	t.Helper()
	names := map[string]string{}
	for line := range strings.Lines(taxonomyFile(t, "taxonomy-iab/"+file)) {
		if cells := strings.Split(strings.TrimRight(line, "\r\n"), "\t"); len(cells) > 3 {
			names[cells[0]] = strings.TrimSpace(cells[2])
		}
	}
	return names
}

// The identifiers of public taxonomies are facts: they exist, and Shopify's names for
// them in three languages, as terms, lead into the family of the group that has them.
func TestTaxonomyIdentifiersAreFacts(t *testing.T) {
	t.Parallel()
	c, checked, understood := catalogue(t), 0, 0
	content, product := iabNames(t, "content-taxonomy-3.1.tsv"), iabNames(t, "ad-product-taxonomy-2.0.tsv")
	names := map[string]map[string]string{}
	for _, language := range policies.Languages() {
		names[language] = shopifyNames(t, language)
	}
	if len(names["tr"]) != 10595 || len(content) < 700 || len(product) < 580 {
		t.Fatalf("read %d, %d and %d identifiers", len(names["tr"]), len(content), len(product))
	}
	for _, g := range c.Groups() {
		if id := g.Taxonomy.IABContent; id != "" && content[id] == "" {
			t.Errorf("%s: IAB has no content category %q", g.ID, id)
		}
		if id := g.Taxonomy.IABProduct; id != "" && product[id] == "" {
			t.Errorf("%s: IAB has no product category %q", g.ID, id)
		}
		id := g.Taxonomy.Shopify
		if id == "" {
			continue
		}
		for _, language := range policies.Languages() {
			name := names[language][id]
			if name == "" {
				t.Errorf("%s: Shopify has no category %q", g.ID, id)
				break
			}
			checked++
			switch got, ok := c.GroupByTerm(name); {
			case !ok:
			case related(got, g.ID):
				understood++
			default:
				t.Errorf("%s: Shopify's %s is %q, which is %s", g.ID, id, name, got)
			}
		}
	}
	t.Logf("%d of %d names of Shopify's categories are understood", understood, checked)
	if understood*10 < checked*6 {
		t.Errorf("only %d of %d names are understood", understood, checked)
	}
}

// related reports whether two groups are of one family: under one group without a parent.
func related(a, b policies.GroupID) bool {
	first, _, _ := strings.Cut(string(a), ".")
	second, _, _ := strings.Cut(string(b), ".")
	return first == second
}
