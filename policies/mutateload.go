package policies

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// catalogueFile is a file of a catalogue, taken apart into its entries.
type catalogueFile struct {
	name    string
	keys    []string
	entries []string // each as YAML of its own
}

// takeApart returns a catalogue file by entries.
func takeApart(name string, content []byte) (catalogueFile, error) {
	file := catalogueFile{name: name}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return file, fmt.Errorf("taking %s apart: %w", name, privacy.ErrInvalid)
	}
	root := document.Content[0]
	for i := 0; i+1 < len(root.Content); i += 2 {
		text, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: root.Content[i : i+2]})
		if err != nil {
			return file, fmt.Errorf("taking %s apart: %w", name, err)
		}
		file.keys, file.entries = append(file.keys, root.Content[i].Value), append(file.entries, string(text))
	}
	return file, nil
}

// with returns the file with another text in the place of an entry.
func (f catalogueFile) with(entry int, text string) []byte {
	changed := slices.Clone(f.entries)
	changed[entry] = text
	return []byte(strings.Join(changed, ""))
}

// entryOf decodes one entry alone, as the whole file would be, without what no decision
// depends on: titles, words of shops and of people, identifiers of taxonomies, laws.
func entryOf(file, text string) (any, error) {
	switch file {
	case filePurposes:
		return decodeEntry[map[privacy.Purpose]*Purpose](text)
	case fileCategories:
		return decodeEntry[map[privacy.DataCategory]*Category](text)
	case fileAttributes:
		return decodeEntry[map[privacy.AttributeName]*Attribute](text)
	case fileChannels:
		return decodeEntry[map[privacy.Channel]*Channel](text)
	case fileRecipients:
		return decodeEntry[map[privacy.RecipientID]*Recipient](text)
	case fileObligations:
		return decodeEntry[map[ObligationID]*Obligation](text)
	case fileJurisdictions:
		return decodeEntry[map[privacy.Jurisdiction]*Jurisdiction](text)
	case fileInferences:
		return decodeEntry[map[InferenceID]*Inference](text)
	case fileGroups:
		return decodeEntry[map[GroupID]*Group](text)
	case fileRetention:
		return decodeEntry[retentionFile](text)
	}
	return decodeEntry[personaFile](text)
}

// held is a catalogue of which the files are decoded already, so that one in which a
// single file differs is loaded without reading the others.
type held struct {
	nodes map[string]*yaml.Node
	files map[string]func() any
}

// hold decodes every file of a catalogue.
func hold(content bundleContent) (*held, error) {
	l := &loader{bundle: newTree(content), dir: catalogueDir, contents: map[string][]byte{}, nodes: map[string]*yaml.Node{}}
	h := &held{nodes: l.nodes, files: map[string]func() any{}}
	holdFile[privacy.Purpose, Purpose](l, h, filePurposes)
	holdFile[privacy.DataCategory, Category](l, h, fileCategories)
	holdFile[privacy.AttributeName, Attribute](l, h, fileAttributes)
	holdFile[privacy.Channel, Channel](l, h, fileChannels)
	holdFile[privacy.RecipientID, Recipient](l, h, fileRecipients)
	holdFile[ObligationID, Obligation](l, h, fileObligations)
	holdFile[privacy.Jurisdiction, Jurisdiction](l, h, fileJurisdictions)
	holdFile[InferenceID, Inference](l, h, fileInferences)
	holdFile[GroupID, Group](l, h, fileGroups)
	retention := readRetention(l)
	l.node(fileRetention)
	h.files[fileRetention] = func() any { return retention.copy() }
	return h, errors.Join(l.errs...)
}

// holdFile keeps a decoded file, and hands out copies of its entries: loading writes into
// them.
func holdFile[K ~string, V any](l *loader, h *held, name string) {
	entries := readFile[map[K]*V](l, name)
	l.node(name)
	h.files[name] = func() any {
		return freshEntries(entries)
	}
}

// load loads the catalogue with another text in the place of one file.
func (h *held) load(content bundleContent, name string, text []byte) (*Catalogue, error) {
	files := bundleContent{
		path.Join(catalogueDir, filePersonas): content[path.Join(catalogueDir, filePersonas)],
		path.Join(catalogueDir, name):         text,
	}

	l := &loader{bundle: newTree(files), dir: catalogueDir, contents: map[string][]byte{}, nodes: maps.Clone(h.nodes), held: map[string]any{}}
	delete(l.nodes, name)
	for file, fresh := range h.files {
		if file != name {
			l.held[file] = fresh()
		}
	}
	return l.load()
}

// wordFields are fields of entries that no decision depends on.
var wordFields = []string{"Title", "Terms", "Retail", "Taxonomy", "Laws"}

func decodeEntry[T any](text string) (any, error) {
	var value T
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&value); err != nil {
		return nil, errors.Join(err, privacy.ErrInvalid)
	}
	if m := reflect.ValueOf(value); m.Kind() == reflect.Map {
		for _, key := range m.MapKeys() {
			entry := m.MapIndex(key)
			for _, name := range wordFields {
				if entry.IsNil() {
					continue
				}
				if field := entry.Elem().FieldByName(name); field.IsValid() {
					field.SetZero()
				}
			}
		}
	}
	return value, nil
}

// yamlMutants visits every mutant of an entry: each value and each collection in it
// deleted, made null, given other types, and each word replaced by one that names nothing.
func yamlMutants(text string, visit func(where, what, mutant string) error) error {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("mutating catalogue: %w", err)
	}
	render := func(where, what string) error {
		mutant, err := yaml.Marshal(&document)
		if err != nil {
			return fmt.Errorf("mutating catalogue: %w", err)
		}
		if strings.TrimSpace(string(mutant)) == "{}" {
			mutant = nil
		}
		return visit(where, what, string(mutant))
	}
	var walk func(parent *yaml.Node, where string) error
	walk = func(parent *yaml.Node, where string) error {
		step := 1
		if parent.Kind == yaml.MappingNode {
			step = 2
		}
		for i := step - 1; i < len(parent.Content); i += step {
			child, all := parent.Content[i], parent.Content
			at := where + "[]"
			if step == 2 {
				at = where + "." + all[i-1].Value
			}
			if child.Kind == yaml.ScalarNode {
				at += "=" + child.Value
			}
			parent.Content = slices.Delete(slices.Clone(all), i-step+1, i+1)
			if err := render(at, "deleted"); err != nil {
				return err
			}
			parent.Content = slices.Clone(all)
			for what, other := range otherNodes(child) {
				parent.Content[i] = other
				if err := render(at, what); err != nil {
					return err
				}
			}
			parent.Content = all
			if err := walk(child, at); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(document.Content[0], "")
}

func otherNodes(node *yaml.Node) map[string]*yaml.Node {
	scalar := func(tag, value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value} }
	others := map[string]*yaml.Node{
		"as null": scalar("!!null", "null"), "as a number": scalar("!!int", "7"), "as a word that names nothing": scalar("!!str", "nowhere"),
		"as yes":       scalar("!!bool", "true"),
		"in a list":    {Kind: yaml.SequenceNode, Content: []*yaml.Node{node}},
		"in a mapping": {Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("!!str", "nowhere"), node}},
	}
	if node.Tag == "!!int" {
		delete(others, "as a number") // another number is another catalogue
	}
	if node.Tag == "!!bool" {
		delete(others, "as yes")
	}
	return others
}
