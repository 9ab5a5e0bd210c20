package postgres

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

// TestIYSMillionRows takes in a file of a million rows about a quarter as many people, with
// memory that does not grow with it.
func TestIYSMillionRows(t *testing.T) {
	people, rows := 250_000, 1_000_000
	if testing.Short() {
		people, rows = 5_000, 20_000
	}
	d := newRegistryDesk(t, 0)
	d.crowd(t, people)
	at := time.Now().Add(-240 * time.Hour)
	reader, writer := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(writer, 1<<16)
		_, _ = out.WriteString(iysHeader)
		for i := range rows {
			status := "ONAY"
			if i%3 == 0 {
				status = "RET"
			}
			_, _ = out.WriteString(iysRow(crowdPhone(i%people), []string{"MESAJ", "ARAMA"}[i/people%2], status, at.Add(time.Duration(i/people)*time.Hour)))
		}
		_ = out.Flush()
		_ = writer.Close()
	}()
	var first, highest uint64
	summary, err := d.importer.File(t.Context(), reader, sha256.Sum256([]byte("million")), iys.Options{By: dpo, Step: func(n int64) {
		if n%(int64(rows)/10) != 0 {
			return
		}
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		if first == 0 {
			first = stats.HeapAlloc
		}
		highest = max(highest, stats.HeapAlloc)
		t.Logf("%d rows: heap %d KiB", n, stats.HeapAlloc>>10)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if summary.Read != int64(rows) || summary.Recorded != int64(rows) || !summary.Done {
		t.Errorf("%+v", summary.Progress)
	}
	t.Logf("%d rows in %s, %.0f a second; heap %d KiB after a tenth, %d KiB at most", rows, summary.Duration.Round(time.Second),
		float64(rows)/summary.Duration.Seconds(), first>>10, highest>>10)
	if highest > first+(32<<20) {
		t.Errorf("the heap grew from %d to %d bytes", first, highest)
	}
}

func crowdPhone(i int) string { return fmt.Sprintf("+90532%07d", i) }

// crowd adds people with phone numbers and nothing else.
func (d *registryDesk) crowd(t testing.TB, people int) {
	t.Helper()
	owner := d.database.OwnerPool(t)
	id := func(i int) (id [16]byte) {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("crowd"), uint64(i)))
		copy(id[:], sum[:])
		return id
	}
	if _, err := owner.CopyFrom(t.Context(), pgx.Identifier{"vault", "data_subject"}, []string{"data_subject_id", "jurisdiction"},
		pgx.CopyFromSlice(people, func(i int) ([]any, error) { return []any{id(i), "TR"}, nil })); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.CopyFrom(t.Context(), pgx.Identifier{"vault", "identifier"}, []string{"data_subject_id", "kind", "blind_index"},
		pgx.CopyFromSlice(people, func(i int) ([]any, error) {
			index, err := d.keys.Vault().BlindIndex(privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain(crowdPhone(i))})
			return []any{id(i), "phone", bytes.Clone(index)}, err
		})); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Exec(t.Context(), "analyze vault.data_subject, vault.identifier"); err != nil {
		t.Fatal(err)
	}
}
