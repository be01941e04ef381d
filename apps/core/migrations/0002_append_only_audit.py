"""The audit trail can only grow: besides the missing grants, a trigger refuses every edit, whoever asks."""

from django.db import migrations

CREATE = """
CREATE FUNCTION core_refuse_audit_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit trail is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER core_auditentry_append_only BEFORE UPDATE OR DELETE ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_refuse_audit_edit();
CREATE TRIGGER core_auditentry_no_truncate BEFORE TRUNCATE ON core_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION core_refuse_audit_edit();
"""

DROP = """
DROP TRIGGER core_auditentry_no_truncate ON core_auditentry;
DROP TRIGGER core_auditentry_append_only ON core_auditentry;
DROP FUNCTION core_refuse_audit_edit();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
