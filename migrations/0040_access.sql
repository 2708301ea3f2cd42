-- Who may see the pages, and who did what (PRODUCT D5). The database's clock rules, so that instances agree.

-- A link that gives one administrator one enterprise. Of the secret in it only a hash is kept.
CREATE TABLE access_links (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    enterprise text NOT NULL,
    name text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX access_links_expires ON access_links (expires_at);

-- Log-ins. The cookie holds a random id, of which only a keyed hash is kept. link: null for the operator.
CREATE TABLE sessions (
    id_hash bytea PRIMARY KEY,
    link bigint REFERENCES access_links (id) ON DELETE CASCADE,
    address text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_expires ON sessions (expires_at);
CREATE INDEX sessions_link ON sessions (link) WHERE link IS NOT NULL;

-- Failed log-ins of the last minutes, by address and over all ('*'), counted over all instances.
CREATE TABLE login_failures (
    source text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    count integer NOT NULL
);

-- Who looked and who changed. actor: 'operator', 'link 7 (name)', 'program', 'local'.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    enterprise text,
    object text NOT NULL DEFAULT '',
    details json NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_enterprise ON audit (enterprise, id DESC);
CREATE INDEX audit_at ON audit (at);
