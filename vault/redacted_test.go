package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// TestNothingPrints prints, logs and marshals everything that holds something personal
// or secret, alone and inside of other things, in every way that Go has.
func TestNothingPrints(t *testing.T) {
	t.Parallel()
	const canary = "zerdaliye"
	v := newTestVault(t)
	key, _ := newTestPerson(t, v)
	id := key.DataSubject()
	value := privacy.NewPlain(canary)
	field := Field{Values: []privacy.Plain{value}, Source: Declared, Quality: Verified}
	sealed, err := key.SealChunk("purchases", 0, 1, []Event{{Type: "x", Fields: map[privacy.AttributeName]privacy.Plain{"a": value}, At: firstDay}})
	if err != nil {
		t.Fatal(err)
	}
	views, err := key.OpenChunkViews(nil, "purchases", 0, 1, sealed)
	if err != nil || views[0].Value("a") != value {
		t.Fatalf("opening views: %v", err)
	}
	things := map[string]any{
		"EventView": views[0], "*EventView": &views[0], "[]EventView": views,
		"Plain": value, "*Plain": &value, "[]Plain": []privacy.Plain{value}, "map of Plain": map[privacy.AttributeName]privacy.Plain{"a": value},
		"Field": field, "Record": Record{"a": field}, "Event": Event{Type: "x", Fields: map[privacy.AttributeName]privacy.Plain{"a": value}},
		"Identifier": privacy.Identifier{Kind: privacy.Email, Value: value},
		"id":         id, "*id": &id, "[]id": []privacy.DataSubjectID{id}, "struct with id": struct{ ID privacy.DataSubjectID }{id},
		"PersonKey": *key, "*PersonKey": key, "Subject": key.Subject(), "Vault": *v, "*Vault": v,
		"struct with PersonKey": struct{ Key *PersonKey }{key}, "BlindingKey": key.Subject().Blinding,
	}
	blinding := key.Subject().Blinding
	secrets := []string{canary, fmt.Sprintf("%x", canary), id.Reveal(), strings.ReplaceAll(id.Reveal(), "-", "")}
	for _, b := range [][]byte{id[:], blinding[:]} {
		secrets = append(secrets,
			string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), fmt.Sprint(b), fmt.Sprintf("%q", b),
			strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"), strings.Trim(fmt.Sprintf("%o", b), "[]"), strings.Trim(fmt.Sprint(b[:8]), "[]"))
	}
	check := func(t *testing.T, how, text string) {
		t.Helper()
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s prints something personal or secret", how)
			}
		}
	}
	for name, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "% x", "%#x", "%q", "%d", "%o", "%b", "%c", "%U", "%e", "%t"} {
			check(t, name+" "+verb, fmt.Sprintf(verb, thing))
		}
		check(t, name+" Println", fmt.Sprintln(thing))
		check(t, name+" error", fmt.Errorf("wrapping %v", thing).Error())
		var text, object bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "thing", thing)
		slog.New(slog.NewJSONHandler(&object, nil)).Info("x", "thing", thing, slog.Group("g", "thing", thing))
		check(t, name+" slog text", text.String())
		check(t, name+" slog JSON", object.String())
		if marshalled, err := json.Marshal(thing); err == nil {
			check(t, name+" JSON", string(marshalled))
		}
	}
}

// TestRawKeysHaveOneHome: outside of tests, only rawkey.go may reach into Tink's secrets,
// and only keydir may read keysets in clear.
func TestRawKeysHaveOneHome(t *testing.T) {
	t.Parallel()
	homes := map[string][]string{
		`tink-go/v2/` + `insecuresecretdataaccess"`: {"vault/rawkey.go"},
		`tink-go/v2/` + `insecurecleartextkeyset"`:  {"vault/keydir/file.go"},
	}
	root := ".."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		for needle, allowed := range homes {
			if strings.Contains(string(content), needle) && allowed[0] != filepath.ToSlash(name) {
				t.Errorf("%s imports %s, which only %s may", name, needle, allowed[0])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
