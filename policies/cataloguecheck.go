package policies

import (
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// check refuses references to what is not there, values outside their enum, and
// combinations that no rule should have to deal with.
func (l *loader) check(c *Catalogue) {
	for _, id := range c.Purposes() {
		l.checkPurpose(c, c.purposes[id])
	}
	l.checkMarketing(c)
	for _, id := range c.Categories() {
		category := c.categories[id]
		for _, j := range category.ExplicitIn {
			l.known(fileCategories, has(c.jurisdictions, j), "jurisdiction", string(j), string(id), "explicit_in", string(j))
		}
		l.checkObligations(c, fileCategories, string(id), category.Obligations)
	}
	for _, name := range c.Attributes() {
		l.checkAttribute(c, c.attributes[name])
	}
	for _, id := range c.Channels() {
		channel := c.channels[id]
		oneOf(l, fileChannels, channel.DisclosesTo, []Onlooker{Nobody, HouseholdSees, PublicSees}, string(id), "discloses_to")
		l.checkObligations(c, fileChannels, string(id), channel.Obligations)
	}
	for _, id := range c.Recipients() {
		l.checkRecipient(c, c.recipients[id])
	}
	l.checkJurisdictions(c)
	for _, id := range sortedKeys(c.inferences) {
		l.checkInference(c, c.inferences[id])
	}
	for _, id := range sortedKeys(c.groups) {
		l.checkGroup(c, c.groups[id])
	}
	l.checkRetention(c)
	if c.personaK < 2 {
		l.fail(filePersonas, []string{"minimum"}, "a persona needs at least 2 people")
	}
	for _, id := range sortedKeys(c.personas) {
		for _, group := range sortedKeys(c.personas[id].Features) {
			l.known(filePersonas, has(c.groups, group), "product group", string(group), "labels", string(id), "features", string(group))
		}
	}
}

func has[K ~string, V any](m map[K]V, k K) bool { _, ok := m[k]; return ok }

func (l *loader) known(file string, ok bool, kind, name string, keys ...string) {
	if !ok {
		l.fail(file, keys, "unknown %s %q", kind, name)
	}
}

func oneOf[T ~string](l *loader, file string, value T, values []T, keys ...string) {
	if !slices.Contains(values, value) {
		l.fail(file, keys, "%q is none of %v", value, values)
	}
}

func (l *loader) checkObligations(c *Catalogue, file, id string, obligations []ObligationID) {
	for _, o := range obligations {
		l.known(file, has(c.obligations, o), "obligation", string(o), id, "obligations", string(o))
	}
}

func (l *loader) checkPurpose(c *Catalogue, p *Purpose) {
	id := string(p.ID)
	for _, a := range p.Actions {
		oneOf(l, filePurposes, a, []Action{Personalize, Audience, Reidentify}, id, "actions", string(a))
	}
	if len(p.Bases) == 0 {
		l.fail(filePurposes, []string{id}, "%q has no legal basis", id)
	}
	for _, basis := range sortedKeys(p.Bases) {
		oneOf(l, filePurposes, basis,
			[]privacy.LegalBasis{privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.LegitimateInterests},
			id, "bases", string(basis))
	}
	if len(p.Ages) == 0 {
		l.fail(filePurposes, []string{id}, "%q admits no age group", id)
	}
	for _, age := range p.Ages {
		oneOf(l, filePurposes, age, []AgeGroup{Child, Youth, Adult, AgeUnknown}, id, "ages", string(age))
		if p.Profiling && age != Adult {
			l.fail(filePurposes, []string{id, "ages", string(age)}, "a profiling purpose admits adults only")
		}
	}
	for _, r := range p.Relationships {
		oneOf(l, filePurposes, r, []Relationship{FirstParty, Processor, ThirdParty}, id, "relationships", string(r))
	}
	for _, ch := range p.Channels {
		l.known(filePurposes, has(c.channels, ch), "channel", string(ch), id, "channels", string(ch))
	}
	for _, o := range p.DisclosesTo {
		oneOf(l, filePurposes, o, []Onlooker{HouseholdSees, PublicSees}, id, "discloses_to", string(o))
		if p.Profiling {
			l.fail(filePurposes, []string{id, "discloses_to"}, "a profiling purpose discloses to nobody")
		}
	}
	for _, category := range sortedKeys(p.Categories) {
		known, ok := c.categories[category]
		l.known(filePurposes, ok, "category", string(category), id, "categories", string(category))
		if ok && known.Special && !p.Special {
			l.fail(filePurposes, []string{id, "categories", string(category)}, "category %q is special and the purpose is not marked special", category)
		}
	}
	for _, name := range sortedKeys(p.Attributes) {
		a, ok := c.attributes[name]
		l.known(filePurposes, ok, "attribute", string(name), id, "attributes", string(name))
		if ok && !has(p.Categories, a.Category) {
			l.fail(filePurposes, []string{id, "attributes", string(name)}, "attribute %q is of category %q, which the purpose does not admit", name, a.Category)
		}
	}
	oneOf(l, filePurposes, p.Trigger, []TriggerUse{"", TriggerNone, TriggerOptional, TriggerRequired}, id, "trigger")
	if (p.Trigger == TriggerOptional || p.Trigger == TriggerRequired) != (p.TriggerWindow.Duration > 0) {
		l.fail(filePurposes, []string{id, "trigger"}, "a trigger and a trigger_window need each other")
	}
	if p.Reidentification != slices.Contains(p.Actions, Reidentify) {
		l.fail(filePurposes, []string{id, "reidentification"}, "reidentification and the action reidentify need each other")
	}
	if p.AudienceMinimum != 0 && p.AudienceMinimum < max(1, c.personaK) {
		l.fail(filePurposes, []string{id, "audience_minimum"}, "want no fewer people than share a persona label")
	}
	l.checkObligations(c, filePurposes, id, p.Obligations)
	l.checkConsentRules(p)
	l.checkRoomUse(c, p)
}

// checkMarketing refuses a catalogue that advertises and has no place for an objection to
// all of it, and one in which that place opens something.
func (l *loader) checkMarketing(c *Catalogue) {
	general, ok := c.purposes[GeneralMarketing]
	if ok && (!general.Marketing || len(general.Categories)+len(general.Channels)+len(general.Relationships) > 0) {
		l.fail(filePurposes, []string{string(GeneralMarketing)}, "%q is the place of the general objection: it is marketing and opens nothing", GeneralMarketing)
	}
	for _, id := range c.Purposes() {
		if c.purposes[id].Marketing && !ok {
			l.fail(filePurposes, []string{string(id), "marketing"}, "a marketing purpose needs the purpose %q, where the general objection is recorded", GeneralMarketing)
		}
	}
}

func (l *loader) checkAttribute(c *Catalogue, a *Attribute) {
	id := string(a.ID)
	l.known(fileAttributes, has(c.categories, a.Category), "category", string(a.Category), id, "category")
	oneOf(l, fileAttributes, a.Source, []SourceKind{Declared, Observed, Inferred, Imported, Social}, id, "source")
	if a.Length < 0 {
		l.fail(fileAttributes, []string{id, "length"}, "want a positive number")
	}
	l.checkAudience(c, a)
	g := a.Generalize
	if g == nil {
		return
	}
	oneOf(l, fileAttributes, g.Function, Generalizers(), id, "generalize", "function")
	if (g.Function == "attribute") != (g.Attribute != "") {
		l.fail(fileAttributes, []string{id, "generalize"}, "attribute goes with function attribute, and only with it")
	} else if g.Attribute != "" {
		coarser, ok := c.attributes[g.Attribute]
		l.known(fileAttributes, ok, "attribute", string(g.Attribute), id, "generalize", "attribute")
		switch {
		case ok && coarser.Category != a.Category:
			l.fail(fileAttributes, []string{id, "generalize", "attribute"}, "%q is of another category", g.Attribute)
		case ok && (coarser.Precise || coarser.Source == Social):
			l.fail(fileAttributes, []string{id, "generalize", "attribute"}, "%q must not be released exactly itself", g.Attribute)
		}
	}
	if banded := g.Function == "band" || g.Function == "age_band"; banded != (len(g.Edges) > 0) {
		l.fail(fileAttributes, []string{id, "generalize"}, "edges go with the functions band and age_band, and only with them")
	}
	if !slices.IsSorted(g.Edges) || len(slices.Compact(slices.Clone(g.Edges))) != len(g.Edges) {
		l.fail(fileAttributes, []string{id, "generalize", "edges"}, "edges must ascend")
	}
	if (g.Function == "map") != (len(g.Map) > 0) {
		l.fail(fileAttributes, []string{id, "generalize"}, "a map goes with the function map, and only with it")
	}
	if (g.Function == "product_group") != a.Groups {
		l.fail(fileAttributes, []string{id, "generalize"}, "product groups go with the function product_group, and only with it")
	}
}

func (l *loader) checkRecipient(c *Catalogue, r *Recipient) {
	id := string(r.ID)
	oneOf(l, fileRecipients, r.Relationship, []Relationship{FirstParty, Processor, ThirdParty}, id, "relationship")
	for _, p := range r.Purposes {
		purpose, ok := c.purposes[p]
		l.known(fileRecipients, ok, "purpose", string(p), id, "purposes", string(p))
		if ok && !slices.Contains(purpose.Relationships, r.Relationship) {
			l.fail(fileRecipients, []string{id, "purposes", string(p)}, "purpose %q does not admit a %s", p, r.Relationship)
		}
	}
	for _, kind := range r.References {
		_, err := privacy.ParseIdentifierKind(string(kind))
		l.known(fileRecipients, err == nil, "identifier kind", string(kind), id, "references", string(kind))
		if r.Relationship == ThirdParty {
			l.fail(fileRecipients, []string{id, "references", string(kind)}, "a third party may point at a person by its pseudonym only")
		}
	}
	l.checkObligations(c, fileRecipients, id, r.Obligations)
}

func (l *loader) checkJurisdictions(c *Catalogue) {
	claimed := map[string]privacy.Jurisdiction{}
	for _, id := range c.Jurisdictions() {
		claimed[string(id)] = id
	}
	fallback := privacy.Jurisdiction("")
	for _, id := range c.Jurisdictions() {
		j := c.jurisdictions[id]
		if j.Default && fallback != "" {
			l.fail(fileJurisdictions, []string{string(id), "default"}, "%q is the default already", fallback)
		} else if j.Default {
			fallback = id
		}
		if j.Majority < 16 || j.Majority > 21 {
			l.fail(fileJurisdictions, []string{string(id), "majority"}, "want an age of majority from 16 to 21")
		}
		if len(j.Consent) == 0 {
			l.fail(fileJurisdictions, []string{string(id)}, "%q has no age of digital consent", id)
		}
		for i, rule := range j.Consent {
			if rule.From.IsZero() || rule.Age < 12 || rule.Age > j.Majority || i > 0 && !j.Consent[i-1].From.Before(rule.From.Time) {
				l.fail(fileJurisdictions, []string{string(id), "consent_age"}, "want ages from 12 to majority with ascending days")
			}
		}
		for _, country := range j.Countries {
			if len(country) != 2 || !isJurisdictionKey(country) {
				l.fail(fileJurisdictions, []string{string(id), "countries", country}, "%q is no country code of two capitals", country)
			}
			if other, ok := claimed[country]; ok {
				l.fail(fileJurisdictions, []string{string(id), "countries", country}, "country %q belongs to %q already", country, other)
			}
			claimed[country] = id
		}
	}
}

func (l *loader) checkInference(c *Catalogue, i *Inference) {
	id := string(i.ID)
	l.known(fileInferences, has(c.categories, i.Category), "category", string(i.Category), id, "category")
	for _, key := range sortedKeys(i.Thresholds) {
		l.known(fileInferences, key == "default" || has(c.jurisdictions, privacy.Jurisdiction(key)), "jurisdiction", key, id, "thresholds", key)
		if i.Thresholds[key] < 1 {
			l.fail(fileInferences, []string{id, "thresholds", key}, "want a positive threshold")
		}
	}
	if i.Thresholds["default"] == 0 {
		l.fail(fileInferences, []string{id}, "%q has no default threshold", id)
	}
	for _, group := range sortedKeys(i.Groups) {
		l.known(fileInferences, has(c.groups, group), "product group", string(group), id, "groups", string(group))
		if i.Groups[group] < 0 {
			l.fail(fileInferences, []string{id, "groups", string(group)}, "a weight is not negative")
		}
	}
	for _, s := range i.Attributes {
		l.known(fileInferences, has(c.attributes, s.Attribute), "attribute", string(s.Attribute), id, "attributes", string(s.Attribute))
		if s.Weight < 1 {
			l.fail(fileInferences, []string{id, "attributes", string(s.Attribute)}, "want a positive weight")
		}
	}
	if len(i.Groups)+len(i.Attributes) == 0 {
		l.fail(fileInferences, []string{id}, "%q has no signal", id)
	}
}

func (l *loader) checkGroup(c *Catalogue, g *Group) {
	if g.Parent == "" {
		return
	}
	if !has(c.groups, g.Parent) {
		l.fail(fileGroups, []string{string(g.ID), "parent"}, "unknown product group %q", g.Parent)
		return
	}
	for seen, up := 0, g.Parent; up != ""; seen++ {
		if up == g.ID || seen > 16 {
			l.fail(fileGroups, []string{string(g.ID), "parent"}, "%q is its own ancestor, or too deep", g.ID)
			return
		}
		parent, ok := c.groups[up]
		if !ok {
			return
		}
		up = parent.Parent
	}
}

// checkIndexed refuses what only shows after weights were inherited.
func (l *loader) checkIndexed(c *Catalogue) {
	for _, g := range c.groupOrder {
		if g.Filler && (g.Tainted || len(g.Weights) > 0) {
			l.fail(fileGroups, []string{string(g.ID), "filler"}, "%q gives something away and cannot fill", g.ID)
		}
	}
	for _, p := range c.personaOrder {
		for _, id := range sortedKeys(p.Features) {
			if g := c.groups[id]; g.Tainted || len(g.Weights) > 0 {
				l.fail(filePersonas, []string{"labels", string(p.ID), "features", string(id)}, "%q gives something away and cannot be a feature", id)
			}
		}
	}
	if !has(c.groups, OtherGroup) {
		l.fail(fileGroups, nil, "there is no group %q", OtherGroup)
	}
	l.checkRetail(c)
	l.indexTerms(c)
}

// checkRetail refuses a shop's word that means two groups.
func (l *loader) checkRetail(c *Catalogue) {
	for _, g := range c.groupOrder {
		for _, kind := range [...]struct {
			name  string
			words []string
			index map[string]GroupID
		}{
			{"types", g.Retail.Types, c.retail.types},
			{"categories", g.Retail.Categories, c.retail.categories},
			{"departments", g.Retail.Departments, c.retail.departments},
		} {
			for _, word := range kind.words {
				if other := kind.index[word]; other != g.ID {
					l.fail(fileGroups, []string{string(g.ID), "retail", kind.name, word}, "%q means %q already", word, other)
				}
			}
		}
	}
}
