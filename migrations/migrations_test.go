package migrations_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/migrations"
)

// TestLandedFilesDoNotChange holds each file to its line in SHA256SUMS. A database that
// has run a file would not notice the change, and be another one than those made later.
func TestLandedFilesDoNotChange(t *testing.T) {
	t.Parallel()
	sums, err := os.Open("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	want := map[string]string{}
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || want[name] != "" {
			t.Errorf("SHA256SUMS: malformed or repeated line %q", lines.Text())
		}
		want[name] = sum
	}
	files, err := filepath.Glob("*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		switch got := hex.EncodeToString(sum[:]); want[file] {
		case got:
		case "":
			t.Errorf("%s is new: add it with (cd migrations && sha256sum %s >> SHA256SUMS)", file, file)
		default:
			t.Errorf("%s was edited after it had landed: write a new migration instead", file)
		}
		delete(want, file)
	}
	for file := range want {
		t.Errorf("%s has landed and is gone", file)
	}
}

// TestFilesHaveTheirForm: numbered, named by a noun, and only forward.
func TestFilesHaveTheirForm(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	form := regexp.MustCompile(`^[0-9]{5}_[a-z][a-z0-9_]*\.sql$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !form.MatchString(file) || !strings.HasPrefix(string(text), "-- +goose Up\n") {
			t.Errorf("%s is not named 00000_noun.sql or does not begin with -- +goose Up", file)
		}
		if strings.Contains(string(text), "+goose Down") {
			t.Errorf("%s goes down: what has been migrated may hold data that the way back would lose", file)
		}
	}
}

func TestSeveralReplicasMigrateAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.NewEmpty(t)
	var group sync.WaitGroup
	applied := make([]int, 4)
	for i := range applied {
		connection := database.SQL(t)
		group.Go(func() {
			done, err := migrations.Up(t.Context(), connection)
			if err != nil {
				t.Errorf("replica %d: %v", i, err)
			}
			applied[i] = len(done)
		})
	}
	group.Wait()
	list, err := migrations.Status(t.Context(), database.SQL(t))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range applied {
		total += n
	}
	if total != len(list) {
		t.Errorf("replicas applied %v, want %d together", applied, len(list))
	}
	for _, m := range list {
		if m.IsPending() {
			t.Errorf("%s is still pending", m.File)
		}
	}
}

// TestStatusLeavesNothingBehind: a reader must be able to look at a database that is not
// migrated, without making goose's table in it.
func TestStatusLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	database := pgtest.NewEmpty(t)
	pending, err := migrations.Pending(t.Context(), database.SQL(t))
	if err != nil || len(pending) == 0 {
		t.Fatalf("got %v, %v, want all pending", pending, err)
	}
	var made bool
	err = database.OwnerPool(t).QueryRow(t.Context(), `select to_regclass('goose_db_version') is not null`).Scan(&made)
	if err != nil || made {
		t.Errorf("got table made: %t, %v", made, err)
	}
}
