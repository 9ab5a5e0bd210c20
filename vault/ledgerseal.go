package vault

// domainLedgerSeal stands before the hash of a line of the erasure ledger.
const domainLedgerSeal = 8

// LedgerSeal seals a line of the erasure ledger, so that none can be added without the key
// directory.
func (v *Vault) LedgerSeal(hash [32]byte) [16]byte {
	return v.hash(append([]byte{domainLedgerSeal}, hash[:]...))
}
