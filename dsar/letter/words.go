package letter

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
)

//go:embed data/*.yaml data/*.txt
var files embed.FS

// Languages are those in which letters are written.
func Languages() []string { return []string{"en", "tr", "cs"} }

// words are the sentences of one language.
type words struct {
	Months     []string                         `yaml:"months"`
	Date       string                           `yaml:"date"`
	Rights     map[dsar.Kind]string             `yaml:"rights"`
	Done       map[dsar.Kind]string             `yaml:"done"`
	Reasons    map[dsar.DenialReason]string     `yaml:"reasons"`
	Categories map[dsar.Category]string         `yaml:"categories"`
	Outcomes   map[dsar.ComplaintOutcome]string `yaml:"outcomes"`
	Extension  map[clock.ExtensionReason]string `yaml:"extension"`
	Grounds    map[clock.Ground]string          `yaml:"grounds"`
	Effects    map[clock.Effect]string          `yaml:"effects"`
	Complaints map[string]string                `yaml:"complaints"` // by what a regime begins with
	// Citations turn an article as the rules cite it into how this language does.
	Citations [][2]string `yaml:"citations"`
	letters   *template.Template
	citations *strings.Replacer
}

// embedded reads the files of the binary once. They cannot change while it runs.
var embedded = sync.OnceValues(func() (map[string]*words, error) {
	sub, err := fs.Sub(files, "data")
	if err != nil {
		return nil, err
	}
	all := make(map[string]*words)
	for _, language := range Languages() {
		if all[language], err = load(sub, language); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// load reads one language and checks that it has a word for everything that a letter can
// say, so that no letter goes out with a hole in it.
func load(files fs.FS, language string) (*words, error) {
	content, err := fs.ReadFile(files, language+".yaml")
	if err != nil {
		return nil, err
	}
	var w words
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&w); err != nil {
		return nil, fmt.Errorf("%s.yaml: %w", language, err)
	}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("%s.yaml: %w", language, err)
	}
	var pairs []string
	for _, pair := range w.Citations {
		pairs = append(pairs, pair[0], pair[1])
	}
	w.citations = strings.NewReplacer(pairs...)
	if content, err = fs.ReadFile(files, language+".txt"); err != nil {
		return nil, err
	}
	if w.letters, err = template.New(language).Option("missingkey=error").Parse(string(content)); err != nil {
		return nil, fmt.Errorf("%s.txt: %w", language, err)
	}
	for _, kind := range Kinds() {
		if w.letters.Lookup(string(kind)) == nil {
			return nil, fmt.Errorf("%s.txt: no letter to %s", language, kind)
		}
	}
	for _, name := range []string{complaintAcknowledge, complaintFulfil} {
		if w.letters.Lookup(name) == nil {
			return nil, fmt.Errorf("%s.txt: no letter %s", language, name)
		}
	}
	return &w, nil
}

// The letters that are different for a complaint.
const (
	complaintAcknowledge = "complaint_acknowledge"
	complaintFulfil      = "complaint_fulfil"
)

// CategoryTitle says what a complaint is about, in en, tr or cs; another language gives
// English, and an unknown category nothing.
func CategoryTitle(language string, category dsar.Category) string {
	all, err := embedded()
	if err != nil {
		return ""
	}
	w := all[language]
	if w == nil {
		w = all["en"]
	}
	return w.Categories[category]
}

func (w *words) check() error {
	if len(w.Months) != 12 || strings.Count(w.Date, "%") != 3 {
		return errors.New("months or date are missing")
	}
	for _, regime := range clock.Regimes() {
		if w.complaint(regime) == "" {
			return fmt.Errorf("complaints: %s is missing", regime)
		}
	}
	return errors.Join(
		complete("rights", w.Rights, dsar.Kinds()),
		complete("done", w.Done, dsar.Kinds()),
		complete("reasons", w.Reasons, dsar.DenialReasons()),
		complete("categories", w.Categories, dsar.Categories()),
		complete("outcomes", w.Outcomes, dsar.ComplaintOutcomes()),
		complete("extension", w.Extension, []clock.ExtensionReason{clock.Complexity, clock.NumberOfRequests}),
		complete("grounds", w.Grounds, clock.Grounds()),
		complete("effects", w.Effects, []clock.Effect{clock.Forbidden, clock.Suspends, clock.Starts}),
	)
}

// complete checks that there is a text for each of the keys, and for nothing else.
func complete[K ~string](name string, texts map[K]string, keys []K) error {
	for _, key := range keys {
		if texts[key] == "" {
			return fmt.Errorf("%s: %s is missing", name, key)
		}
	}
	if len(texts) != len(keys) {
		return fmt.Errorf("%s: a key that does not exist", name)
	}
	return nil
}

// complaint says where to complain under a regime: its own sentence, or that of the law
// that its name begins with.
func (w *words) complaint(regime clock.Regime) string {
	if text := w.Complaints[string(regime)]; text != "" {
		return text
	}
	family, _, _ := strings.Cut(string(regime), "_")
	return w.Complaints[family]
}

func (w *words) day(at time.Time) string {
	return fmt.Sprintf(w.Date, at.Day(), w.Months[at.Month()-1], at.Year())
}
