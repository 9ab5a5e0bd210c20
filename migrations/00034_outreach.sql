-- +goose Up
-- Recipients who are told when a person's choices change (GDPR Articles 7(3) and 19): by
-- signed calls, out of the same outbox as everything else that leaves the house. Whom a
-- call is about stands in the delivery's sealed payload and nowhere else.

create table consent.subscriber (
    -- Also the word by which the outbox knows where a call goes to.
    subscriber_id text not null,
    -- The recipient of the catalogue that it is: people are named to it by the pseudonyms
    -- of that recipient.
    recipient text not null,
    url text not null,
    -- What it is told about: purposes of the catalogue.
    purposes text[] not null,
    -- The secret by which calls are signed, sealed as a thing of the house.
    sealed_secret bytea not null,
    added_by bytea not null,
    added_at timestamptz not null,
    removed_at timestamptz,
    constraint subscriber_pkey primary key (subscriber_id),
    constraint subscriber_id_is_a_word check (subscriber_id ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint subscriber_recipient_is_a_word check (recipient ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint subscriber_url_is_an_address check (url ~ '^https?://[^[:space:]#@]+$' and length(url) <= 512),
    constraint subscriber_has_purposes check (cardinality(purposes) between 1 and 256),
    constraint subscriber_secret_is_bounded check (octet_length(sealed_secret) between 29 and 512),
    constraint subscriber_added_by_is_a_tag check (octet_length(added_by) = 16),
    constraint subscriber_is_removed_after_it_was_added check (removed_at >= added_at)
);
grant select, insert, update (removed_at) on consent.subscriber to mahrem_app;

alter table dsar.delivery
    drop constraint delivery_kind_is_known,
    add constraint delivery_kind_is_known check (kind in ('webhook', 'smtp', 'opendsr', 'consent'));
-- What is to be given up by hand, and what is listed, whatever it belongs to.
create index delivery_destination on dsar.delivery (destination, enqueued_at, delivery_id) where state in ('pending', 'dead');
