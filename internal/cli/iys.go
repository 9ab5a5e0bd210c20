package cli

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/internal/assembly"
)

func (a *app) iysCommand() *cobra.Command {
	return group("iys", "Exchange consents with Turkey's registry of messages (İYS)",
		a.iysImport(), a.iysPull(), a.iysExport(), a.iysStatus())
}

// iysTaken is what an import or a pull came to.
type iysTaken struct {
	Name         string  `json:"name"`
	Rows         int64   `json:"rows"`
	Recorded     int64   `json:"recorded"`
	Known        int64   `json:"known"`
	HeldBack     int64   `json:"held_back"`
	Nobody       int64   `json:"nobody"`
	Rejected     int64   `json:"rejected"`
	RejectedFile string  `json:"rejected_file,omitempty"`
	AlreadyTaken bool    `json:"already_taken"`
	ResumedAt    int64   `json:"resumed_at,omitempty"`
	Seconds      float64 `json:"seconds"`
}

func newIYSTaken(name string, p *iys.Progress) iysTaken {
	return iysTaken{Name: name, Rows: p.Read, Recorded: p.Recorded, Known: p.Known, HeldBack: p.HeldBack, Nobody: p.Nobody, Rejected: p.Rejected}
}

func writeIYSTaken(w io.Writer, lines []iysTaken) {
	t := table{header: []string{"from", "rows", "recorded", "known", "held back", "nobody", "rejected", ""}}
	for _, l := range lines {
		note := ""
		switch {
		case l.AlreadyTaken:
			note = "imported before, nothing changed"
		case l.ResumedAt > 0:
			note = fmt.Sprintf("resumed behind row %d", l.ResumedAt)
		}
		t.add(l.Name, fmt.Sprint(l.Rows), fmt.Sprint(l.Recorded), fmt.Sprint(l.Known), fmt.Sprint(l.HeldBack), fmt.Sprint(l.Nobody), fmt.Sprint(l.Rejected), note)
	}
	t.writeTo(w, "")
}

func (a *app) iysImport() *cobra.Command {
	var again bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take in a change file of the registry (CSV, also .gz)", Args: cobra.ExactArgs(1),
		Long: `Take in a change file of the registry, as it is fetched for a day. Refusals bind at once, for
all marketing on the channel; approvals become explicit consents.

An import that breaks off is taken up where it was when it is started again, and a file that
was imported before changes nothing, unless --again says so: people may have come since whose
addresses are in it. Rows that cannot be read are listed in FILE.rejected.ndjson, by number and
reason and never by value; the exit code is then 3.`,
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			room, err := house.IYSRoom()
			if err != nil {
				return err
			}
			line, err := a.importIYS(cmd, room, args[0], again)
			if err != nil {
				return err
			}
			if err := a.screen.print(line, func(w io.Writer) { writeIYSTaken(w, []iysTaken{line}) }); err != nil {
				return err
			}
			if line.Rejected > 0 && !line.AlreadyTaken {
				a.screen.notef("%d rows of %s were rejected: see %s", line.Rejected, line.Name, line.RejectedFile)
				return exitWith(exitRejected)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&again, "again", false, "also a file that was imported before")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) importIYS(cmd *cobra.Command, room *assembly.IYS, path string, again bool) (line iysTaken, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return line, usagef("there is no file %s", path)
	}
	if err != nil {
		return line, fmt.Errorf("opening change file: %w", err)
	}
	defer func() { _ = file.Close() }()
	digest := sha256.New()
	size, err := io.Copy(digest, file)
	if err != nil {
		return line, fmt.Errorf("reading change file: %w", err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return line, fmt.Errorf("reading change file: %w", err)
	}
	read := &countingReader{in: file}
	var content io.Reader = read
	if strings.HasSuffix(path, ".gz") {
		unpacked, err := gzip.NewReader(read)
		if err != nil {
			return line, usagef("%s is not a gzip file", path)
		}
		defer func() { _ = unpacked.Close() }()
		content = unpacked
	}
	name := filepath.Base(path)
	bar := newBytesBar(a.screen.err, name, size)
	rejects := &rejectedRows{path: path + ".rejected.ndjson"}
	defer func() { err = errors.Join(err, rejects.close()) }()
	summary, err := room.Importer.File(cmd.Context(), content, [32]byte(digest.Sum(nil)), iys.Options{
		By: operator(), Again: again, Rejected: rejects.add,
		Step: func(rows int64) {
			bar.describe(fmt.Sprintf("%s, %d rows", name, rows))
			bar.set(read.count.Load(), 0)
		},
	})
	bar.finish()
	if err != nil {
		if cmd.Context().Err() != nil {
			return line, fmt.Errorf("importing %s was interrupted; start the same command again to go on", path)
		}
		return line, fmt.Errorf("importing %s: %w", path, err)
	}
	line = newIYSTaken(path, &summary.Progress)
	line.AlreadyTaken, line.ResumedAt, line.Seconds = summary.AlreadyTaken, summary.ResumedAt, summary.Duration.Seconds()
	if line.Rejected > 0 {
		line.RejectedFile = rejects.path
	}
	return line, nil
}

// countingReader counts for the bar, which is drawn by somebody else.
type countingReader struct {
	in    io.Reader
	count atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.count.Add(int64(n))
	return n, err
}

// rejectedRows is a file that appears with the first rejected row.
type rejectedRows struct {
	path string
	file *os.File
}

func (r *rejectedRows) add(row int64, reason iys.Reason) (err error) {
	if r.file == nil {
		// A run that was broken off and goes on adds to what it wrote before.
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("writing rejected rows: %w", err)
		}
	}
	text, err := json.Marshal(struct {
		Row    int64      `json:"row"`
		Reason iys.Reason `json:"reason"`
	}{row, reason})
	if err != nil {
		return fmt.Errorf("writing rejected rows: %w", err)
	}
	_, err = r.file.Write(append(text, '\n'))
	return err
}

func (r *rejectedRows) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

func (a *app) iysPull() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pull", Short: "Ask the registry for movements and take them in", Args: cobra.NoArgs,
		Long: `Ask the registry for the movements since the last time: what people said there, then what
senders reported. It shows those of the last seven days without the last hour; what is older is
in its change files (mahrem iys import). A server does this by itself (iys_every).`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			bar := newBar(a.screen.err, "movements", "rows", -1)
			pulled, err := house.PullIYS(cmd.Context(), operator(), func(rows int64) { bar.set(rows, 0) })
			bar.finish()
			if err != nil {
				return err
			}
			lines := []iysTaken{}
			for i := range pulled {
				lines = append(lines, newIYSTaken(pulled[i].Name, &pulled[i]))
			}
			return a.screen.print(lines, func(w io.Writer) { writeIYSTaken(w, lines) })
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

// iysTold is what an export came to.
type iysTold struct {
	DryRun      bool             `json:"dry_run"`
	People      int64            `json:"people"`
	Sent        int64            `json:"sent"`
	Batches     int64            `json:"batches"`
	Unsendable  map[string]int64 `json:"unsendable"`
	Unreachable int64            `json:"unreachable"`
	Taken       int64            `json:"taken"`
	Failed      map[string]int64 `json:"failed"`
	Waiting     int64            `json:"waiting"`
}

func (a *app) iysExport() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "export", Short: "Tell the registry the consents that were given here", Args: cobra.NoArgs,
		Long: `Ask how the consents fared that were sent before, then send those that people gave or took
back here since the last time, as batches. Each is checked first by the rules of the registry:
what it would refuse is counted and not sent. A consent that is within_three_business_days no
more is late, and no message may go out on it.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			bar := newBar(a.screen.err, "choices", "people", -1)
			exported, answers, err := house.ExportIYS(cmd.Context(), operator(), dry, func(people int64) { bar.set(people, 0) })
			bar.finish()
			if err != nil {
				return err
			}
			told := iysTold{
				DryRun: dry, People: exported.People, Sent: exported.Sent, Batches: exported.Batches, Unsendable: map[string]int64{},
				Unreachable: exported.Unreachable, Taken: answers.Taken, Failed: answers.Failed, Waiting: answers.Waiting,
			}
			if told.Failed == nil {
				told.Failed = map[string]int64{}
			}
			for rule, n := range exported.Unsendable {
				told.Unsendable[string(rule)] = n
			}
			return a.screen.print(told, func(w io.Writer) { writeIYSTold(w, &told) })
		}),
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be sent, and send nothing")
	a.jsonFlag(cmd)
	return cmd
}

func writeIYSTold(w io.Writer, told *iysTold) {
	t := table{}
	sent := "sent"
	if told.DryRun {
		sent = "would be sent"
	}
	t.add("people looked at", fmt.Sprint(told.People))
	t.add(sent, fmt.Sprint(told.Sent))
	for _, rule := range slices.Sorted(maps.Keys(told.Unsendable)) {
		t.add("not sent, "+rule, fmt.Sprint(told.Unsendable[rule]))
	}
	if told.Unreachable > 0 {
		t.add("without an address", fmt.Sprint(told.Unreachable))
	}
	if !told.DryRun {
		t.add("taken by the registry", fmt.Sprint(told.Taken))
		for _, code := range slices.Sorted(maps.Keys(told.Failed)) {
			t.add("failed with "+code, fmt.Sprint(told.Failed[code]))
		}
		t.add("without an answer yet", fmt.Sprint(told.Waiting))
	}
	t.writeTo(w, "")
}
