package keydir

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/mahrem/mahrem/privacy"
)

// roomFile keys what is known of people in clean rooms: tags, seats, and what is derived for
// oprf mode. It comes with the first room, and is not rotated in place: seats are where
// people are found when they leave.
func roomFile() file { return file{"room.json", prf.HMACSHA256PRFKeyTemplate(), true} }

// Rooms returns the function that keys people in clean rooms, or an error that wraps
// [privacy.ErrNotFound] before there is one.
func (k *Keys) Rooms() (*prf.Set, error) {
	f := roomFile()
	handle, err := f.read(k.dir)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, fmt.Errorf("opening key of clean rooms: there is none yet: %w", privacy.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	set, err := openPRF(handle, 32)
	if err != nil || len(set.PRFs) != 1 {
		return nil, damaged(filepath.Join(k.dir, f.name))
	}
	return set, nil
}

// EnsureRooms makes the key of clean rooms unless there is one, and reports whether it did.
// Of several processes that do so at once, one makes it.
func (k *Keys) EnsureRooms() (created bool, err error) {
	if created, err = k.ensure(roomFile()); err != nil {
		return false, fmt.Errorf("creating key of clean rooms: %w", err)
	}
	return created, nil
}
