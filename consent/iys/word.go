package iys

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Type is the way of reaching somebody that a consent is about.
type Type string

// The types.
const (
	Call    Type = "ARAMA"
	Message Type = "MESAJ"
	Email   Type = "EPOSTA"
)

// Types lists every type.
func Types() []Type { return []Type{Call, Message, Email} }

// Channel is the channel of the catalogue that a type stands for; empty for no type.
func (t Type) Channel() privacy.Channel {
	switch t {
	case Call:
		return "call"
	case Message:
		return "sms"
	case Email:
		return "email"
	}
	return ""
}

// Kind is the kind of identifier that recipients of a type have; empty for no type.
func (t Type) Kind() privacy.IdentifierKind {
	switch t {
	case Call, Message:
		return privacy.Phone
	case Email:
		return privacy.Email
	}
	return ""
}

// TypeOf returns the type that a channel stands for. ok is false for channels that the
// registry does not know.
func TypeOf(channel privacy.Channel) (t Type, ok bool) {
	for _, t := range Types() {
		if t.Channel() == channel {
			return t, true
		}
	}
	return "", false
}

// RecipientType tells a person from a merchant. The same address may have one consent as
// each.
type RecipientType string

// The recipient types.
const (
	Individual RecipientType = "BIREYSEL"
	Merchant   RecipientType = "TACIR"
)

// Status is what was said.
type Status string

// The statuses. It is RET, although some client libraries write RED.
const (
	Approved Status = "ONAY"
	Refused  Status = "RET"
)

// Source is where something was said: HS_… at the sender, IYS_… at the registry.
type Source string

// The sources that a sender may name.
const (
	PhysicalPlace Source = "HS_FIZIKSEL_ORTAM"
	WetSignature  Source = "HS_ISLAK_IMZA"
	Web           Source = "HS_WEB"
	CallCentre    Source = "HS_CAGRI_MERKEZI"
	SocialMedia   Source = "HS_SOSYAL_MEDYA"
	ByEmail       Source = "HS_EPOSTA"
	ByMessage     Source = "HS_MESAJ"
	Mobile        Source = "HS_MOBIL"
	Electronic    Source = "HS_EORTAM"
	Event         Source = "HS_ETKINLIK"
	Before2015    Source = "HS_2015"
	CashMachine   Source = "HS_ATM"
	Decision      Source = "HS_KARAR"
)

// SenderSources lists the sources that a sender may name.
func SenderSources() []Source {
	return []Source{
		PhysicalPlace, WetSignature, Web, CallCentre, SocialMedia, ByEmail, ByMessage,
		Mobile, Electronic, Event, Before2015, CashMachine, Decision,
	}
}

// IsSender reports whether a sender may name the source.
func (s Source) IsSender() bool { return slices.Contains(SenderSources(), s) }

// IsRegistry reports whether the source is one of the registry's own, as IYS_WEB is. New
// ones come without notice, so all that look like one are.
func (s Source) IsRegistry() bool {
	if len(s) < 5 || len(s) > 64 || s[:4] != "IYS_" {
		return false
	}
	for _, c := range s[4:] {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// Place is where the registry's times are: GMT+3, summer and winter.
var Place = time.FixedZone("GMT+3", 3*60*60)

// layout is how the registry writes a time.
const layout = "2006-01-02 15:04:05"

// Epoch is the day on which the law came into force. No consent is older; those that are
// carry this time and the source [Before2015].
var Epoch = time.Date(2015, time.May, 1, 0, 0, 0, 0, Place)
