-- Names and ids of the store sort by their bytes, as in SQLite, whatever the database's own order is: a store lists the
-- same everywhere. A database of the farm's own sorts so already.
DO $$
DECLARE
    mine jsonb := (SELECT to_jsonb(pg_database) FROM pg_database WHERE datname = current_database());
    each record;
BEGIN
    IF mine ->> 'datcollate' IN ('C', 'POSIX', 'C.UTF-8') AND coalesce(mine ->> 'datlocprovider', 'c') = 'c' THEN
        RETURN;
    END IF;
    FOR each IN
        SELECT attrelid::regclass AS of, attname, format_type(atttypid, atttypmod) AS kind
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'store'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
            AND atttypid IN ('text'::regtype, 'varchar'::regtype)
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s COLLATE "C"', each.of, each.attname, each.kind);
    END LOOP;
END;
$$;
