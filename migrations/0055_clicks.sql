-- Clicks in MoySklad that ask for calls (docs/decisions/0017). Their facts are streams of their own, click/<id>.

-- Which click a delivery is: the same one asked for again within seconds is one click, whichever instance hears it. Written
-- before the click's stream is; a row without a stream is a click whose taker died in between, and the next delivery is it.
CREATE TABLE click_book (
    enterprise text COLLATE "C" NOT NULL,
    click text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (enterprise, click)
);
CREATE INDEX click_book_recent ON click_book (enterprise, at_ms);
CREATE INDEX click_book_at ON click_book (at_ms);

-- What the switchboard remembers of clicks whose order was given, to find the calls that come of them.
CREATE TABLE switchboard_clicks (
    enterprise text COLLATE "C" NOT NULL,
    click text COLLATE "C" NOT NULL,
    extension text COLLATE "C" NOT NULL,
    number text COLLATE "C" NOT NULL,
    uid text COLLATE "C" NOT NULL,
    channel_id text COLLATE "C" NOT NULL,
    requested_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    call text COLLATE "C" NOT NULL DEFAULT '',
    own_leg text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (enterprise, click)
);
CREATE INDEX switchboard_clicks_extension ON switchboard_clicks (enterprise, extension, started_ms);
CREATE INDEX switchboard_clicks_channel ON switchboard_clicks (enterprise, channel_id);
CREATE INDEX switchboard_clicks_call ON switchboard_clicks (enterprise, call) WHERE call <> '';
CREATE INDEX switchboard_clicks_started ON switchboard_clicks (started_ms);

-- A read model (projections/clicks.py): one row per click as it stands, for pages. call: what came of it.
CREATE TABLE clicks (
    enterprise text COLLATE "C" NOT NULL,
    click text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    stage text NOT NULL,
    extension text NOT NULL,
    number text NOT NULL,
    uid text NOT NULL,
    signature text NOT NULL,
    way text NOT NULL,
    error text NOT NULL,
    remedy text NOT NULL,
    ambiguous boolean NOT NULL,
    call text NOT NULL,
    repeats integer NOT NULL,
    PRIMARY KEY (enterprise, click)
);
CREATE INDEX clicks_call ON clicks (enterprise, call) WHERE call <> '';
CREATE INDEX clicks_newest ON clicks (enterprise, at_ms);
-- The click that proved a reading of the signature last.
CREATE INDEX clicks_signed ON clicks (enterprise, at_ms) WHERE signature NOT IN ('', 'absent', 'wrong');
