"""A migrated database for each test: copied from a template, and emptied after the test for the next one.

A copy is six hundred files; to empty what a test wrote costs a third of that. One whose tables or functions a test has changed is
not emptied but dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

LEAVE_MS: Final = 2_000
"""For the test's own connections to be gone; whoever stays longer takes the database with him."""

ROOM: Final = "ms_test"
"""The schema in which a template keeps what :meth:`Databases.take_back` needs. No other database has it."""

_PREPARE: Final = f"""
CREATE SCHEMA {ROOM};
CREATE SEQUENCE {ROOM}.changes;
CREATE FUNCTION {ROOM}.note_change() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM nextval('{ROOM}.changes'); END
$$;
CREATE TABLE {ROOM}.sequences AS
    SELECT c.oid, s.seqstart FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
    WHERE c.relnamespace <> '{ROOM}'::regnamespace;
CREATE TABLE {ROOM}.tables AS
    SELECT c.oid, c.oid::regclass::text AS name, NULL::json AS filled
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('{ROOM}', 'pg_catalog', 'information_schema');
DO $$
    DECLARE each record; found json;
    BEGIN
        FOR each IN SELECT * FROM {ROOM}.tables LOOP
            EXECUTE format('SELECT json_agg(t) FROM %s AS t', each.name) INTO found;
            UPDATE {ROOM}.tables SET filled = found WHERE name = each.name;
        END LOOP;
    END
$$;
CREATE FUNCTION {ROOM}.empty() RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE each record; written text;
    BEGIN
        IF (SELECT is_called FROM {ROOM}.changes) OR NOT (
            SELECT coalesce(bool_and(pg_terminate_backend(pid, {LEAVE_MS})), true) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        ) THEN
            RETURN false;
        END IF;
        SET LOCAL session_replication_role = replica;
        SELECT string_agg(name, ', ') INTO written FROM {ROOM}.tables WHERE pg_relation_size(oid) > 0;
        EXECUTE format('TRUNCATE %s CASCADE', written);
        FOR each IN SELECT * FROM {ROOM}.tables WHERE filled IS NOT NULL LOOP
            EXECUTE format('INSERT INTO %1$s SELECT * FROM json_populate_recordset(NULL::%1$s, $1)', each.name)
            USING each.filled;
        END LOOP;
        PERFORM setval(oid, seqstart, false) FROM {ROOM}.sequences;
        RETURN true;
    END
$$;
CREATE EVENT TRIGGER {ROOM}_change ON ddl_command_end EXECUTE FUNCTION {ROOM}.note_change();
CREATE EVENT TRIGGER {ROOM}_drop ON sql_drop EXECUTE FUNCTION {ROOM}.note_change();
"""


def in_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(dsn)  # put together by hand: urlunsplit drops the slashes of an empty host
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


async def create_database(server: str, name: str, template: str = "template1") -> None:
    """Make a database by copying files: 20 ms, where writing them through the server's log (the usual way since 15) takes 45."""
    connection = await asyncpg.connect(server)
    try:
        copying = " STRATEGY file_copy" if connection.get_server_version().major >= 15 else ""
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{copying}')
    finally:
        await connection.close()


async def drop_database(server: str, name: str) -> None:
    """Remove a database, whoever is still connected."""
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


async def prepare_template(dsn: str) -> None:
    """Note in a migrated database what emptying its copies needs. Who may not do that gets a new copy for each test."""
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            await connection.execute(_PREPARE)
    finally:
        await connection.close()


@dataclass
class Databases:
    """One worker's databases. ``server``: a DSN that may create them; ``template``: the name of the one they are copies of."""

    server: str
    template: str
    _spare: list[str] = field(default_factory=list)

    async def lend(self) -> str:
        """The name of a database in which there is only what the migrations put there."""
        if self._spare:
            return self._spare.pop()
        name = f"ms_test_{uuid4().hex[:16]}"
        await create_database(self.server, name, self.template)
        return name

    async def take_back(self, name: str) -> None:
        """Empty it for the next test, or drop it."""
        if await self._is_emptied(name):
            self._spare.append(name)
        else:
            await drop_database(self.server, name)

    async def close(self) -> None:
        """Drop those that nobody has."""
        while self._spare:
            await drop_database(self.server, self._spare.pop())

    async def _is_emptied(self, name: str) -> bool:
        try:
            connection = await asyncpg.connect(in_database(self.server, name))
            try:
                return bool(await connection.fetchval(f"SELECT {ROOM}.empty()"))
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # the test has bent it, or dropped it
            return False
