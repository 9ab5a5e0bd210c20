package postgres

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// written is one entry as its caller saw it: when the call began and ended, and what it
// got for it.
type written struct {
	Began, Ended int64
	Index        uint64
	ID           [16]byte
	Hash         [32]byte
	Changed      bool
}

// writeMixed has callers append, change, and change their mind, and returns what was
// written.
func writeMixed(ctx context.Context, l *AuditLog, seed uint64, callers, calls int) ([]written, error) {
	errRefused := errors.New("changed my mind")
	var mu sync.Mutex
	var all []written
	var errs []error
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(caller)))
			for range calls {
				w := written{Began: time.Now().UnixNano()}
				var r audit.Receipt
				var err error
				switch kind := random.IntN(4); kind {
				case 0, 1:
					r, err = l.Append(ctx, denied())
				default:
					r, err = l.AppendTx(ctx, denied(), func(ctx context.Context, tx pgx.Tx) error {
						_, err := tx.Exec(ctx, `insert into changed default values`)
						if kind == 3 {
							return errors.Join(err, errRefused)
						}
						return err
					})
					w.Changed = true
					if kind == 3 && errors.Is(err, errRefused) {
						continue
					}
				}
				w.Ended = time.Now().UnixNano()
				w.Index, w.ID, w.Hash = r.Index(), r.EntryID(), r.LeafHash()
				mu.Lock()
				all, errs = append(all, w), append(errs, err)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return all, errors.Join(errs...)
}

// TestLogChild is a process of its own that writes: see TestProcessesShareOneLog.
func TestLogChild(t *testing.T) {
	url, seed := os.Getenv("MAHREM_TEST_LOG_URL"), os.Getenv("MAHREM_TEST_LOG_SEED")
	if url == "" {
		t.Skip("only for TestProcessesShareOneLog")
	}
	number, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{URL: url, MaxConns: 8, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	all, err := writeMixed(t.Context(), newAuditLog(t, db, auditConfig()), number, 8, 25)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		line, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("written %s\n", line)
	}
}

// TestProcessesShareOneLog has several processes of the operating system write one log,
// by both ways in: there is no gap, the root recomputes, every receipt is an entry and
// every entry has a receipt, every change that was confirmed is there and no other, and
// what was confirmed before something else was begun stands before it.
func TestProcessesShareOneLog(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		create table changed (n bigint generated always as identity);
		grant select, insert on changed to mahrem_app`); err != nil {
		t.Fatal(err)
	}
	processes := 4
	if testing.Short() {
		processes = 3
	}
	outputs, errs := make([]bytes.Buffer, processes), make([]error, processes)
	var running sync.WaitGroup
	for i := range processes {
		running.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLogChild$", "-test.timeout=10m")
			cmd.Env = append(os.Environ(), "MAHREM_TEST_LOG_URL="+database.URL(), fmt.Sprintf("MAHREM_TEST_LOG_SEED=%d", i+1))
			cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
			errs[i] = cmd.Run()
		})
	}
	running.Wait()
	var all []written
	for i := range processes {
		if errs[i] != nil {
			t.Fatalf("process %d: %v\n%s", i, errs[i], outputs[i].Bytes())
		}
		lines := bufio.NewScanner(&outputs[i])
		for lines.Scan() {
			line, ok := bytes.CutPrefix(lines.Bytes(), []byte("written "))
			if !ok {
				continue
			}
			var w written
			if err := json.Unmarshal(line, &w); err != nil {
				t.Fatal(err)
			}
			all = append(all, w)
		}
	}
	checkWritten(t, db, all)
}

// checkWritten checks what callers saw against what is stored.
func checkWritten(t *testing.T, db *DB, all []written) {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("nothing was written")
	}
	var receipts []audit.Receipt
	changes := 0
	for _, w := range all {
		receipts = append(receipts, audit.Committed(w.ID, w.Hash, w.Index))
		if w.Changed {
			changes++
		}
	}
	checkLog(t, db, receipts)
	var rows int
	if err := db.pool.QueryRow(t.Context(), `select count(*) from changed`).Scan(&rows); err != nil || rows != changes {
		t.Errorf("%d changes are stored, %d were confirmed, %v", rows, changes, err)
	}
	// Whatever ended before something began has a lower index.
	ended := slices.SortedFunc(slices.Values(all), func(a, b written) int { return cmp.Compare(a.Ended, b.Ended) })
	slices.SortFunc(all, func(a, b written) int { return cmp.Compare(a.Began, b.Began) })
	highest, next := uint64(0), 0
	for _, w := range all {
		for ; next < len(ended) && ended[next].Ended < w.Began; next++ {
			highest = max(highest, ended[next].Index)
		}
		if next > 0 && w.Index <= highest {
			t.Errorf("entry %d was begun after entry %d was confirmed", w.Index, highest)
		}
	}
}
