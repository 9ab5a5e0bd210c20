package audit

// Receipt proves to the code that holds it that an entry is durable in the log. Only
// [Committed] makes one, and only the log calls it, after the commit; an answer that
// demands a Receipt can therefore not leave before its evidence exists.
type Receipt struct {
	index    uint64
	leafHash [32]byte
	entryID  [16]byte
	made     bool
}

// Committed returns the receipt for a durable entry. It is for implementations of
// [Appender] alone.
func Committed(entryID [16]byte, leafHash [32]byte, index uint64) Receipt {
	return Receipt{index: index, leafHash: leafHash, entryID: entryID, made: true}
}

// Index is the entry's position in the log, from zero.
func (r Receipt) Index() uint64 { return r.index }

// LeafHash is the entry's RFC 6962 leaf hash.
func (r Receipt) LeafHash() [32]byte { return r.leafHash }

// EntryID is the random id inside the entry; a decision is known by it.
func (r Receipt) EntryID() [16]byte { return r.entryID }

// IsZero reports whether r is not a receipt at all.
func (r Receipt) IsZero() bool { return !r.made }
