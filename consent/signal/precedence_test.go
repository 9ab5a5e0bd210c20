package signal_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var asked = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)

const ads privacy.Purpose = "ads"

type precedence struct {
	Strings map[string]string
	Binds   map[string]policies.PurposeSignals
	Cases   []struct {
		Name, Binds string
		Stored      []string
		SecGPC      []string `yaml:"sec_gpc"`
		TCF, GPP    string
		ConsentMode map[string]string `yaml:"consent_mode"`
		State       consent.State
		Rejected    []string
	}
}

func readPrecedence(t testing.TB) precedence {
	t.Helper()
	text, err := os.ReadFile("testdata/precedence.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file precedence
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// stored reads "TIME ACTION [explicit] [CHANNEL] [SOURCE]".
func stored(t testing.TB, text string, id byte) consent.Record {
	t.Helper()
	words := strings.Fields(text)
	at, err := time.Parse(time.RFC3339, words[0])
	action, known := consent.ParseAction(words[1])
	if err != nil || !known {
		t.Fatalf("%q: %v", text, err)
	}
	r := consent.Record{ID: [16]byte{id}, Purpose: ads, Channel: "email", Action: action, Basis: privacy.Consent, Source: "web_form", EffectiveAt: at, RecordedAt: at}
	for _, word := range words[2:] {
		switch {
		case word == "explicit":
			r.Explicit = true
		case strings.HasPrefix(word, "signal."):
			r.Source = word
		default:
			r.Channel = privacy.Channel(word)
		}
	}
	return r
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := readPrecedence(t)
	if len(file.Cases) < 40 {
		t.Fatalf("only %d cases", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var records []consent.Record
			for i, text := range c.Stored {
				records = append(records, stored(t, text, byte(i+1)))
			}
			given := signal.Given{SecGPC: c.SecGPC, TCF: c.TCF, GPP: c.GPP, ConsentMode: c.ConsentMode}
			if named, ok := file.Strings[c.TCF]; ok {
				given.TCF = named
			}
			reading := signal.Read(given)
			if diff := cmp.Diff(c.Rejected, reading.Checks()); diff != "" {
				t.Error(diff)
			}
			binds, ok := file.Binds[c.Binds]
			if !ok {
				t.Fatalf("no binding %q", c.Binds)
			}
			before := slices.Clone(records)
			applied := signal.Apply(records, reading, ads, binds, asked)
			if got := consent.Fold(applied, "email", asked).State; got != c.State {
				t.Errorf("state is %s, want %s", got, c.State)
			}
			if diff := cmp.Diff(before, records); diff != "" {
				t.Errorf("the stored records were changed: %s", diff)
			}
			// Never does a signal give.
			if consent.Fold(applied, "email", asked).State.IsYes() && !consent.Fold(records, "email", asked).State.IsYes() {
				t.Error("a signal gave what was not stored")
			}
		})
	}
}
