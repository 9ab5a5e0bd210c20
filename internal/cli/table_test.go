package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	t.Parallel()
	tbl := table{header: []string{"name", "city", "n"}}
	tbl.add("Çağrı Şimşek", "Eskişehir", "1")
	tbl.add("Zde\u030cnek", "two\nlines") // a combining caron takes no column
	tbl.add("evil\x1b[2J", "", "3")
	var b strings.Builder
	tbl.writeTo(&b, "  ")
	want := strings.Join([]string{
		"  name          city       n",
		"  ------------  ---------  -",
		"  Çağrı Şimşek  Eskişehir  1",
		"  Zde\u030cnek        two",
		"                lines",
		"  evil\uFFFD[2J                 3",
	}, "\n") + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
