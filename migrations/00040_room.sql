-- +goose Up
-- Rooms between companies: who takes part, what was signed, what has been spent of whose
-- privacy budget, and what was told for it. There is nothing of any person in here: the
-- people are in the snapshots, and answers are noisy numbers about groups.

create schema cleanroom;
grant usage on schema cleanroom to mahrem_app;

-- A key that was taken back is not given again, so that what it had signed can be checked.
create table cleanroom.party (
    party_id text not null,
    -- An Ed25519 verifier as C2SP signed notes write it.
    verifier text not null,
    added_at timestamptz not null,
    removed_at timestamptz,
    constraint party_pkey primary key (party_id, verifier),
    constraint party_id_is_a_word check (party_id ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint party_verifier_is_bounded check (verifier ~ '^[^[:space:]+]+[+][0-9a-f]{8}[+][A-Za-z0-9+/=]{40,64}$' and length(verifier) <= 256),
    constraint party_is_removed_after_it_was_added check (removed_at >= added_at)
);
create unique index party_has_one_key on cleanroom.party (party_id) where removed_at is null;
grant select, insert, update (removed_at) on cleanroom.party to mahrem_app;

create table cleanroom.room (
    room_id text not null,
    purpose text not null,
    mode text not null,
    matching text not null,
    minimum_epoch_seconds bigint not null,
    -- How many people a dataset must have at least to be admitted.
    minimum_members bigint not null,
    -- Counts the matches.
    epoch integer not null default 0,
    matched_at timestamptz,
    opened_at timestamptz not null,
    closed_at timestamptz,
    constraint room_pkey primary key (room_id),
    constraint room_id_is_a_word check (room_id ~ '^[a-z0-9_]{1,40}$'),
    constraint room_purpose_is_a_word check (purpose ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint room_mode_is_known check (mode in ('dp', 'k_only')),
    constraint room_matching_is_known check (matching in ('operator', 'blind', 'pair', 'oprf')),
    constraint room_epoch_is_bounded check (minimum_epoch_seconds between 0 and 31622400),
    constraint room_members_are_many check (minimum_members between 2 and 1000000000),
    constraint room_epoch_counts_matches check (epoch >= 0 and (epoch = 0) = (matched_at is null)),
    constraint room_is_closed_after_it_was_opened check (closed_at >= opened_at)
);
grant select, insert, update (epoch, matched_at, closed_at) on cleanroom.room to mahrem_app;

create table cleanroom.room_member (
    room_id text not null,
    party_id text not null,
    roles text[] not null,
    constraint room_member_pkey primary key (room_id, party_id),
    constraint room_member_is_of_a_room foreign key (room_id) references cleanroom.room (room_id),
    constraint room_member_is_a_word check (party_id ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint room_member_has_known_roles check (cardinality(roles) between 1 and 4
        and roles <@ array['owns_data', 'may_query', 'may_receive', 'may_activate'])
);
grant select, insert on cleanroom.room_member to mahrem_app;

-- Which datasets a room lets in. Their contracts are none of the room's affair.
create table cleanroom.room_dataset (
    room_id text not null,
    owner text not null,
    dataset text not null,
    constraint room_dataset_pkey primary key (room_id, owner, dataset),
    constraint room_dataset_is_a_members foreign key (room_id, owner) references cleanroom.room_member (room_id, party_id),
    constraint room_dataset_is_a_word check (dataset ~ '^[a-z0-9_]{1,40}$')
);
grant select, insert on cleanroom.room_dataset to mahrem_app;

-- What an owner has signed. The highest version binds.
create table cleanroom.contract (
    owner text not null,
    dataset text not null,
    version integer not null,
    -- The signed note, byte for byte, and the key that signed it.
    note bytea not null,
    verifier text not null,
    digest bytea not null,
    -- Why a cap was raised, if it was.
    raised_because text,
    added_at timestamptz not null,
    constraint contract_pkey primary key (owner, dataset, version),
    constraint contract_is_of_a_party foreign key (owner, verifier) references cleanroom.party (party_id, verifier),
    constraint contract_dataset_is_a_word check (dataset ~ '^[a-z0-9_]{1,40}$'),
    constraint contract_version_counts_from_one check (version >= 1),
    constraint contract_note_is_bounded check (octet_length(note) between 1 and 1048576),
    constraint contract_digest_is_a_sha256 check (octet_length(digest) = 32),
    constraint contract_reason_is_bounded check (length(raised_because) between 1 and 500)
);
grant select, insert on cleanroom.contract to mahrem_app;

-- A question that parties have agreed on, with holes, and who has signed it.
create table cleanroom.template (
    room_id text not null,
    name text not null,
    version integer not null,
    -- The text of the note, without signatures.
    text bytea not null,
    digest bytea not null,
    added_at timestamptz not null,
    constraint template_pkey primary key (room_id, name, version),
    constraint template_is_of_a_room foreign key (room_id) references cleanroom.room (room_id),
    constraint template_name_is_a_word check (name ~ '^[a-z0-9_]{1,40}$'),
    constraint template_version_counts_from_one check (version >= 1),
    constraint template_text_is_bounded check (octet_length(text) between 1 and 262144),
    constraint template_digest_is_a_sha256 check (octet_length(digest) = 32)
);
create table cleanroom.template_signature (
    room_id text not null,
    name text not null,
    version integer not null,
    party_id text not null,
    verifier text not null,
    -- The line that is put under the text: name, and signature in base64.
    line text not null,
    signed_at timestamptz not null,
    constraint template_signature_pkey primary key (room_id, name, version, party_id),
    constraint template_signature_is_of_a_template foreign key (room_id, name, version) references cleanroom.template (room_id, name, version),
    constraint template_signature_is_of_a_member foreign key (room_id, party_id) references cleanroom.room_member (room_id, party_id),
    constraint template_signature_is_of_a_key foreign key (party_id, verifier) references cleanroom.party (party_id, verifier),
    constraint template_signature_is_a_line check (line !~ '[\r\n]' and length(line) between 1 and 1024)
);
grant select, insert on cleanroom.template, cleanroom.template_signature to mahrem_app;

-- What may ever be learned of any one person of a dataset, by everybody together, and what
-- has been learned, in billionths of zCDP's rho. It is one row for all rooms, and its spent
-- only grows. Where a cap was lowered below what was spent by then, that is the floor.
create table cleanroom.budget (
    owner text not null,
    dataset text not null,
    cap bigint not null,
    consumer_cap bigint not null,
    spent bigint not null default 0,
    floor bigint not null default 0,
    constraint budget_pkey primary key (owner, dataset),
    constraint budget_caps_are_no_debts check (cap >= 0 and consumer_cap >= 0 and floor >= 0),
    constraint budget_stays_within_its_cap check (spent between 0 and greatest(cap, floor))
);
create table cleanroom.consumer_budget (
    owner text not null,
    dataset text not null,
    consumer text not null,
    cap bigint not null,
    spent bigint not null default 0,
    floor bigint not null default 0,
    constraint consumer_budget_pkey primary key (owner, dataset, consumer),
    constraint consumer_budget_is_part_of_a_budget foreign key (owner, dataset) references cleanroom.budget (owner, dataset),
    constraint consumer_budget_is_a_consumers check (consumer ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint consumer_budget_cap_is_no_debt check (cap >= 0 and floor >= 0),
    constraint consumer_budget_stays_within_its_cap check (spent between 0 and greatest(cap, floor))
);
grant select, insert, update (cap, consumer_cap, spent, floor) on cleanroom.budget to mahrem_app;
grant select, insert, update (cap, spent, floor) on cleanroom.consumer_budget to mahrem_app;

-- +goose StatementBegin
create function cleanroom.refuse_refund() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'what has been spent of a privacy budget is not given back: %.%', new.owner, new.dataset
        using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd
create trigger refuse_refund before update on cleanroom.budget
    for each row when (new.spent < old.spent) execute function cleanroom.refuse_refund();
create trigger refuse_refund before update on cleanroom.consumer_budget
    for each row when (new.spent < old.spent) execute function cleanroom.refuse_refund();

-- One row for each question that was charged, or answered with an answer that was there.
create table cleanroom.run (
    run_id bigint generated always as identity,
    room_id text not null,
    consumer text not null,
    question bytea not null,
    -- Each of these datasets (owner.dataset) has paid the cost.
    datasets text[] not null,
    cost bigint not null,
    state text not null,
    begun_at timestamptz not null,
    ended_at timestamptz,
    constraint run_pkey primary key (run_id),
    constraint run_is_of_a_room foreign key (room_id) references cleanroom.room (room_id),
    constraint run_is_a_consumers check (consumer ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint run_question_is_a_sha256 check (octet_length(question) = 32),
    constraint run_cost_is_no_gain check (cost >= 0),
    constraint run_datasets_are_bounded check (cardinality(datasets) between 0 and 16),
    constraint run_state_is_known check (state in ('running', 'answered', 'failed', 'repeated')),
    constraint run_that_repeats_is_free check (state <> 'repeated' or cost = 0),
    constraint run_is_over_when_it_ended check ((state = 'running') = (ended_at is null) and ended_at >= begun_at)
);
create index run_of_a_room on cleanroom.run (room_id, run_id);
-- Two cannot compute the answer to one question at the same time.
create unique index run_is_alone_with_its_question on cleanroom.run (question) where state = 'running';
grant select, insert, update (state, ended_at) on cleanroom.run to mahrem_app;

-- What was told. The same question gets the same answer for ever.
create table cleanroom.release (
    question bytea not null,
    run_id bigint not null,
    room_id text not null,
    consumer text not null,
    query bytea not null,
    snapshots bigint[] not null,
    mode text not null,
    cost bigint not null,
    answer bytea not null,
    digest bytea not null,
    released_at timestamptz not null,
    constraint release_pkey primary key (question),
    constraint release_is_of_a_run foreign key (run_id) references cleanroom.run (run_id),
    constraint release_is_of_a_room foreign key (room_id) references cleanroom.room (room_id),
    constraint release_mode_is_known check (mode in ('dp', 'k_only')),
    constraint release_query_is_bounded check (octet_length(query) between 1 and 262144),
    constraint release_answer_is_bounded check (octet_length(answer) between 1 and 33554432),
    constraint release_cost_is_no_gain check (cost >= 0),
    constraint release_digest_is_a_sha256 check (octet_length(digest) = 32)
);
create unique index release_has_a_run on cleanroom.release (run_id);
create index release_of_a_room on cleanroom.release (room_id, run_id);
grant select, insert on cleanroom.release to mahrem_app;
