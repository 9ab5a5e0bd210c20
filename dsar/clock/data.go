package clock

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // days begin where the regime is, also on a machine without zone files

	"go.yaml.in/yaml/v3"
)

// files hold the laws and the holidays.
//
//go:embed data/rules/*.yaml data/calendars/*.yaml
var files embed.FS

// statutes is what the files say, read and checked.
type statutes struct {
	regimes map[Regime]*regime
}

// regime is one body of law at one place.
type regime struct {
	title    map[string]string
	place    *time.Location
	calendar *calendar
	versions []*version
}

// embedded reads the files of the binary once. They cannot change while it runs.
var embedded = sync.OnceValues(func() (*statutes, error) {
	sub, err := fs.Sub(files, "data")
	if err != nil {
		return nil, err
	}
	return load(sub)
})

// ruleFile is a file under rules.
type ruleFile struct {
	Regimes map[Regime]struct {
		Title    map[string]string `yaml:"title"`
		Place    string            `yaml:"place"`
		Calendar string            `yaml:"calendar"`
	} `yaml:"regimes"`
	Versions []*version `yaml:"versions"`
}

// load reads all files and checks that together they say one thing about each regime,
// right and day.
func load(files fs.FS) (*statutes, error) {
	calendars, err := loadCalendars(files)
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "rules/*.yaml")
	if err != nil {
		return nil, err
	}
	s := &statutes{regimes: make(map[Regime]*regime)}
	for _, name := range names {
		var file ruleFile
		if err := decode(files, name, &file); err != nil {
			return nil, err
		}
		if err := checkVersions(file.Versions); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for key, r := range file.Regimes {
			place, err := time.LoadLocation(r.Place)
			switch {
			case err != nil || r.Place == "":
				return nil, fmt.Errorf("%s: regime %s: place %q is unknown", name, key, r.Place)
			case calendars[r.Calendar] == nil:
				return nil, fmt.Errorf("%s: regime %s: calendar %q is unknown", name, key, r.Calendar)
			case s.regimes[key] != nil:
				return nil, fmt.Errorf("%s: regime %s stands twice", name, key)
			case r.Title["en"] == "" || r.Title["tr"] == "" || r.Title["cs"] == "":
				return nil, fmt.Errorf("%s: regime %s lacks a title in en, tr or cs", name, key)
			}
			s.regimes[key] = &regime{title: r.Title, place: place, calendar: calendars[r.Calendar], versions: file.Versions}
		}
	}
	for _, key := range Regimes() {
		if s.regimes[key] == nil {
			return nil, fmt.Errorf("no rules for %s", key)
		}
	}
	if len(s.regimes) != len(Regimes()) {
		return nil, errors.New("rules for a regime that does not exist")
	}
	return s, nil
}

func loadCalendars(files fs.FS) (map[string]*calendar, error) {
	names, err := fs.Glob(files, "calendars/*.yaml")
	if err != nil {
		return nil, err
	}
	calendars := make(map[string]*calendar, len(names))
	for _, name := range names {
		var file calendarFile
		if err := decode(files, name, &file); err != nil {
			return nil, err
		}
		key := strings.TrimSuffix(path.Base(name), ".yaml")
		if calendars[key], err = newCalendar(key, &file); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return calendars, nil
}

// decode reads one YAML document strictly: a key that is not known and a second document
// are errors.
func decode(files fs.FS, name string, into any) error {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document", name)
	}
	return nil
}

// UnmarshalYAML reads a day.
func (d *Date) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := ParseDate(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*d = parsed
	return nil
}

// weekday is a day of the week by its English name in lower case.
type weekday time.Weekday

// UnmarshalYAML reads the name.
func (w *weekday) UnmarshalYAML(node *yaml.Node) error {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.ToLower(d.String()) == node.Value {
			*w = weekday(d)
			return nil
		}
	}
	return fmt.Errorf("line %d: %q is no day of the week", node.Line, node.Value)
}
