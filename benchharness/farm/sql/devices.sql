-- An agent says which devices it has, and holds each alone; whoever looks after the farm takes devices out.

-- 'farm' in ASCII: of the advisory locks of devices.
CREATE FUNCTION farm.lock_class() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1717662317 $$;

-- Whether a device has what is wanted: {"hardware": "pixel-8", "not": ["a device"]}.
CREATE FUNCTION farm.fits(p_labels jsonb, p_wanted jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_labels @> (p_wanted - 'not') AND NOT coalesce(p_wanted -> 'not' ? (p_labels ->> 'device'), false)
$$;

-- [{"name": …, "labels": {…}}] -> the names that are the caller's. `device` and `host` are the server's own words.
CREATE FUNCTION farm.present(p_devices jsonb) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    given jsonb;
    owner name;
BEGIN
    FOR given IN SELECT jsonb_array_elements(p_devices) LOOP
        SELECT host INTO owner FROM devices WHERE name = given ->> 'name';
        IF owner <> session_user THEN
            PERFORM refuse('the device', given ->> 'name', format('it is %s''s', owner));
            CONTINUE;
        END IF;
        INSERT INTO devices (name, host, labels)
            VALUES (given ->> 'name', session_user, '{}')
            ON CONFLICT (name) DO NOTHING;
        UPDATE devices SET
            seen = now(),
            labels = coalesce(given -> 'labels', '{}') || jsonb_build_object('device', name, 'host', session_user)
            WHERE name = given ->> 'name' AND host = session_user;
        RETURN NEXT given ->> 'name';
    END LOOP;
END;
$$;

-- Takes a device for the caller's connection, as long as that lasts: a second agent for it gets false.
CREATE FUNCTION farm.hold(p_device text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    found devices;
BEGIN
    SELECT * INTO found FROM devices WHERE name = p_device;
    IF found.host IS DISTINCT FROM session_user THEN
        PERFORM refuse('the device', p_device, format('it is %s''s', coalesce(found.host, 'nobody')));
        RETURN false;
    END IF;
    RETURN pg_try_advisory_lock(lock_class(), found.number);
END;
$$;

-- Takes devices out, or back in: one by name, or all of a host. How many. An agent may take out its own alone.
CREATE FUNCTION farm.set_state(p_name text, p_state text, p_why text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    is_agent boolean := EXISTS (SELECT FROM members WHERE role = session_user AND kind = 'agent');
    changed integer;
BEGIN
    IF is_agent AND (p_state <> 'quarantined' OR NOT EXISTS (
        SELECT FROM devices WHERE name = p_name AND host = session_user
    )) THEN
        PERFORM refuse(p_state, p_name, 'it is not its host that asks');
        RETURN 0;
    END IF;
    -- A device may be called as a host is: an agent means its own device by it, and never that host.
    UPDATE devices SET state = p_state, why = left(p_why, 400), losses = 0
        WHERE CASE WHEN is_agent THEN name = p_name AND host = session_user ELSE name = p_name OR host = p_name END;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM note(p_state, p_name, p_why);
    PERFORM pg_notify('farm', '');
    RETURN changed;
END;
$$;
