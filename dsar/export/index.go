package export

import (
	"strconv"
	"strings"
)

func entryNumber(index uint64) string { return strconv.FormatUint(index, 10) }

// index writes index.html, when everything else is known.
func (w *writing) index() error {
	file, err := w.bundle.create(IndexName)
	if err != nil {
		return err
	}
	title := "title"
	if !w.access() {
		title = "title_portability"
	}
	p := newPage(file, w.language, say(w.language, title, ""), "")
	w.indexPerson(p)
	w.indexData(p)
	if w.access() {
		w.indexPurposes(p)
		w.indexRecipients(p)
	}
	w.indexRetention(p)
	if w.access() {
		w.indexConsents(p)
		w.indexInferences(p)
		w.indexRooms(p)
		p.heading("log")
		p.note("log_note")
		w.indexPages(p, w.logPager())
	}
	p.heading("rights")
	p.note("rights_text")
	if w.result.Redacted > 0 {
		p.note("third_note")
	}
	p.note("machine_note")
	return p.close()
}

func (w *writing) indexPerson(p *pageWriter) {
	d := &w.dossier.person
	p.table("person", "value")
	p.row(p.say("made"), stamp(w.at))
	if w.job.Request != [16]byte{} {
		p.row(p.say("request"), w.job.Request.String())
	}
	p.row(p.say("jurisdiction"), d.Jurisdiction)
	p.row(p.say("held_since"), stamp(d.HeldSince))
	p.row(p.say("restricted"), p.yesNo(d.Restricted))
	p.end()
}

func (w *writing) indexData(p *pageWriter) {
	p.heading("data")
	if len(w.dossier.attributes) == 0 {
		p.note("none")
	} else {
		p.table("category", "attribute", "value", "source", "quality", "as_of")
		for _, a := range w.dossier.attributes {
			p.row(w.title("category", a.Category), a.Title, strings.Join(a.Values, ", "), p.say("source."+a.Source), p.say("quality."+a.Quality), a.ObservedAt)
		}
		p.end()
	}
	p.heading("events")
	if len(w.dossier.streams) == 0 {
		p.note("none")
	}
	for _, stream := range w.dossier.streams {
		p.raw("<p>")
		p.text(w.title("category", string(stream)) + ": " + strconv.FormatInt(w.dossier.events[stream], 10))
		p.raw("</p>\n")
		w.indexPages(p, w.eventPager(stream))
	}
}

// indexPages links to the pages of a list.
func (w *writing) indexPages(p *pageWriter, list *pager) {
	if list.total == 0 {
		p.note("none")
		return
	}
	p.raw("<p>")
	p.text(p.say("pages") + ": ")
	for n := range list.pages() {
		p.link(list.name(n+1), strconv.FormatInt(n+1, 10))
	}
	p.raw("</p>\n")
}

func (w *writing) indexPurposes(p *pageWriter) {
	p.heading("purposes")
	p.table("purpose", "basis", "category", "profiling")
	for _, purpose := range w.dossier.purposes {
		var categories []string
		for _, category := range purpose.Categories {
			categories = append(categories, w.title("category", category))
		}
		var bases []string
		for _, basis := range purpose.Bases {
			bases = append(bases, say(w.language, "basis."+basis, basis))
		}
		p.row(purpose.Title, strings.Join(bases, ", "), strings.Join(categories, ", "), p.yesNo(purpose.Profiling))
	}
	p.end()
}

func (w *writing) indexRecipients(p *pageWriter) {
	p.heading("recipients")
	p.table("recipient", "relationship", "purposes", "answered", "refused", "last")
	for _, r := range w.recipients() {
		var purposes []string
		for _, purpose := range r.Purposes {
			purposes = append(purposes, w.title("purpose", purpose))
		}
		last := ""
		if r.Last != nil {
			last = stamp(*r.Last)
		}
		p.row(r.Title, p.say("relationship."+r.Relationship), strings.Join(purposes, ", "),
			strconv.FormatInt(r.Answered, 10), strconv.FormatInt(r.Refused, 10), last)
	}
	p.end()
}

func (w *writing) indexRetention(p *pageWriter) {
	p.heading("retention")
	p.table("category", "source", "period", "from", "law")
	for _, c := range w.dossier.categories {
		var sources []string
		for _, source := range c.Sources {
			sources = append(sources, p.say("source."+source))
		}
		if len(c.Retention) == 0 {
			p.row(c.Title, strings.Join(sources, ", "), p.say("unstated"), "", "")
		}
		for _, r := range c.Retention {
			p.row(c.Title, strings.Join(sources, ", "), periodIn(w.language, r.Period), p.say("from."+r.From), strings.Join(append([]string{r.Title}, r.Laws...), " · "))
		}
	}
	p.end()
}

func (w *writing) indexConsents(p *pageWriter) {
	p.heading("consents")
	if len(w.dossier.consents) == 0 {
		p.note("none")
		return
	}
	p.table("at", "purpose", "channel", "choice", "by", "basis", "source", "notice", "language", "law", "evidence", "until")
	for _, c := range w.dossier.consents {
		until := ""
		if c.ValidUntil != nil {
			until = stamp(*c.ValidUntil)
		}
		by := p.say("actor." + c.Actor)
		if c.Verified {
			by += ", " + p.say("guardian_verified")
		}
		p.row(stamp(c.EffectiveAt), c.Title, w.title("channel", c.Channel), p.say("action."+c.Action), by, say(w.language, "basis."+c.LegalBasis, c.LegalBasis),
			c.Source, c.NoticeVersion, c.Language, c.Jurisdiction, c.EvidenceRef, until)
	}
	p.end()
}

func (w *writing) indexInferences(p *pageWriter) {
	p.heading("inferences")
	if len(w.dossier.inferences) == 0 {
		p.note("none")
		return
	}
	p.table("what", "attribute", "value", "recipient", "last", "points_to")
	for _, i := range w.dossier.inferences {
		var hints []string
		for _, hint := range i.PointsTo {
			hints = append(hints, hint.String())
		}
		p.row(p.say(i.Kind), i.Title, strings.Join(i.Values, ", "), w.title("recipient", i.Recipient), i.LastTold, strings.Join(hints, ", "))
	}
	p.end()
}
