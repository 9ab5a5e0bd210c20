package intake_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

func memorySource(name string, content []byte) intake.Source {
	return intake.Source{Name: name, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

func TestTableReadsChosenColumns(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte("a,b,c\n1,2,3\n4,\"5\n5\",6\nragged\n7,8,9\n")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"x.csv":     []byte("a,b,c\n1,2,3\n4,\"5\n5\",6\nragged\n7,8,9\n"),
		"x.csv.gz":  zipped.Bytes(),
		"x.ndjson":  []byte(`{"a":"1","c":3}` + "\n" + `{"c":"6","a":4}` + "\n[]\n" + `{"a":"7","c":"9"}` + "\n"),
		"bom.csv":   []byte("\ufeffa,b,c\n1,2,3\n4,5,6\nragged\n7,8,9"),
		"order.csv": []byte("c,a\n3,1\n6,4\nragged\n9,7\n"),
	} {
		table, err := intake.OpenTable(t.Context(), memorySource(name, content), []string{"c", "a"})
		if err != nil {
			t.Fatal(err)
		}
		var got [][]string
		var bad []intake.Reason
		for {
			cells, _, reason, err := table.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if reason != "" {
				bad = append(bad, reason)
				continue
			}
			got = append(got, append([]string(nil), cells...))
		}
		if diff := cmp.Diff([][]string{{"3", "1"}, {"6", "4"}, {"9", "7"}}, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if len(bad) != 1 {
			t.Errorf("%s: bad rows %v", name, bad)
		}
		digest, err := table.Digest()
		if err != nil || digest != sha256.Sum256(content) {
			t.Errorf("%s: the digest is not the file's: %v", name, err)
		}
		if table.Read() != int64(len(content)) {
			t.Errorf("%s: %d bytes read", name, table.Read())
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTableWantsItsColumnsOnce(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"a,b\n1,2\n", "c,a,a\n1,2,3\n", "", "\x00\n"} {
		if _, err := intake.OpenTable(t.Context(), memorySource("x.csv", []byte(content)), []string{"a", "c"}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := intake.OpenTable(t.Context(), memorySource("x.bin", nil), nil); err == nil || !strings.Contains(err.Error(), "CSV") {
		t.Errorf("a file of no known kind: %v", err)
	}
}

// A name twice in one object says two things; a name that the first object does not have, or
// none has, is spelled wrong.
func TestTableOfObjects(t *testing.T) {
	t.Parallel()
	read := func(content string) (reasons []intake.Reason, err error) {
		table, err := intake.OpenTable(t.Context(), memorySource("x.ndjson", []byte(content)), []string{"agreed", "in.a"})
		if err != nil {
			return nil, err
		}
		defer func() { _ = table.Close() }()
		for {
			_, _, reason, err := table.Next()
			if err != nil {
				return reasons, err
			}
			reasons = append(reasons, reason)
		}
	}
	for line, want := range map[string]intake.Reason{
		`{"agreed":"no","agreed":"yes","in":{"a":1}}`:             intake.BadJSON,
		`{"agreed":"yes","in":{"a":1,"a":2}}`:                     intake.BadJSON,
		`{"agreed":"no","\u0061greed":"yes","in":{"a":1}}`:        intake.BadJSON,
		`{"agreed":"yes","in":{"a":1},"in":{"a":2}}`:              intake.BadJSON,
		`{"agreed":"yes","in":{"a":1},"more":[{"b":1},{"b":2}]}`:  "",
		`{"agreed":"ye\":s:","in":{"a":"\\"},"colon:":{":":":"}}`: "",
	} {
		reasons, err := read(line + "\n")
		if !errors.Is(err, io.EOF) || len(reasons) != 1 || reasons[0] != want {
			t.Errorf("%s: %q, %v", line, reasons, err)
		}
	}
	const whole, misspelled = `{"agreed":null,"in":{"a":1}}` + "\n", `{"agred":"yes","in":{"a":1}}` + "\n"
	for content, rows := range map[string]int{
		"\n" + misspelled + whole:  0, // told before anything of it is used
		"{}\n" + whole:             0,
		"no object\n" + misspelled: 2, // told when all was read
	} {
		reasons, err := read(content)
		if !errors.Is(err, intake.ErrColumn) || !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), `"agreed"`) || len(reasons) != rows {
			t.Errorf("%q: %d rows and %v", content, len(reasons), err)
		}
	}
	if reasons, err := read(`{"agreed":1,"in":null}` + "\n" + `{"agreed":1,"in":{"A":1}}` + "\n"); !errors.Is(err, intake.ErrColumn) || !strings.Contains(err.Error(), `"in.a"`) || len(reasons) != 2 {
		t.Errorf("a name that is in no object: %d rows and %v", len(reasons), err)
	}
	for content, rows := range map[string]int{"": 0, whole: 1, whole + misspelled + "{}\n": 3, "no object\n" + whole: 2, `{"agreed":1,"in":null}` + "\n" + whole: 2} {
		if reasons, err := read(content); !errors.Is(err, io.EOF) || len(reasons) != rows {
			t.Errorf("%q: %d rows and %v", content, len(reasons), err)
		}
	}
}
