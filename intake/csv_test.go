package intake

import (
	"encoding/csv"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// got is a row as csvReader gave it.
type got struct {
	Record []string
	Row    int64
	Reason Reason
}

// readAll reads a file to its end. It fails if reading does not end.
func readAll(t testing.TB, in io.Reader, limits limits) (header []string, rows []got, err error) {
	t.Helper()
	r, err := newCSV(in, ',', limits)
	if err != nil {
		return nil, nil, err
	}
	for range 1_000_000 {
		record, row, reason, err := r.next()
		if errors.Is(err, io.EOF) {
			return r.header, rows, nil
		}
		if err != nil {
			return r.header, rows, err
		}
		g := got{Row: row, Reason: reason}
		if reason == "" {
			g.Record = append([]string(nil), record...)
		}
		rows = append(rows, g)
	}
	t.Fatal("reading does not end")
	return nil, nil, nil
}

var small = limits{cell: 8, row: 24}

func TestCSVRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []got
	}{
		"plain":                 {"a,b\n1,2\n", []got{{[]string{"1", "2"}, 2, ""}}},
		"no end":                {"a,b\n1,2", []got{{[]string{"1", "2"}, 2, ""}}},
		"crlf":                  {"a,b\r\n1,2\r\n", []got{{[]string{"1", "2"}, 2, ""}}},
		"crlf and quotes":       {"a,b\r\n\"1\",\"2\"\r\n", []got{{[]string{"1", "2"}, 2, ""}}},
		"empty lines":           {"a,b\n\n1,2\n\r\n3,4\n", []got{{[]string{"1", "2"}, 3, ""}, {[]string{"3", "4"}, 5, ""}}},
		"byte order mark":       {"\ufeffa,b\n1,2\n", []got{{[]string{"1", "2"}, 2, ""}}},
		"quoted":                {"a,b\n\"1,\"\"x\",\"\"\n", []got{{[]string{`1,"x`, ""}, 2, ""}}},
		"line end in a cell":    {"a,b\n\"1\n2\",3\n4,5\n", []got{{[]string{"1\n2", "3"}, 2, ""}, {[]string{"4", "5"}, 4, ""}}},
		"empty cells":           {"a,b\n,\n", []got{{[]string{"", ""}, 2, ""}}},
		"quoted and empty":      {"a,b\n\"1\",\n", []got{{[]string{"1", ""}, 2, ""}}},
		"too few":               {"a,b\n1\n1,2\n", []got{{nil, 2, RaggedRow}, {[]string{"1", "2"}, 3, ""}}},
		"too many":              {"a,b\n1,2,3\n", []got{{nil, 2, RaggedRow}}},
		"quote in a bare cell":  {"a,b\n1\"x,2\n1,2\n", []got{{nil, 2, BadQuotes}, {[]string{"1", "2"}, 3, ""}}},
		"text after a quote":    {"a,b\n\"1\"x,2\n1,2\n", []got{{nil, 2, BadQuotes}, {[]string{"1", "2"}, 3, ""}}},
		"quote without an end":  {"a,b\n\"1,2\n3,4\n", []got{{nil, 2, BadQuotes}, {[]string{"3", "4"}, 3, ""}}},
		"not utf-8":             {"a,b\n\xff,2\n1,2\n", []got{{nil, 2, InvalidEncoding}, {[]string{"1", "2"}, 3, ""}}},
		"nul":                   {"a,b\n\x00,2\n", []got{{nil, 2, NULByte}}},
		"large cell":            {"a,b\n123456789,2\n1,2\n", []got{{nil, 2, CellTooLarge}, {[]string{"1", "2"}, 3, ""}}},
		"large quoted cell":     {"a,b\n\"123456789\",2\n1,2\n", []got{{nil, 2, CellTooLarge}, {[]string{"1", "2"}, 3, ""}}},
		"large row":             {"a,b\n" + strings.Repeat("1234567,", 9) + "\n1,2\n", []got{{nil, 2, RowTooLarge}, {[]string{"1", "2"}, 3, ""}}},
		"huge cell":             {"a,b\n" + strings.Repeat("x", 1<<20) + ",2\n1,2\n", []got{{nil, 2, CellTooLarge}, {[]string{"1", "2"}, 3, ""}}},
		"huge quoted cell":      {"a,b\n\"" + strings.Repeat("x", 1<<20) + "\",2\n1,2\n", []got{{nil, 2, CellTooLarge}, {[]string{"1", "2"}, 3, ""}}},
		"huge last cell":        {"a,b\n1,2\n" + strings.Repeat("x", 1<<20), []got{{[]string{"1", "2"}, 2, ""}, {nil, 3, CellTooLarge}}},
		"header only":           {"a,b\n", nil},
		"carriage return alone": {"a,b\n1,2\r3\n", []got{{[]string{"1", "2\r3"}, 2, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(c.text), iotest.DataErrReader(strings.NewReader(c.text))} {
				header, rows, err := readAll(t, in, small)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"a", "b"}, header); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.want, rows); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestCSVWithoutASoundHeaderIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n\n", "\xff\xfea\x00,\x00b\x00\n", "a,\"b\n", "\x00", strings.Repeat("x", 100) + "\n"} {
		if _, _, err := readAll(t, strings.NewReader(text), small); err == nil {
			t.Errorf("%.10q: no error", text)
		}
	}
}

// endless is a cell that never ends, up to a size.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	n := min(int64(len(p)), e.left)
	e.left -= n
	return int(n), nil
}

func TestGuardKeepsMemoryFlat(t *testing.T) {
	text := func() io.Reader {
		return io.MultiReader(strings.NewReader("a,b\n1,\""), &endless{64 << 20}, strings.NewReader("\",2\n1,2\n"))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, rows, err := readAll(t, text(), limits{64 << 10, 1 << 20})
	runtime.ReadMemStats(&after)
	if err != nil || len(rows) != 2 || rows[0].Reason != CellTooLarge || rows[1].Reason != "" {
		t.Fatalf("%+v, %v", rows, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("a cell of 64 MiB cost %d bytes", used)
	}
}

func TestLinesBound(t *testing.T) {
	t.Parallel()
	l := newLines(strings.NewReader("one\r\n"+strings.Repeat("x", 1<<20)+"\ntwo\n\nthree"), 10)
	type line struct {
		text   string
		number int64
		reason Reason
	}
	var lines []line
	for {
		text, number, reason, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line{string(text), number, reason})
	}
	want := []line{{"one", 1, ""}, {"", 2, RowTooLarge}, {"two", 3, ""}, {"", 4, ""}, {"three", 5, ""}}
	if diff := cmp.Diff(want, lines, cmp.AllowUnexported(line{})); diff != "" {
		t.Error(diff)
	}
}

// FuzzCSV holds the reader to encoding/csv on everything that it accepts, and to
// reading to the end, in rows that come in order, on everything else.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2\n", "a,b\r\n\"1\",\"2\"\r\n", "a,b\n\"1,\"\"x\",\"\"\n", "a,b\n\"1,2\n3,4\n", "a\n\"\n\n\"\n",
		"\ufeffa,b\n1,2", "a,b\n\xff,2\n\x00,\n", "a,b\n1\"x,2\n", "a,b\n\"1\r\n2\",3\r\n", "a,b\n\"1\"\r", "a\r\rb,c\n1,2\n", "\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, rows, err := readAll(t, strings.NewReader(string(data)), limits{64, 256})
		if err != nil {
			return
		}
		whole := true
		last := int64(0)
		for _, row := range rows {
			if row.Row <= last {
				t.Fatalf("row %d after %d", row.Row, last)
			}
			last = row.Row
			if row.Reason != "" {
				whole = false
			} else if len(row.Record) != len(header) {
				t.Fatalf("row %d has %d cells", row.Row, len(row.Record))
			}
		}
		_, again, err := readAll(t, iotest.OneByteReader(strings.NewReader(string(data))), limits{64, 256})
		if diff := cmp.Diff(rows, again); diff != "" || err != nil {
			t.Fatalf("byte by byte it reads as something else: %s %v", diff, err)
		}
		if !whole {
			return
		}
		reference := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), "\ufeff")))
		want, err := reference.ReadAll()
		if err != nil {
			t.Fatalf("encoding/csv refuses it: %v", err)
		}
		records := [][]string{header}
		for _, row := range rows {
			records = append(records, row.Record)
		}
		for _, record := range records {
			for i := range record { // which encoding/csv folds
				record[i] = strings.ReplaceAll(record[i], "\r\n", "\n")
			}
		}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Fatal(diff)
		}
	})
}
