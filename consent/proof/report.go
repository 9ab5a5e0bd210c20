package proof

import "fmt"

// DamageKind says in what way the ledger is not what the log says.
type DamageKind string

// The kinds of damage.
const (
	RowMissing       DamageKind = "row missing"       // an entry commits to a row that is not there
	RowAltered       DamageKind = "row altered"       // a row is not what its commitment is over
	RowUnbound       DamageKind = "row without entry" // no entry commits to a row
	RowBare          DamageKind = "row uncommitted"   // a row has no commitment
	RowRepeated      DamageKind = "row repeated"      // one entry has two rows, or a row and a tombstone
	EntryRepeated    DamageKind = "entry repeated"    // two entries commit to the same
	BatchMissing     DamageKind = "batch missing"     // an entry commits to a batch that is not there
	BatchAltered     DamageKind = "batch altered"     // a batch has not the rows that its digest is over
	BatchUnbound     DamageKind = "batch without entry"
	TombstoneMissing DamageKind = "tombstones missing" // an entry says that rows were erased, and nothing is left of them
	TombstoneAltered DamageKind = "tombstones altered"
	TombstoneUnbound DamageKind = "tombstone without entry" // a row went, and the log says of no erasure
)

var missing = map[nameKind]DamageKind{nameRow: RowMissing, nameBatch: BatchMissing, nameErasure: TombstoneMissing}

// Damage is one way in which the ledger is not what the log says. It names nobody.
type Damage struct {
	Kind DamageKind `json:"kind"`
	// Index is that of the entry, if there is one.
	Index  *uint64 `json:"index,omitempty"`
	Detail string  `json:"detail"`
}

// maxDamages bounds what a report lists.
const maxDamages = 64

// Report is what [Check] found.
type Report struct {
	// Rows, Gone and Batches are how many there are; rows of batches count as rows.
	Rows    uint64 `json:"rows"`
	Gone    uint64 `json:"gone"`
	Batches uint64 `json:"batches"`
	// Bare are rows without a commitment, each of them a damage.
	Bare uint64 `json:"uncommitted"`
	// Archived are those whose entries may be among the archived ones, which only the archive
	// can show.
	Archived uint64 `json:"entries_archived"`
	// Nameless are entries from before rows had commitments.
	Nameless    uint64   `json:"entries_without_commitment"`
	Damages     []Damage `json:"damages"`
	MoreDamages uint64   `json:"more_damages"`
}

// Whole reports whether nothing was found.
func (r *Report) Whole() bool { return len(r.Damages) == 0 }

func (r *Report) found(kind DamageKind, index *uint64, format string, args ...any) {
	if len(r.Damages) >= maxDamages {
		r.MoreDamages++
		return
	}
	if index != nil {
		at := *index
		index = &at
	}
	r.Damages = append(r.Damages, Damage{Kind: kind, Index: index, Detail: fmt.Sprintf(format, args...)})
}
