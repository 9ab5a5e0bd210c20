package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The table of the bare side. It has a schema of its own, is made and dropped with the
// owner's rights, and holds nothing personal: only as many bytes as an answer of the
// gate has.
const (
	sqlBenchDrop   = `drop schema if exists mahrem_bench cascade`
	sqlBenchSchema = `create schema mahrem_bench`
	sqlBenchTable  = `
	create table mahrem_bench.plain (
		plain_id bigint not null,
		first_name text not null,
		city text not null,
		groups text not null,
		details text not null,
		constraint plain_pkey primary key (plain_id)
	)`
	sqlBenchFill = `
	insert into mahrem_bench.plain (plain_id, first_name, city, groups, details)
	select n, 'name ' || (n % 10), 'city ' || (n % 10), 'fresh.fruit,fresh.meat', repeat('x', $2)
	from generate_series(1, $1::bigint) as n`
	sqlBenchAnalyze = `vacuum analyze mahrem_bench.plain`
	sqlBenchSelect  = `
	select plain_id, first_name, city, groups, details
	from mahrem_bench.plain
	where plain_id = $1`
)

// plainRow is the answer of the bare side.
type plainRow struct {
	ID        int64  `json:"id"`
	FirstName string `json:"first_name"`
	City      string `json:"city"`
	Groups    string `json:"groups"`
	Details   string `json:"details"`
}

// plain is the bare side: a pool, a table and a handler.
type plain struct{ pool *pgxpool.Pool }

// openPlain makes the table with so many rows, each about width bytes as JSON.
func openPlain(ctx context.Context, url string, connections int32, rows, width int) (*plain, error) {
	settings, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("opening the bare side: malformed URL")
	}
	settings.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("opening the bare side: %w", err)
	}
	p := &plain{pool: pool}
	if err := p.fill(ctx, rows, width); err != nil {
		p.close(ctx)
		return nil, fmt.Errorf("filling the bare side: %w", err)
	}
	return p, nil
}

func (p *plain) fill(ctx context.Context, rows, width int) error {
	empty, err := json.Marshal(plainRow{ID: int64(rows), FirstName: "name 1", City: "city 1", Groups: "fresh.fruit,fresh.meat"})
	if err != nil {
		return err
	}
	for _, statement := range []string{sqlBenchDrop, sqlBenchSchema, sqlBenchTable} {
		if _, err := p.pool.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if _, err := p.pool.Exec(ctx, sqlBenchFill, rows, max(width-len(empty), 0)); err != nil {
		return err
	}
	_, err = p.pool.Exec(ctx, sqlBenchAnalyze, pgx.QueryExecModeSimpleProtocol)
	return err
}

// ServeHTTP answers GET /plain/N with row N: a prepared SELECT, encoded, and that is all.
func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/plain/"), 10, 64)
	if err != nil {
		http.Error(w, "no such row", http.StatusNotFound)
		return
	}
	var row plainRow
	if err := p.pool.QueryRow(r.Context(), sqlBenchSelect, id).Scan(&row.ID, &row.FirstName, &row.City, &row.Groups, &row.Details); err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	text, err := json.Marshal(row)
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// close drops the table and the connections.
func (p *plain) close(ctx context.Context) {
	_, _ = p.pool.Exec(context.WithoutCancel(ctx), sqlBenchDrop)
	p.pool.Close()
}
