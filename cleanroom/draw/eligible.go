package draw

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Rules say who may be drawn.
type Rules struct {
	Catalogue *policies.Catalogue
	// BirthDate returns the date of birth in a core record, if there is one that counts.
	BirthDate func(core vault.Record) (string, bool)
	// Childhood tells when a law calls somebody a child.
	Childhood func(law privacy.Jurisdiction, birth string) consent.Childhood
}

// Standing is what a person's consent is judged by.
type Standing struct {
	Jurisdiction privacy.Jurisdiction // as recorded
	Restricted   bool
	Core         vault.Record
	Consents     []consent.Record
}

// Covers reports whether a person's consent covers a purpose, with what the contract has in
// columns, at a moment: it is granted on every channel on which it could be used or on which
// the person has said anything about it, nothing is objected to that binds it, processing is
// not restricted, the person is of an age that the purpose admits, and consent is explicit
// where the purpose or the law for a data category asks for that. What is not known is a no.
func (r *Rules) Covers(purpose *policies.Purpose, categories []privacy.DataCategory, s *Standing, at time.Time) bool {
	law := r.Catalogue.JurisdictionOf(string(s.Jurisdiction))
	if s.Restricted || law == policies.UnknownJurisdiction {
		return false
	}
	if _, admits := purpose.Bases[privacy.Consent]; !admits {
		return false
	}
	birth, known := r.BirthDate(s.Core)
	age := policies.AgeUnknown
	var childhood consent.Childhood
	if known {
		age, childhood = r.Catalogue.AgeGroup(law, birth, at), r.Childhood(law, birth)
	}
	if !slices.Contains(purpose.Ages, age) {
		return false
	}
	said := consent.ForPurpose(s.Consents, purpose.ID)
	for _, channel := range channels(purpose, said) {
		current := consent.FoldFor(said, channel, at, childhood)
		if !slices.Contains(purpose.YesStates(), policies.ConsentState(current.State)) || current.Basis != privacy.Consent {
			return false
		}
		if purpose.Explicit && !current.Explicit {
			return false
		}
		for _, category := range categories {
			known, ok := r.Catalogue.Category(category)
			if !ok || known.Special || known.Case {
				return false
			}
			if slices.Contains(known.ExplicitIn, law) && !slices.Contains(current.Categories, category) {
				return false
			}
		}
	}
	return !r.objects(purpose, s.Consents, at, childhood)
}

// channels are those on which the purpose can be used, and those of which the person has
// said something about it. A room has no channel: a no on any is a no to it.
func channels(purpose *policies.Purpose, said []consent.Record) []privacy.Channel {
	list := slices.Clone(purpose.Channels)
	for i := range said {
		list = append(list, said[i].Channel)
	}
	list = append(list, privacy.AnyChannel)
	slices.Sort(list)
	list = slices.Compact(list)
	if len(purpose.Channels) > 0 {
		// Somebody who has said yes on each channel by its name need not have said it of all.
		list = slices.DeleteFunc(list, func(c privacy.Channel) bool { return c == privacy.AnyChannel })
	}
	return list
}

// objects reports whether an objection to all marketing stands, on any channel.
func (r *Rules) objects(purpose *policies.Purpose, consents []consent.Record, at time.Time, childhood consent.Childhood) bool {
	if !purpose.Marketing || purpose.ID == policies.GeneralMarketing {
		return false
	}
	said := consent.ForPurpose(consents, policies.GeneralMarketing)
	for i := range said {
		if consent.FoldFor(said, said[i].Channel, at, childhood).Objects() {
			return true
		}
	}
	return false
}

// Binds reports whether what somebody says about one purpose takes them out of rooms of
// another: an objection to all marketing does, out of every marketing room.
func Binds(catalogue *policies.Catalogue, said, room privacy.Purpose) bool {
	purpose, known := catalogue.Purpose(room)
	// Of a purpose that the catalogue has lost nothing is known: it is taken for marketing.
	return said == policies.GeneralMarketing && (!known || purpose.Marketing)
}

// CategoriesOf are the data categories of a contract's columns.
func CategoriesOf(contract *cleanroom.Contract) []privacy.DataCategory {
	var list []privacy.DataCategory
	for i := range contract.Columns {
		if c := contract.Columns[i].Category; !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}
