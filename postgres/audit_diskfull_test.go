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
	write := func(tx bool) (err error) {
		if !tx {
			_, err = l.Append(t.Context(), denied())
			return err
		}
		if _, err = l.AppendTx(t.Context(), denied(), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into changed values (1)")
			return err
		}); err == nil {
			changes++
		}
		return err
	}
	var full error
	isFull := func() bool { return full != nil && strings.Contains(full.Error(), "53100") }
	// The first write that fails may have waited until its deadline; the next says why.
	for until := time.Now().Add(2 * time.Minute); !isFull() && time.Now().Before(until); {
		if full = write(true); full == nil || !isFull() {
			full = write(false)
		}
	}
	if !errors.Is(full, privacy.ErrUnavailable) || !isFull() {
		t.Fatalf("a full disk is %v", full)
	}
	for i := range 6 {
		began := time.Now()
		if err := write(i%2 == 0); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("written onto a full disk: %v", err)
		}
		if took := time.Since(began); took > deadline+10*time.Second { // a machine that runs tests may be slow
			t.Errorf("told after %v", took)
		}
	}
	if s := l.Status(); s.Writable || s.Failures < 7 {
		t.Errorf("no alarm: %+v", s)
	}
	enlarge()
	err := errors.New("not tried")
	for until := time.Now().Add(time.Minute); err != nil && time.Now().Before(until); {
		err = write(true)
	}
	if err != nil || write(false) != nil || !l.Status().Writable {
		t.Errorf("after there was room: %v, %+v", err, l.Status())
	}
	report, err := l.Verify(t.Context(), nil)
	if err != nil || !report.Whole() {
		t.Errorf("%v, %v", report.Damages, err)
	}
	var rows int
	if err := admin.QueryRow(t.Context(), "select count(*) from changed").Scan(&rows); err != nil || rows != changes {
		t.Errorf("%d changes are stored, %d were confirmed, %v", rows, changes, err)
	}
}
