-- +goose Up
-- The house's own people in clean rooms: which rooms contained somebody, so that their export
-- can say it, and two guards. Where their facts are, only the key of the rooms tells.

-- One row for each room and dataset that somebody was drawn into. It stays when they leave, as
-- long as the person is held: Article 15 asks for what was done, and not only for what is.
create table cleanroom.stay (
    data_subject_id uuid not null,
    room_id text not null,
    owner text not null,
    dataset text not null,
    purpose text not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    constraint stay_pkey primary key (data_subject_id, room_id, owner, dataset),
    constraint stay_is_of_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade,
    constraint stay_is_in_a_room foreign key (room_id) references cleanroom.room (room_id),
    constraint stay_purpose_is_a_word check (purpose ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint stay_ends_after_it_began check (last_at >= first_at)
);
grant select, insert, update (purpose, last_at) on cleanroom.stay to mahrem_app;

create trigger refuse_erasing after insert on cleanroom.stay
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();

-- +goose StatementBegin
-- out_of_rooms refuses to restrict or erase somebody whose facts are still in a room: whoever
-- does that takes them out first, in the same transaction. Of whoever is erased nothing says
-- any more where they were.
create function cleanroom.out_of_rooms() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from cleanroom.presence p where p.data_subject_id = new.data_subject_id) then
        raise exception 'the person is still in a clean room' using errcode = '55000';
    end if;
    if new.erasing then
        delete from cleanroom.stay s where s.data_subject_id = new.data_subject_id;
    end if;
    return null;
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.out_of_rooms() from public;
create trigger out_of_rooms after update of restricted, erasing on vault.data_subject
    for each row when (new.restricted or new.erasing) execute function cleanroom.out_of_rooms();
