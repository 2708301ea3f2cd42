-- fingerprint: names a revision's content, so that a change made by somebody else in the row is noticed and a repeated
-- inline configuration is not stored twice. inline: it came with a call and was never the enterprise's own.
ALTER TABLE settings_revisions ADD COLUMN fingerprint text NOT NULL DEFAULT '';
ALTER TABLE settings_revisions ADD COLUMN inline boolean NOT NULL DEFAULT false;
CREATE INDEX settings_revisions_fingerprint ON settings_revisions (enterprise, fingerprint) WHERE inline;
