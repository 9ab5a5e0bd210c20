package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// smallDisk mounts a file system in memory for the database server, and returns how to
// enlarge it. Only root on Linux can.
func smallDisk(t *testing.T, database *pgtest.Database) (dir string, enlarge func()) {
	t.Helper()
	var data string
	if err := database.AdminPool(t).QueryRow(t.Context(), "show data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(data)
	if err != nil {
		t.Skipf("the server's files are elsewhere: %v", err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	dir, err = os.MkdirTemp("/tmp", "mahrem-small-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	mount := func(options string) error {
		out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("%s,mode=0700,uid=%d,gid=%d", options, owner.Uid, owner.Gid), "tmpfs", dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := mount("size=1m"); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", dir).Run() })
	return dir, func() {
		if err := mount("remount,size=64m"); err != nil {
			t.Error(err)
		}
	}
}

// TestDiskThatIsFull fills the disk that the entries are on: every caller is told in time,
// no change is made without its entry, the alarm is raised, and as soon as there is room the
// log goes on by itself.
func TestDiskThatIsFull(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	dir, enlarge := smallDisk(t, database)
	admin := database.AdminPool(t)
	space := fmt.Sprintf("small_%d", os.Getpid())
	if _, err := admin.Exec(t.Context(), fmt.Sprintf("create tablespace %s location '%s'", space, dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, sql := range []string{
			"alter table audit.entry_p0 set tablespace pg_default", "drop tablespace " + space,
		} {
			if _, err := admin.Exec(ctx, sql); err != nil {
				t.Log(err)
			}
		}
	})
	for _, sql := range []string{
		"alter table audit.entry_p0 set tablespace " + space,
		"create table changed (n bigint)", "grant insert on changed to mahrem_app",
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	const deadline = 2 * time.Second
	config := auditConfig()
	config.Deadline, config.Logger = deadline, slog.New(slog.NewTextHandler(io.Discard, nil))
	l := newAuditLog(t, db, config)
	changes := 0
	change := denied()
	change.Channel = "changed" // by which the entries of changes are known below
	write := func(tx bool) (err error) {
		if !tx {
			_, err = l.Append(t.Context(), denied())
			return err
		}
		if _, err = l.AppendTx(t.Context(), change, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into changed values (1)")
			return err
		}); err == nil {
			changes++
		}
		return err
	}
	// It is full when nothing fits for a while: a page may have room where another has none.
	const enough = 12
	var why error
	refused := 0
	for until := time.Now().Add(10 * time.Minute); refused < enough && time.Now().Before(until); {
		began := time.Now()
		err := write(refused%2 == 0)
		if err == nil {
			refused = 0
			continue
		}
		refused++
		if !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("a full disk is %v", err)
		}
		if strings.Contains(err.Error(), "53100") {
			why = err
		}
		if took := time.Since(began); took > deadline+2*time.Minute { // a machine that runs tests may be slow
			t.Errorf("told after %v", took)
		}
	}
	if refused < enough || why == nil {
		t.Fatalf("%d writes in a row were refused, none because the disk is full", refused)
	}
	if s := l.Status(); s.Writable || s.Failures == 0 {
		t.Errorf("no alarm: %+v", s)
	}
	enlarge()
	for _, tx := range []bool{true, false} {
		err := errors.New("not tried")
		for until := time.Now().Add(5 * time.Minute); err != nil && time.Now().Before(until); {
			err = write(tx)
		}
		if err != nil {
			t.Errorf("after there was room: %v", err)
		}
	}
	if s := l.Status(); !s.Writable {
		t.Errorf("the alarm did not end: %+v", s)
	}
	report, err := l.Verify(t.Context(), nil)
	if err != nil || !report.Whole() {
		t.Errorf("%v, %v", report.Damages, err)
	}
	// A change whose caller was told at the deadline may have been on its way. None that was
	// confirmed is lost, and each has its entry.
	var rows int
	if err := admin.QueryRow(t.Context(), "select count(*) from changed").Scan(&rows); err != nil || rows < changes {
		t.Errorf("%d changes are stored, %d were confirmed, %v", rows, changes, err)
	}
	leaves, _ := admin.Query(t.Context(), "select leaf from audit.entry")
	stored, err := pgx.CollectRows(leaves, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for _, leaf := range stored {
		entry, err := audit.ParseEntry(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if entry.Channel == change.Channel {
			entries++
		}
	}
	if entries != rows {
		t.Errorf("%d changes are stored, with %d entries", rows, entries)
	}
}
