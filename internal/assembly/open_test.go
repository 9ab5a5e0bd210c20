package assembly

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

var operator = Operator("test")

func settingsFor(t *testing.T, database *pgtest.Database) config.Config {
	t.Helper()
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func mustInit(t *testing.T, settings config.Config) {
	t.Helper()
	house, err := Init(t.Context(), settings, Options{MaxConns: 4}, operator)
	if err != nil {
		t.Fatal(err)
	}
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	settings := settingsFor(t, pgtest.New(t))
	if _, err := Open(t.Context(), settings, Options{}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("Open without keys: %v, want ErrNotFound", err)
	}
	mustInit(t, settings)
	if _, err := Init(t.Context(), settings, Options{}, operator); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("Init over keys: %v, want ErrConflict", err)
	}

	unmigrated := settings
	unmigrated.DatabaseURL = pgtest.NewEmpty(t).URL()
	if _, err := Open(t.Context(), unmigrated, Options{}); err == nil || !strings.Contains(err.Error(), "migrat") {
		t.Errorf("Open of a database without tables: %v, want an error about migrations", err)
	}

	stranger := settingsFor(t, pgtest.New(t))
	mustInit(t, stranger)
	settings.Keys = stranger.Keys
	if _, err := Open(t.Context(), settings, Options{}); !errors.Is(err, privacy.ErrDamaged) || !strings.Contains(err.Error(), "kek.json") {
		t.Errorf("Open with another's keys: %v, want ErrDamaged that names kek.json", err)
	}
}

func TestOpenKeepsAPolicyThatDoesNotCompileOut(t *testing.T) {
	t.Parallel()
	settings := settingsFor(t, pgtest.New(t))
	mustInit(t, settings)
	settings.Policies = filepath.Join(t.TempDir(), "nothing")
	if _, err := Open(t.Context(), settings, Options{}); err == nil {
		t.Error("Open without policies opens")
	}
}

func TestExamineNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	settings := settingsFor(t, pgtest.New(t))
	wrong := func() (parts, details []string) {
		for _, finding := range Examine(t.Context(), settings, nil) {
			if !finding.OK {
				parts, details = append(parts, finding.Part), append(details, finding.Detail)
			}
		}
		return parts, details
	}
	if got, _ := wrong(); len(got) != 1 || got[0] != "keys" {
		t.Errorf("before init %v is wrong, want keys", got)
	}
	mustInit(t, settings)
	// The server of the tests does not wait for the disk, and is told so: two settings, and
	// nothing that was shipped.
	const unsafe = "2 facts are not as shipped, the first: settings: not as shipped: fsync=off"
	if got, details := wrong(); len(got) != 1 || got[0] != "log schema" || !strings.HasPrefix(details[0], unsafe) {
		t.Errorf("after init %v is wrong: %v", got, details)
	}
}
