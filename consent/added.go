package consent

import "github.com/mahrem/mahrem/audit"

// Added is what became of one record that a [Store] was asked to add.
type Added struct {
	// Receipt is that of the record's own entry; for a repetition that of the entry with
	// which the log ended when it was recognized, which is the record's own or a later one.
	audit.Receipt
	// Duplicate is whether the ledger held the record already, with the same content.
	// Nothing was changed then.
	Duplicate bool
	// Record is the record as it stands in the ledger, with its times.
	Record Record
}

// BatchOutcome is what became of one record of a batch.
type BatchOutcome uint8

// The outcomes.
const (
	// BatchAdded: it stands in the ledger now.
	BatchAdded BatchOutcome = iota
	// BatchDuplicate: it stood there already, with the same content.
	BatchDuplicate
	// BatchConflict: another one with its ID stands there. It was left out.
	BatchConflict
	// BatchNobody: its person does not exist (any more). It was left out.
	BatchNobody
)

// BatchResult is what became of records that were added together.
type BatchResult struct {
	// Receipt is that of the one entry for all of them; none if nothing was added.
	audit.Receipt
	// Outcomes has one for each record, in their order, and Added counts the first kind.
	Outcomes []BatchOutcome
	Added    int
	// Digest is what the entry commits to.
	Digest audit.Digest
}
