package vault

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// Use says what the key of a person was opened for. Whoever opens one names its use: the
// counts are compared with the entries of the log, and a use that should have left an
// entry and did not is seen by that (docs/reconcile.md).
type Use string

// The uses.
const (
	// UseQuery: a question about one person is answered or denied.
	UseQuery Use = "query"
	// UseReidentify: a pseudonym is led back to its person.
	UseReidentify Use = "reidentify"
	// UseProfile: the profile by which audiences find a person is made again, or their age is
	// computed, for what their consents amount to.
	UseProfile Use = "profile"
	// UseIntake: a delivery brought something about somebody who is held already.
	UseIntake Use = "intake"
	// UseShow: everything that is held about a person is shown to an officer.
	UseShow Use = "show"
	// UseExport: everything that is held about a person is written into their export.
	UseExport Use = "export"
	// UseErase: an erasure is planned or carried out.
	UseErase Use = "erase"
	// UseRectify: a record is corrected or contested.
	UseRectify Use = "rectify"
	// UseRetention: the periodic destruction looks at what is held.
	UseRetention Use = "retention"
	// UseAddress: an address is looked up to which a code or letter goes.
	UseAddress Use = "address"
	// UseEvidence: nothing is read but what tags the person in an entry of the log.
	UseEvidence Use = "evidence"
	// UseRestore: whether somebody in a restored database was erased is looked up.
	UseRestore Use = "restore"
	// UseRequest: the key of a data subject's request, which is no person's key.
	UseRequest Use = "request"
	// UseDelivery: the key of one message that goes out, which is no person's key.
	UseDelivery Use = "delivery"
	// UseWithheld: the key of what an erasure had to keep, which is no person's key.
	UseWithheld Use = "withheld"
	// UseHouse: bytes of the house are opened, such as the facts of decisions. It is the
	// KEK itself that opens them.
	UseHouse Use = "house"
	// UseRoom: somebody's consent is looked at, and their data drawn into a clean room, or
	// told apart from others' into personas.
	UseRoom Use = "room"
	// UseCheck: at the start it is checked that the KEK is the database's own.
	UseCheck Use = "check"
)

// Uses are all uses, in the order of this file.
func Uses() []Use { return slices.Clone(uses[:]) }

var uses = [...]Use{
	UseQuery, UseReidentify, UseProfile, UseIntake, UseShow, UseExport, UseErase, UseRectify, UseRetention,
	UseAddress, UseEvidence, UseRestore, UseRequest, UseDelivery, UseWithheld, UseHouse, UseRoom, UseCheck,
}

// Valid reports whether u is one of the uses of this package.
func (u Use) Valid() bool { return slices.Contains(uses[:], u) }

// UseCount is how often keys were opened for one use since the vault was made.
type UseCount struct {
	Use Use
	// Opened is how often the KEK opened something: each is one call of a key service
	// outside, if the KEK is in one.
	Opened uint64
	// Abandoned is after how many of them nothing was answered or done, and so nothing
	// is to be found in the log: the log was out of reach, or the work began anew.
	Abandoned uint64
}

// meter counts uses for all copies of a vault. The zero value is ready.
type meter [len(uses)]struct{ opened, abandoned atomic.Uint64 }

// at returns the place of a use, or an error that wraps [privacy.ErrInvalid]: a key is
// not opened for nothing.
func at(use Use) (int, error) {
	for i := range uses {
		if uses[i] == use {
			return i, nil
		}
	}
	return 0, fmt.Errorf("opening key for a use that has no name: %w", privacy.ErrInvalid)
}

// count notes that the KEK opened something.
func (v *Vault) count(use Use) {
	if i, err := at(use); err == nil {
		v.meter[i].opened.Add(1)
	}
}

// Abandoned notes that after a key was opened nothing was answered or done.
func (v *Vault) Abandoned(use Use) {
	if i, err := at(use); err == nil {
		v.meter[i].abandoned.Add(1)
	}
}

// Counts returns the counts of all uses, in the order of [Uses].
func (v *Vault) Counts() []UseCount {
	counts := make([]UseCount, len(uses))
	for i, use := range uses {
		// What was abandoned is read first, so that it is never more than what was opened.
		abandoned := v.meter[i].abandoned.Load()
		counts[i] = UseCount{Use: use, Opened: v.meter[i].opened.Load(), Abandoned: abandoned}
	}
	return counts
}
