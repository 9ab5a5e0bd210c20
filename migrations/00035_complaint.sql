-- +goose Up
-- Complaints to the controller itself (UK Data Protection Act 2018 s. 164A, LGPD Article
-- 41(2) I): a request with a number that people can quote, a category and an outcome. What
-- it is about is a word of a closed list that says nothing of what is known of anybody.

alter table dsar.request
    drop constraint request_kind_is_known,
    add constraint request_kind_is_known check (kind in ('access', 'portability', 'rectification', 'erasure',
        'restriction', 'objection', 'automated_decision_review', 'complaint')),
    add column category text,
    add column complaint_year integer,
    add column complaint_count bigint,
    add column outcome text,
    add constraint request_category_is_known check (category in ('unwanted_marketing', 'intrusive_personalization', 'consent_ignored',
        'request_mishandled', 'unlawful_disclosure', 'wrong_data', 'security', 'automated_decision', 'child_data', 'transparency',
        'kept_too_long', 'other')),
    add constraint request_complaint_is_whole check ((kind = 'complaint') = (category is not null)
        and (kind = 'complaint') = (complaint_year is not null) and (kind = 'complaint') = (complaint_count is not null)),
    add constraint request_complaint_number_counts_from_one check (complaint_year between 1 and 9999 and complaint_count between 1 and 999999999),
    add constraint request_outcome_is_known check (outcome in ('upheld', 'partly_upheld', 'not_upheld')),
    add constraint request_outcome_is_of_a_complaint check ((outcome is not null) = (kind = 'complaint' and state = 'fulfilled'));
create unique index request_complaint on dsar.request (complaint_year, complaint_count) where complaint_count is not null;
grant update (outcome) on dsar.request to mahrem_app;

-- How many complaints were filed in a year. A row, and not a sequence: a number that was
-- given belongs to a complaint that was recorded, and none is left out.
create table dsar.complaint_year (
    year integer not null,
    last bigint not null,
    constraint complaint_year_pkey primary key (year),
    constraint complaint_year_has_four_digits check (year between 1 and 9999),
    constraint complaint_year_counts_from_one check (last between 1 and 999999999)
);
grant select, insert, update (last) on dsar.complaint_year to mahrem_app;
