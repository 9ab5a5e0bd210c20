package export

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

const (
	// chunkPage is how many chunks are read at a time: some two thousand events.
	chunkPage = 32
	// entryPage is how many log entries are read at a time.
	entryPage = 512
	// maxExplained bounds the explanations that are remembered.
	maxExplained = 1024
)

// eachEvent goes through a stream, oldest chunk first. The view is good until the next.
func (w *writing) eachEvent(ctx context.Context, stream privacy.DataCategory, visit func(*vault.EventView) error) error {
	var views []vault.EventView
	for from := int64(0); ; {
		chunks, err := w.reader.Chunks(ctx, stream, from, chunkPage)
		if err != nil {
			return err
		}
		for i := range chunks {
			c := &chunks[i]
			if views, err = w.reader.Key().OpenChunkViews(views[:0], stream, c.Number, c.Version, c.Sealed); err != nil {
				return err
			}
			for j := range views {
				if err := visit(&views[j]); err != nil {
					return err
				}
			}
			from = c.Number + 1
			w.advance(int64(len(views)))
		}
		if len(chunks) < chunkPage {
			return nil
		}
	}
}

// eachEntry goes through what the log says about the person, with what is behind it.
func (w *writing) eachEntry(ctx context.Context, visit func(index uint64, e *audit.Entry, why archive.Explained) error) error {
	for indexes := range slices.Chunk(w.trail, entryPage) {
		stored, err := w.exporter.log.EntriesAt(ctx, indexes)
		if err != nil {
			return err
		}
		if len(stored) != len(indexes) {
			return errChanged(indexes[0])
		}
		entries := make([]audit.Entry, len(stored))
		for i := range stored {
			// What the scan has proved, and nothing else, is told.
			if stored[i].Index != indexes[i] || audit.LeafHash(stored[i].Leaf) != [32]byte(stored[i].LeafHash) {
				return errChanged(indexes[i])
			}
			if entries[i], err = audit.ParseEntry(stored[i].Leaf); err != nil {
				return err
			}
			if w.subject.Blinding.Opening(entries[i].ID).Tag(w.subject.ID) != entries[i].Person {
				return errChanged(indexes[i])
			}
		}
		if err := w.explain(ctx, entries); err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			if !Disclosed(e.Kind) {
				continue
			}
			if err := visit(indexes[i], e, w.explained[archive.Pair{Policy: e.Policy, Facts: e.Facts}]); err != nil {
				return err
			}
		}
		w.advance(int64(len(entries)))
	}
	return nil
}

// explain looks up what is not remembered.
func (w *writing) explain(ctx context.Context, entries []audit.Entry) error {
	if w.explained == nil || len(w.explained) > maxExplained {
		w.explained = map[archive.Pair]archive.Explained{}
	}
	var unknown []archive.Pair
	for i := range entries {
		pair := archive.Pair{Policy: entries[i].Policy, Facts: entries[i].Facts}
		if _, known := w.explained[pair]; !known && pair != (archive.Pair{}) {
			w.explained[pair] = archive.Explained{}
			unknown = append(unknown, pair)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	found, err := w.exporter.decisions.Explain(ctx, unknown)
	for pair, explained := range found {
		w.explained[pair] = explained
	}
	return err
}

// data writes data.json.
func (w *writing) data(ctx context.Context) error {
	file, err := w.bundle.create(DataName)
	if err != nil {
		return err
	}
	d, j := &w.dossier, newJSONStream(file)
	j.object(func() {
		j.field("format", Format)
		j.field("kind", w.job.Kind)
		j.field("created_at", w.at)
		j.field("language", w.language)
		if w.job.Request != [16]byte{} {
			j.field("request_id", w.job.Request.String())
		}
		j.field("person", d.person)
		items(j, "categories", d.categories)
		items(j, "attributes", d.attributes)
		j.list("streams", func() {
			for _, stream := range d.streams {
				if err == nil {
					err = w.streamData(ctx, j, stream)
				}
			}
		})
		if w.access() {
			items(j, "purposes", d.purposes)
			items(j, "consents", d.consents)
			items(j, "inferences", d.inferences)
			items(j, "rooms", d.rooms)
			j.field("log", w.log)
			j.list("entries", func() {
				if err == nil {
					err = w.entryData(ctx, j)
				}
			})
			items(j, "recipients", w.recipients())
		}
		j.field("redactions", w.redactor.count)
	})
	if err != nil {
		return err
	}
	return j.close()
}

func items[T any](j *jsonStream, name string, list []T) {
	j.list(name, func() {
		for _, item := range list {
			j.item(item)
		}
	})
}

func (w *writing) streamData(ctx context.Context, j *jsonStream, stream privacy.DataCategory) (err error) {
	j.next()
	j.object(func() {
		j.field("category", stream)
		j.field("title", w.title("category", string(stream)))
		j.list("events", func() {
			var line []byte
			err = w.eachEvent(ctx, stream, func(v *vault.EventView) error {
				w.result.Events++
				line = w.appendEvent(line[:0], stream, v)
				j.next()
				if j.err == nil {
					_, j.err = j.w.Write(line)
				}
				return j.err
			})
		})
	})
	return err
}

// appendEvent writes an [eventPart]. It is written out because it runs for each event.
func (w *writing) appendEvent(line []byte, stream privacy.DataCategory, v *vault.EventView) []byte {
	line = append(line, `{"type":`...)
	line = appendText(line, v.Type)
	line = append(line, `,"at":"`...)
	line = v.At.UTC().AppendFormat(line, time.RFC3339Nano)
	line = append(line, `","fields":{`...)
	first := true
	for name, value := range v.RevealAllPersonalData() {
		if !first {
			line = append(line, ',')
		}
		first = false
		line = append(appendText(line, string(name)), ':')
		line = appendText(line, w.shown(stream, value))
	}
	return append(line, "}}"...)
}

// appendText appends a JSON string. Plain ASCII, which most is, is copied.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string always encodes
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func (w *writing) entryData(ctx context.Context, j *jsonStream) error {
	return w.eachEntry(ctx, func(index uint64, e *audit.Entry, why archive.Explained) error {
		w.result.Entries++
		w.countRecipient(e)
		j.item(newEntryPart(index, e, w.subject, why))
		return j.err
	})
}

// eventPages writes the events as pages, a folder of pages a stream.
func (w *writing) eventPages(ctx context.Context) error {
	for _, stream := range w.dossier.streams {
		p := w.eventPager(stream)
		var fields []string
		err := w.eachEvent(ctx, stream, func(v *vault.EventView) error {
			fields = fields[:0]
			for name, value := range v.RevealAllPersonalData() {
				fields = append(fields, w.title("attribute", string(name))+": "+w.shown(stream, value))
			}
			return p.row(stamp(v.At), v.Type, strings.Join(fields, "; "))
		})
		if err == nil {
			err = p.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) eventPager(stream privacy.DataCategory) *pager {
	return &pager{
		bundle: w.bundle, language: w.language, title: w.title("category", string(stream)),
		prefix: "events/" + string(stream), columns: []string{"at", "event", "details"}, total: w.dossier.events[stream],
	}
}

// logPages writes the entries of the log as pages.
func (w *writing) logPages(ctx context.Context) error {
	if !w.access() {
		return nil
	}
	p := w.logPager()
	err := w.eachEntry(ctx, func(index uint64, e *audit.Entry, why archive.Explained) error {
		var rules []string
		for _, r := range why.Reasons {
			rule := r.Title
			if rule == "" {
				rule = r.Check
			}
			rules = append(rules, strings.Join(append([]string{rule}, r.Laws...), " · "))
		}
		if len(rules) == 0 {
			rules = e.Checks
		}
		released := make([]string, len(e.Attributes))
		for i, name := range e.Attributes {
			released[i] = w.title("attribute", string(name))
		}
		return p.row(stamp(e.Time), say(w.language, "kind."+string(e.Kind), string(e.Kind)), w.who(e),
			w.title("purpose", string(e.Purpose)), w.title("channel", string(e.Channel)),
			strings.Join(released, ", "), strings.Join(rules, "; "), entryNumber(index))
	})
	if err != nil {
		return err
	}
	return p.close()
}

func (w *writing) logPager() *pager {
	return &pager{
		bundle: w.bundle, language: w.language, title: say(w.language, "log", ""), prefix: "log/entries",
		columns: []string{"at", "what", "by", "purpose", "channel", "released", "rule", "entry"}, total: w.result.Entries,
	}
}

// who is the recipient or the role of whoever acted. No employee is named: what they did,
// they did for the controller (CJEU C-579/21).
func (w *writing) who(e *audit.Entry) string {
	if e.Recipient != "" {
		return w.title("recipient", string(e.Recipient))
	}
	return say(w.language, "role."+string(e.Role), string(e.Role))
}
