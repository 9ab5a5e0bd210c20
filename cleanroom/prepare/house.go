package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// HouseList is what a list of the house's own people is for in pair mode, on its way to the
// other party: members alone, since their rows stay where they are.
type HouseList struct {
	Room       cleanroom.RoomID
	Epoch      int // the one that begins with the next match
	Contract   *cleanroom.SignedContract
	Identifier privacy.IdentifierKind
	Signer     *cleanroom.Signer // the owner's
	Now        func() time.Time
}

// Write writes tokens, which the house has masked and put into an order that says nothing, into
// a new directory, which is complete for [Remask] once commit has taken the digest of the
// signed manifest. If anything fails, nothing is left.
func (l *HouseList) Write(dir string, tokens []match.Token, commit func(manifest audit.Digest) error) (_ *Manifest, err error) {
	m := &Manifest{
		ContractDigest: l.Contract.Digest, ContractVersion: l.Contract.Contract.Version, Dataset: l.Contract.Contract.Dataset,
		Declared: len(tokens), Epoch: l.Epoch, Identifier: l.Identifier, Matching: cleanroom.MatchPair, Members: len(tokens),
		Owner: l.Signer.Party(), PreparedAt: l.Now().UTC().Truncate(time.Second), Room: l.Room,
	}
	if l.Contract.Contract.Owner != m.Owner || l.Contract.Contract.Source != cleanroom.FromHouse {
		return nil, fmt.Errorf("listing people of the house: the key or the contract is another's: %w", privacy.ErrInvalid)
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("listing people of the house: the directory is there already; take a new one: %w", privacy.ErrConflict)
	} else if err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if m.MemberChunks, err = writeMembers(filepath.Join(dir, MembersFile), tokens); err != nil {
		return nil, err
	}
	signed, err := m.Sign(l.Signer)
	if err != nil {
		return nil, err
	}
	if err := commit(Digest(signed)); err != nil {
		return nil, err
	}
	return m, replace(dir, ManifestFile, signed)
}

func writeMembers(path string, tokens []match.Token) (_ []audit.Digest, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("writing members: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := &chunkFile{file: file}
	for from := 0; from < len(tokens); from += ChunkSize {
		if err := out.write(AppendMembers(nil, cleanroom.MatchPair, tokens[from:min(from+ChunkSize, len(tokens))])); err != nil {
			return nil, err
		}
	}
	return out.digests, file.Sync()
}
