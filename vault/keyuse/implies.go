package keyuse

import (
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault"
)

// Relation says how uses and entries belong together.
type Relation string

// The relations.
const (
	// Each use leaves an entry of its own.
	Each Relation = "each"
	// Many uses are covered by one entry.
	Many Relation = "many"
	// Free uses leave nothing, for a reason.
	Free Relation = "free"
)

// Rule says what the use of a key implies.
type Rule struct {
	Use      vault.Use
	Relation Relation
	// Kinds are what the entries may be.
	Kinds []audit.Kind
	// Reason is why nothing is left.
	Reason string
}

// Rules returns the rules, one for each use. docs/reconcile.md prints them.
func Rules() []Rule {
	return []Rule{
		{Use: vault.UseQuery, Relation: Each, Kinds: []audit.Kind{audit.QueryAnswered, audit.QueryDenied}},
		{Use: vault.UseReidentify, Relation: Each, Kinds: []audit.Kind{audit.PersonReidentified, audit.ReidentifyDenied}},
		{Use: vault.UseProfile, Relation: Free, Reason: "what it computes is kept sealed and shown to nobody; audiences and looks at a ledger have their own entries"},
		{Use: vault.UseIntake, Relation: Many, Kinds: []audit.Kind{audit.BatchIngested}},
		{Use: vault.UseShow, Relation: Each, Kinds: []audit.Kind{audit.PersonShown}},
		{Use: vault.UseExport, Relation: Each, Kinds: []audit.Kind{audit.PersonExported}},
		{Use: vault.UseErase, Relation: Many, Kinds: []audit.Kind{
			audit.ErasurePlanned, audit.ErasureApproved, audit.PersonErased, audit.ErasureDenied, audit.ErasureDeferred, audit.ErasureReplayed,
		}},
		{Use: vault.UseRectify, Relation: Many, Kinds: []audit.Kind{audit.PersonRectified, audit.PersonRestricted, audit.RequestRefused}},
		{Use: vault.UseRetention, Relation: Free, Reason: "looks at how old things are; what it destroys is in retention.applied"},
		{Use: vault.UseAddress, Relation: Many, Kinds: []audit.Kind{audit.RequestNotified, audit.RequestRefused}},
		{Use: vault.UseEvidence, Relation: Free, Reason: "opens nothing of the person: the key only makes the tag of an entry"},
		{Use: vault.UseRestore, Relation: Free, Reason: "opens nothing of the person: the key only makes the tag of an erasure"},
		{Use: vault.UseRequest, Relation: Free, Reason: "is the key of a request, with what was written in it; each step of it is an entry"},
		{Use: vault.UseDelivery, Relation: Free, Reason: "is the key of one message, opened for each attempt to send it"},
		{Use: vault.UseWithheld, Relation: Free, Reason: "is the key of what an erasure had to keep"},
		{Use: vault.UseHouse, Relation: Free, Reason: "opens what is the house's own, such as the facts of decisions"},
		{Use: vault.UseRoom, Relation: Many, Kinds: []audit.Kind{audit.SnapshotDrawn, audit.SnapshotAdmitted, audit.PersonaBuilt}},
		{Use: vault.UseCheck, Relation: Free, Reason: "looks at the start whether the key directory is the database's own"},
	}
}
