-- +goose Up
-- What the clock of a request needs to be explained later, and the order of the queue.

alter table dsar.request
    -- When the key of the person was destroyed. From then on an erasure can only be
    -- fulfilled.
    add column erased_at timestamptz,
    add constraint request_only_an_erasure_erases check (erased_at is null or kind = 'erasure');
grant update (erased_at) on dsar.request to mahrem_app;

-- What the clock stood still for, each ground once. paused_at of the request is the
-- beginning of the one that has not ended.
create table dsar.request_pause (
    request_id uuid not null,
    ground text not null,
    from_at timestamptz not null,
    until_at timestamptz,
    constraint request_pause_pkey primary key (request_id, ground),
    constraint request_pause_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint request_pause_ground_is_known check (ground in ('identity', 'fee', 'clarification')),
    constraint request_pause_ends_after_it_began check (until_at >= from_at)
);
grant select, insert, update (until_at) on dsar.request_pause to mahrem_app;

-- What is due first comes first; what waits for somebody else comes last.
drop index dsar.request_due;
create index request_queue on dsar.request (coalesce(due_at, timestamptz 'infinity'), received_at, request_id)
    where closed_at is null;
create index request_received_at on dsar.request (received_at, request_id);
create index request_duplicate_of on dsar.request (duplicate_of) where duplicate_of is not null;
