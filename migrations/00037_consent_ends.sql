-- +goose Up
-- Grants that end by themselves, by when they do: the ledger notes each end in a row of its
-- own.

create index record_ends on consent.record (valid_until) where valid_until is not null;
