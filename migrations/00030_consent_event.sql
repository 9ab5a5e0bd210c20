-- +goose Up
-- What a row of the consent ledger must be able to show (GDPR Articles 7(1) and 8): who
-- acted, in which language, under which law, and where the evidence is. And what the log
-- commits to: rows from before have no salt and no commitment.

alter table consent.record
    drop constraint record_action_is_known,
    add constraint record_action_is_known check (action in ('granted', 'renewed', 'refused', 'withdrawn', 'expired',
        'objected', 'guardian_granted', 'guardian_withdrawn')),
    add column actor text not null default 'data_subject',
    add column guardian_verified boolean not null default false,
    add column language text not null default '',
    add column evidence_ref text not null default '',
    add column jurisdiction text not null default '',
    add column salt bytea,
    add column commitment bytea,
    add column batch_id uuid,
    add column batch_position integer,
    add constraint record_actor_is_known check (actor in ('data_subject', 'guardian', 'agent', 'registry', 'system')),
    add constraint record_guardian_acts check (actor = 'guardian' or not guardian_verified),
    add constraint record_guardian_actions_are_theirs check (actor = 'guardian' or action not like 'guardian\_%'),
    add constraint record_language_is_a_tag check (language ~ '^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$' and length(language) <= 35),
    add constraint record_evidence_is_a_reference check (evidence_ref ~ '^([A-Za-z0-9][A-Za-z0-9._:/-]{0,127})?$'),
    add constraint record_jurisdiction_is_a_key check (jurisdiction ~ '^([A-Za-z][A-Za-z0-9_-]{0,31})?$'),
    add constraint record_salt_has_a_length check (octet_length(salt) = 16),
    add constraint record_commitment_has_a_length check (octet_length(commitment) = 32),
    add constraint record_commitment_needs_salt check ((salt is null) = (commitment is null)),
    add constraint record_batch_has_a_position check ((batch_id is null) = (batch_position is null) and batch_position >= 0);
create unique index record_commitment on consent.record (commitment);
create index record_batch on consent.record (batch_id, batch_position) where batch_id is not null;
