-- +goose Up
-- An interval can pass for a quarter of a year and take away more than it gives: minus a
-- thousand months and more than thirty thousand days. What is kept for a span that has no
-- negative part is kept as long as the policy says.
alter table audit.retention add constraint retention_keeps_forward
    check (extract(year from keep) >= 0 and extract(month from keep) >= 0 and extract(day from keep) >= 0);
