package prepare

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// Summary is what came out, for the party's own eyes.
type Summary struct {
	Manifest *Manifest
	// Digest is that of the signed manifest.
	Digest audit.Digest
	// LeftOut is how many people do not agree, exactly; NoIdentifier how many rows have
	// nobody, and Bad why others were left out.
	LeftOut, NoIdentifier int
	Bad                   map[string]int
	// Others are how many rows of a column had a word that is not in its domain, and count as
	// the one for whatever is left.
	Others map[string]int
	// Hidden are how many rows were left out because a column has a protected word.
	Hidden map[string]int
	// Resumed is whether work that broke off was taken up.
	Resumed bool
}

// deviation is the standard deviation of the noise that hides how many people do not agree.
const deviation = 50

// Run prepares a file into a directory, which it makes. What broke off there is taken up
// again; see the package's text for what is refused.
func Run(ctx context.Context, source intake.Source, dir string, c Config) (_ *Summary, err error) {
	if c.Minimum == 0 {
		c.Minimum = DefaultMinimum
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	// A CSV file without the columns is refused before anything is begun.
	table, err := intake.OpenTable(ctx, source, c.wanted())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	plan, err := c.plan()
	if err != nil {
		return nil, err
	}
	secret, err := fingerprint(ctx, c.Matcher)
	if err != nil {
		return nil, err
	}
	_, missing := os.Lstat(dir)
	begun, err := openState(dir, digestText(plan)+secret, c.Random)
	if err != nil {
		return nil, err
	}
	defer func() {
		// What was refused before anything of it was written is no work to take up: the same
		// directory will do when the file or the flags are mended.
		if err != nil && begun.File == "" && errors.Is(err, privacy.ErrInvalid) {
			err = abandon(err, dir, missing != nil)
		}
	}()
	summary := &Summary{Resumed: begun.File != ""}
	seed := [seedSize]byte(begun.Seed)
	in, err := c.read(ctx, table, source.Size, filepath.Join(dir, spillDir), seed)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.rows.close() }() // done before, unless something failed
	order, err := in.order(seed)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		ContractDigest: c.Contract.Digest, ContractVersion: c.Contract.Contract.Version, Dataset: c.Contract.Contract.Dataset,
		Declared: c.Declared, Epoch: c.Epoch, Identifier: c.Identifier, Matching: c.Matcher.Mode(), Members: len(order),
		Owner: c.Signer.Party(), Room: c.Room,
	}
	switch {
	case m.Members < c.Minimum:
		return nil, fmt.Errorf("preparing: %d people agree and %d do not: fewer than %d could not hide anybody: %w", m.Members, in.refused, c.Minimum, privacy.ErrInvalid)
	case !DeclaredFits(m.Declared, m.Members):
		return nil, fmt.Errorf("preparing: the list has %d people, and %d were declared; it may have a sixth fewer than that, and none more: %w", m.Members, m.Declared, privacy.ErrInvalid)
	}
	if file := digestText(in.digest); begun.File == "" {
		begun.File = file
		if err := begun.save(dir); err != nil {
			return nil, err
		}
	} else if begun.File != file {
		return nil, fmt.Errorf("preparing: the file is another one than when this was begun; begin anew in an empty directory: %w", privacy.ErrConflict)
	}
	if m.MemberChunks, err = c.members(ctx, in.people, order, dir); err != nil {
		return nil, err
	}
	if m.RowChunks, m.Rows, err = c.rows(ctx, in, order, seed, filepath.Join(dir, RowsFile)); err != nil {
		return nil, err
	}
	m.WithoutConsent = bucket(int(min(max(c.Noise.Gaussian(int64(in.refused), deviation), 0), MaximumRows)))
	m.PreparedAt = c.Now().UTC().Truncate(time.Second)
	signed, err := m.Sign(c.Signer)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(in.rows.close(), finish(dir, ManifestFile, signed)); err != nil {
		return nil, err
	}
	summary.Manifest, summary.Digest = m, Digest(signed)
	summary.LeftOut, summary.NoIdentifier, summary.Bad = in.refused, in.noBody, in.faults.reasons
	summary.Others, summary.Hidden = in.others, in.hidden
	return summary, nil
}

// finish writes what says that a directory is complete, and removes what said how to go on.
func finish(dir, name string, signed []byte) error {
	if err := replace(dir, name, signed); err != nil {
		return err
	}
	return forget(dir)
}

// fingerprint tells secrets apart, so that work is not taken up with another one. In oprf
// mode the secret is the house's, which proves each time that it is the same.
func fingerprint(ctx context.Context, matcher match.Matcher) (string, error) {
	if matcher.Mode() == cleanroom.MatchOPRF {
		return "", nil
	}
	tokens, err := matcher.Mask(ctx, []match.Seed{matcher.Seed(privacy.NewPlain("mahrem prepare: nobody"))})
	if err != nil {
		return "", err
	}
	return digestText(sha256.Sum256(tokens[0][:])), nil
}

// order is the list of those who agree, in the order in which they leave the house.
func (in *content) order(seed [seedSize]byte) ([]int32, error) {
	random, err := stream(seed, "members")
	if err != nil {
		return nil, err
	}
	order := make([]int32, 0, in.people.count-in.refused)
	for person := range in.people.count {
		if !in.people.saysNo(person) {
			order = append(order, int32(person))
		}
	}
	err = match.Shuffle(random, len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if err != nil {
		return nil, err
	}
	return order, nil
}

// members masks people into chunks behind those that are there already.
func (c *Config) members(ctx context.Context, all *people, order []int32, dir string) ([]audit.Digest, error) {
	out, err := resume(dir, len(order))
	if err != nil {
		return nil, err
	}
	defer out.close()
	batch := make([]match.Seed, 0, ChunkSize)
	for done := len(out.digests) * ChunkSize; done < len(order); done += len(batch) {
		c.tell(Masking, int64(done), int64(len(order)))
		batch = batch[:0]
		for _, person := range order[done:min(done+ChunkSize, len(order))] {
			batch = append(batch, all.at(int(person)))
		}
		tokens, err := c.Matcher.Mask(ctx, batch)
		if err != nil {
			return nil, err
		}
		if err := out.write(AppendMembers(nil, c.Matcher.Mode(), tokens)); err != nil {
			return nil, err
		}
	}
	c.tell(Masking, int64(len(order)), int64(len(order)))
	return out.digests, out.file.Sync()
}

// rows writes the rows of those who agree, with the places that people have now.
func (c *Config) rows(ctx context.Context, in *content, order []int32, seed [seedSize]byte, path string) (_ []audit.Digest, _ int, err error) {
	place := make([]int32, in.people.count)
	for i := range place {
		place[i] = -1
	}
	for i, person := range order {
		place[person] = int32(i)
	}
	salts, err := stream(seed, "salts")
	if err != nil {
		return nil, 0, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("writing rows: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := &chunkFile{file: file}
	chunk, total, line := make([]Row, 0, ChunkSize), 0, []byte(nil)
	flush := func() error {
		var salt [saltSize]byte
		if _, err := io.ReadFull(salts, salt[:]); err != nil {
			return fmt.Errorf("drawing salt: %w", err)
		}
		line = AppendRows(line[:0], chunk, salt)
		total, chunk = total+len(chunk), chunk[:0]
		c.tell(Shuffled, int64(total), int64(in.kept))
		return errors.Join(out.write(line), ctx.Err())
	}
	values := make([]int64, ChunkSize*len(c.Contract.Contract.Columns))
	err = in.rows.each(func(person int, row []int64) error {
		if place[person] < 0 {
			return nil
		}
		kept := values[len(chunk)*len(row) : (len(chunk)+1)*len(row)]
		copy(kept, row)
		if chunk = append(chunk, Row{int(place[person]), kept}); len(chunk) < ChunkSize {
			return nil
		}
		return flush()
	})
	if err == nil && len(chunk) > 0 {
		err = flush()
	}
	if err != nil {
		return nil, 0, err
	}
	return out.digests, total, file.Sync()
}
