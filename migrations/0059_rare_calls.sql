-- Looking for what is rare in a long history: an extension, an outcome, internal calls. Without these the newest fifty of nothing
-- were found by reading the whole history of a company.

-- What an extension is looked for by: itself, for all enterprises together, and itself with its enterprise, because "101" may be
-- common everywhere and unheard of in one. chr(31) stands in neither.
CREATE FUNCTION calls_people(enterprise text, extensions text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN extensions || ARRAY (SELECT enterprise || chr(31) || each FROM unnest(extensions) AS each);
CREATE INDEX calls_people ON calls USING gin (calls_people(enterprise, extensions));

CREATE INDEX calls_outcome ON calls (enterprise, outcome, started_ms);
CREATE INDEX calls_internal ON calls (enterprise, started_ms) WHERE direction = 'internal';

ANALYZE calls;
