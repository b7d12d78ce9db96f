-- What lets in only who holds the lease: a host writes the result of a job that it has now, once, and nothing else.

-- The open lease behind a token, if it is the caller's; refused in words otherwise.
CREATE FUNCTION farm.fence(p_token uuid, p_what text) RETURNS farm.leases
LANGUAGE plpgsql AS $$
DECLARE
    found farm.leases;
    why text;
BEGIN
    SELECT * INTO found FROM farm.leases WHERE token = p_token FOR UPDATE;
    why := CASE
        WHEN found.token IS NULL THEN 'there is no such token'
        WHEN found.host <> session_user THEN format('the token is %s''s', found.host)
        WHEN found.ended IS NOT NULL THEN format('the token is used up: %s', found.why)
        WHEN found.until < clock_timestamp() THEN 'the lease lapsed'
    END;
    IF why IS NULL THEN
        RETURN found;
    END IF;
    PERFORM farm.refuse(p_what, coalesce('job ' || found.job || ' on ' || found.device, 'a job'), why);
    RETURN NULL;
END;
$$;

-- Takes a result; true where it is the job's. Handing in the same again, as after a lost answer, changes nothing.
CREATE FUNCTION farm.hand_in(p_token uuid, p_parcel text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    lease leases;
    content bytea := sha256(convert_to(p_parcel, 'UTF8'));
BEGIN
    IF EXISTS (SELECT FROM results WHERE token = p_token AND host = session_user AND digest = content) THEN
        RETURN true;
    END IF;
    lease := fence(p_token, 'a result');
    IF lease.token IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO results (job, token, host, device, digest, parcel)
        VALUES (lease.job, p_token, session_user, lease.device, content, p_parcel)
        ON CONFLICT DO NOTHING;
    PERFORM end_lease(lease, 'a result was handed in');
    PERFORM procrastinate_finish_job_v1(lease.job, 'succeeded', false);
    UPDATE devices SET losses = 0, seen = now() WHERE name = lease.device;
    PERFORM note('result', lease.job::text, lease.device);
    PERFORM pg_notify('farm_results', '');
    RETURN true;
END;
$$;

-- Gives a job back without a result: `lost`, to be tried elsewhere; `failed` or `aborted` for good.
CREATE FUNCTION farm.give_back(p_token uuid, p_how text, p_why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    lease leases := fence(p_token, 'giving back');
BEGIN
    IF lease.token IS NULL THEN
        RETURN false;
    END IF;
    IF p_how = 'lost' THEN
        PERFORM hand_on(lease, p_why);
    ELSIF p_how IN ('failed', 'aborted') THEN
        PERFORM end_lease(lease, p_why);
        PERFORM end_without_result(lease.job, p_how, p_why);
    ELSE
        RAISE EXCEPTION 'a job is given back lost, failed or aborted, and not %', p_how;
    END IF;
    RETURN true;
END;
$$;

CREATE FUNCTION farm.end_lease(p_lease farm.leases, p_why text) RETURNS void LANGUAGE sql AS $$
    UPDATE farm.leases SET ended = clock_timestamp(), why = left(p_why, 400) WHERE token = (p_lease).token;
$$;

CREATE FUNCTION farm.end_without_result(p_job bigint, p_how text, p_why text) RETURNS void
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
BEGIN
    UPDATE jobs SET why = left(p_why, 400) WHERE id = p_job;
    PERFORM procrastinate_finish_job_v1(p_job, p_how::procrastinate_job_status, false);
    PERFORM note(p_how, p_job::text, p_why);
    PERFORM pg_notify('farm_results', '');
END;
$$;
