-- What the switchboard (core/legs.py) remembers between batches of the log. Derived: `rebuild` may empty it.
-- heard_ms lets old rows be pruned; a call is over long before.
CREATE TABLE switchboard_calls (
    enterprise text NOT NULL,
    call text NOT NULL,
    kind text NOT NULL,
    number text NOT NULL,
    first_ms bigint NOT NULL,
    ended_ms bigint,
    absorbed boolean NOT NULL,
    PRIMARY KEY (enterprise, call)
);
CREATE INDEX switchboard_calls_number ON switchboard_calls (enterprise, number, first_ms) WHERE number <> '';
CREATE INDEX switchboard_calls_first ON switchboard_calls (first_ms);

CREATE TABLE switchboard_members (
    enterprise text NOT NULL,
    bridge text NOT NULL,
    channel text NOT NULL,
    trunk boolean NOT NULL,
    heard_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, bridge, channel)
);
CREATE INDEX switchboard_members_channel ON switchboard_members (enterprise, channel);
CREATE INDEX switchboard_members_heard ON switchboard_members (heard_ms);

-- call '' marks a leg that is known but belongs to no call yet; relayed is the last version of the leg's stream
-- that was copied to the call.
CREATE TABLE switchboard_links (
    enterprise text NOT NULL,
    leg text NOT NULL,
    call text NOT NULL,
    relayed integer NOT NULL DEFAULT 0,
    heard_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, leg, call)
);
CREATE INDEX switchboard_links_heard ON switchboard_links (heard_ms);
