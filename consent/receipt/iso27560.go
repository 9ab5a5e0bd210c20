package receipt

import (
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// The shape of an ISO/IEC TS 27560 receipt in JSON-LD (docs/spec/receipt-iso27560.schema.json).
// Names with a colon are terms of the vocabularies that the context names; those of our own
// are in mahrem:, and nothing depends on fetching any of them.

type isoReceipt struct {
	Context    map[string]string `json:"@context"`
	ID         string            `json:"@id"`
	Type       string            `json:"@type"`
	Identifier string            `json:"dct:identifier"`
	Conforms   node              `json:"dct:conformsTo"`
	Issued     literal           `json:"dct:issued"`
	Record     isoRecord         `json:"dpv:hasRecordOfActivity"`
	Standing   isoStanding       `json:"mahrem:standing"`
}

// node points at something by its name.
type node struct {
	ID string `json:"@id"`
}

// literal is a value with its type.
type literal struct {
	Type  string `json:"@type"`
	Value string `json:"@value"`
}

// word is a text in one language.
type word struct {
	Language string `json:"@language"`
	Value    string `json:"@value"`
}

type isoRecord struct {
	ID           string        `json:"@id"`
	Type         string        `json:"@type"`
	Identifier   string        `json:"dct:identifier"`
	Conforms     node          `json:"dct:conformsTo"`
	Subject      isoSubject    `json:"dpv:hasDataSubject"`
	Controller   isoController `json:"dpv:hasDataController"`
	Jurisdiction node          `json:"dpv:hasJurisdiction"`
	Process      isoProcess    `json:"dpv:hasProcess"`
	Notice       isoNotice     `json:"dpv:hasNotice"`
	Control      isoControl    `json:"dpv:hasConsentControl"`
	Event        isoEvent      `json:"dpv:hasConsentStatus"`
}

type isoSubject struct {
	Type       string `json:"@type"`
	Identifier string `json:"dct:identifier"`
}

type isoController struct {
	ID      string     `json:"@id"`
	Type    []string   `json:"@type"`
	Name    string     `json:"schema:name"`
	Address isoAddress `json:"schema:address"`
	Contact isoContact `json:"schema:contactPoint"`
	URL     string     `json:"schema:url"`
}

type isoAddress struct {
	Type    string `json:"@type"`
	Street  string `json:"schema:streetAddress"`
	Country string `json:"schema:addressCountry"`
}

type isoContact struct {
	Type  string `json:"@type"`
	Kind  string `json:"schema:contactType"`
	Email string `json:"schema:email"`
	Phone string `json:"schema:telephone"`
}

type isoProcess struct {
	Type       string         `json:"@type"`
	Purpose    isoPurpose     `json:"dpv:hasPurpose"`
	Channel    string         `json:"mahrem:channel"`
	Basis      node           `json:"dpv:hasLegalBasis"`
	Data       []isoData      `json:"dpv:hasPersonalData"`
	Recipients []isoRecipient `json:"dpv:hasRecipient"`
	Storage    []isoStorage   `json:"dpv:hasStorageCondition"`
}

type isoPurpose struct {
	ID      string `json:"@id"`
	Type    string `json:"@type"`
	Broader []node `json:"skos:broader"`
	Title   []word `json:"dct:title"`
}

type isoData struct {
	ID    string   `json:"@id"`
	Type  []string `json:"@type"`
	Title []word   `json:"dct:title"`
	// Keep is for how long, as a duration of ISO 8601.
	Keep string `json:"dpv:hasDuration,omitempty"`
}

type isoRecipient struct {
	ID    string `json:"@id"`
	Type  string `json:"@type"`
	Title []word `json:"dct:title"`
}

type isoStorage struct {
	Type      string       `json:"@type"`
	Locations []node       `json:"dpv:hasLocation,omitempty"`
	Duration  *isoDuration `json:"dpv:hasDuration,omitempty"`
}

type isoDuration struct {
	Type  string `json:"@type"`
	Value string `json:"rdf:value"`
}

type isoNotice struct {
	Type       string `json:"@type"`
	Identifier string `json:"dct:identifier"`
	Language   string `json:"dct:language"`
	Policy     string `json:"schema:url"`
}

type isoControl struct {
	Type string `json:"@type"`
	At   string `json:"dpv:isExercisedAt"`
}

type isoEvent struct {
	Type     []string    `json:"@type"`
	Action   string      `json:"mahrem:action"`
	By       isoActor    `json:"dpv:isIndicatedBy"`
	At       literal     `json:"dpv:isIndicatedAtTime"`
	Recorded literal     `json:"dct:created"`
	Duration isoDuration `json:"dpv:hasDuration"`
	Method   string      `json:"dpv:hasIndicationMethod"`
	Evidence string      `json:"dct:source,omitempty"`
	Special  []node      `json:"dpv:hasPersonalData,omitempty"`
	Given    bool        `json:"mahrem:incentive"`
}

type isoActor struct {
	Type     string `json:"@type"`
	Actor    string `json:"mahrem:actor"`
	Verified bool   `json:"mahrem:verified"`
}

type isoStanding struct {
	State string  `json:"mahrem:state"`
	At    literal `json:"dct:date"`
}

// The prefixes of the terms. They are written out in every receipt, so that a reader needs
// no network to know what it says.
func prefixes() map[string]string {
	return map[string]string{
		"dct":    "http://purl.org/dc/terms/",
		"dpv":    "https://w3id.org/dpv#",
		"loc":    "https://w3id.org/dpv/loc#",
		"mahrem": "urn:mahrem:",
		"rdf":    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
		"schema": "https://schema.org/",
		"skos":   "http://www.w3.org/2004/02/skos/core#",
		"xsd":    "http://www.w3.org/2001/XMLSchema#",
	}
}

const (
	profileReceipt = "https://w3id.org/dpv/schema/dpv-27560#receipt"
	profileRecord  = "https://w3id.org/dpv/schema/dpv-27560#record"
)

func instant(t time.Time) literal { return literal{"xsd:dateTime", stamp(t)} }

func words(t policies.Text) []word {
	return []word{{"en", t.In("en")}, {"tr", t.In("tr")}, {"cs", t.In("cs")}}
}

// iso makes the document. id is that of the receipt.
func (f *Facts) iso(id string, issued time.Time) *isoReceipt {
	record := consent.FormatID(f.Record.ID)
	return &isoReceipt{
		Context: prefixes(), ID: "urn:uuid:" + id, Type: "dpv:ConsentReceipt", Identifier: id,
		Conforms: node{profileReceipt}, Issued: instant(issued),
		Record: isoRecord{
			ID: "urn:uuid:" + record, Type: "dpv:ConsentRecord", Identifier: record, Conforms: node{profileRecord},
			Subject:      isoSubject{"dpv:DataSubject", string(f.Principal)},
			Controller:   f.isoController(),
			Jurisdiction: node{"loc:" + f.jurisdiction()},
			Process:      f.isoProcess(),
			Notice:       isoNotice{"dpv:ConsentNotice", f.notice(), f.language(), f.Controller.Policy},
			Control:      isoControl{"dpv:WithdrawConsent", f.Controller.Withdrawal},
			Event:        f.isoEvent(),
		},
		Standing: isoStanding{string(f.Standing.State), instant(issued)},
	}
}

func (f *Facts) isoController() isoController {
	c := &f.Controller
	return isoController{
		ID: c.URL, Type: []string{"dpv:Organisation", "dpv:DataController"}, Name: c.Name,
		Address: isoAddress{"schema:PostalAddress", c.Address, c.Country},
		Contact: isoContact{"schema:ContactPoint", c.Contact, c.Email, c.Phone}, URL: c.URL,
	}
}

func (f *Facts) isoProcess() isoProcess {
	p := isoProcess{
		Type: "dpv:Process", Channel: string(f.Record.Channel), Basis: node{dpvBasis(&f.Record)},
		Purpose: isoPurpose{"mahrem:purpose:" + string(f.Purpose.ID), "dpv:Purpose", f.broader(), words(f.Purpose.Title)},
		Data:    []isoData{}, Recipients: []isoRecipient{},
	}
	for _, d := range f.Purpose.Data {
		kinds := []string{"dpv:PersonalData"}
		if d.Special {
			kinds = append(kinds, "dpv:SpecialCategoryPersonalData")
		}
		if d.Sensitive {
			kinds = append(kinds, "dpv:SensitivePersonalData")
		}
		p.Data = append(p.Data, isoData{"mahrem:category:" + string(d.Category), kinds, words(d.Title), d.Keep})
	}
	for _, r := range f.Purpose.Recipients {
		p.Recipients = append(p.Recipients, isoRecipient{"mahrem:recipient:" + string(r.ID), dpvRecipient(r.Relationship), words(r.Title)})
	}
	stored := isoStorage{Type: "dpv:StorageLocation"}
	for _, country := range f.Controller.Storage {
		stored.Locations = append(stored.Locations, node{"loc:" + country})
	}
	p.Storage = []isoStorage{stored, {Type: "dpv:StorageDuration", Duration: new(f.duration())}}
	return p
}

// broader are the purposes of the vocabulary that this one is a kind of.
func (f *Facts) broader() []node {
	var found []node
	if f.Purpose.Marketing {
		found = append(found, node{"dpv:Marketing"})
	}
	if f.Purpose.Profiling {
		found = append(found, node{"dpv:Personalisation"})
	}
	if found == nil {
		found = []node{{"dpv:ServiceProvision"}}
	}
	return found
}

// duration is for how long a choice holds. A yes without an end holds until it is withdrawn,
// anything else until the person chooses anew.
func (f *Facts) duration() isoDuration {
	switch {
	case !f.Record.ValidUntil.IsZero():
		return isoDuration{"dpv:UntilTimeDuration", stamp(f.Record.ValidUntil)}
	case f.Record.Action.IsYes():
		return isoDuration{"dpv:UntilEventDuration", "withdrawal"}
	}
	return isoDuration{"dpv:UntilEventDuration", "another choice"}
}

func (f *Facts) isoEvent() isoEvent {
	r := &f.Record
	event := isoEvent{
		Type: []string{dpvStatus(r.Action)}, Action: string(r.Action), At: instant(r.EffectiveAt), Recorded: instant(r.RecordedAt),
		Duration: f.duration(), Method: r.Source, Evidence: r.EvidenceRef, Given: r.Incentive,
		By: isoActor{dpvActor(r.Actor), string(actorOf(r)), r.GuardianVerified},
	}
	if r.Action.IsYes() && r.Basis == privacy.Consent {
		event.Type = append(event.Type, consentType(r))
	}
	for _, category := range r.Categories {
		event.Special = append(event.Special, node{"mahrem:category:" + string(category)})
	}
	return event
}

// actorOf is who acted; rows from before it was recorded are the person's.
func actorOf(r *consent.Record) consent.Actor {
	if r.Actor == "" {
		return consent.ByDataSubject
	}
	return r.Actor
}
