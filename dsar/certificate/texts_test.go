package certificate

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryLanguageHasEveryText(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(maps.Keys(texts["en"]))
	for language, words := range texts {
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(words))); diff != "" {
			t.Errorf("%s (-en +%s):\n%s", language, language, diff)
		}
		for name, text := range words {
			if text == "" || language != "en" && text == texts["en"][name] && name != "plan" {
				t.Errorf("%s: %s is not translated", language, name)
			}
		}
	}
	if len(texts) != 3 {
		t.Errorf("%d languages", len(texts))
	}
}
