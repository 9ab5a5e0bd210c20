package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// Files of a catalogue.
const (
	filePurposes      = "purposes.yaml"
	fileCategories    = "categories.yaml"
	fileAttributes    = "attributes.yaml"
	fileChannels      = "channels.yaml"
	fileRecipients    = "recipients.yaml"
	fileObligations   = "obligations.yaml"
	fileJurisdictions = "jurisdictions.yaml"
	fileInferences    = "inferences.yaml"
	filePersonas      = "personas.yaml"
	fileGroups        = "product_groups.yaml"
	fileRetention     = "retention.yaml"
)

// maxCatalogueFile bounds a catalogue file.
const maxCatalogueFile = 4 << 20

type personaFile struct {
	// Minimum is how many people must share a label.
	Minimum int                         `yaml:"minimum"`
	Labels  map[PersonaID]*PersonaLabel `yaml:"labels"`
}

// LoadCatalogue reads and checks the catalogue files in dir of a bundle. Unknown keys,
// duplicates, values outside their enum and references to something that is not there
// are errors that name file and line; all that can be found at once are joined. They
// wrap [privacy.ErrInvalid].
func LoadCatalogue(bundle fs.FS, dir string) (*Catalogue, error) {
	_, c, err := loadCatalogue(bundle, dir)
	return c, err
}

func loadCatalogue(bundle fs.FS, dir string) (*loader, *Catalogue, error) {
	l := &loader{bundle: bundle, dir: dir, contents: map[string][]byte{}, nodes: map[string]*yaml.Node{}}
	c, err := l.load()
	return l, c, err
}

func (l *loader) load() (*Catalogue, error) {
	c := &Catalogue{
		purposes:      readFile[map[privacy.Purpose]*Purpose](l, filePurposes),
		categories:    readFile[map[privacy.DataCategory]*Category](l, fileCategories),
		attributes:    readFile[map[privacy.AttributeName]*Attribute](l, fileAttributes),
		channels:      readFile[map[privacy.Channel]*Channel](l, fileChannels),
		recipients:    readFile[map[privacy.RecipientID]*Recipient](l, fileRecipients),
		obligations:   readFile[map[ObligationID]*Obligation](l, fileObligations),
		jurisdictions: readFile[map[privacy.Jurisdiction]*Jurisdiction](l, fileJurisdictions),
		inferences:    readFile[map[InferenceID]*Inference](l, fileInferences),
		groups:        readFile[map[GroupID]*Group](l, fileGroups),
	}
	personas := readFile[personaFile](l, filePersonas)
	c.personas, c.personaK = personas.Labels, personas.Minimum
	c.retention = readRetention(l)
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	l.name(c)
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	l.check(c)
	l.checkStated(c)
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	c.index(l)
	l.checkIndexed(c)
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return c, nil
}

// loader keeps the files beside the decoded values, so that a complaint about a value
// can name its line.
type loader struct {
	bundle   fs.FS
	dir      string
	contents map[string][]byte
	nodes    map[string]*yaml.Node
	// held are decoded files that need not be read; see [holdFile].
	held map[string]any
	errs []error
}

// node returns the root of a file as YAML nodes, which know their lines. They are read
// only when somebody asks.
func (l *loader) node(file string) *yaml.Node {
	if node, ok := l.nodes[file]; ok {
		return node
	}
	var document yaml.Node
	if err := yaml.Unmarshal(l.contents[file], &document); err != nil || len(document.Content) != 1 {
		return nil
	}
	l.nodes[file] = document.Content[0]
	return l.nodes[file]
}

func readFile[T any](l *loader, name string) T {
	var value T
	if held, ok := l.held[name].(T); ok {
		return held
	}
	content, err := fs.ReadFile(l.bundle, path.Join(l.dir, name))
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("reading catalogue file %s: %w", name, err))
		return value
	}
	if len(content) > maxCatalogueFile {
		l.errs = append(l.errs, fmt.Errorf("reading catalogue file %s: larger than %d bytes: %w", name, maxCatalogueFile, privacy.ErrInvalid))
		return value
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&value); err != nil {
		l.misread(name, err)
		return value
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		l.errs = append(l.errs, fmt.Errorf("%s:%d: more than one document: %w", name, max(1, more.Line), privacy.ErrInvalid))
		return value
	}
	l.contents[name] = content
	return value
}

// misread records what the YAML decoder complains about, one error a line. It says
// "line N: …" or nothing of the place; then it is the file's beginning.
func (l *loader) misread(name string, err error) {
	complaints := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if typed, ok := errors.AsType[*yaml.TypeError](err); ok {
		complaints = typed.Errors
	}
	for _, complaint := range complaints {
		line := 1
		if at, rest, ok := strings.Cut(complaint, ": "); ok {
			if n, err := fmt.Sscanf(at, "line %d", &line); n == 1 && err == nil {
				complaint = rest
			}
		}
		complaint = strings.TrimSuffix(complaint, ": "+privacy.ErrInvalid.Error())
		if match := unknownKey.FindStringSubmatch(complaint); match != nil {
			complaint = fmt.Sprintf("unknown key %q", match[1])
		} else if match := otherKind.FindStringSubmatch(complaint); match != nil {
			complaint = "a value of another kind belongs here, not " + match[1]
		}
		l.errs = append(l.errs, fmt.Errorf("%s:%d: %s: %w", name, line, complaint, privacy.ErrInvalid))
	}
}

var (
	unknownKey = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	otherKind  = regexp.MustCompile("^cannot unmarshal (!!\\w+(?: `.*`)?) into .*$")
)

// fail records a complaint about the node at the path of keys and list values.
func (l *loader) fail(file string, keys []string, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s:%d: %s: %w", file, l.line(file, keys...), fmt.Sprintf(format, args...), privacy.ErrInvalid))
}

// line returns the line of the deepest node on the path: a mapping's key, or in a list
// the scalar of that value or the mapping that has it among its values.
func (l *loader) line(file string, keys ...string) int {
	node := l.node(file)
	if node == nil {
		return 0
	}
	line := node.Line
	for _, key := range keys {
		next := step(node, key, &line)
		if next == nil {
			return line
		}
		node = next
	}
	return line
}

func step(node *yaml.Node, key string, line *int) *yaml.Node {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				*line = node.Content[i].Line
				return node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if item.Value == key {
				*line = item.Line
				return item
			}
			for i := 1; i < len(item.Content); i += 2 {
				if item.Content[i].Value == key {
					*line = item.Content[i].Line
					return item
				}
			}
		}
	}
	return nil
}

// name copies each key into its entry and refuses empty entries and malformed keys.
func (l *loader) name(c *Catalogue) {
	nameAll(l, filePurposes, c.purposes, isLowerKey, func(k privacy.Purpose, v *Purpose) Text { v.ID = k; return v.Title })
	nameAll(l, fileCategories, c.categories, isLowerKey, func(k privacy.DataCategory, v *Category) Text { v.ID = k; return v.Title })
	nameAll(l, fileAttributes, c.attributes, isLowerKey, func(k privacy.AttributeName, v *Attribute) Text { v.ID = k; return v.Title })
	nameAll(l, fileChannels, c.channels, isLowerKey, func(k privacy.Channel, v *Channel) Text { v.ID = k; return v.Title })
	nameAll(l, fileRecipients, c.recipients, isLowerKey, func(k privacy.RecipientID, v *Recipient) Text { v.ID = k; return v.Title })
	nameAll(l, fileObligations, c.obligations, isLowerKey, func(k ObligationID, v *Obligation) Text { v.ID = k; return v.Title })
	nameAll(l, fileJurisdictions, c.jurisdictions, isJurisdictionKey, func(k privacy.Jurisdiction, v *Jurisdiction) Text { v.ID = k; return v.Title })
	nameAll(l, fileInferences, c.inferences, isLowerKey, func(k InferenceID, v *Inference) Text { v.ID = k; return v.Title })
	nameAll(l, fileGroups, c.groups, isLowerKey, func(k GroupID, v *Group) Text { v.ID = k; return v.Title })
	for _, k := range sortedKeys(c.personas) {
		v := c.personas[k]
		if v == nil || !isLowerKey(string(k)) || v.Title.EN == "" {
			l.fail(filePersonas, []string{"labels", string(k)}, "a persona needs a lower-case key and an English title")
			continue
		}
		v.ID = k
	}
	l.nameRetention(c)
}

func nameAll[K ~string, V any](l *loader, file string, entries map[K]*V, valid func(string) bool, name func(K, *V) Text) {
	if len(entries) == 0 {
		l.fail(file, nil, "the file is empty")
	}
	for _, key := range sortedKeys(entries) {
		switch entry := entries[key]; {
		case entry == nil:
			l.fail(file, []string{string(key)}, "%q is empty", key)
		case !valid(string(key)):
			l.fail(file, []string{string(key)}, "%q is not a well-formed key", key)
		case name(key, entry).EN == "":
			l.fail(file, []string{string(key)}, "%q has no English title", key)
		}
	}
}

// reservedKeys mean "nobody" and "anything" in facts and cannot be names.
var reservedKeys = []string{"none", "unknown", "missing", "default"}

func isLowerKey(s string) bool {
	if s == "" || len(s) > maxWord || s[0] < 'a' || s[0] > 'z' || slices.Contains(reservedKeys, s) {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" && isWord(s)
}

func isJurisdictionKey(s string) bool {
	upper := func(s string) bool { return len(s) == 2 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" }
	country, region, divided := strings.Cut(s, "-")
	return upper(country) && (!divided || upper(region))
}
