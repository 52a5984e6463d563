"""The database of one newsletter: SQLite in WAL mode, readable by its owner only.

Conventions of the schema:

* moments (`*_at` of every table but `consented_at`) are whole microseconds since the epoch, UTC: see `now`;
* days (`signed_up`, `consented_at`) are ISO 8601 text;
* `tags` is a JSON array; `attributes` a JSON object of typed values, where a date is ``{"$date": "…"}``
  and a list an array, so that a row can be read without the declarations it was imported with;
* a subscriber's `id` is never used again: the ledger keeps naming it after the person was forgotten.

The ledger (`runs`, `deliveries`, `tests`) belongs to `digest.delivery`; only its tables are made here.
`PRAGMA user_version` counts the migrations applied; they only go forward.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from digest.audience import departures
from digest.errors import DigestError, HeldError, InputError, LaterError, Place, Problem

BUSY_SECONDS = 10.0
APPLICATION_ID = 0x64676573  # "dges": tells our database from any other SQLite file

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE subscribers (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            token TEXT NOT NULL UNIQUE,
            address_key TEXT NOT NULL UNIQUE,
            email TEXT NOT NULL,
            name TEXT,
            first_name TEXT,
            status TEXT NOT NULL
                CHECK (status IN ('active', 'pending', 'unsubscribed', 'bounced', 'complained')),
            language TEXT,
            timezone TEXT,
            tags TEXT NOT NULL DEFAULT '[]',
            attributes TEXT NOT NULL DEFAULT '{}',
            signed_up TEXT,
            source TEXT,
            note TEXT,
            consented_at TEXT,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE suppressions (
            address_key TEXT PRIMARY KEY,
            reason TEXT NOT NULL,
            note TEXT NOT NULL DEFAULT '',
            created_at INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            slug TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            compiled TEXT NOT NULL,
            state TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER,
            candidates INTEGER NOT NULL DEFAULT 0,
            excluded TEXT NOT NULL DEFAULT '{}',
            overrides TEXT NOT NULL DEFAULT '[]',
            flag TEXT CHECK (flag IN ('hold', 'cancel'))
        )
        """,
        "CREATE INDEX runs_by_slug ON runs (slug)",
        "CREATE INDEX runs_by_fingerprint ON runs (fingerprint)",
        # No reference to subscribers: a row outlives the person who was forgotten.
        """
        CREATE TABLE deliveries (
            run_id INTEGER NOT NULL REFERENCES runs (id),
            subscriber_id INTEGER NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER,
            code INTEGER,
            enhanced TEXT NOT NULL DEFAULT '',
            reply TEXT NOT NULL DEFAULT '',
            message_id TEXT NOT NULL DEFAULT '',
            variant TEXT NOT NULL DEFAULT '',
            claimed_at INTEGER,
            updated_at INTEGER NOT NULL,
            PRIMARY KEY (run_id, subscriber_id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX deliveries_by_state ON deliveries (run_id, state, next_attempt_at)",
        """
        CREATE TABLE tests (
            id INTEGER PRIMARY KEY,
            slug TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            address TEXT NOT NULL,
            outcome TEXT NOT NULL,
            at INTEGER NOT NULL
        )
        """,
        "CREATE INDEX tests_by_fingerprint ON tests (fingerprint)",
    ),
    (
        # Of a person who was forgotten only this is left: see `digest.audience.forgetting`.
        "CREATE TABLE forgotten (address_hash BLOB PRIMARY KEY, forgotten_at INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        "INSERT INTO keys VALUES ('forgotten', randomblob(32))",
    ),
    (
        # ---- readers: saved mappings
        "CREATE TABLE mappings (name TEXT PRIMARY KEY, renamed TEXT NOT NULL, ignored TEXT NOT NULL) WITHOUT ROWID",
        # Whom a list brought as unsubscribed or unconfirmed is suppressed until they agree: by any way that makes
        # a reader active again. Other suppressions stay.
        """
        CREATE TRIGGER agreed_again AFTER UPDATE OF status ON subscribers
        WHEN new.status = 'active' AND old.status <> 'active'
        BEGIN
            DELETE FROM suppressions
            WHERE address_key = new.address_key AND reason IN ('unsubscribed', 'unconfirmed');
        END
        """,
        # ---- delivery
        # What was sent lately over a relay or to a domain, by its name, and until when it is left alone:
        # see `digest.delivery.pace`.
        """
        CREATE TABLE paces (
            name TEXT PRIMARY KEY,
            slots TEXT NOT NULL DEFAULT '[]',
            rest_until INTEGER NOT NULL DEFAULT 0,
            rests INTEGER NOT NULL DEFAULT 0,
            begun_at INTEGER
        ) WITHOUT ROWID
        """,
        # What became of accepted messages afterwards: see `digest.delivery.later`.
        """
        CREATE TABLE later (
            run_id INTEGER NOT NULL REFERENCES runs (id),
            subscriber_id INTEGER NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('bounced', 'complained', 'unsubscribed')),
            at INTEGER NOT NULL,
            detail TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (run_id, subscriber_id, kind)
        ) WITHOUT ROWID
        """,
        # Which relay took or refused it, where there are several.
        "ALTER TABLE deliveries ADD COLUMN relay TEXT",
        # Each time a process sent a run: when, how long, how many.
        """
        CREATE TABLE sendings (
            id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES runs (id),
            begun_at INTEGER NOT NULL,
            seconds REAL NOT NULL,
            tried INTEGER NOT NULL
        )
        """,
        # ---- schedule
        # Its own moment of a row, where each reader has one; none: at once.
        "ALTER TABLE deliveries ADD COLUMN due_at INTEGER",
        # 1 where all readers were agreed to, so that what is missing goes on by itself.
        "ALTER TABLE runs ADD COLUMN goes_on INTEGER NOT NULL DEFAULT 0",
        # When `run-due` last looked after an open run.
        "ALTER TABLE runs ADD COLUMN looked_at INTEGER",
        # Since when the relay takes nothing of a run that `run-due` goes on with.
        "ALTER TABLE runs ADD COLUMN waits_since INTEGER",
        # What became of a date: planned, begun, held or skipped. The key is never used twice.
        """
        CREATE TABLE occurrences (
            slug TEXT NOT NULL,
            due_at INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('planned', 'begun', 'held', 'skipped')),
            reason TEXT NOT NULL DEFAULT '',
            at INTEGER NOT NULL,
            PRIMARY KEY (slug, due_at)
        ) WITHOUT ROWID
        """,
        # What the editor is to be told, once.
        """
        CREATE TABLE notices (
            key TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            text TEXT NOT NULL,
            made_at INTEGER NOT NULL,
            told_at INTEGER
        ) WITHOUT ROWID
        """,
        # ---- public pages
        # Who left by the page, and what they were before: what taking it back needs. See `digest.audience.leaving`.
        """
        CREATE TABLE leavings (
            subscriber_id INTEGER PRIMARY KEY REFERENCES subscribers (id) ON DELETE CASCADE,
            was TEXT NOT NULL,
            left_at INTEGER NOT NULL
        )
        """,
        # Links that were followed, by day. Every request writes here, also one whose token names nobody: so that
        # both take the same time.
        "CREATE TABLE link_days (day TEXT PRIMARY KEY, used INTEGER NOT NULL, unknown INTEGER NOT NULL) WITHOUT ROWID",
        # Who asked to join and has not confirmed; removed after a week.
        """
        CREATE TABLE signups (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            token TEXT NOT NULL UNIQUE,
            address_key TEXT NOT NULL UNIQUE,
            email TEXT NOT NULL,
            name TEXT,
            language TEXT,
            tags TEXT NOT NULL DEFAULT '[]',
            page TEXT NOT NULL,
            wording TEXT NOT NULL,
            requested_at INTEGER NOT NULL,
            mailed_at INTEGER,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt_at INTEGER
        )
        """,
        "CREATE INDEX signups_by_attempt ON signups (next_attempt_at)",
        # What a reader agreed to: when they asked, when they confirmed, on which page, in which words.
        """
        CREATE TABLE consents (
            id INTEGER PRIMARY KEY,
            subscriber_id INTEGER NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
            requested_at INTEGER NOT NULL,
            confirmed_at INTEGER NOT NULL,
            page TEXT NOT NULL,
            wording TEXT NOT NULL
        )
        """,
        "CREATE INDEX consents_by_subscriber ON consents (subscriber_id)",
        # ---- bounces
        "INSERT INTO keys VALUES ('verp', randomblob(32))",
        # Each mail of the bounce mailbox that was counted, by its hash, so that it counts once; of a reader who is
        # only at times out of reach how often that was: see `digest.bounces.recording`.
        """
        CREATE TABLE returned (
            mail BLOB PRIMARY KEY,
            kind TEXT NOT NULL,
            subscriber_id INTEGER,
            at INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX returned_by_subscriber ON returned (subscriber_id, at) WHERE kind = 'soft'",
        # What is left of rows of `deliveries` and `later` that are no longer kept: how many there were of each
        # state and reason, or of each kind (`state` is 'later'). See `digest.keeping.reducing`.
        """
        CREATE TABLE reduced (
            run_id INTEGER NOT NULL REFERENCES runs (id),
            state TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            number INTEGER NOT NULL,
            PRIMARY KEY (run_id, state, reason)
        ) WITHOUT ROWID
        """,
    ),
)


def now() -> int:
    """This moment in the unit of the schema: microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def secret_key(connection: sqlite3.Connection, name: str) -> bytes:
    """A random key of this database (32 bytes), made with it: ``forgotten``, ``verp``."""
    (value,) = connection.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()
    return bytes(value)


def open_database(file: Path) -> sqlite3.Connection:
    """The newsletter's database, made (mode 0600) or brought up to date when need be.

    The connection is in autocommit mode: group writes with `writing`. It belongs to the thread that
    opened it. Raises `InputError` when the file cannot be opened or is no database of digest,
    `HeldError` when a newer digest made it, `LaterError` when another process keeps it locked.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Only ever made here: closing a descriptor of a file gives up all locks that the process has on it
            # (POSIX, fcntl), those of its open connections too, and the next process would remove their log.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # -wal and -shm get the same mode
        connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as exc:
        raise _unusable(file, exc) from exc
    try:
        _prepare(connection, file)
    except sqlite3.Error as exc:
        connection.close()
        raise _unusable(file, exc) from exc
    except DigestError:
        connection.close()
        raise
    return connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the write lock from its start; rolled back when its body raises.

    Who left in it is in the journal before it is committed (`digest.audience.departures`). Raises `LaterError` when
    another process keeps the lock longer than `BUSY_SECONDS`, `HeldError` when the disk is full or broken.
    """
    with _transaction(connection):
        yield
        settle = departures.record(connection)
    settle()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as exc:
        raise LaterError(f"the database is busy: {exc}; try again in a moment") from exc
    try:
        yield
        connection.execute("COMMIT")
    except sqlite3.OperationalError as exc:
        raise HeldError(f"the database cannot be written ({exc}); nothing of this step was kept") from exc
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    version = _version(connection)
    if version == 0:
        _refuse_foreign(connection, file)
    if version > len(MIGRATIONS):
        raise HeldError(
            f"{file} was made by a newer digest (its version is {version}, this one knows {len(MIGRATIONS)}):"
            " install that version, or name another database"
        )
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    if version < len(MIGRATIONS):
        _migrate(connection)
    departures.watch(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    with _transaction(connection):
        for statements in MIGRATIONS[_version(connection) :]:  # another process may have come first
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    return version if ours else 0


def _refuse_foreign(connection: sqlite3.Connection, file: Path) -> None:
    # In this order: another process may be making it between the two, and marks it as ours with its tables.
    filled = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if filled and not ours:
        cure = "name another file as “database” in config/digest.toml"
        raise InputError(Problem(Place(str(file)), "a SQLite database, but not one of digest", cure))


def _unusable(file: Path, exc: Exception) -> DigestError:
    if isinstance(exc, sqlite3.OperationalError) and "locked" in str(exc):
        return LaterError(f"{file} is locked by another process; try again in a moment")
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return InputError(Problem(Place(str(file)), f"the database cannot be opened: {reason}", code="database"))
