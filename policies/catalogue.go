package policies

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Text is a short text in the languages of the catalogue. English is always there.
type Text struct {
	EN string `yaml:"en"`
	TR string `yaml:"tr"`
	CS string `yaml:"cs"`
}

// In returns the text in the language ("tr", "cs", else English), falling back to English.
func (t Text) In(language string) string {
	switch {
	case language == "tr" && t.TR != "":
		return t.TR
	case language == "cs" && t.CS != "":
		return t.CS
	}
	return t.EN
}

// exactly returns the text in the language, or nothing.
func (t Text) exactly(language string) string {
	switch language {
	case "en":
		return t.EN
	case "tr":
		return t.TR
	case "cs":
		return t.CS
	}
	return ""
}

// Relationship is how a recipient stands to the person and the controller.
type Relationship string

// The relationships.
const (
	// FirstParty is the company that the person deals with.
	FirstParty Relationship = "first_party"
	// Processor works on its behalf (GDPR Article 28).
	Processor Relationship = "processor"
	// ThirdParty is a stranger (GDPR Article 4(10)).
	ThirdParty Relationship = "third_party"
)

// Onlooker is who else sees a channel.
type Onlooker string

// The onlookers.
const (
	Nobody        Onlooker = "nobody"
	HouseholdSees Onlooker = "household"
	PublicSees    Onlooker = "public"
)

// SourceKind is where an attribute comes from.
type SourceKind string

// The source kinds.
const (
	Declared SourceKind = "declared"
	Observed SourceKind = "observed"
	Inferred SourceKind = "inferred"
	Imported SourceKind = "imported"
	// Social is what was seen on a social network. It is never exact.
	Social SourceKind = "social"
)

// TriggerUse says whether a purpose reacts to events.
type TriggerUse string

// The trigger uses.
const (
	TriggerNone     TriggerUse = "none"
	TriggerOptional TriggerUse = "optional"
	TriggerRequired TriggerUse = "required"
)

// GeneralMarketing is the purpose that an objection to all direct marketing is recorded
// under (GDPR Article 21(2)). It binds every marketing purpose, and opens nothing itself.
const GeneralMarketing privacy.Purpose = "marketing"

// Purpose is a registered reason for processing (GDPR Article 5(1)(b)).
type Purpose struct {
	ID    privacy.Purpose `yaml:"-"`
	Title Text            `yaml:"title"`
	// Actions are the acts it admits; without any, personalize.
	Actions []Action `yaml:"actions"`
	// Profiling is whether it evaluates the person (GDPR Article 4(4)). Only adults then.
	Profiling bool `yaml:"profiling"`
	// Marketing is whether an objection to marketing covers it (GDPR Article 21(2)).
	Marketing bool `yaml:"marketing"`
	// Explicit is whether consent to it must be explicit.
	Explicit bool `yaml:"explicit"`
	// Special is whether it may ask for explicit consent to special categories.
	Special bool `yaml:"special"`
	// Reidentification is whether law or the person orders re-identification for it.
	Reidentification bool `yaml:"reidentification"`
	// Bases are the legal bases it admits, each with the most detailed level it carries.
	Bases map[privacy.LegalBasis]Level `yaml:"bases"`
	// Ages are the age groups it admits. A profiling purpose admits adults only.
	Ages          []AgeGroup        `yaml:"ages"`
	Relationships []Relationship    `yaml:"relationships"`
	Channels      []privacy.Channel `yaml:"channels"`
	// DisclosesTo are onlookers who may see it because it says nothing about the person.
	DisclosesTo []Onlooker `yaml:"discloses_to"`
	// Categories are the data categories it has a use for, each with the most detailed
	// level of their attributes.
	Categories map[privacy.DataCategory]Level `yaml:"categories"`
	// Attributes narrow or widen the level of single attributes of those categories.
	Attributes map[privacy.AttributeName]Level `yaml:"attributes"`
	// Persona is whether a persona label serves it as well.
	Persona bool `yaml:"persona"`
	// Trigger says whether it reacts to events, TriggerWindow for how long.
	Trigger       TriggerUse `yaml:"trigger"`
	TriggerWindow Duration   `yaml:"trigger_window"`
	// DespiteRestriction and DespiteObjection mark purposes that law lets go on
	// (GDPR Articles 18(2) and 21(1)).
	DespiteRestriction bool           `yaml:"despite_restriction"`
	DespiteObjection   bool           `yaml:"despite_objection"`
	Obligations        []ObligationID `yaml:"obligations"`
	// AudienceMinimum is the smallest audience that is not refused; 0 means 1,000.
	AudienceMinimum int `yaml:"audience_minimum"`
	// StaleNotice says what becomes of a yes when the wording that was shown has changed in
	// substance; without it, deny.
	StaleNotice StaleRule `yaml:"stale_notice"`
	// Signals says which signals of browsers and consent platforms speak about it; one that is
	// not named says nothing about it.
	Signals PurposeSignals `yaml:"signals"`
	// Room lets it be the purpose of a clean room; nil where it is none.
	Room *RoomUse `yaml:"room"`
}

// RoomUse says what a purpose may measure in a clean room.
type RoomUse struct {
	// Categories are the data categories of which columns may be. None is special.
	Categories []privacy.DataCategory `yaml:"categories"`
}

// Category is a data category.
type Category struct {
	ID    privacy.DataCategory `yaml:"-"`
	Title Text                 `yaml:"title"`
	// Special is whether it is special everywhere (GDPR Articles 9 and 10, KVKK Article
	// 6), so that it opens only on explicit consent.
	Special bool `yaml:"special"`
	// ExplicitIn are jurisdictions that ask for explicit consent though it is not special.
	ExplicitIn []privacy.Jurisdiction `yaml:"explicit_in"`
	// Sensitive marks what is not special in law but hurts when it gets out.
	Sensitive bool `yaml:"sensitive"`
	// Case is whether it opens only to whoever handles the person's case.
	Case bool `yaml:"case"`
	// Shared is whether its texts are about several people, as what was said or posted is:
	// the others are taken out before the person gets a copy (GDPR Article 15(4)).
	Shared      bool           `yaml:"shared"`
	Obligations []ObligationID `yaml:"obligations"`
	Laws        []string       `yaml:"laws"`
}

// Generalizer names a way to make a value coarser, with its parameters. The gate
// implements the functions; see [Generalizers].
type Generalizer struct {
	Function string `yaml:"function"`
	// Attribute is the coarser attribute to take instead, for function "attribute".
	Attribute privacy.AttributeName `yaml:"attribute"`
	// Edges are lower bounds of bands, ascending, for functions "band" and "age_band".
	Edges []int `yaml:"edges"`
	// Map is a table of values, for function "map". A value that is not in it is withheld.
	Map map[string]string `yaml:"map"`
}

// Generalizers returns the names of the functions that a ladder may use.
//
//	attribute      the value of another attribute of the same category
//	band           the band of edges that a number falls into, "20-49", "200+"
//	age_band       the same for the age in years that follows from a birth date
//	year           the year of a date
//	map            a table
//	product_group  [Catalogue.GeneralizeGroup]
//	count          how many values there are, not which
func Generalizers() []string {
	return []string{"attribute", "band", "age_band", "year", "map", "product_group", "count"}
}

// Attribute is one fact about a person.
type Attribute struct {
	ID       privacy.AttributeName `yaml:"-"`
	Title    Text                  `yaml:"title"`
	Category privacy.DataCategory  `yaml:"category"`
	Source   SourceKind            `yaml:"source"`
	// List is whether it has many values.
	List bool `yaml:"list"`
	// Groups is whether its values are product groups.
	Groups bool `yaml:"groups"`
	// Derived names how the gate computes it from events; empty when it is stored.
	Derived string `yaml:"derived"`
	// Precise is whether it follows the person around; it is never released exactly.
	Precise bool `yaml:"precise"`
	// Generalize is the ladder's coarser step; nil without one.
	Generalize *Generalizer `yaml:"generalize"`
	// Persona is whether a persona label can stand in for it.
	Persona bool `yaml:"persona"`
	// Verified is whether only a value that was verified is told: a wrong one would hurt.
	Verified bool `yaml:"verified"`
	// MaxAge is how old it may be; 0 means any age.
	MaxAge Duration `yaml:"max_age"`
	// Length is how many values of a list are released, newest first; 0 means 10.
	Length int `yaml:"length"`
	// Audience declares it as a column to form audiences by; nil where it is none.
	Audience *AudienceUse `yaml:"audience"`
}

// Channel is a way of reaching a person.
type Channel struct {
	ID          privacy.Channel `yaml:"-"`
	Title       Text            `yaml:"title"`
	DisclosesTo Onlooker        `yaml:"discloses_to"`
	Obligations []ObligationID  `yaml:"obligations"`
}

// Recipient is an organisation or service that receives data.
type Recipient struct {
	ID           privacy.RecipientID `yaml:"-"`
	Title        Text                `yaml:"title"`
	Relationship Relationship        `yaml:"relationship"`
	// Purposes are what it is contracted for.
	Purposes []privacy.Purpose `yaml:"purposes"`
	// References are the ways in which it may point at a person, beside the pseudonym.
	References []privacy.IdentifierKind `yaml:"references"`
	// Lookback is how far back the exposure ledger counts; 0 means 400 days.
	Lookback    Duration       `yaml:"lookback"`
	Obligations []ObligationID `yaml:"obligations"`
}

// DefaultLookback is how far the exposure ledger looks back by default: a year and a bit.
const DefaultLookback = 400 * 24 * time.Hour

// Obligation describes what a recipient must do with an answer.
type Obligation struct {
	ID    ObligationID `yaml:"-"`
	Title Text         `yaml:"title"`
	Laws  []string     `yaml:"laws"`
}

// AgeRule is an age with the first day on which it applies.
type AgeRule struct {
	From Date   `yaml:"from"`
	Age  int    `yaml:"age"`
	Law  string `yaml:"law"`
}

// Jurisdiction is a body of law.
type Jurisdiction struct {
	ID    privacy.Jurisdiction `yaml:"-"`
	Title Text                 `yaml:"title"`
	// Default is whether it applies to people whose country is not recorded.
	Default bool `yaml:"default"`
	// Countries are country codes to which it applies, beside its own key.
	Countries []string `yaml:"countries"`
	// Consent are the ages of digital consent, ascending by date.
	Consent []AgeRule `yaml:"consent_age"`
	// Majority is the age of full capacity.
	Majority int `yaml:"majority"`
}

// InferenceID names a conclusion about a person that data may give away.
type InferenceID string

// AttributeSignal is a value that points to an inference.
type AttributeSignal struct {
	Attribute privacy.AttributeName `yaml:"attribute"`
	Value     string                `yaml:"value"`
	Weight    int                   `yaml:"weight"`
}

// Inference is a conclusion that must not be handed out without explicit consent to its
// category: weights of everything released add up, and at the threshold the conclusion
// is taken as drawn.
type Inference struct {
	ID       InferenceID          `yaml:"-"`
	Title    Text                 `yaml:"title"`
	Category privacy.DataCategory `yaml:"category"`
	// Thresholds by jurisdiction; "default" is required.
	Thresholds map[string]int `yaml:"thresholds"`
	// Groups are the weights of product groups. A group without its own weight has its
	// nearest ancestor's.
	Groups map[GroupID]int `yaml:"groups"`
	// Attributes are the weights of attribute values.
	Attributes []AttributeSignal `yaml:"attributes"`
	Laws       []string          `yaml:"laws"`
}

// Threshold returns the sum of weights at which the conclusion is taken as drawn.
func (i *Inference) Threshold(j privacy.Jurisdiction) int {
	if threshold, ok := i.Thresholds[string(j)]; ok {
		return threshold
	}
	return i.Thresholds["default"]
}

// PersonaID names a persona.
type PersonaID string

// PersonaLabel is a group of people with similar harmless habits.
type PersonaLabel struct {
	ID    PersonaID `yaml:"-"`
	Title Text      `yaml:"title"`
	// Features are the weights of product groups; none points to a special category.
	Features map[GroupID]int `yaml:"features"`
}

// Catalogue is what the rules speak about. It is immutable, and so is everything that
// its methods return.
type Catalogue struct {
	purposes      map[privacy.Purpose]*Purpose
	categories    map[privacy.DataCategory]*Category
	attributes    map[privacy.AttributeName]*Attribute
	channels      map[privacy.Channel]*Channel
	recipients    map[privacy.RecipientID]*Recipient
	obligations   map[ObligationID]*Obligation
	jurisdictions map[privacy.Jurisdiction]*Jurisdiction
	inferences    map[InferenceID]*Inference
	personas      map[PersonaID]*PersonaLabel
	personaK      int
	groups        map[GroupID]*Group
	retention     retentionFile

	inferenceOrder []*Inference
	personaOrder   []*PersonaLabel
	groupOrder     []*Group
	harmless       []*Group
	fillers        []GroupID
	byCountry      map[string]privacy.Jurisdiction
	defaultLaw     privacy.Jurisdiction
	retail         retailIndex
	terms          termIndex
	valueSignals   map[valueKey][]Weight
}

// Purpose returns a registered purpose.
func (c *Catalogue) Purpose(id privacy.Purpose) (*Purpose, bool) {
	p, ok := c.purposes[id]
	return p, ok
}

// Category returns a data category.
func (c *Catalogue) Category(id privacy.DataCategory) (*Category, bool) {
	p, ok := c.categories[id]
	return p, ok
}

// Attribute returns an attribute.
func (c *Catalogue) Attribute(name privacy.AttributeName) (*Attribute, bool) {
	p, ok := c.attributes[name]
	return p, ok
}

// Channel returns a channel.
func (c *Catalogue) Channel(id privacy.Channel) (*Channel, bool) {
	p, ok := c.channels[id]
	return p, ok
}

// Recipient returns a registered recipient.
func (c *Catalogue) Recipient(id privacy.RecipientID) (*Recipient, bool) {
	p, ok := c.recipients[id]
	return p, ok
}

// Obligation returns the description of an obligation.
func (c *Catalogue) Obligation(id ObligationID) (*Obligation, bool) {
	p, ok := c.obligations[id]
	return p, ok
}

// Jurisdiction returns a jurisdiction.
func (c *Catalogue) Jurisdiction(id privacy.Jurisdiction) (*Jurisdiction, bool) {
	p, ok := c.jurisdictions[id]
	return p, ok
}

// Inference returns an inference.
func (c *Catalogue) Inference(id InferenceID) (*Inference, bool) {
	p, ok := c.inferences[id]
	return p, ok
}

// Inferences returns every inference, in the order of the catalogue file.
func (c *Catalogue) Inferences() []*Inference { return c.inferenceOrder }

// Purposes returns the purposes, sorted by key.
func (c *Catalogue) Purposes() []privacy.Purpose { return sortedKeys(c.purposes) }

// Categories returns the data categories, sorted by key.
func (c *Catalogue) Categories() []privacy.DataCategory { return sortedKeys(c.categories) }

// Attributes returns the attributes, sorted by name.
func (c *Catalogue) Attributes() []privacy.AttributeName { return sortedKeys(c.attributes) }

// Channels returns the channels, sorted by key.
func (c *Catalogue) Channels() []privacy.Channel { return sortedKeys(c.channels) }

// Recipients returns the recipients, sorted by key.
func (c *Catalogue) Recipients() []privacy.RecipientID { return sortedKeys(c.recipients) }

// Jurisdictions returns the jurisdictions, sorted by key.
func (c *Catalogue) Jurisdictions() []privacy.Jurisdiction { return sortedKeys(c.jurisdictions) }

// Obligations returns the obligations, sorted by key.
func (c *Catalogue) Obligations() []ObligationID { return sortedKeys(c.obligations) }

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
