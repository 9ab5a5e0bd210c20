package tamper

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// ledgerAttack is what somebody does to the consent ledger as superuser, with the triggers
// switched off and on again, and what verification must say: this, and nothing else.
type ledgerAttack struct {
	name string
	want proof.DamageKind // none: a control
	sql  string
}

// People 1 to 5 have a row each, 6 to 8 are in a batch, 9 and 10 were erased.
var ledgerAttacks = []ledgerAttack{
	{"nothing at all (control)", "", `select 1`},
	{"turn a refusal into a yes", proof.RowAltered, `update consent.record set action = 'granted' where consent_id = $1`},
	{"give a row to somebody else", proof.RowAltered, `update consent.record set data_subject_id = '00000000-0000-0000-0000-0000000000ff' where consent_id = $1`},
	{"set the time of a row back", proof.RowAltered, `update consent.record set effective_at = '2001-01-01' where consent_id = $1`},
	{"another salt", proof.RowAltered, `update consent.record set salt = decode(repeat('00', 16), 'hex') where consent_id = $1`},
	{"a time that is none", proof.RowAltered, `update consent.record set effective_at = 'infinity' where consent_id = $1`},
	{"delete a row", proof.RowMissing, `delete from consent.record where consent_id = $1`},
	{"delete all rows", proof.RowMissing, `truncate consent.record`},
	{"take the commitment away", proof.RowBare, `update consent.record set salt = null, commitment = null where consent_id = $1`},
	{"insert a row without a commitment", proof.RowBare, `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at)
		select data_subject_id, '00000000-0000-0000-0000-00000000aaaa', purpose, channel, 'granted', legal_basis, true, notice_version, source, now() from consent.record where consent_id = $1`},
	{"insert a row with the salt and commitment of its own making", proof.RowUnbound, forgedRow},
	{"swap two rows' content", proof.RowAltered, `update consent.record r set purpose = o.purpose, action = o.action, effective_at = o.effective_at
		from consent.record o where r.consent_id = $1 and o.batch_id is not null and o.batch_position = 0`},
	{"delete a row of a batch", proof.BatchAltered, `delete from consent.record where batch_position = 1`},
	{"delete the last row of a batch", proof.BatchAltered, `delete from consent.record where batch_position = 2`},
	{"delete a batch with its rows", proof.BatchMissing, `with b as (delete from consent.batch) delete from consent.record where batch_id is not null`},
	{"swap two places of a batch", proof.BatchAltered, `update consent.record set batch_position = 1 - batch_position where batch_position < 2`},
	{"take a row out of its batch", proof.BatchAltered, `update consent.record set batch_id = null, batch_position = null where batch_position = 1`},
	{"delete a row and leave a tombstone", proof.TombstoneUnbound, `with r as (delete from consent.record where consent_id = $1 returning commitment)
		insert into consent.gone (commitment, erasure_digest) select commitment, sha256(commitment) from r`},
	{"delete a row and leave a tombstone under somebody's erasure", proof.TombstoneAltered, `with r as (delete from consent.record where consent_id = $1 returning commitment)
		insert into consent.gone (commitment, erasure_digest) select r.commitment, (select erasure_digest from consent.gone order by 1 limit 1) from r`},
	{"delete a row and leave a tombstone that recomputes", proof.TombstoneUnbound, `with r as (delete from consent.record where consent_id = $1 returning commitment)
		insert into consent.gone (commitment, erasure_digest)
		select commitment, sha256('\x6d616872656d2f636f6e73656e742f6572617365642f763100'::bytea || commitment) from r`},
	{"delete what an erasure has left", proof.TombstoneMissing, `delete from consent.gone where erasure_digest = (select erasure_digest from consent.gone order by 1 limit 1)`},
	{"keep a row that was erased", proof.RowRepeated, `insert into consent.gone (commitment, erasure_digest)
		select commitment, sha256(commitment) from consent.record where consent_id = $1`},
}

// forgedRow is filled in by the test: the commitment must be right.
const forgedRow = "forged row"

// TestLedgerTamperMatrix does each attack to a real ledger and holds docs/tamper.md to it.
func TestLedgerTamperMatrix(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, a := range ledgerAttacks {
		found := "found"
		if a.want == "" {
			found = ""
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", a.name, found, a.want)
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			l.attack(t, a.sql)
			report, err := l.db.VerifyConsents(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.want == "" {
				if !report.Whole() || report.Rows != 8 || report.Gone != 3 {
					t.Errorf("untouched, and found %+v", report)
				}
				return
			}
			kinds := map[proof.DamageKind]bool{}
			for _, d := range report.Damages {
				kinds[d.Kind] = true
			}
			if !kinds[a.want] {
				t.Errorf("found %+v, want %q", report.Damages, a.want)
			}
		})
	}
	text, err := os.ReadFile("../../docs/tamper.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "| what somebody does to the consent ledger | `audit verify` | what it says |\n|---|---|---|\n")
	printed, _, _ := strings.Cut(rest, "\n\n")
	if diff := cmp.Diff(strings.TrimSpace(table.String()), strings.TrimSpace(printed)); !ok || diff != "" {
		t.Errorf("docs/tamper.md (-test +page):\n%s\n%s", diff, table.String())
	}
}

// TestLedgerRefuses: as long as its triggers stand nobody changes the ledger, and the
// application deletes nothing in any case.
func TestLedgerRefuses(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for _, sql := range []string{
		`update consent.record set action = 'granted'`, `truncate consent.record`,
		`update consent.batch set row_count = 1`, `delete from consent.batch`, `truncate consent.batch`,
		`update consent.gone set erasure_digest = commitment`, `delete from consent.gone`, `truncate consent.gone`,
		`set role mahrem_app; delete from consent.record`, `set role mahrem_app; update consent.record set action = 'granted'`,
		`set role mahrem_app; insert into consent.gone (commitment, erasure_digest) select commitment, commitment from consent.record`,
		`set session_replication_role = replica; update consent.record set action = 'granted'`,
	} {
		tx, err := l.owner.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		refused := false
		for part := range strings.SplitSeq(sql, ";") {
			if _, err := tx.Exec(t.Context(), part); err != nil {
				refused = true
				break
			}
		}
		if !refused {
			t.Errorf("%s: went through", sql)
		}
		_ = tx.Rollback(context.Background())
	}
}

// ledger is a consent ledger of which some is erased.
type ledger struct {
	db    *postgres.DB
	owner interface {
		Begin(ctx context.Context) (pgx.Tx, error)
	}
}

// theRow is the one that is attacked.
var theRow = [16]byte{3}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	database := pgtest.New(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: database.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log, err := postgres.OpenAuditLog(t.Context(), db, logConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close(context.Background()) })
	owner := database.OwnerPool(t)
	store := postgres.NewConsentStore(db, log)
	record := func(n byte) consent.Record {
		return consent.Record{
			ID: [16]byte{n}, DataSubject: privacy.DataSubjectID{n}, Purpose: "newsletter", Channel: "email", Action: consent.Refused,
			Basis: privacy.Consent, NoticeVersion: "v1", Source: "web_form",
		}
	}
	event := audit.Event{Kind: audit.ConsentRefused, Outcome: audit.Done, Purpose: "newsletter", Channel: "email"}
	for n := byte(1); n <= 10; n++ {
		if _, err := owner.Exec(t.Context(), `insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'CZ')`, [16]byte{n}); err != nil {
			t.Fatal(err)
		}
		if n > 5 {
			continue
		}
		if _, err := store.Add(t.Context(), record(n), event); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.AddBatch(t.Context(), []consent.Record{record(6), record(7), record(8), record(9)}, audit.Event{}); err != nil {
		t.Fatal(err)
	}
	for n := byte(9); n <= 10; n++ {
		again := record(n)
		again.ID[1] = 1
		if _, err := store.Add(t.Context(), again, event); err != nil {
			t.Fatal(err)
		}
		eraseFromLedger(t, log, n)
	}
	return &ledger{db, owner}
}

// eraseFromLedger does what an erasure does to the ledger and the log.
func eraseFromLedger(t *testing.T, log *postgres.AuditLog, person byte) {
	t.Helper()
	_, err := log.AppendAllTx(t.Context(), func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		var digest []byte
		err := tx.QueryRow(ctx, `select consent_digest from vault.shred($1, $1, null, decode(repeat('00', 32), 'hex'), '\x00', 0, $2)`,
			[16]byte{person}, int64(person)).Scan(&digest)
		if err != nil {
			return nil, err
		}
		return []audit.Event{{Kind: audit.ConsentErased, Outcome: audit.Done, List: audit.Digest(digest), Count: 1}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// attack runs the statement as superuser with triggers switched off.
func (l *ledger) attack(t *testing.T, sql string) {
	t.Helper()
	tx, err := l.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	off := []string{"consent.record", "consent.batch", "consent.gone"}
	for _, table := range off {
		if _, err := tx.Exec(t.Context(), `alter table `+table+` disable trigger user`); err != nil {
			t.Fatal(err)
		}
	}
	var args []any
	if strings.Contains(sql, "$1") {
		args = append(args, theRow)
	}
	if sql == forgedRow {
		now := time.Now().UTC().Truncate(time.Microsecond)
		r := consent.Record{
			ID: [16]byte{77}, DataSubject: privacy.DataSubjectID{3}, Purpose: "newsletter", Channel: "email", Action: consent.Granted,
			Basis: privacy.Consent, NoticeVersion: "v1", Source: "web_form", Actor: consent.ByDataSubject, Salt: [16]byte{7}, EffectiveAt: now, RecordedAt: now,
		}
		c := r.Commitment()
		sql = `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at, recorded_at, salt, commitment)
			values ($1, $2, 'newsletter', 'email', 'granted', 'consent', false, 'v1', 'web_form', $3, $3, $4, $5)`
		args = []any{[16]byte(r.DataSubject), r.ID, now, r.Salt[:], c[:]}
	}
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
	for _, table := range off {
		if _, err := tx.Exec(t.Context(), `alter table `+table+` enable trigger user`); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
