package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

const sqlAuditInsertCheckpoint = `
insert into audit.checkpoint (size, root, signed_at, note) values ($1, $2, $3, $4)
on conflict (size) do nothing`

// Sign signs and stores a checkpoint of what is committed now, if the log has grown since
// the last one. It first proves that the new tree is an extension of the last signed one
// (RFC 6962 section 2.1.2) and of the one that [SignerConfig.Memory] kept, and refuses with
// an error that wraps [privacy.ErrDamaged] when the log has become smaller or another.
//
// The order is: what the checkpoint covers is durable, then the memory has it, then the
// database. A crash in between leaves a memory that is ahead of the stored checkpoints,
// never one that is ahead of the log.
func (s *Signer) Sign(ctx context.Context) error {
	err := s.sign(ctx)
	if err == nil || errors.Is(err, privacy.ErrDamaged) {
		s.note(err)
	}
	return err
}

func (s *Signer) sign(ctx context.Context) error {
	if s.signer == nil {
		return fmt.Errorf("signing checkpoint without the log's key: %w", privacy.ErrInvalid)
	}
	s.signing.Lock()
	defer s.signing.Unlock()
	// Kept before the head is read: other processes keep theirs at any time.
	kept, err := s.recallKept()
	if err != nil {
		return fmt.Errorf("signing checkpoint: %w", err)
	}
	next, err := s.proveHead(ctx, kept)
	if err != nil {
		return fmt.Errorf("refusing to sign checkpoint: %w", err)
	}
	if next.Size == 0 || next == s.signed && (s.config.Memory == nil || next == kept) {
		return nil
	}
	signed, err := audit.SignCheckpoint(next, s.signer)
	if err != nil {
		return err
	}
	if s.config.Memory != nil {
		if err := s.config.Memory.Keep(signed); err != nil {
			return fmt.Errorf("keeping checkpoint: %w", err)
		}
	}
	if err := s.storeCheckpoint(ctx, next, signed); err != nil {
		return fmt.Errorf("storing checkpoint: %w", err)
	}
	s.signed = next
	s.took.Store(true)
	s.offer()
	return nil
}

// proveHead returns the head of the log after proving that it extends the last stored
// checkpoint and the kept one, and after making everything below it durable, in the same
// session: had the server crashed in between, there would be no answer.
func (s *Signer) proveHead(ctx context.Context, kept audit.Checkpoint) (audit.Checkpoint, error) {
	tx, err := s.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return audit.Checkpoint{}, translate(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	next, err := s.readCheckpoint(ctx, tx)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	if err := s.checkKept(ctx, tx, kept, next); err != nil {
		return audit.Checkpoint{}, err
	}
	if err := s.recallSigned(ctx, tx); err != nil {
		return audit.Checkpoint{}, err
	}
	if s.signed.Size > next.Size {
		// Another process may have signed what was written after the head was read.
		if next, err = s.readCheckpoint(ctx, tx); err != nil {
			return audit.Checkpoint{}, err
		}
	}
	if next == s.signed || next.Size == 0 && s.signed.Size == 0 {
		return next, nil // durable already, or nothing to be
	}
	if err := checkGrowth(ctx, tx, s.signed, next); err != nil {
		return audit.Checkpoint{}, err
	}
	if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
		return audit.Checkpoint{}, translate(err)
	}
	if _, err := tx.Exec(ctx, sqlAuditFlush); err != nil {
		return audit.Checkpoint{}, translate(err)
	}
	return next, translate(tx.Commit(ctx))
}

// readCheckpoint returns the head of the log as the checkpoint that would be signed.
func (s *Signer) readCheckpoint(ctx context.Context, q querier) (audit.Checkpoint, error) {
	size, root, err := readHead(ctx, q)
	head := audit.Checkpoint{Origin: s.config.Origin, Size: size}
	if size > 0 {
		head.Root = hashOf(root)
	}
	return head, err
}

func (s *Signer) storeCheckpoint(ctx context.Context, c audit.Checkpoint, signed []byte) error {
	tx, err := s.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
		return translate(err)
	}
	if _, err := tx.Exec(ctx, sqlAuditInsertCheckpoint, int64(c.Size), c.Root[:], s.config.Now(), signed); err != nil {
		return translate(err)
	}
	return translate(tx.Commit(ctx))
}

// recallSigned moves s.signed to the newest stored checkpoint, which another process may
// have signed. What this process signed itself it never forgets, whatever is stored.
func (s *Signer) recallSigned(ctx context.Context, tx pgx.Tx) error {
	var signed []byte
	err := tx.QueryRow(ctx, sqlAuditLatestCheckpoint).Scan(&signed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading latest checkpoint: %w", translate(err))
	}
	stored, own, err := s.open(signed, !s.took.Load())
	if err != nil {
		return err
	}
	if own {
		s.took.Store(true)
	}
	if stored.Size < s.signed.Size {
		return fmt.Errorf("latest stored checkpoint has size %d, but %d was signed: %w", stored.Size, s.signed.Size, privacy.ErrDamaged)
	}
	if stored.Size == s.signed.Size && stored.Root != s.signed.Root {
		return fmt.Errorf("stored checkpoint of size %d has another root than was signed: %w", stored.Size, privacy.ErrDamaged)
	}
	if stored.Size > s.signed.Size {
		if err := checkGrowth(ctx, tx, s.signed, stored); err != nil {
			return err
		}
		s.signed = stored
		s.offer() // whoever signed it may not stay to ask the witnesses
	}
	return nil
}

// checkGrowth proves from the stored hashes that the tree of next begins with that of last.
func checkGrowth(ctx context.Context, q querier, last, next audit.Checkpoint) error {
	if next.Size < last.Size {
		return fmt.Errorf("log has %d entries, but %d were signed: %w", next.Size, last.Size, privacy.ErrDamaged)
	}
	if next.Size == last.Size {
		return fmt.Errorf("root of size %d is another than was signed: %w", next.Size, privacy.ErrDamaged)
	}
	hashes := storedHashes{ctx, q}
	if last.Size == 0 {
		root, err := tlog.TreeHash(int64(next.Size), hashes)
		if err != nil {
			return err
		}
		if root != next.Root {
			return fmt.Errorf("root does not recompute at size %d: %w", next.Size, privacy.ErrDamaged)
		}
		return nil
	}
	proof, err := tlog.ProveTree(int64(next.Size), int64(last.Size), hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, int64(next.Size), next.Root, int64(last.Size), last.Root); err != nil {
		return fmt.Errorf("tree of size %d does not extend the signed one of size %d: %w: %w",
			next.Size, last.Size, err, privacy.ErrDamaged)
	}
	return nil
}

// storedHashes reads the hashes of complete subtrees from the tables, for proofs.
type storedHashes struct {
	ctx context.Context
	q   querier
}

// ReadHashes implements [tlog.HashReader].
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		hash, err := s.read(level, uint64(n))
		if err != nil {
			return nil, err
		}
		out[i] = hash
	}
	return out, nil
}

// read computes one hash from the at most 128 stored ones below it in its tile.
func (s storedHashes) read(level int, n uint64) (tlog.Hash, error) {
	tile, height := level/8, level%8
	from, to := n<<height, (n+1)<<height
	var base []byte
	var err error
	if tile == 0 {
		base, err = leafHashes(s.ctx, s.q, from, to)
	} else {
		base, err = subtreeHashes(s.ctx, s.q, tile-1, from, to)
	}
	if err != nil {
		return tlog.Hash{}, err
	}
	hashes := make([]tlog.Hash, 0, len(base)/tlog.HashSize)
	for ; len(base) > 0; base = base[tlog.HashSize:] {
		hashes = append(hashes, tlog.Hash(base))
	}
	for ; len(hashes) > 1; hashes = hashes[:len(hashes)/2] {
		for i := range len(hashes) / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
	}
	return hashes[0], nil
}
