package keydir_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func mustCreate(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustOpen(t *testing.T, dir string) *keydir.Keys {
	t.Helper()
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keyFiles lists the files of a key directory, relative to it.
func keyFiles(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCreateMakesAPrivateDirectory(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != 8 {
		t.Errorf("created %d files, want 8", files)
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
		t.Errorf("something was left beside the key directory: %v", left)
	}
}

func TestCreateRefusesToOverwrite(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	before, err := os.ReadFile(filepath.Join(dir, "kek.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := keydir.Create(dir, keydir.Config{}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("creating over a key directory: %v, want ErrConflict", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "kek.json")); !bytes.Equal(before, after) {
		t.Error("the KEK changed")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keydir.Create(file, keydir.Config{}); err == nil {
		t.Error("created a key directory over a file")
	}
	if err := keydir.Create(t.TempDir(), keydir.Config{}); err != nil {
		t.Errorf("creating in an empty directory: %v", err)
	}
}

func TestCreateAtOnceHasOneWinner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	var made sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if keydir.Create(dir, keydir.Config{}) == nil {
				made.Store(i, true)
			}
		})
	}
	group.Wait()
	winners := 0
	made.Range(func(any, any) bool { winners++; return true })
	if winners != 1 {
		t.Errorf("%d calls created the same directory, want 1", winners)
	}
	mustOpen(t, dir)
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 1 {
		t.Errorf("losers left something behind: %v", left)
	}
}

func TestOpenRefusesWidePermissions(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	for _, name := range append(keyFiles(t, dir), ".", "blind-index", "pseudonym") {
		for _, wide := range []fs.FileMode{0o040, 0o004, 0o020, 0o001} {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, info.Mode().Perm()|wide); err != nil {
				t.Fatal(err)
			}
			_, err = keydir.Open(dir, keydir.Config{})
			if !errors.Is(err, privacy.ErrForbidden) {
				t.Fatalf("opening with %s at mode +%04o: %v, want ErrForbidden", name, wide, err)
			}
			if command := fmt.Sprintf("chmod %o %s", info.Mode().Perm(), path); !strings.Contains(err.Error(), command) {
				t.Errorf("the error %q does not name the command %q", err, command)
			}
			if err := os.Chmod(path, info.Mode().Perm()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// secrets are the key values in a directory, in the encoding of the files.
func secrets(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, name := range keyFiles(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var keyset struct {
			Key []struct{ KeyData struct{ Value string } }
		}
		if err := json.Unmarshal(content, &keyset); err != nil || len(keyset.Key) == 0 {
			t.Fatalf("%s is not a Tink keyset: %v", name, err)
		}
		for _, key := range keyset.Key {
			found = append(found, key.KeyData.Value)
		}
	}
	return found
}

// restore undoes whatever was done to a key file.
func restore(t *testing.T, path string, content []byte) {
	t.Helper()
	_, _ = os.Remove(path), os.Remove(path+".real")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenNamesTheDamagedFileAndPrintsNoKey(t *testing.T) {
	t.Parallel()
	damages := map[string]func(path string, content []byte) error{
		"missing":   func(path string, _ []byte) error { return os.Remove(path) },
		"empty":     func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"truncated": func(path string, c []byte) error { return os.WriteFile(path, c[:len(c)-5], 0o600) },
		"not JSON":  func(path string, c []byte) error { return os.WriteFile(path, c[1:], 0o600) },
		"huge":      func(path string, c []byte) error { return os.WriteFile(path, bytes.Repeat(c, 4096), 0o600) },
		"bad key": func(path string, c []byte) error {
			return os.WriteFile(path, bytes.Replace(c, []byte(`"value":"`), []byte(`"value":"!`), 1), 0o600)
		},
		"no primary": func(path string, c []byte) error {
			return os.WriteFile(path, bytes.Replace(c, []byte(`"primaryKeyId":`), []byte(`"primaryKeyId":9`), 1), 0o600)
		},
		"a symbolic link": func(path string, _ []byte) error {
			if err := os.Rename(path, path+".real"); err != nil {
				return err
			}
			return os.Symlink(path+".real", path)
		},
	}
	dir := mustCreate(t)
	if _, err := mustOpen(t, dir).EnsureRecipient("shop"); err != nil {
		t.Fatal(err)
	}
	hidden := secrets(t, dir)
	for _, name := range keyFiles(t, dir) {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for damage, do := range damages {
			restore(t, path, content)
			if err := do(path, content); err != nil {
				t.Fatal(err)
			}
			keys, err := keydir.Open(dir, keydir.Config{})
			if name == filepath.Join("pseudonym", "shop.json") && damage == "missing" {
				// Nothing lists the recipients but the directory itself.
				if _, err = keys.Recipient("shop"); !errors.Is(err, privacy.ErrNotFound) {
					t.Errorf("a recipient without keyset: %v, want ErrNotFound", err)
				}
				continue
			}
			if !errors.Is(err, privacy.ErrDamaged) && !errors.Is(err, privacy.ErrNotFound) {
				t.Fatalf("%s %s: %v", name, damage, err)
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: the error %q does not name the file", name, damage, err)
			}
			for _, secret := range hidden {
				// The key bytes stand at the end of the value in every key format of Tink's.
				if strings.Contains(err.Error(), secret[len(secret)-16:]) {
					t.Errorf("%s %s: the error repeats key material", name, damage)
				}
			}
		}
		restore(t, path, content)
	}
}

func TestOpenRefusesMisplacedFiles(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	files := keyFiles(t, dir)
	for _, to := range files {
		own, err := os.ReadFile(filepath.Join(dir, to))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range files {
			if from == to || (filepath.Dir(from) == "blind-index" && filepath.Dir(to) == "blind-index") {
				continue // keysets of one kind cannot be told apart by looking at them
			}
			content, err := os.ReadFile(filepath.Join(dir, from))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, to), content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = keydir.Open(dir, keydir.Config{})
			if !errors.Is(err, privacy.ErrDamaged) || !strings.Contains(err.Error(), filepath.Join(dir, to)) {
				t.Errorf("opening with %s in the place of %s: %v, want ErrDamaged naming it", from, to, err)
			}
		}
		restore(t, filepath.Join(dir, to), own)
	}
}

func TestEnsureRecipient(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	var created, failed sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		keys := mustOpen(t, dir) // as many processes would
		group.Go(func() {
			made, err := keys.EnsureRecipient("shop-1")
			if err != nil {
				failed.Store(i, err)
			}
			if made {
				created.Store(i, true)
			}
		})
	}
	group.Wait()
	failed.Range(func(_, err any) bool { t.Error(err); return true })
	n := 0
	created.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d calls made the same keyset, want 1", n)
	}
	keys := mustOpen(t, dir)
	if got := fmt.Sprint(keys.Recipients()); got != "[shop-1]" {
		t.Errorf("recipients: %s", got)
	}
	for _, bad := range []privacy.RecipientID{"", "../kek", "a/b", "A", ".hidden", "-x", "ı", privacy.RecipientID(strings.Repeat("a", 65))} {
		if _, err := keys.EnsureRecipient(bad); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("recipient %q: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestKEKCheckNamesTheFile(t *testing.T) {
	t.Parallel()
	own, other := mustOpen(t, mustCreate(t)), mustOpen(t, mustCreate(t))
	sealed, err := own.Vault().SealCheck()
	if err != nil {
		t.Fatal(err)
	}
	if err := own.OpenCheck(sealed); err != nil {
		t.Errorf("opening one's own check: %v", err)
	}
	err = other.OpenCheck(sealed)
	if !errors.Is(err, privacy.ErrDamaged) || !strings.Contains(err.Error(), filepath.Join(other.Dir(), "kek.json")) {
		t.Errorf("opening with another KEK: %v", err)
	}
}

func TestKeysSurviveReopening(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	first, second := mustOpen(t, dir), mustOpen(t, dir)
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped, err := first.Vault().NewPersonKey(id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := second.Vault().OpenPersonKey(id, wrapped, vault.UseQuery)
	if err != nil {
		t.Fatal(err)
	}
	if key.Subject() != again.Subject() {
		t.Error("the blinding key changed")
	}
	if first.Vault().Slot(id, "contact") != second.Vault().Slot(id, "contact") {
		t.Error("the slot changed")
	}
	message := []byte("checkpoint")
	signed, err := first.SignLog(message)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(second.LogPublicKey(), message, signed) {
		t.Error("the log signature does not verify as plain Ed25519")
	}
	if _, err := second.TokenKeyset().Primary(); err != nil {
		t.Error(err)
	}
	if a, b := first.ActorTag(privacy.Principal{ID: "a", Role: privacy.RoleDPO}), first.ActorTag(privacy.Principal{ID: "a", Role: privacy.RoleAuditor}); a == b {
		t.Error("two roles share a tag")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	keys := mustOpen(t, mustCreate(t))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, keys); got != privacy.Redacted {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "keys", keys)
	if marshalled, err := json.Marshal(keys); err != nil || string(marshalled) != `"REDACTED"` {
		t.Errorf("marshals as %s, %v", marshalled, err)
	}
	if !strings.Contains(out.String(), `"keys":"REDACTED"`) {
		t.Errorf("logs as %s", out.String())
	}
}

func ExampleOpen() {
	parent, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		panic(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{Vault: vault.Config{PhoneRegion: "TR"}})
	if err != nil {
		panic(err)
	}
	number, err := keys.Vault().Normalize(privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain("0532 123 45 67")})
	fmt.Println(number, number.RevealPersonalData(), err)
	// Output: REDACTED +905321234567 <nil>
}
