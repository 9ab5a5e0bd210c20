package policies

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestTestRego(t *testing.T) {
	t.Parallel()
	outcome, err := TestRego(t.Context(), Bundle())
	if err != nil || outcome.Ran < 10 || len(outcome.Failed) > 0 {
		t.Fatalf("TestRego: %+v, %v", outcome, err)
	}
	// The same bundle with one test that does not hold.
	broken := fstest.MapFS{"rego/wrong_test.rego": &fstest.MapFile{Data: []byte("package mahrem.wrong_test\n\ntest_wrong if 1 == 2\n")}}
	err = fs.WalkDir(Bundle(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(Bundle(), name)
		broken[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	worse, err := TestRego(t.Context(), broken)
	if err != nil || worse.Ran != outcome.Ran+1 || len(worse.Failed) != 1 {
		t.Fatalf("TestRego of a broken bundle: %+v, %v", worse, err)
	}
}
