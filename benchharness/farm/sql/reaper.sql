-- Hands a job on whose lease lapsed. The device had its time to give up: it hears of its agent no more.

-- Ends the lease of a job that Procrastinate says is stalled; false where it is too early.
CREATE FUNCTION farm.reap(p_job bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
DECLARE
    lease leases;
BEGIN
    SELECT leases.* INTO lease FROM leases, settings
        WHERE job = p_job AND ended IS NULL
            AND until + make_interval(secs => settings.device_s) < clock_timestamp()
        FOR UPDATE OF leases SKIP LOCKED;
    IF lease.token IS NULL THEN
        RETURN false;
    END IF;
    PERFORM hand_on(lease, 'its lease lapsed');
    RETURN true;
END;
$$;

-- Ends a lease without a result, and queues the job again: for another device, where there is one.
CREATE FUNCTION farm.hand_on(p_lease farm.leases, p_why text) RETURNS void
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    most integer := (SELECT most_losses FROM settings);
    mine jobs;
BEGIN
    PERFORM end_lease(p_lease, p_why);
    UPDATE devices SET losses = losses + 1 WHERE name = (p_lease).device;
    UPDATE devices SET state = 'quarantined', why = format('%s jobs in a row were lost on it, the last: %s', losses, p_why)
        WHERE name = (p_lease).device AND state = 'ready' AND losses >= most;
    IF FOUND THEN
        PERFORM note('quarantined', (p_lease).device, p_why);
    END IF;
    UPDATE jobs SET losses = losses + 1 WHERE id = (p_lease).job RETURNING * INTO mine;
    IF (SELECT abort_requested FROM procrastinate_jobs WHERE id = mine.id) THEN
        PERFORM end_without_result(mine.id, 'aborted', p_why);
    ELSIF mine.losses >= most THEN
        PERFORM end_without_result(mine.id, 'failed', format('lost %s times, the last: %s', mine.losses, p_why));
    ELSE
        PERFORM procrastinate_retry_job_v2(mine.id, now(), NULL, elsewhere(mine), NULL);
        PERFORM note('handed on', mine.id::text, format('%s: %s', (p_lease).device, p_why));
        PERFORM pg_notify('farm', '');
    END IF;
END;
$$;

-- The queue for a job that was lost: without the devices it was lost on, where others are left.
CREATE FUNCTION farm.elsewhere(p_job farm.jobs) RETURNS text
LANGUAGE plpgsql SET search_path = farm, queue, pg_temp AS $$
DECLARE
    other jsonb;
BEGIN
    SELECT (p_job).wanted || jsonb_build_object('not', coalesce((p_job).wanted -> 'not', '[]') || jsonb_agg(DISTINCT device))
        INTO other FROM leases WHERE job = (p_job).id;
    IF EXISTS (SELECT FROM devices WHERE state = 'ready' AND fits(labels, other)) THEN
        RETURN queue_for(other);
    END IF;
    RETURN queue_for((p_job).wanted);
END;
$$;

CREATE FUNCTION farm.queue_for(p_wanted jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    called text := p_wanted::text;
BEGIN
    IF length(called) > 120 THEN
        called := 'wanted ' || encode(sha256(convert_to(called, 'UTF8')), 'hex');
    END IF;
    INSERT INTO farm.queues VALUES (called, p_wanted) ON CONFLICT DO NOTHING;
    RETURN called;
END;
$$;

-- Results that wait for the store, and what became of one there.
CREATE FUNCTION farm.taken(p_job bigint, p_run text, p_trouble text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
BEGIN
    UPDATE results SET taken = now(), run = p_run, trouble = left(p_trouble, 1000), parcel = NULL WHERE job = p_job;
    IF p_trouble <> '' THEN
        PERFORM refuse('the result', format('job %s from %s', p_job, (SELECT host FROM results WHERE job = p_job)), p_trouble);
    END IF;
END;
$$;

-- Ends what is still queued though its deadline passed: no agent may ever ask for it. How many jobs.
CREATE FUNCTION farm.expire() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = farm, queue, pg_temp AS $$
    SELECT count(end_without_result(jobs.id, 'failed', 'its deadline passed'))
    FROM jobs JOIN procrastinate_jobs USING (id) WHERE deadline < now() AND status = 'todo'
$$;
