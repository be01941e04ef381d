"""What the application's role may say in the audit trail, and scratch tables without the right to make tables.

An entry's time and id are the database's own, and its actor is a user under that user's name, or the system. Scratch
tables are made by a function of the owner: a role that may make temporary tables could make one called
``core_auditentry``, which would take the entries in place of the real one.
"""

from django.db import migrations

CREATE = r"""
CREATE FUNCTION core_check_audit_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.created_at IS DISTINCT FROM statement_timestamp() THEN
        RAISE EXCEPTION 'The database writes the time of an audit entry; a time of one''s own is refused.'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.id := uuidv7();
    IF NEW.actor_id IS NULL THEN
        IF NEW.actor_name !~ '^(system|command): \S' THEN
            RAISE EXCEPTION 'An audit entry without a user is the system''s: % is refused.', quote_literal(NEW.actor_name)
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF NEW.api_key_prefix <> '' THEN
            RAISE EXCEPTION 'An audit entry of the system has no API key.' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (SELECT FROM accounts_user WHERE id = NEW.actor_id AND username = NEW.actor_name) THEN
        RAISE EXCEPTION 'An audit entry names its actor as the user is called: % is refused.', quote_literal(NEW.actor_name)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.api_key_prefix <> '' AND NOT EXISTS (
        SELECT FROM accounts_apikey WHERE user_id = NEW.actor_id AND prefix = NEW.api_key_prefix
    ) THEN
        RAISE EXCEPTION 'The API key of an audit entry belongs to its actor; another is refused.'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER core_auditentry_as_it_happened BEFORE INSERT ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_check_audit_entry();

-- Names of scratch tables start in one of three ways, in which the name of no table starts.
CREATE FUNCTION core_is_scratch_name(table_name text) RETURNS boolean LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
    SELECT table_name ~ '^(stage|judged|noted)_[a-z0-9_]{1,40}$' AND to_regclass('public.' || table_name) IS NULL
$$;

-- Makes an empty scratch table for this session, in place of one of that name. The caller may read, write, empty and
-- analyse it, and nothing else.
CREATE FUNCTION core_make_scratch_table(
    table_name text, column_names text[], kinds text[], is_required boolean, until_commit boolean
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    described text := '';
BEGIN
    IF core_is_scratch_name(table_name) IS NOT TRUE THEN
        RAISE EXCEPTION 'No scratch table may be called %.', quote_literal(table_name)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR place IN 1 .. cardinality(column_names) LOOP
        IF kinds[place] NOT IN ('bigint', 'integer', 'double precision', 'double precision[]', 'boolean', 'text',
                                'date', 'timestamptz', 'jsonb') THEN
            RAISE EXCEPTION 'No column of a scratch table may hold %.', quote_literal(kinds[place])
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        described := described || CASE WHEN place > 1 THEN ', ' ELSE '' END
            || format('%I %s', column_names[place], kinds[place]) || CASE WHEN is_required THEN ' NOT NULL' ELSE '' END;
    END LOOP;
    PERFORM core_drop_scratch_table(table_name);
    EXECUTE format('CREATE TEMPORARY TABLE %I (%s)', table_name, described)
        || CASE WHEN until_commit THEN ' ON COMMIT DROP' ELSE '' END;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, MAINTAIN ON pg_temp.%I TO %I',
                   table_name, session_user);
END $$;

CREATE FUNCTION core_drop_scratch_table(table_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET client_min_messages = warning AS $$
BEGIN
    IF core_is_scratch_name(table_name) IS NOT TRUE THEN
        RAISE EXCEPTION 'No scratch table is called %.', quote_literal(table_name)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS pg_temp.%I', table_name);
END $$;

REVOKE EXECUTE ON FUNCTION core_make_scratch_table(text, text[], text[], boolean, boolean) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION core_drop_scratch_table(text) FROM PUBLIC;
"""

DROP = """
DROP FUNCTION core_make_scratch_table(text, text[], text[], boolean, boolean);
DROP FUNCTION core_drop_scratch_table(text);
DROP FUNCTION core_is_scratch_name(text);
DROP TRIGGER core_auditentry_as_it_happened ON core_auditentry;
DROP FUNCTION core_check_audit_entry();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0007_table_changes")]
    operations = [migrations.RunSQL(CREATE, DROP)]
