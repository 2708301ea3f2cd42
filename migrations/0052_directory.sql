-- What is known of numbers, for the telephones that ring (adapters/directory, docs/decisions/0016). A cache: it may be emptied at any
-- time, and rows that nobody asks about go by themselves.
--
-- account: a keyless mark of enterprise and credentials, so that after a change of either nothing old is found. contact: MoySklad's
-- uuid (null: nobody has the number). people: the uuids in it whose change concerns it (customer, contact persons, owner). is_blank:
-- somebody who gets the number would be named instead. known: the record (core/contacts.py). asked_ms: when the question was put whose
-- answer it is; changed_ms: when MoySklad last told of a change that concerns it.
CREATE TABLE directory_contacts (
    account bytea NOT NULL,
    number text COLLATE "C" NOT NULL,
    enterprise text COLLATE "C" NOT NULL,
    contact text COLLATE "C",
    people text[] NOT NULL DEFAULT '{}',
    is_blank boolean NOT NULL,
    known json NOT NULL,
    asked_ms bigint NOT NULL,
    changed_ms bigint,
    PRIMARY KEY (account, number)
);
CREATE INDEX directory_contacts_people ON directory_contacts USING gin (people);
CREATE INDEX directory_contacts_blank ON directory_contacts (enterprise) WHERE is_blank;
CREATE INDEX directory_contacts_asked ON directory_contacts (enterprise, asked_ms);

-- Who has which extension, as the Phone API last said.
CREATE TABLE directory_rosters (
    account bytea PRIMARY KEY,
    enterprise text COLLATE "C" NOT NULL,
    roster json NOT NULL,
    asked_ms bigint NOT NULL
);
CREATE INDEX directory_rosters_enterprise ON directory_rosters (enterprise);
