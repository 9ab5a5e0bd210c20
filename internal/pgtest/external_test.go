package pgtest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/localpg"
)

// TestExternalServer runs the tests of this package again on a server that is not
// theirs, and looks at what they leave there.
func TestExternalServer(t *testing.T) {
	t.Parallel()
	if os.Getenv("MAHREM_TEST_DATABASE_URL") != "" {
		t.Skip("already on an external server")
	}
	s, err := localpg.StartThrowaway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^(TestEach|TestDump)")
	cmd.Env = append(os.Environ(), "MAHREM_TEST_DATABASE_URL="+s.AdminURL("postgres"))
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS: Test") < 2 {
		t.Errorf("%v\n%s", err, out)
	}
	conn, err := pgx.Connect(t.Context(), s.AdminURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `select datname from pg_database where not datistemplate and datname <> 'postgres'`)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(left) != 0 {
		t.Errorf("got databases %v, %v, want none left", left, err)
	}
}
