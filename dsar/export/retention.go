package export

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// retentionPart is how long something is kept (GDPR Article 15(1)(d)): for a purpose, at
// most, or because a law orders it.
type retentionPart struct {
	Purpose string `json:"purpose,omitempty"`
	// Exception is what law orders to keep also when the person asks for erasure.
	Exception string   `json:"exception,omitempty"`
	Title     string   `json:"title"`
	Period    string   `json:"period"`
	From      string   `json:"from"`
	Laws      []string `json:"laws,omitempty"`
}

// retention lists how long a category is kept by the catalogue in force.
func (w *writing) retention(id privacy.DataCategory, law privacy.Jurisdiction) []retentionPart {
	list := []retentionPart{}
	if period, ok := w.catalogue.RetentionPeriod(id); ok {
		list = append(list, retentionPart{Title: period.Title.In(w.language), Period: period.Keep.String(), From: string(period.From), Laws: period.Laws})
		for _, purpose := range slices.Sorted(maps.Keys(period.Purposes)) {
			list = append(list, retentionPart{
				Purpose: string(purpose), Title: w.title("purpose", string(purpose)),
				Period: period.Purposes[purpose].String(), From: string(period.From),
			})
		}
	}
	for _, e := range w.catalogue.RetentionExceptions(law, w.at) {
		if slices.Contains(e.Events, id) || slices.ContainsFunc(e.Attributes, func(name privacy.AttributeName) bool {
			a, ok := w.catalogue.Attribute(name)
			return ok && a.Category == id
		}) {
			from := policies.FromEvent
			if e.CountsFrom == policies.CountFromYearEnd {
				from = policies.RetentionStart(e.CountsFrom)
			}
			list = append(list, retentionPart{
				Exception: string(e.ID), Title: e.Title.In(w.language), Period: fmt.Sprintf("P%dY", e.Years),
				From: string(from), Laws: []string{e.Article, e.Exemption},
			})
		}
	}
	return list
}
