package audit

import "golang.org/x/mod/sumdb/tlog"

// StoredEntry is an entry as it lies in the log.
type StoredEntry struct {
	Index    uint64
	Leaf     []byte
	LeafHash tlog.Hash
}
