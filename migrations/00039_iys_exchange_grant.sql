-- +goose Up
-- How far an exchange with the registry went may be written on; whose and of what it is may not.
revoke update on consent.iys_exchange from mahrem_app;
grant update (row_number, after, rows_read, rows_rejected, rows_nobody, rows_recorded, rows_known, rows_held_back, done, updated_at)
    on consent.iys_exchange to mahrem_app;
