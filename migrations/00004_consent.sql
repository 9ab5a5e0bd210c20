-- +goose Up
-- The consent ledger (GDPR Article 7(1)): rows are added and never changed. The current
-- state is a fold over them.

create schema consent;
grant usage on schema consent to mahrem_app;

create table consent.record (
    data_subject_id uuid not null,
    consent_id uuid not null,
    purpose text not null,
    channel text not null,
    action text not null,
    legal_basis text not null,
    explicit boolean not null,
    categories text[] not null default '{}',
    notice_version text not null,
    source text not null,
    incentive boolean not null default false,
    effective_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    valid_until timestamptz,
    constraint record_pkey primary key (data_subject_id, consent_id),
    constraint record_action_is_known check (action in ('granted', 'refused', 'withdrawn', 'objected')),
    constraint record_legal_basis_is_known check (legal_basis in
        ('consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests')),
    constraint record_categories_need_explicit check (explicit or cardinality(categories) = 0),
    constraint record_end_is_after_start check (valid_until is null or valid_until > effective_at),
    constraint record_purpose_is_a_key check (purpose ~ '^[a-z][a-z0-9_.]{0,63}$'),
    constraint record_channel_is_a_key check (channel ~ '^(\*|[a-z][a-z0-9_.]{0,31})$')
);
create index record_fold on consent.record (data_subject_id, purpose, channel, effective_at desc, recorded_at desc, consent_id desc);
grant select, insert on consent.record to mahrem_app;
