"""How checked rows become readers, in SQL: the tables they wait in, what each changes, what is written.

The rows are in a temporary database attached as `staging`, the list is `main`; see `digest.audience.staging`. What
is the same in both is passed over before any lock is taken.
"""

from __future__ import annotations

ROWS = """
    CREATE TABLE staging.rows (
        n INTEGER PRIMARY KEY,
        line INTEGER NOT NULL,
        address_key TEXT NOT NULL,
        email TEXT NOT NULL,
        shape INTEGER NOT NULL,
        status TEXT,
        name TEXT,
        first_name TEXT,
        language TEXT,
        timezone TEXT,
        tags TEXT,
        signed_up TEXT,
        source TEXT,
        note TEXT,
        consented_at TEXT,
        attributes TEXT NOT NULL
    )
"""

# What a row has, values or not: its columns, each between commas, and its attributes, each null.
SHAPES = "CREATE TABLE staging.shapes (shape INTEGER PRIMARY KEY, present TEXT NOT NULL, named TEXT NOT NULL)"

# In which order the rows go into the list, of several with one address only the first. Made when all are there:
# sorting once is much cheaper than keeping an index in order.
TURNS = """
    CREATE TABLE staging.turns (turn INTEGER PRIMARY KEY, n INTEGER NOT NULL)
"""
# Those of them that change anything: found before the lock is taken, so that what is the same costs nobody a wait.
WORK = "CREATE TABLE staging.work (turn INTEGER PRIMARY KEY)"
INDEX = "CREATE INDEX staging.rows_by_key ON rows (address_key, n)"
TAKE_TURNS = "INSERT INTO staging.turns (n) SELECT min(n) FROM staging.rows GROUP BY address_key ORDER BY "

# What a status of a list is here, and why it suppresses the address.
STATUS = "iif(g.status = 'blocklisted', 'unsubscribed', g.status)"
REASON = "iif(g.status = 'pending', 'unconfirmed', g.status)"

# What each reader who is in the list already becomes. {revive} is 1 or 0, {source} a text of SQL. Somebody who has
# agreed is not asked again: unconfirmed elsewhere takes nobody off.
MERGED = f"""
    CREATE TEMP VIEW merged AS SELECT
        t.turn AS turn,
        s.id AS id,
        g.email AS email,
        CASE
            WHEN {{revive}} THEN coalesce({STATUS}, 'active')
            WHEN s.status IN ('unsubscribed', 'bounced', 'complained') THEN s.status
            WHEN g.status = 'pending' THEN s.status
            ELSE coalesce({STATUS}, s.status)
        END AS status,
        iif(instr(h.present, ',name,'), g.name, s.name) AS name,
        iif(instr(h.present, ',first_name,'), g.first_name, s.first_name) AS first_name,
        iif(instr(h.present, ',language,'), g.language, s.language) AS language,
        iif(instr(h.present, ',timezone,'), g.timezone, s.timezone) AS timezone,
        iif(instr(h.present, ',tags,'), coalesce(g.tags, '[]'), s.tags) AS tags,
        iif(instr(h.present, ',signed_up,'), g.signed_up, s.signed_up) AS signed_up,
        iif(instr(h.present, ',source,'), coalesce(g.source, {{source}}), s.source) AS source,
        iif(instr(h.present, ',note,'), g.note, s.note) AS note,
        iif(instr(h.present, ',consented_at,'), g.consented_at, s.consented_at) AS consented_at,
        json_patch(s.attributes, json_patch(h.named, g.attributes)) AS attributes  -- RFC 7396: null removes
    FROM staging.turns t JOIN staging.rows g USING (n) JOIN staging.shapes h USING (shape)
    JOIN main.subscribers s ON s.address_key = g.address_key
"""  # noqa: S608 -- constants of this module

CHANGED = """
    (m.email, m.status, m.name, m.first_name, m.language, m.timezone, m.tags, m.signed_up,
     m.source, m.note, m.consented_at, m.attributes)
    IS NOT (s.email, s.status, s.name, s.first_name, s.language, s.timezone, s.tags, s.signed_up,
     s.source, s.note, s.consented_at, s.attributes)
"""
CHANGES = f"""
    CREATE TEMP VIEW changes AS SELECT m.*
    FROM merged m JOIN main.subscribers s ON s.id = m.id WHERE {CHANGED}
"""  # noqa: S608 -- constants of this module

EFFECT = """
    SELECT count(*), coalesce(sum(s.status IN ('unsubscribed', 'bounced', 'complained')), 0),
        coalesce(sum(s.status IN ('unsubscribed', 'bounced', 'complained') AND m.status = 'active'), 0)
    FROM merged m JOIN main.subscribers s ON s.id = m.id
"""
NEW = """
    INSERT INTO staging.work SELECT t.turn FROM staging.turns t JOIN staging.rows g USING (n)
    WHERE NOT EXISTS (SELECT 1 FROM main.subscribers s WHERE s.address_key = g.address_key)
"""
ALL = "INSERT INTO staging.work SELECT turn FROM staging.turns"  # the same, much sooner, of an empty list
DIFFERENT = "INSERT INTO staging.work SELECT turn FROM changes"

SUPPRESSED = """
    SELECT count(*) FROM main.suppressions x
    WHERE EXISTS (SELECT 1 FROM staging.rows g WHERE g.address_key = x.address_key)
"""

# Of the rows that say somebody is not to be written to, those it is true of once they are in the list.
AWAY = """
    staging.turns t JOIN staging.rows g USING (n)
    LEFT JOIN main.subscribers s ON s.address_key = g.address_key
    WHERE g.status <> 'active' AND NOT (g.status = 'pending' AND coalesce(s.status, '') = 'active')
"""
NEWLY_SUPPRESSED = f"""
    FROM {AWAY} AND NOT EXISTS (SELECT 1 FROM main.suppressions x WHERE x.address_key = g.address_key)
"""  # noqa: S608 -- constants of this module
SUPPRESS = f"""
    INSERT OR IGNORE INTO main.suppressions (address_key, reason, note, created_at)
    SELECT g.address_key, {REASON}, 'imported', :now FROM {AWAY} AND t.turn BETWEEN :first AND :last
"""  # noqa: S608 -- constants of this module

LEAVERS = """
    CREATE TABLE staging.leavers AS SELECT s.id FROM main.subscribers s
    WHERE s.source = ? AND s.status IN ('active', 'pending')
        AND NOT EXISTS (SELECT 1 FROM staging.rows g WHERE g.address_key = s.address_key)
"""

UPDATE = """
    UPDATE main.subscribers SET
        email = c.email, status = c.status, name = c.name, first_name = c.first_name,
        language = c.language, timezone = c.timezone, tags = c.tags, signed_up = c.signed_up,
        source = c.source, note = c.note, consented_at = c.consented_at, attributes = c.attributes,
        updated_at = :now
    FROM staging.work w JOIN changes c USING (turn)
    WHERE c.id = subscribers.id AND w.turn BETWEEN :first AND :last
"""

ADD = f"""
    INSERT INTO main.subscribers (
        token, address_key, email, status, name, first_name, language, timezone, tags, signed_up,
        source, note, consented_at, attributes, created_at, updated_at)
    SELECT
        new_token(), g.address_key, g.email, coalesce({STATUS}, 'active'), g.name, g.first_name, g.language,
        g.timezone, coalesce(g.tags, '[]'), g.signed_up, coalesce(g.source, :source), g.note, g.consented_at,
        g.attributes, :now, :now
    FROM staging.work w JOIN staging.turns t USING (turn) JOIN staging.rows g USING (n)
    WHERE w.turn BETWEEN :first AND :last
        AND NOT EXISTS (SELECT 1 FROM main.subscribers s WHERE s.address_key = g.address_key)
    ORDER BY w.turn
"""  # noqa: S608 -- as above
