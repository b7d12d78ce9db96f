-- What is made here is the farm's alone. A database may give everybody, or some role, rights to all that is made in it
-- (ALTER DEFAULT PRIVILEGES), and whoever may write to these tables could forge what agents hand in.
DO $$
DECLARE
    each record;
    theirs text;
BEGIN
    FOR each IN
        SELECT 'TABLE' AS kind, relation.oid::regclass::text AS named, relacl AS acl, relowner AS owner
            FROM pg_class relation
            WHERE relnamespace IN ('farm'::regnamespace, 'queue'::regnamespace, 'store'::regnamespace)
                AND relkind IN ('r', 'v', 'S')
        UNION ALL
        SELECT 'FUNCTION', routine.oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), proowner
            FROM pg_proc routine
            WHERE pronamespace IN ('farm'::regnamespace, 'queue'::regnamespace, 'store'::regnamespace)
        UNION ALL
        SELECT 'SCHEMA', quote_ident(nspname), nspacl, nspowner
            FROM pg_namespace WHERE nspname IN ('farm', 'queue', 'store')
    LOOP
        FOR theirs IN
            SELECT DISTINCT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            FROM aclexplode(each.acl) WHERE grantee <> each.owner
        LOOP
            EXECUTE format('REVOKE ALL ON %s %s FROM %s', each.kind, each.named, theirs);
        END LOOP;
    END LOOP;
END;
$$;
