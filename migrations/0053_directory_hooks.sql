-- The JSON API's webhooks of an enterprise (CONTRACT-MOYSKLAD 2.8). secret: what stands in the address. account: the mark of the
-- credentials they were registered with, revision: the settings that hold those, mark: the content of the settings that was looked at.
-- state: 'on', 'refused', 'away' or 'off'; reason in Russian, for the administrator. claimed_until: an instance is at it.
CREATE TABLE directory_hooks (
    enterprise text COLLATE "C" PRIMARY KEY,
    secret text NOT NULL UNIQUE,
    account bytea NOT NULL,
    revision integer NOT NULL,
    mark text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'off',
    reason text NOT NULL DEFAULT '',
    checked_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    heard_at timestamptz
);

-- What the webhooks told, so that every instance hears it; a repeat of one delivery is recognised by its request id. By id alone none
-- may be skipped: ids are not in commit order, so whoever follows looks some seconds back.
CREATE TABLE directory_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise text COLLATE "C" NOT NULL,
    request text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    at_ms bigint NOT NULL,
    changed json NOT NULL,
    UNIQUE (enterprise, request)
);
CREATE INDEX directory_changes_at ON directory_changes (at);
