-- +goose Up
-- Whoever asks for a receipt has the id of a choice and nothing else.
create index record_consent on consent.record (consent_id);
