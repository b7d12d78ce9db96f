-- A job on a device, for a time: claimed, renewed. What ends a lease is the fence's and the reaper's.

-- The next job for a device that the caller holds; no row where there is none.
CREATE FUNCTION farm.claim(p_device text)
RETURNS TABLE (token uuid, job bigint, submission uuid, told text, signature text, signer text, left_s double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
#variable_conflict use_column
DECLARE
    device devices;
    wanted text[];
    found procrastinate_jobs;
    mine jobs;
BEGIN
    SELECT * INTO device FROM devices WHERE name = p_device AND host = session_user FOR UPDATE;
    -- Who holds a device may take it once more, at no cost; to look who holds it would take all locks' time.
    IF device.name IS NULL OR NOT pg_try_advisory_lock(lock_class(), device.number) THEN
        PERFORM refuse('a job for the device', p_device, 'this agent does not hold it');
        RETURN;
    END IF;
    -- While a lease of before is open the device may still be at it: the reaper says when it is over.
    IF device.state <> 'ready' OR EXISTS (SELECT FROM leases WHERE device = p_device AND ended IS NULL) THEN
        RETURN;
    END IF;
    SELECT array_agg(queues.name) INTO wanted FROM queues WHERE fits(device.labels, queues.wanted);
    IF wanted IS NULL THEN
        RETURN;
    END IF;
    IF device.worker IS NULL OR NOT EXISTS (SELECT FROM procrastinate_workers WHERE id = device.worker) THEN
        SELECT worker_id INTO device.worker FROM procrastinate_register_worker_v1();
        UPDATE devices SET worker = device.worker WHERE name = p_device;
    END IF;
    LOOP
        SELECT * INTO found FROM procrastinate_fetch_job_v2(wanted, device.worker);
        IF found.id IS NULL THEN
            RETURN;
        END IF;
        SELECT * INTO mine FROM jobs WHERE id = found.id;
        EXIT WHEN mine.deadline IS NULL OR mine.deadline > clock_timestamp();
        PERFORM end_without_result(found.id, 'failed', 'its deadline passed');
    END LOOP;
    PERFORM procrastinate_update_heartbeat_v1(device.worker);
    RETURN QUERY
        WITH made AS (
            INSERT INTO leases (job, device, host, until)
            SELECT found.id, p_device, session_user, clock_timestamp() + make_interval(secs => settings.lease_s)
            FROM settings
            RETURNING leases.token
        )
        SELECT made.token, found.id, submissions.id, submissions.told, submissions.signature, submissions.signer,
            settings.lease_s
        FROM made, settings, submissions WHERE submissions.id = mine.submission;
END;
$$;

-- How long the lease holds from now on, and whether somebody wants the job ended; no row: it is over, give up.
CREATE FUNCTION farm.renew(p_token uuid) RETURNS TABLE (left_s double precision, unwanted boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    lease leases := fence(p_token, 'more time');
BEGIN
    IF lease.token IS NULL THEN
        RETURN;
    END IF;
    UPDATE leases SET until = clock_timestamp() + make_interval(secs => settings.lease_s)
        FROM settings WHERE leases.token = p_token;
    PERFORM procrastinate_update_heartbeat_v1(worker) FROM devices WHERE name = lease.device;
    RETURN QUERY SELECT settings.lease_s, procrastinate_jobs.abort_requested
        FROM settings, procrastinate_jobs WHERE procrastinate_jobs.id = lease.job;
END;
$$;
