package gate

import (
	"slices"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// generalize makes the pool of an attribute coarser. A value for which there is no
// coarser one, or whose form is not the expected, is dropped: it is withheld, never
// passed through.
func (s *sheet) generalize(a *attribute, pool []item, record vault.Record, at time.Time) []item {
	g := a.Generalize
	if g == nil {
		return nil
	}
	switch g.Function {
	case "attribute":
		return s.storedItems(g.Attribute, record, at)
	case "count":
		if len(pool) == 0 {
			return nil
		}
		return []item{{value: privacy.NewPlain(strconv.Itoa(len(pool))), quality: pool[0].quality}}
	}
	coarse := make([]item, 0, len(pool))
	for _, it := range pool {
		value, ok := s.coarser(g, it, at)
		if !ok || slices.ContainsFunc(coarse, func(c item) bool { return c.value.RevealPersonalData() == value }) {
			continue
		}
		coarser := s.item(a.ID, privacy.NewPlain(value))
		coarser.quality = it.quality
		coarse = append(coarse, coarser)
	}
	return coarse
}

// coarser applies a function that works value by value.
func (s *sheet) coarser(g *policies.Generalizer, it item, at time.Time) (string, bool) {
	text := it.value.RevealPersonalData()
	switch g.Function {
	case "band":
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", false
		}
		return band(n, g.Edges)
	case "age_band":
		age, ok := policies.AgeOn(text, at)
		if !ok {
			return "", false
		}
		return band(age, g.Edges)
	case "year":
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return "", false
		}
		return strconv.Itoa(day.Year()), true
	case "map":
		value, ok := g.Map[text]
		return value, ok && value != ""
	case "product_group":
		// The key of the item names its group, also where the value is a product.
		if len(it.key) < 2 {
			return "", false
		}
		group := s.groups[policies.GroupID(it.key[2:])]
		if group == nil || group.coarse == "" {
			return "", false
		}
		return group.coarse, true
	}
	return "", false
}

// band returns the band into which n falls, "20-49" or "200+". Below the first edge
// there is no band.
func band(n int, edges []int) (string, bool) {
	for i := len(edges) - 1; i >= 0; i-- {
		switch {
		case n < edges[i]:
		case i == len(edges)-1:
			return strconv.Itoa(edges[i]) + "+", true
		default:
			return strconv.Itoa(edges[i]) + "-" + strconv.Itoa(edges[i+1]-1), true
		}
	}
	return "", false
}
