-- Tables of the dispatcher that this service also reads or writes. In service beside a dispatcher they exist already,
-- hence IF NOT EXISTS, and hence public: everything of our own lives in the schema "ms".
CREATE TABLE IF NOT EXISTS public.enterprises (
    number text PRIMARY KEY,
    name text NOT NULL DEFAULT '',
    secret text,
    integrations_config jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.integration_logs (
    id bigserial PRIMARY KEY,
    enterprise_number text NOT NULL,
    integration_type text NOT NULL,
    event_type text NOT NULL,
    request_data jsonb,
    response_data jsonb,
    status text NOT NULL,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS integration_logs_type_created ON public.integration_logs (integration_type, created_at DESC);

-- The place in our log that a row tells of (null: written by something else): what makes the journal exactly-once.
ALTER TABLE public.integration_logs ADD COLUMN IF NOT EXISTS ms_position bigint;
CREATE UNIQUE INDEX IF NOT EXISTS integration_logs_ms_position ON public.integration_logs (ms_position)
    WHERE ms_position IS NOT NULL;

-- Input that was answered 4xx, kept for inspection (PRODUCT A9). body is text: it need not be JSON.
CREATE TABLE rejected_input (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    endpoint text NOT NULL,
    enterprise text,
    error text NOT NULL,
    field text,
    hint text,
    body text NOT NULL
);
CREATE INDEX rejected_input_at ON rejected_input (at DESC);

-- Every change of an enterprise's settings (PRODUCT D3); tokens inside are encrypted.
CREATE TABLE settings_revisions (
    enterprise text NOT NULL,
    revision integer NOT NULL CHECK (revision > 0),
    settings json NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    by text NOT NULL,
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (enterprise, revision)
);
