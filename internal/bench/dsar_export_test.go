package bench

import "testing"

// TestExportNeedsItsParts: a house without the rooms is not measured as if it had them.
func TestExportNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := DSAR(t.Context(), DSARConfig{Only: []string{"export"}}); err == nil {
		t.Error("nothing was measured without an error")
	}
}
