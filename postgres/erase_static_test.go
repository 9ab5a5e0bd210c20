package postgres

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// destroysKeys finds statements that would destroy keys of people.
var destroysKeys = regexp.MustCompile(`(?is)(delete\s+from|truncate(\s+table)?|drop\s+table(\s+if\s+exists)?|update|alter\s+table|merge\s+into|copy)\s+(only\s+)?"?keyring"?\s*\.\s*"?person_key`)

// TestOnlyOneWayDestroysKeys: of all functions of the database one destroys keys of people,
// of all statements of the product one calls it, and one method runs that statement.
func TestOnlyOneWayDestroysKeys(t *testing.T) {
	t.Parallel()
	_, database := newDB(t)
	pool := database.OwnerPool(t)
	rows, err := pool.Query(t.Context(), `
		select n.nspname || '.' || p.proname, p.prosrc
		from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where n.nspname not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	var destroying []string
	var name, source string
	if _, err := pgx.ForEachRow(rows, []any{&name, &source}, func() error {
		if destroysKeys.MatchString(source) {
			destroying = append(destroying, name)
		}
		// Text that is put together and executed could say anything.
		if regexp.MustCompile(`(?i)\bexecute\s`).MatchString(source) && strings.Contains(source, "person_key") {
			t.Errorf("%s puts together what it does with keys", name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(destroying) != 1 || destroying[0] != "vault.shred" {
		t.Errorf("keys are destroyed by %v, want vault.shred alone", destroying)
	}
	var may, rule bool
	if err := pool.QueryRow(t.Context(), `select has_table_privilege('mahrem_app', 'keyring.person_key', 'delete')
		or has_table_privilege('mahrem_app', 'keyring.person_key', 'truncate')
		or has_any_column_privilege('mahrem_app', 'keyring.person_key', 'update'),
		exists (select from pg_constraint where conrelid = 'keyring.person_key'::regclass and contype = 'f')
		or exists (select from pg_rules where schemaname = 'keyring')`).Scan(&may, &rule); err != nil {
		t.Fatal(err)
	}
	if may || rule {
		t.Errorf("the server may change keys: %t; they go with other rows: %t", may, rule)
	}

	calls := map[string]int{}
	root := ".."
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (strings.HasPrefix(entry.Name(), ".git") || entry.Name() == "testdata") {
			if entry != nil && entry.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(content)
		if destroysKeys.MatchString(text) {
			t.Errorf("%s destroys keys of people", path)
		}
		for _, call := range []string{"vault.shred(", "sqlEraseShred,"} {
			if n := strings.Count(text, call); n > 0 {
				calls[call+" in "+filepath.ToSlash(path)] += n
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"vault.shred( in ../postgres/erase.go": 1, "sqlEraseShred, in ../postgres/erase.go": 1}
	for call, n := range want {
		if calls[call] != n {
			t.Errorf("%s: %d times, want %d", call, calls[call], n)
		}
		delete(calls, call)
	}
	for call := range calls {
		t.Errorf("a second way to erase: %s", call)
	}
	// Migrations: the functions that are gone had the statement; what came after has it once.
	files, err := filepath.Glob("../migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := len(destroysKeys.FindAllString(string(content), -1))
		switch base := filepath.Base(file); base {
		case "00007_erase.sql", "00010_audience.sql", "00014_erasure.sql", "00031_consent_proof.sql":
			if n != 1 {
				t.Errorf("%s destroys keys in %d places, want 1", base, n)
			}
		default:
			if n != 0 {
				t.Errorf("%s destroys keys", base)
			}
		}
	}
}

// TestDestroysKeysFinds shows that the pattern can find something.
func TestDestroysKeysFinds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"delete from keyring.person_key where true":            true,
		"DELETE FROM ONLY \"keyring\".\"person_key\"":          true,
		"truncate keyring.person_key":                          true,
		"update keyring.person_key set wrapped = ''":           true,
		"drop table keyring.person_key":                        true,
		"delete\n from keyring . person_key":                   true,
		"select wrapped from keyring.person_key":               false,
		"insert into keyring.person_key (data_subject_id)":     false,
		"delete from keyring.withheld_key where true":          false,
		"delete from dsar.withheld; select keyring.person_key": false,
	} {
		if got := destroysKeys.MatchString(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
