-- +goose Up
-- How many blinded elements were evaluated for a dataset before a match: what was declared
-- bounds it. They are counted before they are evaluated.
create table cleanroom.evaluation (
    room_id text not null,
    owner text not null,
    dataset text not null,
    epoch integer not null,
    -- How many people its owner says there are.
    members bigint not null,
    elements bigint not null,
    begun_at timestamptz not null,
    constraint evaluation_pkey primary key (room_id, owner, dataset, epoch),
    constraint evaluation_is_of_a_room foreign key (room_id, owner, dataset) references cleanroom.room_dataset (room_id, owner, dataset),
    constraint evaluation_epoch_counts_from_one check (epoch >= 1),
    constraint evaluation_is_of_somebody check (members >= 1),
    constraint evaluation_stays_within_its_quota check (elements between 0 and members + (members + 4) / 5)
);
grant select, insert, update (elements) on cleanroom.evaluation to mahrem_app;

-- Behavioural types of the house's own people: how they are told apart, and what was told of
-- them. Who is of which type stands in nobody's row but in their own sealed record.
create table cleanroom.persona (
    name text not null,
    version integer not null,
    definition bytea not null,
    digest bytea not null,
    defined_at timestamptz not null,
    constraint persona_pkey primary key (name, version),
    constraint persona_name_is_a_word check (name ~ '^[a-z0-9_]{1,40}$'),
    constraint persona_version_counts_from_one check (version >= 1),
    constraint persona_definition_is_bounded check (octet_length(definition) between 1 and 262144),
    constraint persona_digest_is_a_sha256 check (octet_length(digest) = 32)
);
grant select, insert on cleanroom.persona to mahrem_app;

-- What may be learned of any one person by all descriptions together, for ever, in billionths
-- of zCDP's rho, and what has been.
create table cleanroom.persona_budget (
    only_one boolean not null default true,
    cap bigint not null,
    spent bigint not null default 0,
    constraint persona_budget_pkey primary key (only_one),
    constraint persona_budget_is_one_row check (only_one),
    constraint persona_budget_stays_within_its_cap check (spent between 0 and cap)
);
-- A rho of 0.147 is an epsilon of 3 at a delta of a millionth.
insert into cleanroom.persona_budget (cap) values (147000000);
grant select, update (spent) on cleanroom.persona_budget to mahrem_app;
-- +goose StatementBegin
create function cleanroom.refuse_persona_refund() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'what has been spent of the privacy budget of personas is not given back'
        using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd
create trigger refuse_refund before update on cleanroom.persona_budget
    for each row when (new.spent < old.spent) execute function cleanroom.refuse_persona_refund();

-- A definition is described once: the same question has one answer. It is charged before
-- anybody is looked at, and described when all have been.
create table cleanroom.persona_build (
    name text not null,
    version integer not null,
    cost bigint not null,
    charged_at timestamptz not null,
    description bytea,
    digest bytea,
    built_at timestamptz,
    constraint persona_build_pkey primary key (name, version),
    constraint persona_build_is_of_a_definition foreign key (name, version) references cleanroom.persona (name, version),
    constraint persona_build_cost_is_no_gain check (cost >= 0),
    constraint persona_build_description_is_bounded check (octet_length(description) between 1 and 262144),
    constraint persona_build_digest_is_a_sha256 check (octet_length(digest) = 32),
    constraint persona_build_is_whole check ((description is null) = (built_at is null) and (description is null) = (digest is null))
);
grant select, insert, update (description, digest, built_at) on cleanroom.persona_build to mahrem_app;
