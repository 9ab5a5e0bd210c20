-- +goose Up
-- How often keys were opened. The log says now and then that the uses were counted
-- (keys.counted), with the digest of the reports it covers; here is what those are
-- digests of. Nothing in it is about one person, and nothing has a reason to change.

-- What one process opened, for one use, since its last report.
create table archive.key_use (
    report bytea not null,
    purpose text not null,
    opened bigint not null,
    abandoned bigint not null,
    since timestamptz not null,
    until timestamptz not null,
    constraint key_use_pkey primary key (report, purpose),
    constraint key_use_report_has_its_length check (octet_length(report) = 16),
    constraint key_use_purpose_is_a_word check (purpose ~ '^[a-z_]{1,32}$'),
    constraint key_use_is_not_empty check (opened >= 1),
    constraint key_use_abandons_what_was_opened check (abandoned between 0 and opened),
    constraint key_use_begins_before_it_ends check (since <= until)
);
create index key_use_by_end on archive.key_use (until);

-- Which entry of the log covers which report: digest is its list.
create table archive.key_count (
    report bytea not null,
    digest bytea not null,
    constraint key_count_pkey primary key (report),
    constraint key_count_report_has_its_length check (octet_length(report) = 16),
    constraint key_count_digest_has_its_length check (octet_length(digest) = 32)
);

grant select, insert on archive.key_use, archive.key_count to mahrem_app;
select audit.guard(t) from unnest(array['archive.key_use', 'archive.key_count']::regclass[]) as t;
