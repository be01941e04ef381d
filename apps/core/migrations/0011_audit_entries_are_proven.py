"""The database takes audit entries only from processes that know the key; see ``apps/core/database/audit_proofs.py``."""

from django.db import migrations, models
from django.db.models import Q

CREATE = r"""
-- The two pads of HMAC-SHA256 for each key, so that the check is two hashes.
CREATE TABLE core_auditkey (
    name text PRIMARY KEY,
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
REVOKE ALL ON core_auditkey FROM PUBLIC;

CREATE FUNCTION core_prove_audit_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    bound bytea;
BEGIN
    IF pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    SELECT string_agg(convert_to(octet_length(convert_to(part, 'UTF8')) || ':' || part, 'UTF8'), ''::bytea ORDER BY at)
    INTO bound
    FROM unnest(ARRAY[
        split_part(NEW.proof, ':', 1), NEW.action, coalesce(NEW.actor_id::text, ''), NEW.actor_name, NEW.source,
        NEW.api_key_prefix, NEW.request_id, NEW.object_type, NEW.object_id, NEW.object_label, NEW.service_id,
        NEW.rationale
    ]) WITH ORDINALITY AS parts(part, at);
    IF NOT EXISTS (
        SELECT FROM core_auditkey
        WHERE encode(sha256(outer_pad || sha256(inner_pad || bound)), 'hex') = split_part(NEW.proof, ':', 2)
    ) THEN
        RAISE EXCEPTION 'An audit entry needs a proof that Ballast wrote it.'
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'Where a process of Ballast is refused, its SECRET_KEY was not noted: run manage.py migrate with it.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER core_auditentry_proven BEFORE INSERT ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_prove_audit_entry();

CREATE FUNCTION core_knows_audit_key(key_name text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM core_auditkey WHERE name = key_name)
$$;
"""
DROP = """
DROP FUNCTION core_knows_audit_key(text);
DROP TRIGGER core_auditentry_proven ON core_auditentry;
DROP FUNCTION core_prove_audit_entry();
DROP TABLE core_auditkey;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0010_marks_stay_few")]
    operations = [
        migrations.AddField("auditentry", "proof", models.TextField(blank=True, db_default="", default="", editable=False)),
        migrations.AddConstraint(
            "auditentry",
            models.UniqueConstraint(fields=["proof"], condition=~Q(proof=""), name="audit_proof_once"),
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
