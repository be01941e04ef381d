"""What somebody can do who runs any statement as the application's role: nothing to the audit trail, the protection
or the migrations.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connections, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from psycopg import sql

from apps.accounts.models import ApiKey, User
from apps.core.database import grants, scratch
from apps.core.database.audit_proofs import proof_of
from apps.core.models import AuditEntry

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

COLUMNS = (
    "action, actor_name, source, api_key_prefix, request_id, object_type, object_id, object_label, service_id,"
    " rationale"
)
VALUES = "'a', 'system: test', 'task', '', '', 'c', 'd', '', '', ''"
PROTECTED = [*grants.APPEND_ONLY_TABLES, *grants.READ_ONLY_TABLES]


def refused(statement: str | sql.Composable) -> str:
    """Run a statement as the application's role; check that it is refused for want of a right, and return why."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SAVEPOINT attempt")
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as error:
                cursor.cursor.execute(statement)
        finally:
            cursor.execute("ROLLBACK TO SAVEPOINT attempt")
    return str(error.value)


@pytest.fixture
def entry(db: None) -> AuditEntry:
    """An entry as the dispatcher writes it."""
    made = AuditEntry.objects.create(
        action="a", actor_name="system: test", source="task", object_type="b", object_id="c"
    )
    with connections["default"].cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return made


EDITS = [
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE false",
    "TRUNCATE {table}",
    "TRUNCATE {table} CASCADE",
    "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT count(*) FROM gone",
    "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET {column} = t.{column}",
    "SELECT * FROM {table} FOR UPDATE",
    "SELECT * FROM {table} FOR KEY SHARE",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE",
    "DROP TABLE {table}",
    "DROP TABLE {table} CASCADE",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} DISABLE TRIGGER USER",
    "ALTER TABLE {table} RENAME TO moved",
    "ALTER TABLE {table} OWNER TO {app}",
    "ALTER TABLE {table} SET SCHEMA information_schema",
    "ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT NULL",
    "ALTER TABLE {table} ADD COLUMN more text",
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} NO INHERIT pg_class",
    "CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION core_check_audit_entry()",
    "CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "CREATE POLICY mine ON {table}",
    "CREATE INDEX ON {table} ({column})",
    "COMMENT ON TABLE {table} IS 'mine'",
    "GRANT ALL ON {table} TO {app}",
    "GRANT UPDATE ON {table} TO PUBLIC",
    "REVOKE ALL ON {table} FROM {owner}",
    "ANALYZE {table}",
    "CLUSTER {table}",
    "REINDEX TABLE {table}",
]
# PostgreSQL answers some of these with a warning that nothing was done, not with an error.
SILENT = {"ANALYZE", "GRANT", "REVOKE"}


def protected(table: str) -> list[tuple[Any, ...]]:
    """What is in a table, who may do what with it and what guards it, as the owner of a database sees it."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*)::text, md5(string_agg(t::text, '|' ORDER BY t::text)) FROM public.{table} t"
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        cursor.execute(
            "SELECT relacl::text, relowner::text, relrowsecurity::text FROM pg_class WHERE oid = to_regclass(%s)",
            [f"public.{table}"],
        )
        rows += cursor.fetchall()
        cursor.execute(
            "SELECT tgname, tgenabled::text FROM pg_trigger WHERE tgrelid = to_regclass(%s) ORDER BY 1",
            [f"public.{table}"],
        )
        rows += cursor.fetchall()
        return rows


def names() -> dict[str, str]:
    found = {}
    for alias, word in (("default", "app"), ("owner", "owner")):
        found[word] = str(connections[alias].settings_dict["USER"])
    return found


@pytest.mark.parametrize("qualified", [False, True])
@pytest.mark.parametrize("statement", EDITS)
@pytest.mark.parametrize("table", PROTECTED)
def test_no_statement_changes_a_protected_table(
    entry: AuditEntry, table: str, statement: str, qualified: bool
) -> None:
    before = protected(table)
    column = "action" if table == "core_auditentry" else "app"
    words = statement.format(table=f"public.{table}" if qualified else table, column=column, **names())
    if statement.split()[0] in SILENT:
        with connections["default"].cursor() as cursor:
            cursor.cursor.execute("SAVEPOINT attempt")
            try:
                cursor.cursor.execute(words)
            except psycopg.errors.InsufficientPrivilege:
                cursor.execute("ROLLBACK TO SAVEPOINT attempt")
    else:
        refused(words)
    assert protected(table) == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO django_migrations (app, name, applied) VALUES ('core', '9999_mine', now())",
        "COPY django_migrations (app, name, applied) FROM STDIN",
        f"INSERT INTO core_auditentry ({COLUMNS}) VALUES ({VALUES}) ON CONFLICT (id) DO UPDATE SET action = 'x'",
        "SET ROLE {owner}",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION {owner}",
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "ALTER ROLE {app} SUPERUSER",
        "ALTER ROLE {app} CREATEDB",
        "ALTER ROLE {owner} PASSWORD 'mine'",
        "CREATE ROLE mine",
        "GRANT {owner} TO {app}",
        "REASSIGN OWNED BY {owner} TO {app}",
        "DROP OWNED BY {owner}",
        "ALTER DATABASE {database} SET search_path = pg_temp",
        "ALTER DATABASE {database} OWNER TO {app}",
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION core_check_audit_entry()",
        "ALTER FUNCTION core_check_audit_entry() RENAME TO gone",
        "DROP FUNCTION core_check_audit_entry() CASCADE",
        "DROP TRIGGER core_auditentry_as_it_happened ON core_auditentry",
        "DROP SCHEMA public CASCADE",
        "ALTER SCHEMA public RENAME TO gone",
        "UPDATE pg_class SET relname = 'gone' WHERE relname = 'core_auditentry'",
        "DELETE FROM pg_trigger",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/ballast-rights'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT pg_stat_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/ballast-rights')",
        "SELECT pg_reload_conf()",
        "SELECT pg_rotate_logfile()",
        "SELECT pg_promote()",
        "SELECT pg_switch_wal()",
        "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
        "CREATE PUBLICATION mine FOR ALL TABLES",
        "SELECT pg_logical_emit_message(true, 'a', 'b') FROM pg_authid",
        "SELECT setval('core_outboxevent_id_seq', 1)",
        "ALTER SEQUENCE core_outboxevent_id_seq RESTART",
        "SELECT core_drop_scratch_table('core_auditentry')",
        "SELECT core_drop_scratch_table('stage_x; DROP TABLE core_auditentry')",
        "SELECT core_make_scratch_table('core_auditentry', ARRAY['id'], ARRAY['text'], false, false)",
        "SELECT core_make_scratch_table('stage_x', ARRAY['id'], ARRAY['text); DROP TABLE core_auditentry; --'],"
        " false, false)",
    ],
)
def test_no_statement_opens_a_way_round(entry: AuditEntry, statement: str) -> None:
    database = connections["default"].settings_dict["NAME"]
    refused(statement.format(database=database, **names()))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER SYSTEM SET fsync = off",
        "CREATE DATABASE mine",
        "DROP DATABASE {database}",
        "ALTER DATABASE {database} SET TABLESPACE pg_default",
        "CREATE TABLESPACE mine LOCATION '/tmp'",
        "CREATE SUBSCRIPTION mine CONNECTION 'host=127.0.0.1' PUBLICATION mine",
    ],
)
def test_no_statement_reaches_beyond_the_database(db: None, statement: str) -> None:
    here = connections["default"].settings_dict
    where = {"host": here["HOST"], "port": here["PORT"], "dbname": here["NAME"]}
    with (
        psycopg.connect(**where, user=here["USER"], password=here["PASSWORD"], autocommit=True) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement.format(database=here["NAME"]))


MAKING = [
    "CREATE {temporary} TABLE {place}{table} (LIKE public.{table})",
    "CREATE {temporary} TABLE {place}{table} AS SELECT * FROM public.{table}",
    "SELECT * INTO {temporary} {place}{table} FROM public.{table}",
    "CREATE {temporary} VIEW {place}{table} AS SELECT 1 AS id",
    "CREATE {temporary} SEQUENCE {place}{table}",
]
PATHS = ["pg_temp", "pg_temp, public", "public, pg_temp", "information_schema, public", "", '"$user", public']


@examples(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(PATHS),
    making=st.sampled_from(MAKING),
    temporary=st.sampled_from(["", "TEMPORARY", "TEMP", "UNLOGGED"]),
    place=st.sampled_from(["", "pg_temp.", "public.", "information_schema.", "pg_catalog."]),
    table=st.sampled_from([*PROTECTED, "accounts_user", "accounts_apikey", "mine"]),
)
def test_nothing_is_made_that_could_stand_in_for_a_table(
    entry: AuditEntry, path: str, making: str, temporary: str, place: str, table: str
) -> None:
    if table == "mine":
        making = making.replace("public.{table}", "public.core_auditentry")
    statement = making.format(temporary=temporary, place=place, table=table)
    with connections["default"].cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        cursor.execute("SELECT set_config('search_path', %s, true)", [path])
        with pytest.raises(psycopg.Error):
            cursor.cursor.execute(statement)
        cursor.execute("ROLLBACK TO SAVEPOINT before")
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname = %s", [table])
        assert cursor.fetchone() == (0 if table == "mine" else 1,)


@pytest.mark.parametrize("path", PATHS)
def test_a_name_is_the_real_table_or_none_whatever_the_search_path(entry: AuditEntry, path: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 'public.core_auditentry'::regclass::oid")
        real = cursor.fetchone()
        cursor.execute("SELECT set_config('search_path', %s, true)", [path])
        cursor.execute("SELECT to_regclass('core_auditentry')::oid")
        assert cursor.fetchone() in (real, (None,))
        cursor.execute("SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')")
        assert cursor.fetchall() == []


TIMES = [
    "now() - interval '1 day'",
    "now() + interval '1 second'",
    "statement_timestamp() - interval '1 microsecond'",
    "clock_timestamp() + interval '1 microsecond'",
    "'-infinity'",
    "'infinity'",
    "'2020-02-29 12:00:00+00'",
]


@pytest.mark.parametrize("time", [*TIMES, "NULL"])
def test_an_entry_has_no_time_of_ones_own(db: None, time: str) -> None:
    statement = f"INSERT INTO core_auditentry (created_at, {COLUMNS}) VALUES ({time}, {VALUES})"
    assert "writes the time" in refused(statement)


def test_copy_brings_no_time_of_ones_own(db: None) -> None:
    statement = f"COPY core_auditentry (created_at, {COLUMNS}) FROM STDIN (DELIMITER ',')"
    with (
        connections["default"].cursor() as cursor,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="writes the time"),
        cursor.cursor.copy(statement) as copy,
    ):
        copy.write("2020-01-01,a,system: test,task,,,c,d,,,\n")


def test_the_id_of_an_entry_is_the_databases_own(db: None) -> None:
    chosen = "00000000-0000-7000-8000-000000000000"
    proof = proof_of(
        AuditEntry(action="a", actor_name="system: test", source="task", object_type="c", object_id="d")
    )
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO core_auditentry (id, proof, {COLUMNS}) VALUES (%s, %s, {VALUES})"
            " RETURNING id::text, uuid_extract_timestamp(id) > now() - interval '1 minute'",
            [chosen, proof],
        )
        made, is_new = cursor.fetchone()
    assert made != chosen
    assert is_new


@pytest.fixture
def ada(db: None) -> User:
    """A user with an API key, beside another one with theirs."""
    for name in ("grace", "ada"):
        user = User.objects.create_user(name)
        ApiKey.objects.create(user=user, name="ci", prefix=f"blst_{name}", key_hash=name)
    return user


def written(**values: Any) -> None:
    fields = {"action": "a", "source": "api", "object_type": "b", "object_id": "c"} | values
    with transaction.atomic():
        AuditEntry.objects.create(**fields)


@examples(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.one_of(
        st.sampled_from(["grace", "Ada", "ada ", " ada", "system: ada", ""]),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    )
)
def test_a_user_acts_under_no_other_name(ada: User, name: str) -> None:
    if name == "ada":
        return
    with pytest.raises(ProgrammingError, match="as the user is called"):
        written(actor=ada, actor_name=name)
    if not name.startswith(("system: ", "command: ")):
        with pytest.raises(ProgrammingError, match="is the system's"):
            written(actor=None, actor_name=name)


def test_a_user_acts_under_their_own_name_and_key(ada: User) -> None:
    written(actor=ada, actor_name="ada", api_key_prefix="blst_ada")
    with pytest.raises(ProgrammingError, match="belongs to its actor"):
        written(actor=ada, actor_name="ada", api_key_prefix="blst_grace")


def test_the_system_has_no_key(ada: User) -> None:
    with pytest.raises(ProgrammingError, match="has no API key"):
        written(actor=None, actor_name="system: test", api_key_prefix="blst_ada")


def test_somebody_who_is_not_there_does_not_act(db: None) -> None:
    with pytest.raises(ProgrammingError, match="as the user is called"):
        written(actor_id=4_000_000, actor_name="nobody")


@pytest.fixture
def widened(db: None) -> None:
    """A database whose rights are as wide as after a restore by hand."""
    role, owner = (connections[alias].settings_dict["USER"] for alias in ("default", "owner"))
    database = connections["owner"].settings_dict["NAME"]
    assert role != owner
    with connections["owner"].cursor() as cursor:
        for statement in (
            f'GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC',
            f'GRANT ALL ON django_migrations, core_auditentry TO "{role}"',
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
        ):
            cursor.execute(statement)


def test_rights_that_are_too_wide_are_named_and_mended(widened: None) -> None:
    assert grants.excess() == [
        "make temporary tables",
        "make tables",
        "change core_auditentry",
        "change django_migrations",
    ]
    grants.ensure()
    assert grants.excess() == []


def test_the_application_has_no_right_too_many(db: None) -> None:
    assert grants.excess() == []


def test_every_table_is_the_owners_and_no_table_has_a_scratch_name(db: None) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relowner = to_regrole(current_user)")
        assert cursor.fetchall() == []
        cursor.execute("SELECT relname FROM pg_class WHERE relname ~ '^(stage|judged|noted)_'")
        assert cursor.fetchall() == []


def test_a_scratch_table_is_used_and_not_owned(db: None) -> None:
    with connections["default"].cursor() as cursor:
        scratch.make(cursor, "stage_test", {"key": "bigint", "share": "double precision"})
        cursor.execute("INSERT INTO stage_test VALUES (1, 0.5)")
        cursor.execute("ANALYZE pg_temp.stage_test")
        cursor.execute("SELECT key, share FROM stage_test")
        assert cursor.fetchall() == [(1, 0.5)]
        scratch.make(cursor, "stage_test", {"key": "bigint"})
        cursor.execute("SELECT count(*) FROM stage_test")
        assert cursor.fetchone() == (0,)
        cursor.execute("TRUNCATE pg_temp.stage_test")
    for statement in ("DROP TABLE stage_test", "ALTER TABLE stage_test RENAME TO core_auditentry"):
        refused(statement)
    with connections["default"].cursor() as cursor:
        scratch.drop(cursor, "stage_test")
