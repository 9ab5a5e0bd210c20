package receipt

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// The published schemas (docs/spec), which a reader checks a receipt against. A test holds
// the copies to the originals.
//
//go:embed schemas/*.schema.json
var schemaFiles embed.FS

// schema is the part of JSON Schema 2020-12 that the three files use. A test compares it
// with a full implementation on thousands of bent documents, and a file that uses another
// word does not load.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Const      any                `json:"const"`
	Enum       []any              `json:"enum"`
	Pattern    string             `json:"pattern"`
	MinLength  int                `json:"minLength"`
	MaxLength  int                `json:"maxLength"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	Items      *schema            `json:"items"`
	MinItems   int                `json:"minItems"`
	MaxItems   int                `json:"maxItems"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	// Closed is whether other members than the Properties are refused, unless it is true.
	Closed *bool              `json:"additionalProperties"`
	Defs   map[string]*schema `json:"$defs"`

	Version     string `json:"$schema"`
	Title       string `json:"title"`
	Description string `json:"description"`

	pattern *regexp.Regexp
}

// schemas are the three, by the name of what they describe.
var schemas = sync.OnceValue(func() map[string]*schema {
	all := map[string]*schema{}
	for name, file := range map[string]string{
		"claims": "receipt", string(ISO27560): "receipt-iso27560", string(Kantara): "receipt-kantara",
	} {
		text, err := schemaFiles.ReadFile("schemas/" + file + ".schema.json")
		if err == nil {
			all[name], err = loadSchema(text)
		}
		if err != nil {
			panic(fmt.Sprintf("receipt: schema %s: %v", file, err)) // the binary itself is broken
		}
	}
	return all
})

func loadSchema(text []byte) (*schema, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	s := &schema{}
	if err := decoder.Decode(s); err != nil {
		return nil, err
	}
	return s, s.prepare(s)
}

// prepare compiles patterns and puts definitions in the place of references.
func (s *schema) prepare(root *schema) (err error) {
	if s.Pattern != "" {
		if s.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return err
		}
	}
	if s.Ref != "" && root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")] == nil {
		return fmt.Errorf("%s is not defined", s.Ref)
	}
	for _, children := range []map[string]*schema{s.Properties, s.Defs} {
		for _, child := range children {
			if err := child.prepare(root); err != nil {
				return err
			}
		}
	}
	if s.Items != nil {
		return s.Items.prepare(root)
	}
	return nil
}

// validate returns an error that wraps [privacy.ErrDamaged] and names the place by JSON
// pointer if the document does not fit. It says nothing of what stands there.
func (s *schema) validate(document []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return damaged("is not JSON")
	}
	if decoder.More() {
		return damaged("is more than one document")
	}
	if at, why := s.fault(s, value); why != "" {
		return damaged("%s %s", cmp.Or(at, "/"), why)
	}
	return nil
}

// fault returns where value does not fit and why; no why means that it fits.
func (s *schema) fault(root *schema, value any) (at, why string) {
	if s.Ref != "" {
		if at, why := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")].fault(root, value); why != "" {
			return at, why
		}
	}
	switch {
	case s.Type != "" && !isOf(s.Type, value):
		return "", "is not of type " + s.Type
	case s.Const != nil && s.Const != value:
		return "", "is not what it must be"
	case s.Enum != nil && !slices.Contains(s.Enum, value):
		return "", "is not one of the words there are"
	}
	switch value := value.(type) {
	case string:
		return "", s.faultOfText(value)
	case json.Number:
		if n, _ := value.Float64(); s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum {
			return "", "is out of range"
		}
	case []any:
		return s.faultOfList(root, value)
	case map[string]any:
		return s.faultOfObject(root, value)
	}
	return "", ""
}

func isOf(kind string, value any) bool {
	switch value := value.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case []any:
		return kind == "array"
	case map[string]any:
		return kind == "object"
	case json.Number:
		n, err := value.Float64()
		return kind == "integer" && err == nil && n == math.Trunc(n)
	}
	return false
}

func (s *schema) faultOfText(text string) string {
	length := utf8.RuneCountInString(text)
	switch {
	case length < s.MinLength:
		return "is too short"
	case s.MaxLength > 0 && length > s.MaxLength:
		return "is too long"
	case s.pattern != nil && !s.pattern.MatchString(text):
		return "is not of the form it must have"
	}
	return ""
}

func (s *schema) faultOfList(root *schema, list []any) (at, why string) {
	if len(list) < s.MinItems || s.MaxItems > 0 && len(list) > s.MaxItems {
		return "", "has too few or too many items"
	}
	for i, item := range list {
		if s.Items == nil {
			break
		}
		if at, why := s.Items.fault(root, item); why != "" {
			return fmt.Sprintf("/%d%s", i, at), why
		}
	}
	return "", ""
}

func (s *schema) faultOfObject(root *schema, object map[string]any) (at, why string) {
	for _, name := range s.Required {
		if _, there := object[name]; !there {
			return "/" + name, "is missing"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		property, value := s.Properties[name], object[name]
		switch {
		case property != nil:
			if at, why := property.fault(root, value); why != "" {
				return "/" + name + at, why
			}
		case s.Closed != nil && !*s.Closed:
			// The name is the writer's and may be anything: it is not repeated.
			return "", "has a member that does not belong there"
		}
	}
	return "", ""
}

func damaged(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, privacy.ErrDamaged)...)
}
