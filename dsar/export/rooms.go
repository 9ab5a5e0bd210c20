package export

import (
	"context"
	"strings"
)

// addRooms lists the clean rooms that the person was drawn into.
func (w *writing) addRooms(ctx context.Context) error {
	stays, err := w.reader.Stays(ctx)
	if err != nil {
		return err
	}
	for _, s := range stays {
		w.dossier.rooms = append(w.dossier.rooms, roomPart{
			Room: string(s.Room), Dataset: s.Dataset.String(), Purpose: string(s.Purpose), Title: w.title("purpose", string(s.Purpose)),
			Members: texts(s.Members), First: s.First.UTC(), Last: s.Last.UTC(), Present: s.Present,
		})
	}
	return nil
}

func (w *writing) indexRooms(p *pageWriter) {
	p.heading("rooms")
	p.note("rooms_note")
	if len(w.dossier.rooms) == 0 {
		p.note("none")
		return
	}
	p.table("room", "purpose", "recipients", "rooms_first", "rooms_last", "rooms_present")
	for _, r := range w.dossier.rooms {
		var members []string
		for _, m := range r.Members {
			members = append(members, w.title("recipient", m))
		}
		p.row(r.Room+" ("+r.Dataset+")", r.Title, strings.Join(members, ", "), stamp(r.First), stamp(r.Last), p.yesNo(r.Present))
	}
	p.end()
}
