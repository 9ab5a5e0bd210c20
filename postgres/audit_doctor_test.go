package postgres

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/internal/pgtest"
)

var updateSchema = flag.Bool("update-schema", false, "write audit_schema.txt anew after a migration of the log or the consent ledger; read the difference while doing so")

// TestAuditSchemaIsTheMigrations holds audit_schema.txt to what the migrations make.
func TestAuditSchemaIsTheMigrations(t *testing.T) {
	t.Parallel()
	facts, err := readSchemaFacts(t.Context(), pgtest.New(t).Pool(t))
	if err != nil {
		t.Fatal(err)
	}
	delete(facts, "settings") // those of the server that tests use
	if *updateSchema {
		if err := os.WriteFile("audit_schema.txt", []byte(facts.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(auditShipped, "\n"), strings.Split(facts.String(), "\n")); diff != "" {
		t.Errorf("audit_schema.txt is not what the migrations make; run go test ./postgres -run TestAuditSchemaIsTheMigrations -update-schema (-file +database):\n%s", diff)
	}
}

// TestAuditSchemaFindsWhatDiffers changes one thing after the other, as whoever owns the
// tables may, and expects it to be named: all of it and nothing else.
func TestAuditSchemaFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sql string
		want      []string
	}{
		{"nothing", `select 1`, nil},
		{"a signer that is another process", `revoke insert on audit.checkpoint, audit.cosignature from mahrem_app`, nil},
		{"a partition ahead", `select audit.add_partition(2)`, nil},
		{
			"a trigger disabled", `alter table audit.entry_p0 disable trigger refuse_row_change`,
			[]string{"table audit.entry_p0: missing: trigger always: CREATE TRIGGER refuse_row_change", "table audit.entry_p0: not as shipped: trigger disabled: CREATE TRIGGER refuse_row_change"},
		},
		{
			"a trigger that a replica passes", `alter table audit.checkpoint enable trigger refuse_truncate`,
			[]string{"table audit.checkpoint: missing: trigger always: CREATE TRIGGER refuse_truncate", "table audit.checkpoint: not as shipped: trigger unless a replica: CREATE TRIGGER refuse_truncate"},
		},
		{"a trigger dropped", `drop trigger refuse_truncate on audit.batch`, []string{"table audit.batch: missing: trigger always: CREATE TRIGGER refuse_truncate"}},
		{
			"a trigger added", `create trigger a before insert on audit.batch for each row execute function audit.refuse_change()`,
			[]string{"table audit.batch: not as shipped: trigger unless a replica: CREATE TRIGGER a"},
		},
		{
			"a function that refuses nothing", `create or replace function audit.refuse_change() returns trigger language plpgsql as 'begin return new; end'`,
			[]string{"function audit.refuse_change(): missing: returns trigger", "function audit.refuse_change(): not as shipped: returns trigger"},
		},
		{
			"a function with another's rights", `alter function audit.claim_head() security definer`,
			[]string{"function audit.claim_head(OUT size bigint, OUT root bytea): missing: ", "function audit.claim_head(OUT size bigint, OUT root bytea): not as shipped: "},
		},
		{
			"a function more", `create function audit.undo() returns void language sql as 'select'`,
			[]string{"function audit.undo(): not as shipped: grant execute to public", "function audit.undo(): not as shipped: returns void"},
		},
		{"a grant", `grant update on audit.entry to mahrem_app`, []string{"table audit.entry: not as shipped: grant update to mahrem_app"}},
		{"a grant of one column", `grant update (leaf) on audit.entry_p1 to public`, []string{"table audit.entry_p1: not as shipped: grant update (leaf) to public"}},
		{"a grant taken", `revoke insert on audit.batch from mahrem_app`, []string{"table audit.batch: missing: grant insert to mahrem_app"}},
		{"a right to define", `grant create on schema audit to mahrem_app`, []string{"schema audit: not as shipped: grant create to mahrem_app"}},
		{"a rule", `create rule r as on insert to audit.cosignature do instead nothing`, []string{"table audit.cosignature: not as shipped: rule r"}},
		{"row security", `alter table audit.entry enable row level security`, []string{"table audit.entry: not as shipped: row security"}},
		{
			"a constraint dropped", `alter table audit.tile_hi drop constraint tile_hi_is_full`,
			[]string{"table audit.tile_hi: missing: constraint tile_hi_is_full"},
		},
		{
			"a table that a crash empties", `alter table audit.tile_hi set unlogged`,
			[]string{"table audit.tile_hi: missing: table", "table audit.tile_hi: not as shipped: table of persistence u"},
		},
		{"a column more", `alter table audit.checkpoint add column secret text`, []string{"table audit.checkpoint: not as shipped: column secret text"}},
		{"a table more", `create table audit.entry_old ()`, []string{"table audit.entry_old: not as shipped: table"}},
		{"a view", `create view audit.v as select 1 as one`, []string{"table audit.v: not as shipped: column one integer", "table audit.v: not as shipped: relation of kind v", "table audit.v: not as shipped: rule _RETURN"}},
		{"a partition gone", `drop table audit.entry_p0, audit.tile0_p1`, []string{"table audit.entry_p0: missing: partition", "table audit.tile0_p1: missing: partition"}},
		{"a partition let go", `alter table audit.entry detach partition audit.entry_p1`, []string{"table audit.entry_p1: not as shipped: table", "table audit.entry_p1: missing: table, partition FOR VALUES FROM ('1048576') TO ('2097152')", "table audit.entry_p1: missing: trigger"}},
		{
			"default grants", `alter default privileges in schema audit grant select on tables to public`,
			[]string{"schema audit: not as shipped: default grant select to public"},
		},
		{
			"a trigger of the consent ledger disabled", `alter table consent.record disable trigger refuse_row_change`,
			[]string{"table consent.record: missing: trigger always: CREATE TRIGGER refuse_row_change", "table consent.record: not as shipped: trigger disabled: CREATE TRIGGER refuse_row_change"},
		},
		{"a trigger of an erasure's remains dropped", `drop trigger refuse_truncate on consent.gone`, []string{"table consent.gone: missing: trigger always: CREATE TRIGGER refuse_truncate"}},
		{"a grant on the consent ledger", `grant delete on consent.record to mahrem_app`, []string{"table consent.record: not as shipped: grant delete to mahrem_app"}},
		{"a grant of one column of the consent ledger", `grant update (url) on consent.subscriber to mahrem_app`, []string{"table consent.subscriber: not as shipped: grant update (url) to mahrem_app"}},
		{"a grant on the consent ledger taken", `revoke insert on consent.batch from mahrem_app`, []string{"table consent.batch: missing: grant insert to mahrem_app"}},
		{"a right to define beside the consent ledger", `grant create on schema consent to public`, []string{"schema consent: not as shipped: grant create to public"}},
		{"an index of the consent ledger dropped", `drop index consent.record_consent_id`, []string{"table consent.record: missing: index record_consent_id"}},
		{
			"an erasure that leaves nothing", `create or replace function vault.sweep(max_rows integer, only_erasure uuid, out rows_deleted bigint, out people bigint)
				language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin delete from consent.record; end $$`,
			[]string{"function vault.sweep(", "function vault.sweep("},
		},
		{
			"an erasure that anybody may carry out", `grant execute on function vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint) to public`,
			[]string{"function vault.shred("},
		},
		{
			"a function in the consent ledger", `create function consent.undo() returns void language sql as 'select'`,
			[]string{"function consent.undo(): not as shipped: grant execute to public", "function consent.undo(): not as shipped: returns void"},
		},
		{"a setting", `do $$ begin execute format('alter database %I set search_path = elsewhere', current_database()); end $$`, []string{"settings: not as shipped: search_path=elsewhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			if _, err := database.OwnerPool(t).Exec(t.Context(), test.sql); err != nil {
				t.Fatal(err)
			}
			differences, err := db.AuditSchema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range differences {
				if d.Object != "settings" || !strings.HasPrefix(d.Fact, "fsync=") && !strings.HasPrefix(d.Fact, "full_page_writes=") {
					got = append(got, d.String())
				}
			}
			same := len(got) == len(test.want)
			for i := range got {
				same = same && strings.HasPrefix(got[i], test.want[i])
			}
			if !same {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
