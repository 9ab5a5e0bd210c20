package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) subjectCommand() *cobra.Command {
	return group("subject", "Look at what is held about a person", a.subjectShow())
}

type heldAttribute struct {
	Category   string   `json:"category"`
	Attribute  string   `json:"attribute"`
	Values     []string `json:"values"`
	Source     string   `json:"source"`
	Quality    string   `json:"quality"`
	ObservedAt string   `json:"observed_at,omitempty"`
}

type heldEvent struct {
	Stream string            `json:"stream"`
	Type   string            `json:"type"`
	At     time.Time         `json:"at"`
	Fields map[string]string `json:"fields"`
}

// heldRoom is a clean room that the person was drawn into. What was answered there was about
// groups and is nobody's.
type heldRoom struct {
	Room      string                 `json:"room"`
	Dataset   string                 `json:"dataset"`
	Purpose   string                 `json:"purpose"`
	Members   []privacy.RecipientID  `json:"members"`
	First     time.Time              `json:"first_drawn_at"`
	Last      time.Time              `json:"last_drawn_at"`
	Present   bool                   `json:"present"`
	Snapshots []cleanroom.SnapshotID `json:"snapshots"`
}

type dossierDocument struct {
	Jurisdiction string           `json:"jurisdiction"`
	Restricted   bool             `json:"restricted"`
	Attributes   []heldAttribute  `json:"attributes"`
	Events       []heldEvent      `json:"events"`
	EventsHeld   int              `json:"events_held"`
	Rooms        []heldRoom       `json:"rooms"`
	Consents     consentsDocument `json:"consents"`
}

func (a *app) subjectShow() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "show", Short: "Show everything that is held about a person", Args: cobra.NoArgs,
		Long: `Show everything that is held about a person, as they may demand it (GDPR Article 15,
KVKK Article 11), and the clean rooms that they were drawn into, with whom and for what. That
it was shown is in the log before it is shown.`,
	}
	cmd.Flags().IntVar(&limit, "events", 20, "show at most this many of the newest events; 0 is all")
	a.aboutPerson(cmd, func(ctx context.Context, house *assembly.House, id privacy.DataSubjectID) error {
		statement, err := house.Consent.Show(ctx, id)
		if err != nil {
			return err
		}
		dossier, err := house.Dossier(ctx, operator(), id)
		if err != nil {
			return err
		}
		document := newDossierDocument(dossier, limit)
		document.Consents = consentDocument(statement)
		return a.screen.print(document, func(w io.Writer) {
			writeDossier(w, document)
			_, _ = fmt.Fprintln(w)
			writeConsents(w, statement)
		})
	})
	a.jsonFlag(cmd)
	return cmd
}

func newDossierDocument(d *assembly.Dossier, limit int) dossierDocument {
	document := dossierDocument{
		Jurisdiction: string(d.Jurisdiction), Restricted: d.Restricted, Attributes: []heldAttribute{}, Events: []heldEvent{}, Rooms: []heldRoom{},
	}
	for _, s := range d.Stays {
		document.Rooms = append(document.Rooms, heldRoom{
			Room: string(s.Room), Dataset: s.Dataset.String(), Purpose: string(s.Purpose), Members: s.Members,
			First: s.First.UTC(), Last: s.Last.UTC(), Present: s.Present, Snapshots: append([]cleanroom.SnapshotID{}, s.Snapshots...),
		})
	}
	for _, category := range slices.Sorted(maps.Keys(d.Records)) {
		record := d.Records[category]
		for _, name := range slices.Sorted(maps.Keys(record)) {
			field := record[name]
			line := heldAttribute{
				Category: string(category), Attribute: string(name), Source: string(field.Source), Quality: string(field.Quality),
				ObservedAt: day(field.ObservedAt),
			}
			for _, value := range field.Values {
				line.Values = append(line.Values, value.RevealPersonalData())
			}
			document.Attributes = append(document.Attributes, line)
		}
	}
	for _, category := range slices.Sorted(maps.Keys(d.Streams)) {
		for _, event := range d.Streams[category] {
			line := heldEvent{Stream: string(category), Type: event.Type, At: event.At, Fields: map[string]string{}}
			for name, value := range event.Fields {
				line.Fields[string(name)] = value.RevealPersonalData()
			}
			document.Events = append(document.Events, line)
		}
	}
	slices.SortStableFunc(document.Events, func(a, b heldEvent) int { return b.At.Compare(a.At) })
	document.EventsHeld = len(document.Events)
	if limit > 0 && len(document.Events) > limit {
		document.Events = document.Events[:limit]
	}
	return document
}

func writeDossier(w io.Writer, d dossierDocument) {
	t := table{header: []string{"category", "attribute", "value", "source", "quality", "as of"}}
	t.add("", "jurisdiction", d.Jurisdiction, "", "", "")
	if d.Restricted {
		t.add("", "restricted", "yes", "", "", "")
	}
	for _, line := range d.Attributes {
		t.add(line.Category, line.Attribute, strings.Join(line.Values, ", "), line.Source, line.Quality, line.ObservedAt)
	}
	t.writeTo(w, "")
	writeEvents(w, d)
	writeRooms(w, d.Rooms)
}

func writeEvents(w io.Writer, d dossierDocument) {
	if len(d.Events) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	events := table{header: []string{"stream", "event", "at", "fields"}}
	for _, event := range d.Events {
		var fields []string
		for _, name := range slices.Sorted(maps.Keys(event.Fields)) {
			fields = append(fields, name+"="+event.Fields[name])
		}
		events.add(event.Stream, event.Type, event.At.UTC().Format(time.DateTime), strings.Join(fields, " "))
	}
	events.writeTo(w, "")
	if hidden := d.EventsHeld - len(d.Events); hidden > 0 {
		_, _ = fmt.Fprintf(w, "and %d older events; --events 0 shows all\n", hidden)
	}
}

func writeRooms(w io.Writer, rooms []heldRoom) {
	if len(rooms) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	t := table{header: []string{"clean room", "dataset", "purpose", "with", "first drawn", "last drawn", "there now"}}
	for _, r := range rooms {
		now := "no"
		if r.Present {
			numbers := make([]string, len(r.Snapshots))
			for i, id := range r.Snapshots {
				numbers[i] = fmt.Sprint(id)
			}
			now = "in snapshot " + strings.Join(numbers, ", ")
		}
		t.add(r.Room, r.Dataset, r.Purpose, joinWords(r.Members), r.First.Format(time.DateOnly), r.Last.Format(time.DateOnly), now)
	}
	t.writeTo(w, "")
}
