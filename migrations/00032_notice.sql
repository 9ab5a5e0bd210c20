-- +goose Up
-- The notices that people are shown when they are asked (GDPR Articles 7(1), 12 and 13, KVKK
-- Article 10): the texts by their digests, and from when each version holds. Nothing here
-- leads to a person. A version commits together with the entry of the log that says so, and
-- is never changed: another text is another version.

create table consent.notice_text (
    digest bytea not null,
    body text not null,
    constraint notice_text_pkey primary key (digest),
    constraint notice_text_digest_is_of_the_text check (digest = sha256(convert_to(body, 'UTF8'))),
    constraint notice_text_has_a_length check (octet_length(body) between 1 and 1048576)
);

create table consent.notice (
    notice_version text not null,
    family text not null,
    material boolean not null,
    effective_from timestamptz not null,
    digest bytea not null,
    published_at timestamptz not null default clock_timestamp(),
    constraint notice_pkey primary key (notice_version),
    constraint notice_version_is_a_name check (notice_version ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$'),
    constraint notice_family_is_a_key check (family ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint notice_digest_has_its_length check (octet_length(digest) = 32)
);

create table consent.notice_language (
    notice_version text not null,
    language text not null,
    digest bytea not null,
    constraint notice_language_pkey primary key (notice_version, language),
    constraint notice_language_is_of_a_notice foreign key (notice_version) references consent.notice (notice_version),
    constraint notice_language_has_its_text foreign key (digest) references consent.notice_text (digest),
    constraint notice_language_is_a_tag check (language ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$' and length(language) <= 35)
);

create table consent.notice_purpose (
    notice_version text not null,
    purpose text not null,
    constraint notice_purpose_pkey primary key (notice_version, purpose),
    constraint notice_purpose_is_of_a_notice foreign key (notice_version) references consent.notice (notice_version),
    constraint notice_purpose_is_a_key check (purpose ~ '^[a-z][a-z0-9_.]{0,63}$')
);

-- From when a yes to a version is out of date for a purpose: derived from the above, so that
-- whoever reads consent looks up one row. A version that is not registered counts as older
-- than all that are, and has the name ''. No row, or no time: it is not out of date.
create table consent.stale_notice (
    purpose text not null,
    notice_version text not null,
    stale_at timestamptz,
    constraint stale_notice_pkey primary key (purpose, notice_version)
);

-- The first material notice that touches the purpose and took effect later than the version.
-- Publishing only ever adds, so nothing is taken back here.
-- +goose StatementBegin
create function consent.derive_stale_notices() returns void
    language sql
    security definer
    set search_path = pg_catalog, pg_temp
as $$
    insert into consent.stale_notice as s (purpose, notice_version, stale_at)
    select touched.purpose, version.notice_version,
        min(touched.effective_from) filter (where touched.effective_from > version.effective_from)
    from (
        select p.purpose, n.effective_from
        from consent.notice_purpose p
        join consent.notice n on n.notice_version = p.notice_version
        where n.material
    ) touched
    cross join (
        select n.notice_version, n.effective_from
        from consent.notice n
        union all
        select '', '-infinity'
    ) version
    group by touched.purpose, version.notice_version
    on conflict (purpose, notice_version) do update
        set stale_at = excluded.stale_at
        where s.stale_at is distinct from excluded.stale_at
$$;
-- +goose StatementEnd
revoke all on function consent.derive_stale_notices() from public;

grant select, insert on consent.notice_text, consent.notice, consent.notice_language, consent.notice_purpose to mahrem_app;
grant select on consent.stale_notice to mahrem_app;
grant execute on function consent.derive_stale_notices() to mahrem_app;
