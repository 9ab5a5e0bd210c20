-- +goose Up
-- What the signer said of the bundle when it became active. The archive keeps a bundle once,
-- under its digest, with whatever statement it had then; the same rules may come back under
-- a new number, and a start that resumes them needs the statement with that number.

alter table policy.activation
    add column statement bytea,
    add constraint activation_statement_has_a_length check (octet_length(statement) between 1 and 16384);
