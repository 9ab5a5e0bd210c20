package certificate

import (
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Certificate is what is certified of one erasure. Times are whole milliseconds in UTC.
type Certificate struct {
	// Revision counts from one. A later one of the same erasure replaces those before: a
	// processor has answered, or what was withheld is erased too.
	Revision int64     `json:"revision"`
	IssuedAt time.Time `json:"issued_at"`
	Request  Request   `json:"request"`
	Erasure  Erasure   `json:"erasure"`
	// Withheld is what a legal ground demands to be kept.
	Withheld []Withheld `json:"withheld"`
	// Processors are those who were told. An erasure without any has an empty list.
	Processors []Processor `json:"processors"`
	Log        Log         `json:"log"`
}

// Request is what the person asked for, without saying who they are.
type Request struct {
	ID         string     `json:"request_id"`
	Regime     string     `json:"regime"`
	ReceivedAt time.Time  `json:"received_at"`
	DueAt      *time.Time `json:"due_at,omitempty"`
}

// Method is how data was destroyed.
type Method string

// Shredded means: the only copy of the random key that everything was sealed under was
// deleted, and after it the rows.
const Shredded Method = "key_shredded_rows_deleted"

// Erasure is what was done.
type Erasure struct {
	ID     string `json:"erasure_id"`
	Method Method `json:"method"`
	// Plan is the SHA-256 of the plan that was approved, in hexadecimal. The log entry
	// names it too.
	Plan string `json:"plan_sha256"`
	// Approvals is how many people had approved that plan.
	Approvals int `json:"approvals"`
	// ErasedAt is when the key was destroyed, RowsGoneAt when the last row was deleted.
	ErasedAt   time.Time  `json:"erased_at"`
	RowsGoneAt *time.Time `json:"rows_gone_at,omitempty"`
	// Keys are the SHA-256 of each wrapped key that was destroyed, in hexadecimal.
	Keys []string `json:"destroyed_key_sha256"`
	// Destroyed counts what was destroyed, by kind of row.
	Destroyed map[string]int64 `json:"destroyed"`
	// Suppressed is how many identifiers will be refused if they are imported again.
	Suppressed int64 `json:"suppressed_identifiers"`
	// LedgerSequence is the erasure's line in the erasure ledger.
	LedgerSequence uint64 `json:"ledger_sequence"`
}

// Withheld is one thing that had to be kept, and until when.
type Withheld struct {
	Category  privacy.DataCategory  `json:"category"`
	Attribute privacy.AttributeName `json:"attribute,omitempty"`
	// Ground is the catalogue's word for why, Article where the law says so.
	Ground  string     `json:"ground"`
	Article string     `json:"article"`
	Until   *time.Time `json:"until,omitempty"`
	Items   int64      `json:"items"`
	// ErasedAt is when it was destroyed in its turn.
	ErasedAt *time.Time `json:"erased_at,omitempty"`
}

// Status is what a processor has said.
type Status string

// The statuses.
const (
	// Open: told or to be told, and no answer that ends it.
	Open Status = "open"
	// Completed: the processor says it has erased.
	Completed Status = "completed"
	// Refused: the processor says it has not and will not.
	Refused Status = "refused"
)

// Processor is one who was told to erase too (GDPR Article 19).
type Processor struct {
	Name   string     `json:"name"`
	Status Status     `json:"status"`
	At     *time.Time `json:"at,omitempty"`
}

// Log is the entry of the erasure and the proof that it is in the log.
type Log struct {
	Index uint64 `json:"index"`
	// Leaf is the entry as it stands in the log.
	Leaf string `json:"leaf"`
	// Path is the audit path, each hash in base64.
	Path []string `json:"path"`
	// Checkpoint is the signed note.
	Checkpoint string `json:"checkpoint"`
}
