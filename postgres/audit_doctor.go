package postgres

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// auditShipped is the schemas audit and consent as the migrations make them, one fact a
// line, in the words of sqlAuditFacts. A test holds it to the migrations.
//
//go:embed audit_schema.txt
var auditShipped string

// SchemaDifference is one fact about the schema of the log or of the consent ledger, or
// about who may do what there, that is not as it was shipped.
type SchemaDifference struct {
	// Object is the table, function or role concerned.
	Object string `json:"object"`
	// Fact is what is missing or should not be there.
	Fact string `json:"fact"`
	// Found is true for what should not be there, and false for what is missing.
	Found bool `json:"found"`
}

// String is the difference in one line.
func (d SchemaDifference) String() string {
	if d.Found {
		return d.Object + ": not as shipped: " + d.Fact
	}
	return d.Object + ": missing: " + d.Fact
}

// sqlAuditFacts reads from the catalogue all that decides what can happen to the log and to
// the consent ledger, with the functions by which an erasure takes rows out of that:
// tables with their columns, constraints, triggers (and whether they always fire), rules,
// row policies, functions with a digest of their text, grants, owners and roles. The
// owner of the schema, whose name is the operator's choice, appears as "the owner".
// Constraints are without their parentheses, of which a dump and its restore drop some.
const sqlAuditFacts = `
with home as (
    select n.oid, n.nspname, n.nspowner as owner, n.nspacl from pg_namespace n where n.nspname in ('audit', 'consent')
), relation as (
    select c.oid, 'table ' || home.nspname || '.' || c.relname as object, home.owner, c.relname, c.relkind, c.relpersistence, c.relowner, c.relacl,
        c.relrowsecurity, c.relforcerowsecurity, c.relispartition
    from pg_class c, home where c.relnamespace = home.oid and c.relkind not in ('i', 'I', 't', 'c')
), routine as (
    select p.oid, 'function ' || n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as object,
        n.nspowner as owner, p.proowner, p.proacl,
        p.prokind, p.prosecdef, p.proconfig, p.provolatile, p.prosrc, p.prolang, pg_get_function_result(p.oid) as result
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('audit', 'consent') or n.nspname = 'vault' and p.proname in ('shred', 'sweep')
), fact as (
    select 'schema ' || nspname as object, 'exists' as fact from home
    union all
    select object, case relkind when 'r' then 'table' when 'p' then 'partitioned table' else 'relation of kind ' || relkind::text end
        || case relpersistence when 'p' then '' else ' of persistence ' || relpersistence::text end
        || case when relispartition then ', partition ' || (select pg_get_expr(c.relpartbound, c.oid) from pg_class c where c.oid = relation.oid) else '' end
    from relation
    union all
    select object, 'row security' from relation where relrowsecurity or relforcerowsecurity
    union all
    select object, 'owned by ' || pg_get_userbyid(relowner) from relation where relowner <> owner
    union all
    select r.object, 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
        || case when a.attgenerated <> '' then ' generated' else '' end || case when a.attidentity <> '' then ' identity' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where r.relkind <> 'S'
    union all
    select r.object, 'constraint ' || k.conname || ' ' || regexp_replace(pg_get_constraintdef(k.oid), '[() ]+', ' ', 'g') || case when k.convalidated then '' else ' not valid' end
    from relation r join pg_constraint k on k.conrelid = r.oid and k.contype <> 'n'
    union all
    select r.object, 'index ' || i.relname || ' ' || pg_get_indexdef(i.oid) || case when x.indisvalid then '' else ' not valid' end
    from relation r join pg_index x on x.indrelid = r.oid join pg_class i on i.oid = x.indexrelid
    where not exists (select from pg_constraint k where k.conindid = i.oid and k.conrelid = r.oid)
    union all
    select r.object, 'trigger ' || case t.tgenabled when 'A' then 'always' when 'O' then 'unless a replica' when 'D' then 'disabled' else 'only as a replica' end
        || ': ' || pg_get_triggerdef(t.oid)
    from relation r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
    union all
    select r.object, 'foreign key trigger disabled' from relation r join pg_trigger t on t.tgrelid = r.oid and t.tgisinternal and t.tgenabled not in ('O', 'A')
    union all
    select r.object, 'rule ' || w.rulename from relation r join pg_rewrite w on w.ev_class = r.oid
    union all
    select r.object, 'row policy ' || p.polname from relation r join pg_policy p on p.polrelid = r.oid
    union all
    select object, 'returns ' || coalesce(result, 'nothing') || ', ' || (select l.lanname from pg_language l where l.oid = prolang)
        || case when prosecdef then ', with the rights of its owner' else '' end || case provolatile when 'v' then '' else ', volatility ' || provolatile::text end
        || coalesce(', ' || array_to_string(proconfig, ', '), '') || ', text ' || left(encode(sha256(convert_to(prosrc, 'UTF8')), 'hex'), 16)
    from routine
    union all
    select object, 'owned by ' || pg_get_userbyid(proowner) from routine where proowner <> owner
    union all
    select o.object, 'grant ' || lower(g.privilege_type) || ' to ' || case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end
        || case when g.is_grantable then ' with grant option' else '' end
    from (
        select 'schema ' || h.nspname as object, coalesce(h.nspacl, acldefault('n', h.owner)) as acl, h.owner from home h
        union all select r.object, coalesce(r.relacl, acldefault('r', r.relowner)), r.relowner from relation r
        union all select f.object, coalesce(f.proacl, acldefault('f', f.proowner)), f.proowner from routine f
    ) o, aclexplode(o.acl) g
    where g.grantee <> o.owner
    union all
    select r.object, 'grant ' || lower(g.privilege_type) || ' (' || a.attname || ') to ' || case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end
    from relation r join pg_attribute a on a.attrelid = r.oid and a.attacl is not null, aclexplode(a.attacl) g
    where g.grantee <> r.owner
    union all
    select 'schema ' || home.nspname, 'default grant ' || lower(g.privilege_type) || ' to ' || case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end
    from home, pg_default_acl d, aclexplode(d.defaclacl) g
    where (d.defaclnamespace = home.oid or d.defaclnamespace = 0 and d.defaclrole = home.owner) and g.grantee <> home.owner
    union all
    select 'role ' || r.rolname, 'may ' || may.what
    from pg_roles r, lateral (values ('everything', r.rolsuper), ('make roles', r.rolcreaterole), ('make databases', r.rolcreatedb),
        ('replicate', r.rolreplication), ('pass row policies', r.rolbypassrls)) may (what, so)
    where r.rolname in ('mahrem_app', 'mahrem_signer') and may.so
    union all
    select 'role ' || r.rolname, 'is a member of ' || case when g.oid = h.owner then 'the owner' else g.rolname end
    from (select distinct owner from home) h, pg_roles r join pg_roles g on g.oid <> r.oid and not r.rolsuper and pg_has_role(r.oid, g.oid, 'member')
    where r.rolname in ('mahrem_app', 'mahrem_signer')
    union all
    select 'role ' || r.rolname, 'owns the schema ' || home.nspname from home join pg_roles r on r.oid = home.owner where r.rolname in ('mahrem_app', 'mahrem_signer')
    union all
    select 'settings', setting from pg_db_role_setting s, unnest(s.setconfig) setting
    where (s.setdatabase = 0 or s.setdatabase = (select d.oid from pg_database d where d.datname = current_database()))
        and (s.setrole = 0 or s.setrole in (select r.oid from pg_roles r where r.rolname in ('mahrem_app', 'mahrem_signer')))
        and split_part(setting, '=', 1) in ('session_replication_role', 'search_path', 'synchronous_commit', 'row_security', 'session_preload_libraries')
    union all
    select 'settings', s.name || '=' || s.setting from pg_settings s where s.name in ('fsync', 'full_page_writes') and s.setting <> 'on'
)
select object, fact from fact order by object, fact`

// AuditSchema compares the schemas of the log and of the consent ledger, the triggers that
// guard them and the rights of those who write there with what the migrations of this release make, and returns what
// differs. It asks the database about itself: whoever has every right there can also lie
// here. It finds what was switched off and left, not what was put back.
func (db *DB) AuditSchema(ctx context.Context) ([]SchemaDifference, error) {
	facts, err := readSchemaFacts(ctx, db.pool)
	if err != nil {
		return nil, fmt.Errorf("examining schema of the log: %w", err)
	}
	size, _, err := readHead(ctx, db.pool)
	if err != nil {
		return nil, fmt.Errorf("examining schema of the log: %w", err)
	}
	return compareSchema(parseSchemaFacts(auditShipped), facts, size), nil
}

// schemaFacts are the facts of each object.
type schemaFacts map[string][]string

func readSchemaFacts(ctx context.Context, q querier) (schemaFacts, error) {
	rows, err := q.Query(ctx, sqlAuditFacts)
	if err != nil {
		return nil, translate(err)
	}
	facts := schemaFacts{}
	var object, fact string
	if _, err := pgx.ForEachRow(rows, []any{&object, &fact}, func() error {
		facts[object] = append(facts[object], fact)
		return nil
	}); err != nil {
		return nil, translate(err)
	}
	return facts, nil
}

func parseSchemaFacts(text string) schemaFacts {
	facts := schemaFacts{}
	for line := range strings.Lines(text) {
		if object, fact, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " | "); ok {
			facts[object] = append(facts[object], fact)
		}
	}
	return facts
}

// String writes the facts as they are shipped.
func (f schemaFacts) String() string {
	var lines []string
	for object, facts := range f {
		for _, fact := range facts {
			lines = append(lines, object+" | "+fact+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// partitionName takes a partition apart. Each must look like the first one.
var partitionName = regexp.MustCompile(`^table audit\.((entry|tile0)_p)([0-9]+)$`)

// like returns what a partition would have to look like, by what the first one of its
// kind looks like.
func (f schemaFacts) like(match []string) []string {
	k, err := strconv.ParseInt(match[3], 10, 32)
	if err != nil {
		return nil
	}
	width := int64(partitionSize)
	if match[2] == "tile0" {
		width = partitionSize / 256
	}
	var facts []string
	for _, fact := range f["table audit."+match[1]+"0"] {
		fact = strings.ReplaceAll(fact, match[1]+"0", match[1]+match[3])
		fact = strings.ReplaceAll(fact, fmt.Sprintf("FROM ('0') TO ('%d')", width), fmt.Sprintf("FROM ('%d') TO ('%d')", k*width, (k+1)*width))
		facts = append(facts, fact)
	}
	return facts
}

// Where the signer is another process, the server has no right to add checkpoints. It
// needs it otherwise, and says so at every attempt to sign: that it is missing is no hole.
const signersGrant = "grant insert to mahrem_app"

var signersTables = map[string]bool{"table audit.checkpoint": true, "table audit.cosignature": true}

// compareSchema says what differs in the schema of a log with size entries. Partitions may
// be any pairs that follow one another as far as the log goes: old ones are given up, and
// new ones made ahead.
func compareSchema(shipped, found schemaFacts, size uint64) []SchemaDifference {
	var differences []SchemaDifference
	compare := func(object string, want, got []string) {
		for _, fact := range want {
			if !slices.Contains(got, fact) && !(fact == signersGrant && signersTables[object]) {
				differences = append(differences, SchemaDifference{object, fact, false})
			}
		}
		for _, fact := range got {
			if !slices.Contains(want, fact) {
				differences = append(differences, SchemaDifference{object, fact, true})
			}
		}
	}
	partitions := map[string]bool{}
	first, last := int(size/partitionSize), int(size/partitionSize)
	for object, facts := range found {
		want := shipped[object]
		if match := partitionName.FindStringSubmatch(object); match != nil {
			if want = shipped.like(match); want != nil {
				k, _ := strconv.Atoi(match[3])
				partitions[object], first, last = true, min(first, k), max(last, k)
			}
		}
		compare(object, want, facts)
	}
	for object, facts := range shipped {
		if found[object] == nil && !partitionName.MatchString(object) {
			compare(object, facts, nil)
		}
	}
	for k := first; k <= last; k++ {
		for _, kind := range []string{"entry", "tile0"} {
			if object := fmt.Sprintf("table audit.%s_p%d", kind, k); !partitions[object] {
				differences = append(differences, SchemaDifference{object, "partition", false})
			}
		}
	}
	slices.SortFunc(differences, func(a, b SchemaDifference) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Fact, b.Fact))
	})
	return differences
}
