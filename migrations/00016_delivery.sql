-- +goose Up
-- What is to leave the house because of a request: a code for its person, a letter, a
-- message to a processor. A row is added in the transaction of the change that it follows
-- from, so that neither can be without the other, and a worker delivers it afterwards, at
-- least once. The payload is sealed under a key of the delivery's own, which is destroyed
-- when the delivery has arrived: no address is kept for longer than it is of use.

create table keyring.delivery_key (
    delivery_id uuid not null,
    wrapped bytea not null,
    created_at timestamptz not null default now(),
    constraint delivery_key_pkey primary key (delivery_id),
    constraint delivery_key_wrapped_has_a_length check (octet_length(wrapped) between 64 and 256)
);
grant select, insert on keyring.delivery_key to mahrem_app;

create table dsar.delivery (
    -- Also the idempotency key by which a receiver knows a repeated delivery.
    delivery_id uuid not null,
    kind text not null,
    -- The word by which the settings or the registry of processors know where it goes to,
    -- and a word for what it says. Neither is an address.
    destination text not null,
    topic text not null,
    request_id uuid,
    state text not null,
    sealed bytea,
    enqueued_at timestamptz not null,
    -- While a worker is at it, the moment from which another one may try.
    next_attempt_at timestamptz not null,
    gives_up_at timestamptz not null,
    attempts integer not null default 0,
    -- Why the last attempt failed, as a word.
    failure text,
    settled_at timestamptz,
    constraint delivery_pkey primary key (delivery_id),
    constraint delivery_kind_is_known check (kind in ('webhook', 'smtp', 'opendsr')),
    constraint delivery_destination_is_a_word check (destination ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint delivery_topic_is_a_word check (topic ~ '^[a-z][a-z0-9_]{0,31}$'),
    -- void: made so that a request of somebody unknown takes the same steps; never sent.
    constraint delivery_state_is_known check (state in ('pending', 'delivered', 'dead', 'void')),
    constraint delivery_pending_has_a_payload check (state <> 'pending' or sealed is not null),
    constraint delivery_settles_with_a_time check ((settled_at is null) = (state = 'pending')),
    constraint delivery_gives_up_after_it_began check (gives_up_at >= enqueued_at),
    constraint delivery_attempts_are_counted check (attempts >= 0),
    constraint delivery_failure_is_a_word check (failure ~ '^[a-z][a-z0-9_]{0,63}$'),
    constraint delivery_sealed_is_bounded check (octet_length(sealed) between 29 and 1048576)
);
create index delivery_due on dsar.delivery (kind, next_attempt_at, delivery_id) where state = 'pending';
create index delivery_ended on dsar.delivery (settled_at, delivery_id) where state in ('dead', 'void') and sealed is not null;
create index delivery_state on dsar.delivery (state, enqueued_at, delivery_id) where state in ('pending', 'dead');
create index delivery_request_id on dsar.delivery (request_id) where request_id is not null;
alter table dsar.delivery alter column sealed set storage external;
grant select, insert, update (state, next_attempt_at, gives_up_at, attempts, failure, settled_at) on dsar.delivery to mahrem_app;

-- +goose StatementBegin
-- close_delivery ends a delivery and destroys its key and payload, which the application
-- may not do in any other way. It does nothing, and says so, when the delivery is not at
-- that attempt any more: another worker has taken it over.
create function dsar.close_delivery(delivery uuid, attempt integer) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update dsar.delivery d
    set state = 'delivered', sealed = null, failure = null, settled_at = clock_timestamp()
    where d.delivery_id = delivery and d.attempts = attempt and d.state = 'pending';
    if not found then
        return false;
    end if;
    delete from keyring.delivery_key k where k.delivery_id = delivery;
    return true;
end
$$;
-- +goose StatementEnd
revoke execute on function dsar.close_delivery(uuid, integer) from public;
grant execute on function dsar.close_delivery(uuid, integer) to mahrem_app;

-- +goose StatementBegin
-- forget_deliveries destroys the keys and payloads of what was given up before a moment
-- at least a day ago, and of what was never to be sent. It returns how many.
create function dsar.forget_deliveries(before timestamptz, at_most integer) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    forgotten bigint;
begin
    with old as (
        select d.delivery_id
        from dsar.delivery d
        where d.state in ('dead', 'void') and d.sealed is not null
          and d.settled_at < least(before, clock_timestamp() - interval '1 day')
        order by d.settled_at, d.delivery_id
        limit at_most
        for update skip locked
    ), emptied as (
        update dsar.delivery d
        set sealed = null
        from old
        where d.delivery_id = old.delivery_id
        returning d.delivery_id
    )
    delete from keyring.delivery_key k
    using emptied
    where k.delivery_id = emptied.delivery_id;
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;
-- +goose StatementEnd
revoke execute on function dsar.forget_deliveries(timestamptz, integer) from public;
grant execute on function dsar.forget_deliveries(timestamptz, integer) to mahrem_app;

-- Codes by which somebody proves that a request is theirs. The code is stored as a keyed
-- hash; whoever has the database and not the key directory cannot try all of them.
create table dsar.identity_code (
    request_id uuid not null,
    number integer not null,
    code_tag uuid not null,
    sent_at timestamptz not null,
    expires_at timestamptz not null,
    attempts integer not null default 0,
    used_at timestamptz,
    constraint identity_code_pkey primary key (request_id, number),
    constraint identity_code_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint identity_code_counts_from_one check (number >= 1),
    constraint identity_code_expires_after_it_was_sent check (expires_at > sent_at),
    constraint identity_code_attempts_are_counted check (attempts between 0 and 100)
);
grant select, insert, update (attempts, used_at) on dsar.identity_code to mahrem_app;
