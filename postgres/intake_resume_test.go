package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// breaking is a file that cannot be read beyond a point.
func breaking(source intake.Source, after int64) intake.Source {
	inner := source.Open
	opened := 0
	source.Open = func() (io.ReadCloser, error) {
		in, err := inner()
		if opened++; opened == 1 || err != nil { // the digest
			return in, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(in, after), failing{}), in}, nil
	}
	return source
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestLoadGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 100})
	m := mapping(t, salesMap)
	text := strings.Replace(sales(1000), "o-150,", "o-150,too,many,", 1)
	text = strings.Replace(text, "o-850,", "o-850,too,many,", 1)
	source := write(t, "sales.csv", text)
	rejects := filepath.Join(t.TempDir(), "sales.csv.rejected.ndjson")
	options := intake.Options{Principal: loading, RejectPath: rejects}
	broken, err := d.Load(t.Context(), breaking(source, 20_000), m, options)
	if !errors.Is(err, privacy.ErrInvalid) || broken.Rows == 0 || broken.Rows == 1000 {
		t.Fatalf("%+v, %v", broken, err)
	}
	// A crash between the list and the commit leaves a row of later work in the list.
	file, err := os.OpenFile(rejects, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.WriteString(`{"row":852,"reason":"ragged_row"}` + "\n" + `{"row":85`)
	_ = file.Close()
	whole, err := d.Load(t.Context(), source, m, options)
	if err != nil || whole.ResumedAt != broken.Rows {
		t.Fatalf("%+v, %v", whole, err)
	}
	if whole.Rows != 1000 || whole.Rejected != 2 || whole.NewEvents != 998 || whole.NewPersons != 10 {
		t.Errorf("%+v", whole)
	}
	want := `{"row":152,"reason":"ragged_row"}` + "\n" + `{"row":852,"reason":"ragged_row"}` + "\n"
	if got, err := os.ReadFile(rejects); err != nil || string(got) != want {
		t.Errorf("rejected rows: %v\n%s", err, got)
	}
	total := 0
	for n := range 10 {
		for _, chunk := range d.events(t, fmt.Sprintf("c-%d", n), "purchases") {
			total += len(chunk)
		}
	}
	if total != 998 {
		t.Errorf("%d events are stored, want 998", total)
	}
}

// canceller stops a load from within.
type canceller struct {
	cancel context.CancelFunc
	after  int
}

func (*canceller) Begin(int64) {}

func (*canceller) End() {}

func (c *canceller) Step(int64, int64) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
}

func TestInterruptedLoadsComeToTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 70})
	m, source := mapping(t, salesMap), write(t, "sales.csv", sales(1000))
	tries := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		summary, err := d.Load(ctx, source, m, intake.Options{Principal: loading, Progress: &canceller{cancel, 2}})
		cancel()
		if tries++; tries > 50 {
			t.Fatalf("no end: %+v, %v", summary, err)
		}
		if err == nil {
			if summary.Rows != 1000 || summary.NewEvents != 1000 || summary.NewPersons != 10 {
				t.Errorf("%+v", summary)
			}
			break
		}
	}
	if tries < 3 {
		t.Errorf("only %d attempts: nothing was interrupted", tries)
	}
}

// TestConcurrentLoadersAgree: people and events shared by two loads at the same time are
// stored once.
func TestConcurrentLoadersAgree(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 50})
	m := mapping(t, salesMap)
	text := sales(500)
	errs := make(chan error)
	for n := range 4 {
		source := write(t, "sales.csv", text+strings.Repeat("\n", n+1))
		go func() {
			_, err := d.Load(t.Context(), source, m, intake.Options{Principal: loading})
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	total := 0
	for n := range 10 {
		for _, chunk := range d.events(t, fmt.Sprintf("c-%d", n), "purchases") {
			total += len(chunk)
		}
	}
	if total != 500 {
		t.Errorf("%d events are stored, want 500", total)
	}
	var people, prints int
	if err := d.db.pool.QueryRow(t.Context(), `select (select count(*) from vault.data_subject), (select count(*) from vault.event_fingerprint)`).Scan(&people, &prints); err != nil || people != 10 || prints != 500 {
		t.Errorf("%d people, %d fingerprints, %v", people, prints, err)
	}
}
