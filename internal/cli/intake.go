package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) intakeCommand() *cobra.Command {
	return group("intake", "Bring data in", a.intakeLoad(), a.intakeMaps())
}

// loaded is one line of the output.
type loaded struct {
	File          string  `json:"file"`
	Rows          int64   `json:"rows"`
	Accepted      int64   `json:"accepted"`
	Rejected      int64   `json:"rejected"`
	RejectedFile  string  `json:"rejected_file,omitempty"`
	Persons       int64   `json:"persons"`
	NewPersons    int64   `json:"new_persons"`
	Events        int64   `json:"events"`
	NewEvents     int64   `json:"new_events"`
	AlreadyLoaded bool    `json:"already_loaded"`
	ResumedAt     int64   `json:"resumed_at,omitempty"`
	Seconds       float64 `json:"seconds"`
}

func (a *app) intakeLoad() *cobra.Command {
	var mapName string
	cmd := &cobra.Command{
		Use: "load FILE… --map MAP", Short: "Load CSV (also .gz) or NDJSON files by a mapping", Args: cobra.MinimumNArgs(1),
		Long: `Load files of people and events by a mapping, which says what the columns mean. MAP is
a YAML file, or the name of one that ships with this binary (mahrem intake maps).

A load that breaks off is taken up where it was when it is started again, and a file
that was loaded before changes nothing. Rows that cannot be used are listed in
FILE.rejected.ndjson, by number and reason and never by value; the exit code is then 3.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			mapping, err := readMapping(mapName)
			if err != nil {
				return err
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			document := []loaded{}
			var failure error
			for _, path := range args {
				source, err := intake.FileSource(path)
				if errors.Is(err, fs.ErrNotExist) {
					failure = usagef("there is no file %s", path)
					break
				}
				if err != nil {
					failure = err
					break
				}
				rejects := path + ".rejected.ndjson"
				summary, err := house.Loader.Load(cmd.Context(), source, mapping, intake.Options{
					Principal: operator(), RejectPath: rejects, Progress: &loadProgress{screen: &a.screen, title: source.Name},
				})
				line := loaded{
					File: path, Rows: summary.Rows, Accepted: summary.Accepted, Rejected: summary.Rejected,
					Persons: summary.Persons, NewPersons: summary.NewPersons, Events: summary.Events, NewEvents: summary.NewEvents,
					AlreadyLoaded: summary.AlreadyLoaded, ResumedAt: summary.ResumedAt, Seconds: summary.Duration.Seconds(),
				}
				if summary.Rejected > 0 {
					line.RejectedFile = rejects
				}
				document = append(document, line)
				if err != nil {
					failure = fmt.Errorf("loading %s: %w", path, err)
					if errors.Is(err, cmd.Context().Err()) && cmd.Context().Err() != nil {
						failure = fmt.Errorf("loading %s was interrupted; start the same command again to go on", path)
					}
					break
				}
			}
			if err := a.screen.print(document, func(w io.Writer) { writeLoaded(w, document) }); err != nil {
				return err
			}
			if failure != nil {
				return failure
			}
			for _, line := range document {
				if line.Rejected > 0 {
					a.screen.notef("%d rows of %s were rejected: see %s", line.Rejected, line.File, line.RejectedFile)
					failure = exitWith(exitRejected)
				}
			}
			return failure
		},
	}
	cmd.Flags().StringVar(&mapName, "map", "", "mapping file, or the name of a bundled mapping")
	a.jsonFlag(cmd)
	return cmd
}

func writeLoaded(w io.Writer, lines []loaded) {
	t := table{header: []string{"file", "rows", "accepted", "rejected", "people", "new", "events", "new", "seconds", ""}}
	for _, l := range lines {
		note := ""
		switch {
		case l.AlreadyLoaded:
			note = "loaded before, nothing changed"
		case l.ResumedAt > 0:
			note = fmt.Sprintf("resumed behind row %d", l.ResumedAt)
		}
		t.add(l.File, fmt.Sprint(l.Rows), fmt.Sprint(l.Accepted), fmt.Sprint(l.Rejected), fmt.Sprint(l.Persons),
			fmt.Sprint(l.NewPersons), fmt.Sprint(l.Events), fmt.Sprint(l.NewEvents), fmt.Sprintf("%.1f", l.Seconds), note)
	}
	t.writeTo(w, "")
}

func readMapping(name string) (*intake.Mapping, error) {
	if name == "" {
		return nil, usagef("--map must name a mapping; mahrem intake maps lists those that ship with this binary")
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		mapping, err := intake.BundledMapping(name)
		if errors.Is(err, privacy.ErrNotFound) {
			return nil, usagef("there is neither a file nor a bundled mapping %q; mahrem intake maps lists the bundled ones", name)
		}
		return mapping, err
	}
	if err != nil {
		return nil, fmt.Errorf("reading mapping: %w", err)
	}
	mapping, err := intake.ParseMapping(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return mapping, nil
}

func (a *app) intakeMaps() *cobra.Command {
	cmd := &cobra.Command{
		Use: "maps", Short: "List the mappings that ship with this binary", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names := intake.BundledMappings()
			return a.screen.print(names, func(w io.Writer) { _, _ = fmt.Fprintln(w, strings.Join(names, "\n")) })
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// loadProgress draws a load: bytes for the way, rows for the rate.
type loadProgress struct {
	screen *screen
	title  string
	bar    *bar
}

func (p *loadProgress) Begin(total int64) {
	if total <= 0 {
		total = -1
	}
	p.bar = newBytesBar(p.screen.err, p.title, total)
}

func (p *loadProgress) Step(rows, bytes int64) {
	p.bar.describe(fmt.Sprintf("%s, %d rows", p.title, rows))
	p.bar.set(bytes, 0)
}

func (p *loadProgress) End() { p.bar.finish() }
