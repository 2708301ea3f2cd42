DELETE FROM switchboard_calls WHERE first_ms < $1;
DELETE FROM switchboard_members WHERE heard_ms < $1;
DELETE FROM switchboard_links WHERE heard_ms < $1;
DELETE FROM switchboard_clicks WHERE started_ms < $1;
