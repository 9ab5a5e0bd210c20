package assembly

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// newHouseAt is [newHouse] with a clock that goes ago behind.
func newHouseAt(t *testing.T, ago *atomic.Int64) (*House, *pgtest.Database) {
	t.Helper()
	database := pgtest.NewEmpty(t)
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL()})
	if err != nil {
		t.Fatal(err)
	}
	house, err := Init(t.Context(), settings, Options{
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Now().Add(-time.Duration(ago.Load())) },
	}, Operator("tester"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return house, database
}

// lengthen copies entries about nobody behind the log, past the queue, until it has a size.
func lengthen(t *testing.T, pool *pgxpool.Pool, edge *audit.Edge, size uint64, now func() time.Time) {
	t.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Now: now, Actor: func(privacy.Principal) [16]byte { return [16]byte{} }})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), `select leaf_hash from audit.entry where seq >= $1 order by seq`, int64(edge.Size()))
	if err != nil {
		t.Fatal(err)
	}
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&hash}, func() error { edge.Append([32]byte(hash), nil); return nil }); err != nil {
		t.Fatal(err)
	}
	first := edge.Size()
	var full []audit.FullTile
	event := audit.Event{Kind: audit.LogRead, Outcome: audit.Done}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		seq := first
		_, err := tx.CopyFrom(t.Context(), pgx.Identifier{"audit", "entry"}, []string{"seq", "leaf", "leaf_hash"}, pgx.CopyFromFunc(func() ([]any, error) {
			if seq == size {
				return nil, nil
			}
			leaf, _, err := encoder.AppendLeaf(nil, &event)
			if err != nil {
				return nil, err
			}
			hash := audit.LeafHash(leaf)
			full = edge.Append(hash, full)
			seq++
			return []any{int64(seq - 1), leaf, hash[:]}, nil
		}))
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		for i := range full {
			tile := &full[i]
			if tile.Level == 0 {
				batch.Queue(`insert into audit.tile0 (n, hashes) values ($1, $2)`, int64(tile.N), tile.Hashes)
			} else {
				batch.Queue(`insert into audit.tile_hi (level, n, hashes) values ($1, $2, $3)`, tile.Level, int64(tile.N), tile.Hashes)
			}
			batch.Queue(`insert into audit.subtree (level, n, hash) values ($1, $2, $3)`, tile.Level, int64(tile.N), tile.Root[:])
		}
		root := edge.Root()
		batch.Queue(`insert into audit.batch (size, root) values ($1, $2)`, int64(size), root[:])
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

const oldEntries = "mahrem.log-retention/v1\nkeep 400 days\ncosignatures 0\n\nFor a test.\n"

func setOldEntries(t *testing.T, house *House, text string) {
	t.Helper()
	policy, err := audit.ParseRetentionPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := house.Log.SetRetention(t.Context(), audit.Event{Principal: Operator("tester")}, policy); err != nil {
		t.Fatal(err)
	}
}

// askAbout has a shop ask for a first name, and returns which decision that was.
func askAbout(t *testing.T, house *House, number int) audit.DecisionID {
	t.Helper()
	shop := privacy.Principal{ID: "web_shop", Role: privacy.RoleService, Recipient: "web_shop"}
	query := gate.Query{Purpose: "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name"}}
	query.DataSubject.Identifier = customer(number)
	answer, err := house.Gate.Ask(t.Context(), shop, query)
	if err != nil {
		t.Fatal(err)
	}
	id, err := audit.ParseDecisionID(answer.DecisionID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// discarded is a file for an export that nobody reads.
type discarded struct{ io.Writer }

func (discarded) Keep() error { return nil }

func (discarded) Drop() error { return nil }
