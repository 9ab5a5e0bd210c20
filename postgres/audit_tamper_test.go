package postgres

import (
	"testing"

	"github.com/mahrem/mahrem/audit"
)

// newFilledLog has 600 entries in commits of 10, and checkpoints of 300 and 590.
func newFilledLog(t *testing.T) (*AuditLog, func(sql string, args ...any)) {
	t.Helper()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	a := appender{log: l}
	t.Cleanup(a.disconnect) // or a failure below would have the pool wait for it
	for batch := range 60 {
		if batch == 30 || batch == 59 {
			if err := l.SignCheckpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		a.batch = a.batch[:0]
		for range 10 {
			p := &pendingEntry{done: make(chan error, 1)}
			event := denied()
			if err := l.encode(p, &event); err != nil {
				t.Fatal(err)
			}
			a.batch = append(a.batch, p)
		}
		if _, err := a.commit(); err != nil {
			t.Fatal(err)
		}
	}
	a.disconnect()
	owner := database.OwnerPool(t)
	return l, func(sql string, args ...any) {
		t.Helper()
		if tag, err := owner.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 && tag.String() != "ALTER TABLE" {
			t.Fatalf("tampering: %s, %v", tag, err)
		}
	}
}

const disarm = `
alter table audit.entry disable trigger user;
alter table audit.tile0 disable trigger user;
alter table audit.tile_hi disable trigger user;
alter table audit.subtree disable trigger user;
alter table audit.batch disable trigger user;
alter table audit.checkpoint disable trigger user`

func TestVerifyAcceptsWhatWasWritten(t *testing.T) {
	t.Parallel()
	l, _ := newFilledLog(t)
	var last, total uint64
	report, err := l.Verify(t.Context(), func(done, all uint64) { last, total = done, all })
	if err != nil {
		t.Fatal(err)
	}
	if !report.Whole() || report.ExitCode() != 0 || report.Size != 600 || report.Root != l.head.root {
		t.Errorf("report: %+v", report)
	}
	if report.Roots != 60 || report.Tiles != 2 || report.Checkpoints != 2 || report.Signed.Size != 590 {
		t.Errorf("report: %+v", report)
	}
	if last != 600 || total != 600 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}

// TestVerifyFindsTampering changes one thing as the owner of the tables, with the
// triggers off, and expects its kind and the first bad index.
func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	const rewrite = `update audit.entry set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"d":"deny"', '"d":"allow"'), 'UTF8')`
	const rehash = `, leaf_hash = sha256('\x00'::bytea || convert_to(replace(convert_from(leaf, 'UTF8'), '"d":"deny"', '"d":"allow"'), 'UTF8'))`
	for _, test := range []struct {
		name, sql string
		index     uint64
		kind      audit.DamageKind
	}{
		{"leaf", rewrite + ` where seq = 57`, 57, audit.EntryAltered},
		{"leaf in the last tile", rewrite + ` where seq = 599`, 599, audit.EntryAltered},
		{"leaf hash", `update audit.entry set leaf_hash = sha256('x') where seq = 300`, 300, audit.EntryAltered},
		{"leaf and its hash", rewrite + rehash + ` where seq = 57`, 57, audit.EntryRewritten},
		{"leaf and its hash in the unfinished tile", rewrite + rehash + ` where seq = 543`, 540, audit.EntriesRewritten},
		{"leaf that is no entry", `update audit.entry set leaf = 'note', leaf_hash = sha256('\x006e6f7465') where seq = 3`, 3, audit.EntryMalformed},
		{"deleted row", `delete from audit.entry where seq = 77`, 77, audit.EntryMissing},
		{"deleted first row", `delete from audit.entry where seq = 0`, 0, audit.EntryMissing},
		{"deleted last row", `delete from audit.entry where seq = 599`, 599, audit.EntriesCut},
		{"row behind the end", `insert into audit.entry select 600, leaf, leaf_hash from audit.entry where seq = 599`, 600, audit.EntryExtra},
		{"row far behind the end", `insert into audit.entry select 1000000, leaf, leaf_hash from audit.entry where seq = 599`, 1000000, audit.EntryExtra},
		{"tile", `update audit.tile0 set hashes = overlay(hashes placing sha256('x') from 1 + 32 * 9) where n = 1`, 265, audit.TileAltered},
		{"deleted tile", `delete from audit.tile0 where n = 1`, 256, audit.TileMissing},
		{"added tile", `insert into audit.tile0 select 2, hashes from audit.tile0 where n = 1`, 512, audit.TileExtra},
		{"added tile above", `insert into audit.tile_hi select 1, 0, hashes from audit.tile0 where n = 1`, 0, audit.TileExtra},
		{"subtree", `update audit.subtree set hash = sha256('x') where level = 0 and n = 1`, 256, audit.SubtreeAltered},
		{"deleted subtree", `delete from audit.subtree where level = 0 and n = 0`, 0, audit.SubtreeMissing},
		{"added subtree", `insert into audit.subtree values (0, 2, sha256('x'))`, 512, audit.SubtreeExtra},
		{"root", `update audit.batch set root = sha256('x') where size = 100`, 90, audit.RootAltered},
		{"last root", `update audit.batch set root = sha256('x') where size = 600`, 590, audit.EntriesRewritten},
		{"deleted last commit", `delete from audit.batch where size = 600`, 590, audit.EntryExtra},
		{"size of the last commit", `update audit.batch set size = 700 where size = 600`, 600, audit.EntriesCut},
		{"checkpoint's note", `update audit.checkpoint set note = overlay(note placing 'x' from 1) where size = 590`, 300, audit.CheckpointAltered},
		{"checkpoint's root", `update audit.checkpoint set root = sha256('x') where size = 300`, 0, audit.CheckpointAltered},
		{"checkpoint's size", `update audit.checkpoint set size = 310 where size = 300`, 0, audit.CheckpointAltered},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, tamper := newFilledLog(t)
			tamper(disarm)
			tamper(test.sql)
			report, err := l.Verify(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			first, bad := report.FirstBad()
			if !bad || report.ExitCode() != 1 || first.Index != test.index || first.Kind != test.kind {
				t.Errorf("found %v, want %q at %d", report.Damages, test.kind, test.index)
			}
			if len(report.Damages) > 2 {
				t.Errorf("one change, but found %v", report.Damages)
			}
		})
	}
}
