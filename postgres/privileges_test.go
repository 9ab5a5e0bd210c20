package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/pgtest"
)

// ours restricts a query over pg_class c or pg_proc p to what the migrations made.
const ours = ` n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%' `

// TestPrivilegesOfTheApplication reads what the migrations grant in full, from the
// catalogue of the database itself, so that a later table cannot forget the rule.
func TestPrivilegesOfTheApplication(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t).OwnerPool(t)
	for name, query := range map[string]string{
		"deletes or truncates": `
			select n.nspname || '.' || c.relname
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where c.relkind in ('r', 'p', 'v', 'm', 'f') and ` + ours + `
			and (has_table_privilege($1, c.oid, 'delete') or has_table_privilege($1, c.oid, 'truncate')
				or has_table_privilege($1, c.oid, 'trigger') or has_table_privilege($1, c.oid, 'references'))`,
		"changes evidence": `
			select n.nspname || '.' || c.relname || '.' || a.attname
			from pg_class c join pg_namespace n on n.oid = c.relnamespace
			join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname in ('audit', 'consent', 'policy')
			and has_column_privilege($1, c.oid, a.attnum, 'update')
			-- What beside the evidence may change, column by column. A subscriber is a setting: that
			-- it was added and removed stands in the log; nothing but its end may be set, and never
			-- what it is told and where. Of the national registry it is kept what it said last, how
			-- far reading went and how a message fared: what people chose is in consent.record.
			and n.nspname || '.' || c.relname || '.' || a.attname <> all (array[
				'consent.subscriber.removed_at',
				'consent.iys_standing.status', 'consent.iys_standing.said_at',
				'consent.iys_sent.outcome', 'consent.iys_sent.code',
				'consent.iys_exchange.row_number', 'consent.iys_exchange.after', 'consent.iys_exchange.rows_read',
				'consent.iys_exchange.rows_rejected', 'consent.iys_exchange.rows_nobody', 'consent.iys_exchange.rows_recorded',
				'consent.iys_exchange.rows_known', 'consent.iys_exchange.rows_held_back', 'consent.iys_exchange.done',
				'consent.iys_exchange.updated_at'])`,
		"owns": `
			select c.relname from pg_class c join pg_roles r on r.oid = c.relowner where r.rolname = $1
			union all select p.proname from pg_proc p join pg_roles r on r.oid = p.proowner where r.rolname = $1
			union all select n.nspname from pg_namespace n join pg_roles r on r.oid = n.nspowner where r.rolname = $1`,
		"makes things in": `
			select n.nspname from pg_namespace n where ` + ours + ` and has_schema_privilege($1, n.oid, 'create')`,
		"is more than a role": `
			select rolname from pg_roles where rolname = $1
			and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)`,
		"is a member of": `
			-- mahrem_room sees views of one room's facts, see TestRoomRoleSeesItsRoom.
			select r.rolname from pg_roles r where r.rolname not in ($1, 'mahrem_room') and pg_has_role($1, r.oid, 'member')`,
		// A function that runs with its owner's rights must not look up names where its
		// caller says (CVE-2018-1058), nor be open to everybody.
		"could trick": `
			select n.nspname || '.' || p.proname
			from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			where p.prosecdef and ` + ours + ` and $1 <> ''
			and (not exists (select from unnest(p.proconfig) setting where setting like 'search\_path=%')
				or p.proacl is null
				or exists (select from aclexplode(p.proacl) a where a.grantee = 0 and a.privilege_type = 'EXECUTE'))`,
	} {
		rows, err := pool.Query(t.Context(), query, appRole)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, object := range found {
			t.Errorf("%s %s %s", appRole, name, object)
		}
	}
}

// TestPrivilegesTestFails shows that the queries above see a grant when there is one.
func TestPrivilegesTestFails(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t).OwnerPool(t)
	if _, err := pool.Exec(t.Context(), `grant update (purpose) on consent.record to mahrem_app`); err != nil {
		t.Fatal(err)
	}
	var may bool
	if err := pool.QueryRow(t.Context(), `select has_any_column_privilege('mahrem_app', 'consent.record', 'update')`).Scan(&may); err != nil || !may {
		t.Errorf("got %t, %v, want the grant to show", may, err)
	}
}
