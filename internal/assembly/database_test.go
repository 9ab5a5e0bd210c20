package assembly

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/localpg"
)

// TestEmbeddedServesWithoutTheOwnersRights: the session itself is mahrem_app's, so that
// not even SET ROLE leads back to the owner.
func TestEmbeddedServesWithoutTheOwnersRights(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	// The account that PostgreSQL runs as, when this is root's test, must pass through.
	if err := os.Chmod(filepath.Dir(home), 0o711); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(home, func(string) string { return "" }, config.Config{Patience: 30})
	if err != nil {
		t.Fatal(err)
	}
	database, err := OpenDatabase(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	address, err := database.AppURL()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var user string
	if err := conn.QueryRow(t.Context(), `select session_user`).Scan(&user); err != nil || user != "mahrem_app" {
		t.Errorf("the session is %q's, %v", user, err)
	}
	for _, role := range []string{"mahrem_owner", "postgres", "none"} {
		_, err := conn.Exec(t.Context(), `set role `+role)
		if err == nil && role != "none" {
			t.Errorf("mahrem_app became %s", role)
		}
	}
}

// TestServiceJoinsNobodysDatabase: a service that is started while a command runs the embedded
// PostgreSQL has one of its own when the command has ended, instead of none.
func TestServiceJoinsNobodysDatabase(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.Chmod(filepath.Dir(home), 0o711); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(home, func(string) string { return "" }, config.Config{Patience: 30})
	if err != nil {
		t.Fatal(err)
	}
	command, err := OpenDatabase(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDatabase(t.Context(), settings, alone, 1); !errors.Is(err, localpg.ErrInUse) || !strings.Contains(err.Error(), "start it again") {
		t.Errorf("beside a command: %v", err)
	}
	type opened struct {
		*Database
		err error
	}
	done := make(chan opened, 1)
	go func() {
		service, err := openLasting(t.Context(), settings)
		done <- opened{service, err}
	}()
	if err := command.Close(); err != nil {
		t.Error(err)
	}
	service := <-done
	if service.err != nil {
		t.Fatal(service.err)
	}
	if service.server == nil {
		t.Error("the service has joined a server that has ended")
	}
	if _, err := service.MigrationStatus(t.Context()); err != nil {
		t.Error(err)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
}
