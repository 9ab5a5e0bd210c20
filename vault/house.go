package vault

// SealHouse seals bytes that are the house's own and nobody's: what is to be read for as
// long as the key directory lives, whoever is erased meanwhile. They are sealed under the
// KEK, so nothing about one person belongs here. label says what and whose they are
// ("decided/…"); under another label they do not open. It has at most 128 bytes.
func (v *Vault) SealHouse(label string, plaintext []byte) ([]byte, error) {
	return seal(v.kek, place{kind: kindHouse, label: label}, plaintext)
}

// OpenHouse opens what [Vault.SealHouse] made under the same label, or fails with an
// error that wraps [privacy.ErrDamaged].
func (v *Vault) OpenHouse(label string, sealed []byte) ([]byte, error) {
	plaintext, err := open(v.kek, place{kind: kindHouse, label: label}, sealed)
	if err == nil {
		v.count(UseHouse)
	}
	return plaintext, err
}
