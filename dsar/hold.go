package dsar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// HoldID names a legal hold. It is a random UUIDv4 and says nothing about anybody.
type HoldID [16]byte

// NewHoldID draws an id from random, which must be cryptographically strong outside tests.
func NewHoldID(random io.Reader) (HoldID, error) {
	id, err := privacy.NewDataSubjectID(random)
	if err != nil {
		return HoldID{}, fmt.Errorf("drawing hold id: %w", err)
	}
	return HoldID(id), nil
}

// ParseHoldID reads the 36 characters that [HoldID.String] writes. The error wraps
// [privacy.ErrInvalid].
func ParseHoldID(text string) (HoldID, error) {
	id, err := ParseRequestID(text)
	if err != nil {
		return HoldID{}, fmt.Errorf("parsing hold id: %w", privacy.ErrInvalid)
	}
	return HoldID(id), nil
}

// String returns the UUID as text.
func (id HoldID) String() string { return RequestID(id).String() }

// HoldReason says why something must not be destroyed (GDPR Article 17(3)(e)).
type HoldReason string

// The reasons.
const (
	HoldLitigation      HoldReason = "litigation"
	HoldRegulator       HoldReason = "regulator"
	HoldCriminal        HoldReason = "criminal_investigation"
	HoldTaxAudit        HoldReason = "tax_audit"
	HoldContractDispute HoldReason = "contract_dispute"
)

// HoldReasons lists them.
func HoldReasons() []HoldReason {
	return []HoldReason{HoldLitigation, HoldRegulator, HoldCriminal, HoldTaxAudit, HoldContractDispute}
}

// ReleaseReason says why a hold ended.
type ReleaseReason string

// The reasons.
const (
	HoldConcluded ReleaseReason = "concluded"
	HoldWithdrawn ReleaseReason = "withdrawn_by_authority"
	HoldInError   ReleaseReason = "set_in_error"
	HoldExpired   ReleaseReason = "expired"
)

// ReleaseReasons lists them.
func ReleaseReasons() []ReleaseReason {
	return []ReleaseReason{HoldConcluded, HoldWithdrawn, HoldInError, HoldExpired}
}

// HoldScope is what a hold covers: everything, a data category, or one attribute of it.
type HoldScope struct {
	Category  privacy.DataCategory
	Attribute privacy.AttributeName
}

// IsEverything reports whether nothing is left out.
func (s HoldScope) IsEverything() bool { return s == HoldScope{} }

// Covers reports whether an attribute of a category, or an event of its stream (without
// an attribute), is held.
func (s HoldScope) Covers(category privacy.DataCategory, attribute privacy.AttributeName) bool {
	return s.IsEverything() || s.Category == category && (s.Attribute == "" || s.Attribute == attribute)
}

// String is "everything", "purchases" or "contact/postal_address".
func (s HoldScope) String() string {
	switch {
	case s.IsEverything():
		return "everything"
	case s.Attribute == "":
		return string(s.Category)
	}
	return string(s.Category) + "/" + string(s.Attribute)
}

// holdTagger makes the tags by which scopes are compared; [vault.Vault] does.
type holdTagger interface {
	WordTag(words ...string) [16]byte
}

// tag is what stands for the scope in the database, so that no row says of anybody that
// there are health data. Everything is zero.
func (s HoldScope) tag(tagger holdTagger) [16]byte {
	switch {
	case s.IsEverything():
		return [16]byte{}
	case s.Attribute == "":
		return tagger.WordTag("hold", string(s.Category))
	}
	return tagger.WordTag("hold", string(s.Category), string(s.Attribute))
}

// HoldRequest is a hold that somebody sets.
type HoldRequest struct {
	// People are held by name, Identifiers hold whoever has one of them, now or later.
	People      []privacy.DataSubjectID
	Identifiers []privacy.Identifier
	Scope       HoldScope
	Reason      HoldReason
	// Authority is who ordered it, as a file number: a word of 1 to 64 letters, digits
	// and . _ : / -, because a sentence might be about somebody.
	Authority string
}

// maxHeld bounds how many people and identifiers one hold names.
const maxHeld = 1000

var authorityWord = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

func (r *HoldRequest) check() error {
	switch {
	case len(r.People)+len(r.Identifiers) == 0:
		return &privacy.FieldError{Pointer: "/identifiers", Reason: "names nobody"}
	case len(r.People)+len(r.Identifiers) > maxHeld:
		return &privacy.FieldError{Pointer: "/identifiers", Reason: fmt.Sprintf("names more than %d people", maxHeld)}
	case !slices.Contains(HoldReasons(), r.Reason):
		return &privacy.FieldError{Pointer: "/reason", Reason: fmt.Sprintf("is none of %v", HoldReasons())}
	case !authorityWord.MatchString(r.Authority):
		return &privacy.FieldError{Pointer: "/authority", Reason: "is not a file number of 1 to 64 letters, digits and . _ : / -"}
	case r.Scope.Category == "" && r.Scope.Attribute != "":
		return &privacy.FieldError{Pointer: "/attribute", Reason: "needs its category"}
	}
	return nil
}

// Hold is a hold as it is shown. It names nobody.
type Hold struct {
	ID    HoldID
	Scope HoldScope
	// Unreadable is whether the scope is a word that the catalogue does not have (any more).
	Unreadable bool
	Reason     HoldReason
	Authority  string
	// People is how many people it binds just now, or bound when it was released;
	// Identifiers how many it names.
	People, Identifiers int64
	SetAt               time.Time
	// ReleasedAt is zero while the hold is in force.
	ReleasedAt    time.Time
	ReleaseReason ReleaseReason
}

// InForce reports whether the hold binds.
func (h *Hold) InForce() bool { return h.ReleasedAt.IsZero() }

// holdDigest is what stands for the hold in the log: which one it is, what it covers and
// who ordered it, and nobody whom it is about.
func holdDigest(h *Hold) audit.Digest {
	return sha256.Sum256(fmt.Appendf(nil, "mahrem.hold/v1\nhold %s\nscope %s\nreason %s\nauthority %s\n",
		h.ID, h.Scope, h.Reason, hex.EncodeToString([]byte(h.Authority))))
}
