package policies

import "go.yaml.in/yaml/v3"

// Keys that protect somebody when they are true. They must be written, also where they
// are false: whoever loses one by accident must not have opened something by it.
var (
	statedOfPurpose   = []string{"profiling", "marketing", "explicit"}
	statedOfCategory  = []string{"special", "case"}
	statedOfAttribute = []string{"precise"}
)

// checkStated refuses a catalogue that leaves out what protects, or leaves it empty.
func (l *loader) checkStated(c *Catalogue) {
	for _, id := range c.Purposes() {
		l.stated(filePurposes, string(id), statedOfPurpose)
	}
	for _, id := range c.Categories() {
		l.stated(fileCategories, string(id), statedOfCategory)
	}
	for _, name := range c.Attributes() {
		if category := c.categories[c.attributes[name].Category]; category != nil && category.Sensitive {
			l.stated(fileAttributes, string(name), statedOfAttribute)
		}
	}
}

func (l *loader) stated(file, entry string, keys []string) {
	line := 0
	node := l.node(file)
	if node != nil {
		node = step(node, entry, &line)
	}
	for _, key := range keys {
		var value *yaml.Node
		if node != nil {
			value = step(node, key, &line)
		}
		if value == nil || value.Kind != yaml.ScalarNode || value.Tag != "!!bool" {
			l.fail(file, []string{entry}, "%q must say %s: true or false", entry, key)
		}
	}
}
