package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// provedEntries is how many entries are proved, one after the other, all over the log.
const provedEntries = 2000

// measureProof measures what it takes to hand somebody one entry of a long log with its
// proof, checked, from the database.
func measureProof(ctx context.Context, config AuditConfig) ([]Row, error) {
	if err := fillLog(ctx, config); err != nil {
		return nil, err
	}
	if err := config.Log.SignCheckpoint(ctx); err != nil {
		return nil, fmt.Errorf("signing the long log: %w", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	times := make([]time.Duration, 0, provedEntries)
	for i := range provedEntries {
		if i%100 == 0 {
			config.Progress("proving entries", i, provedEntries)
		}
		began := time.Now()
		if _, err := config.Log.Prove(ctx, random.Uint64N(config.Entries)); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	what := fmt.Sprintf("an entry of %d with its proof, ", config.Entries)
	note := fmt.Sprintf("%d one after the other, all over the log, read and checked", provedEntries)
	return []Row{
		Row{What: what + "median", Figure: times[len(times)/2].Seconds() * 1000, Unit: "ms", Note: note}.atMost(2),
		Row{What: what + "slowest hundredth", Figure: times[len(times)*99/100].Seconds() * 1000, Unit: "ms", Note: note}.atMost(2),
	}, nil
}

// fillPartition is how many entries a partition of the log holds.
const fillPartition = 1 << 20

// fillLog makes the log as long as it shall be, faster than by appending: each partition
// is copied in one transaction, with its tiles and its head, as if it were one batch.
func fillLog(ctx context.Context, config AuditConfig) error {
	conn, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "set synchronous_commit = off"); err != nil {
		return fmt.Errorf("filling the log: %w", err)
	}
	edge, err := readEdge(ctx, conn)
	if err != nil {
		return err
	}
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{} }})
	if err != nil {
		return err
	}
	for edge.Size() < config.Entries {
		config.Progress("making a long log", int(edge.Size()), int(config.Entries))
		end := min((edge.Size()/fillPartition+1)*fillPartition, config.Entries)
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return fillTo(ctx, tx, &edge, end, encoder) }); err != nil {
			return fmt.Errorf("filling the log: %w", err)
		}
		if edge.Size()%fillPartition == 0 {
			if _, err := conn.Exec(ctx, "select audit.add_partition($1), audit.add_partition($1 + 1)", int64(edge.Size()/fillPartition)); err != nil {
				return fmt.Errorf("filling the log: %w", err)
			}
		}
	}
	if _, err := conn.Exec(ctx, "vacuum analyze audit.entry, audit.tile0, audit.tile_hi, audit.subtree"); err != nil {
		return fmt.Errorf("filling the log: %w", err)
	}
	return nil
}

// readEdge computes the edge of the log from all its leaf hashes.
func readEdge(ctx context.Context, conn *pgx.Conn) (edge audit.Edge, err error) {
	rows, err := conn.Query(ctx, "select leaf_hash from audit.entry order by seq")
	if err != nil {
		return edge, fmt.Errorf("reading the log: %w", err)
	}
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&hash}, func() error {
		edge.Append([32]byte(hash), nil)
		return nil
	})
	return edge, err
}

// fillTo copies entries about nobody behind the edge, until the log has that size.
func fillTo(ctx context.Context, tx pgx.Tx, edge *audit.Edge, size uint64, encoder *audit.Encoder) error {
	first := edge.Size()
	var full []audit.FullTile
	event := audit.Event{Kind: audit.LogRead, Outcome: audit.Done}
	var leaf []byte
	err := copyRows(ctx, tx, "copy audit.entry (seq, leaf, leaf_hash) from stdin binary", func(row func(fields ...[]byte) error) error {
		for seq := first; seq < size; seq++ {
			var err error
			if leaf, _, err = encoder.AppendLeaf(leaf[:0], &event); err != nil {
				return err
			}
			hash := audit.LeafHash(leaf)
			full = edge.Append(hash, full)
			if err := row(binary.BigEndian.AppendUint64(nil, seq), leaf, hash[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, table := range []struct {
		copy string
		row  func(t *audit.FullTile) [][]byte
	}{
		{"copy audit.tile0 (n, hashes) from stdin binary", func(t *audit.FullTile) [][]byte {
			if t.Level > 0 {
				return nil
			}
			return [][]byte{binary.BigEndian.AppendUint64(nil, t.N), t.Hashes}
		}},
		{"copy audit.tile_hi (level, n, hashes) from stdin binary", func(t *audit.FullTile) [][]byte {
			if t.Level == 0 {
				return nil
			}
			return [][]byte{binary.BigEndian.AppendUint16(nil, uint16(t.Level)), binary.BigEndian.AppendUint64(nil, t.N), t.Hashes}
		}},
		{"copy audit.subtree (level, n, hash) from stdin binary", func(t *audit.FullTile) [][]byte {
			return [][]byte{binary.BigEndian.AppendUint16(nil, uint16(t.Level)), binary.BigEndian.AppendUint64(nil, t.N), t.Root[:]}
		}},
	} {
		err := copyRows(ctx, tx, table.copy, func(row func(fields ...[]byte) error) error {
			for i := range full {
				if fields := table.row(&full[i]); fields != nil {
					if err := row(fields...); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	root := edge.Root()
	_, err = tx.Exec(ctx, "insert into audit.batch (size, root) values ($1, $2)", int64(size), root[:])
	return err
}

// copyRows sends rows in PostgreSQL's binary format while write makes them.
func copyRows(ctx context.Context, tx pgx.Tx, sql string, write func(row func(fields ...[]byte) error) error) error {
	from, to := io.Pipe()
	go func() {
		buffer := append(make([]byte, 0, 1<<17), "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
		err := write(func(fields ...[]byte) error {
			buffer = binary.BigEndian.AppendUint16(buffer, uint16(len(fields)))
			for _, field := range fields {
				buffer = append(binary.BigEndian.AppendUint32(buffer, uint32(len(field))), field...)
			}
			if len(buffer) < 1<<16 {
				return nil
			}
			_, err := to.Write(buffer)
			buffer = buffer[:0]
			return err
		})
		if err == nil {
			_, err = to.Write(binary.BigEndian.AppendUint16(buffer, 0xffff))
		}
		_ = to.CloseWithError(err)
	}()
	_, err := tx.Conn().PgConn().CopyFrom(ctx, from, sql)
	_ = from.CloseWithError(err) // lest the writer wait for ever
	return err
}
