"""The farm's roles in PostgreSQL: what each needs, what of it is lacking, and who makes it so.

Roles are a whole server's, not a database's: one of the same name that is somebody else's is never touched. Who may not
make roles is told the very statements, for somebody who may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import Connection, errors, sql

from benchharness.errors import UsageError

#: All members and nobody else: what a line of pg_hba.conf is about.
MEMBERS = "farm_members"
#: What each kind of member may call: see `sql/roles.sql`.
GROUPS = {
    "agent": "farm_agents",
    "submitter": "farm_submitters",
    "reader": "farm_readers",
    "scheduler": "farm_schedulers",
}
#: Comes in to see whether the server keeps others out, and has no right to anything (`enforced`).
PROBE = "farm_probe"
#: An agent holds a line for calls and one for news, and may come back before the server noticed that it left.
_LINES = {"agent": 8, "submitter": 20, "reader": 20, "scheduler": 20, "": 4}
#: Who stands still in the middle of a transaction holds others up. Agents have none that take longer than a moment;
#: who reads the store works with what he read while his is open.
_IDLE = {"agent": "60s", "submitter": "600s", "reader": "600s", "scheduler": "600s", "": "60s"}

_ROLE = """
SELECT rolcanlogin, rolconnlimit,
    ARRAY(SELECT g.rolname::text FROM pg_auth_members JOIN pg_roles g ON g.oid = roleid WHERE member = r.oid),
    ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
        WHERE setrole = r.oid AND datname = current_database()),
    EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
        WHERE setrole = r.oid AND datname <> current_database())
FROM pg_roles r WHERE rolname = %s
"""
Statements = Sequence[sql.Composed]


def groups_lacking(line: Connection) -> list[sql.Composed]:
    """What makes the groups and the probe. Raises `UsageError` where a name is taken by something that logs in."""
    found: list[sql.Composed] = []
    for name in (MEMBERS, *GROUPS.values()):
        known = line.execute(_ROLE, [name]).fetchone()
        if known is None:
            found.append(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
        elif known[0]:
            raise UsageError(f"the server has a role {name} that may log in: it is no group of a farm")
    return [*found, *_lacking(line, PROBE, [MEMBERS], "", {}, login=True)]


def lacking(line: Connection, role: str, kind: str, *, login: bool) -> list[sql.Composed]:
    """What makes a member's role what it is to be. Raises `UsageError` where it is somebody else's."""
    path = "store, queue" if kind == "scheduler" else "store"  # Procrastinate finds its tables there
    return _lacking(line, role, [MEMBERS, GROUPS[kind]], kind, {"search_path": path}, login=login)


def _lacking(
    line: Connection, role: str, groups: Sequence[str], kind: str, settings: Mapping[str, str], *, login: bool
) -> list[sql.Composed]:
    named = sql.Identifier(role)
    known = line.execute(_ROLE, [role]).fetchone()
    if known is not None and MEMBERS not in known[2]:
        raise UsageError(f"the server has a role {role} that is not this farm's; give the member another name")
    if known is not None and known[4] and kind not in ("", "scheduler"):
        # Whoever this farm lets log in would log in to that one too, which may have revoked him.
        raise UsageError(
            f"the server has a role {role} that is a member of a farm in another database; give the member another name"
        )
    can_login, lines, already, configured, _ = known or (False, None, [], [], False)
    found: list[sql.Composed] = []
    if known is None:
        found.append(sql.SQL("CREATE ROLE {} NOLOGIN").format(named))
    missing = [group for group in groups if group not in already]
    if missing:
        found.append(sql.SQL("GRANT {} TO {}").format(sql.SQL(", ").join(map(sql.Identifier, missing)), named))
    if lines != _LINES[kind]:
        found.append(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(named, sql.Literal(_LINES[kind])))
    (database,) = line.execute("SELECT current_database()").fetchone() or ("",)
    for name, value in {**settings, "idle_in_transaction_session_timeout": _IDLE[kind]}.items():
        if f"{name}={value}" not in configured:
            words = sql.SQL(", ").join(sql.Literal(each) for each in value.split(", "))
            found.append(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    named, sql.Identifier(database), sql.Identifier(name), words
                )
            )
    if can_login is not login:
        found.append(sql.SQL("ALTER ROLE {} {}").format(named, sql.SQL("LOGIN" if login else "NOLOGIN")))
    return found


def shut(line: Connection, role: str) -> list[sql.Composed]:
    """What keeps a role out from now on."""
    known = line.execute(_ROLE, [role]).fetchone()
    return [sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role))] if known and known[0] else []


def make(line: Connection, statements: Statements) -> None:
    """Makes roles so. Raises `UsageError` with the statements where the caller may not."""
    try:
        with line.transaction():
            for each in statements:
                line.execute(each)
    except errors.InsufficientPrivilege as error:
        (owner,) = line.execute("SELECT current_user").fetchone() or ("",)
        raise UsageError(
            f"{owner} may not make roles here ({error.diag.message_primary}). Have an administrator of the server run "
            f"this, or ALTER ROLE {owner} CREATEROLE, and give the command again:\n{spelled(line, statements)}"
        ) from error


def spelled(line: Connection, statements: Statements) -> str:
    """Statements as somebody can run them."""
    return "\n".join(f"{each.as_string(line)};" for each in statements)


def end_lines(line: Connection, role: str) -> None:
    """Cuts the lines that a role has. Raises `UsageError` where the caller may not."""
    ended = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {}").format(
        sql.Literal(role)
    )
    try:
        # Who is of a role may end its lines. For a moment only, which nobody else sees: pg_hba.conf goes by that too.
        with line.transaction(force_rollback=True):
            line.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))
            line.execute(ended)
    except errors.InsufficientPrivilege as error:
        raise UsageError(
            f"lines that {role} has open may not be cut from here ({error.diag.message_primary}); have an "
            f"administrator of the server run:\n{spelled(line, [ended])}"
        ) from error
