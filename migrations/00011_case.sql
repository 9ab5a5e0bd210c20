-- +goose Up
-- The cases that recipients handle: while one is open, its recipient may ask for what is
-- for this case only, such as the history of conversations. A case ends by itself; what
-- the person wrote is in their sealed data and not here.

create table gate.case_file (
    data_subject_id uuid not null,
    case_id uuid not null,
    recipient text not null,
    kind text not null,
    opened_at timestamptz not null,
    ends_at timestamptz not null,
    closed_at timestamptz,
    constraint case_file_pkey primary key (data_subject_id, case_id),
    -- Erasing the person takes their cases along.
    constraint case_file_has_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade,
    constraint case_file_kind_is_known check (kind in ('support', 'complaint')),
    constraint case_file_ends_after_it_began check (ends_at > opened_at),
    constraint case_file_closes_after_it_began check (closed_at is null or closed_at >= opened_at)
);
create index case_file_case_id on gate.case_file (case_id);
create index case_file_opened_at on gate.case_file (opened_at desc);
grant select, insert, update (closed_at) on gate.case_file to mahrem_app;
