-- +goose Up
-- What an erasure still waits for is found without looking at all that ever were.

create index erasure_without_entry on dsar.erasure (erased_at) where log_index is null;
create index request_erased on dsar.request (erased_at, request_id) where erased_at is not null and closed_at is null;
