package tamper

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
)

// attack is one thing that somebody does, and who must notice it: these, and nobody else.
type attack struct {
	name    string
	noticed string
	do      func(a *attacker)
}

// attacks are all careful: what they switch off they switch on again, unless that is what
// they are about. "Consistently" means that every hash, tile and root was made anew.
var attacks = []attack{
	{"nothing at all (control)", "", func(*attacker) {}},
	{"the server goes on as always (control)", "", func(a *attacker) { a.grow(300) }},

	{"many entries at once (control)", "", func(a *attacker) { a.swell() }},

	{"update, delete, truncate, drop as the application", "refused", func(a *attacker) { a.attempt("set role mahrem_app") }},
	{"update, delete, truncate as superuser", "refused", func(a *attacker) { a.attempt("reset role") }},
	{"the same as a replica", "refused", func(a *attacker) { a.attempt("set session_replication_role = replica") }},

	{"edit a leaf", "verify kept receipts bundle", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.entry set leaf = $1 where seq = 57`, falsified(a.leaves()[57]))
		})
	}},
	{"edit a leaf and its hash", "verify kept receipts bundle", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.entry set leaf = $1, leaf_hash = sha256('\x00'::bytea || $1) where seq = 57`, falsified(a.leaves()[57]))
		})
	}},
	{"edit an entry consistently", "verify kept receipts bundle signer", func(a *attacker) { a.rewrite(a.withFalse(57)) }},
	{"the same, and remove the stored checkpoints", "kept receipts bundle signer", func(a *attacker) {
		a.rewrite(a.withFalse(57))
		a.forget(0)
	}},
	{"the same, and sign it with the stolen key", "kept receipts bundle signer witness", func(a *attacker) {
		a.rewrite(a.withFalse(57))
		a.forge()
	}},
	{"the same, and replace the signer's memory", "kept receipts bundle witness", func(a *attacker) {
		a.rewrite(a.withFalse(57))
		a.target.signer.note = a.forge()
	}},

	{"delete an entry", "verify kept receipts bundle", func(a *attacker) {
		a.unseen(func() { a.one(`delete from audit.entry where seq = 77`) })
	}},
	{"delete an entry consistently, with the checkpoints", "kept receipts bundle signer", func(a *attacker) {
		a.rewrite(slices.Delete(a.leaves(), 77, 78))
		a.forget(0)
	}},
	{"insert an entry", "start verify bundle", func(a *attacker) {
		a.unseen(func() {
			a.one(`insert into audit.entry (seq, leaf, leaf_hash) select $1::bigint, leaf, leaf_hash from audit.entry where seq = 3`, finalSize)
		})
	}},
	{"insert an entry consistently, with the checkpoints", "kept receipts bundle signer", func(a *attacker) {
		leaves := a.leaves()
		a.rewrite(slices.Insert(leaves, 78, falsified(leaves[3])))
		a.forget(0)
	}},
	{"swap two leaves", "verify kept receipts bundle", func(a *attacker) {
		a.unseen(func() {
			leaves := a.leaves()
			a.one(`update audit.entry set leaf = $1 where seq = 20`, leaves[21])
			a.one(`update audit.entry set leaf = $1 where seq = 21`, leaves[20])
		})
	}},
	{"swap two entries with their hashes", "verify kept receipts bundle", func(a *attacker) {
		a.unseen(func() {
			leaves := a.leaves()
			a.one(`update audit.entry set leaf = $1, leaf_hash = sha256('\x00'::bytea || $1) where seq = 20`, leaves[21])
			a.one(`update audit.entry set leaf = $1, leaf_hash = sha256('\x00'::bytea || $1) where seq = 21`, leaves[20])
		})
	}},
	{"reorder all of it consistently, with the checkpoints", "kept receipts bundle signer", func(a *attacker) {
		leaves := a.leaves()
		slices.Reverse(leaves)
		a.rewrite(leaves)
		a.forget(0)
	}},

	{"truncate the entries", "start verify kept receipts bundle signer", func(a *attacker) {
		a.unseen(func() { a.exec(`delete from audit.entry where seq >= 2990`) })
	}},
	{"truncate consistently, with the checkpoints", "kept receipts bundle signer witness", func(a *attacker) {
		a.rewrite(a.leaves()[:2990])
		a.forget(dumpedSize)
	}},
	{"truncate everything", "kept receipts bundle signer", func(a *attacker) {
		a.unseen(func() {
			a.exec(`truncate audit.entry, audit.tile0, audit.tile_hi, audit.subtree, audit.batch, audit.checkpoint, audit.cosignature cascade`)
		})
	}},
	{"truncate, grow beyond and sign with the stolen key", "kept receipts bundle signer witness", func(a *attacker) {
		a.rewrite(a.leaves()[:2990])
		a.forget(0)
		a.grow(100)
		a.forge()
	}},

	{"roll back to a dump", "kept receipts bundle signer witness", func(a *attacker) { a.restore() }},
	{"roll back to a dump, with the signer's memory", "kept receipts bundle witness", func(a *attacker) {
		a.restore()
		a.target.signer.note = a.target.world.early
	}},
	{"the same, and go on until the log is longer", "kept receipts bundle witness", func(a *attacker) {
		a.restore()
		a.target.signer.note = a.target.world.early
		a.grow(finalSize - dumpedSize + 50)
	}},
	{"the same, signed anew at the old size", "kept receipts bundle witness", func(a *attacker) {
		a.restore()
		a.grow(signedSize - dumpedSize)
		a.target.signer.note = a.forge()
	}},

	{"fork: show one auditor another log, signed with the stolen key", "kept witness", func(a *attacker) {
		leaves := a.withFalse(57)
		fork := newTree(a.T, leaves[:signedSize+2])
		signed, err := audit.SignCheckpoint(fork.checkpoint(fork.size()), logSigner(a.T))
		if err != nil {
			a.Fatal(err)
		}
		a.target.submit(a.T, signed, fork) // without a cosignature the auditor would not take it
		a.target.kept = signed
	}},

	{"edit a tile", "verify", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.tile0 set hashes = overlay(hashes placing sha256('x') from 1 + 32 * 9) where n = 1`)
		})
	}},
	{"delete a tile", "verify", func(a *attacker) {
		a.unseen(func() { a.one(`delete from audit.tile0 where n = 1`) })
	}},
	{"edit a tile of a higher level", "verify", func(a *attacker) {
		a.swell()
		a.unseen(func() {
			a.one(`update audit.tile_hi set hashes = overlay(hashes placing sha256('x') from 1 + 32 * 9) where level = 1 and n = 0`)
		})
	}},
	{"edit the root of a subtree", "start verify bundle signer", func(a *attacker) {
		a.unseen(func() { a.one(`update audit.subtree set hash = sha256('x') where n = 1`) })
	}},
	{"edit a committed root", "verify", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.batch set root = sha256('x') where size = (select size from audit.batch where size > 100 order by size limit 1)`)
		})
	}},
	{"edit the last committed root", "start verify bundle signer", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.batch set root = sha256('x') where size = $1`, finalSize)
		})
	}},
	{"edit a stored checkpoint", "verify bundle", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.checkpoint set note = overlay(note placing '9' from 21) where size = $1`, dumpedSize)
		})
	}},
	{"edit the newest stored checkpoint", "verify bundle signer", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.checkpoint set note = overlay(note placing '9' from 21) where size = $1`, signedSize)
		})
	}},
	{"put an older checkpoint in its place", "verify bundle", func(a *attacker) {
		a.unseen(func() {
			a.one(`update audit.checkpoint set note = (select note from audit.checkpoint where size = $1) where size = $2`, dumpedSize, signedSize)
		})
	}},

	{"edit what is not signed yet, consistently", "receipts", func(a *attacker) { a.rewrite(a.withFalse(finalSize - 2)) }},

	{"disable a trigger", "doctor", func(a *attacker) { a.exec(`alter table audit.entry_p0 disable trigger refuse_row_change`) }},
	{"let a replica pass a trigger", "doctor", func(a *attacker) { a.exec(`alter table audit.checkpoint enable trigger refuse_truncate`) }},
	{"make the triggers refuse nothing", "doctor", func(a *attacker) {
		a.exec(`create or replace function audit.refuse_change() returns trigger language plpgsql as 'begin return new; end'`)
	}},
	{"grant the application more", "doctor", func(a *attacker) { a.exec(`grant update, delete on audit.entry to mahrem_app`) }},
	{"have rows vanish by a rule", "doctor", func(a *attacker) {
		a.exec(`create rule vanish as on insert to audit.cosignature do instead nothing`)
	}},
}

// attempt tries everything that the triggers and grants are there to refuse.
func (a *attacker) attempt(as string) {
	a.Helper()
	conn, err := a.pool.Acquire(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	defer conn.Release()
	a.target.resisted = true
	for _, table := range []string{"entry", "entry_p0", "tile0", "tile0_p0", "subtree", "batch", "checkpoint"} {
		for _, statement := range []string{
			`update audit.` + table + ` set ` + firstColumn[strings.TrimSuffix(table, "_p0")],
			`delete from audit.` + table,
			`truncate audit.` + table + ` cascade`,
			`drop table audit.` + table,
			`alter table audit.` + table + ` disable trigger user`,
		} {
			if as != "set role mahrem_app" && (strings.HasPrefix(statement, "drop") || strings.HasPrefix(statement, "alter")) {
				continue // it is theirs
			}
			_, err := conn.Exec(a.Context(), `begin; `+as+`; `+statement)
			pgErr, ok := errors.AsType[*pgconn.PgError](err)
			if !ok || pgErr.Code != "42501" {
				a.Errorf("%s; %s: %v", as, statement, err)
				a.target.resisted = false
			}
			if _, err := conn.Exec(a.Context(), "rollback"); err != nil {
				a.Fatal(err)
			}
		}
	}
}

var firstColumn = map[string]string{"entry": "leaf = leaf", "tile0": "n = n", "subtree": "n = n", "batch": "size = size", "checkpoint": "size = size"}

// TestMatrix does each attack to a copy of one log, as superuser and with stolen keys
// where it says so, and asks every memory. Each attack must be noticed by exactly those
// who should: a memory that is missing is a hole, one too many a wrong description.
func TestMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	found := map[string][]string{}
	t.Run("attacks", func(t *testing.T) {
		limit := make(chan struct{}, 3)
		for _, attack := range attacks {
			t.Run(attack.name, func(t *testing.T) {
				t.Parallel()
				limit <- struct{}{}
				defer func() { <-limit }()
				g := newTarget(t, w)
				attack.do(&attacker{T: t, target: g, pool: g.database.AdminPool(t)})
				db := g.open(t)
				var names []string
				for _, m := range memories {
					noticed, err := m.noticed(t, g, db)
					if err != nil {
						t.Errorf("%s: %v", m.name, err)
					}
					if noticed {
						names = append(names, m.name)
					}
				}
				mu.Lock()
				found[attack.name] = names
				mu.Unlock()
				want := strings.Fields(attack.noticed)
				for _, name := range want {
					if !slices.Contains(names, name) {
						t.Errorf("MISSED by %s", name)
					}
				}
				for _, name := range names {
					if !slices.Contains(want, name) {
						t.Errorf("noticed by %s, which the table does not say", name)
					}
				}
			})
		}
	})
	table, misses := matrix(found)
	fmt.Printf("%d attacks, %d misses\n%s", len(attacks)-controls, misses, table)
	if misses > 0 {
		t.Errorf("%d misses", misses)
	}
	page, err := os.ReadFile("../../docs/tamper.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table) {
		t.Error("docs/tamper.md has another table than the one printed here")
	}
}

// controls are the first attacks, at which nobody must notice anything.
const controls = 3

// matrix is the table of who noticed what, and how many should have and did not.
func matrix(found map[string][]string) (table string, misses int) {
	var b strings.Builder
	b.WriteString("| what somebody does |")
	for _, m := range memories {
		b.WriteString(" " + m.title + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(memories)) + "\n")
	for _, attack := range attacks {
		b.WriteString("| " + attack.name + " |")
		for _, m := range memories {
			cell := ""
			if slices.Contains(found[attack.name], m.name) {
				cell = "found"
			} else if slices.Contains(strings.Fields(attack.noticed), m.name) {
				cell = "MISSED"
				misses++
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	return b.String(), misses
}
