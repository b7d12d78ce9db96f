-- Who may call what. Members are in one of these groups, and own nothing; who else is in the database gets nothing.
GRANT USAGE ON SCHEMA farm TO farm_agents, farm_submitters, farm_readers, farm_schedulers;

-- All that an agent can do.
GRANT EXECUTE ON FUNCTION
    farm.present, farm.hold, farm.claim, farm.renew, farm.part, farm.hand_in, farm.give_back, farm.set_state
    TO farm_agents;

GRANT EXECUTE ON FUNCTION
    farm.submit, farm.cancel, farm.lacks, farm.put_part, farm.set_state, farm.status, farm.runs
    TO farm_submitters;

GRANT EXECUTE ON FUNCTION farm.status, farm.runs TO farm_readers, farm_schedulers;
GRANT USAGE ON SCHEMA store TO farm_submitters, farm_readers, farm_schedulers;
GRANT SELECT ON ALL TABLES IN SCHEMA store TO farm_submitters, farm_readers, farm_schedulers;

-- The scheduler runs Procrastinate's periodic tasks, and takes results into the store.
GRANT EXECUTE ON FUNCTION farm.reap, farm.taken, farm.repeat, farm.ended_nights, farm.reported, farm.expire, farm.prune, farm.set_state TO farm_schedulers;
GRANT SELECT ON farm.results, farm.submissions, farm.jobs, farm.settings, farm.devices, farm.nights TO farm_schedulers;
GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA store TO farm_schedulers;
GRANT DELETE ON store.packed_nights TO farm_schedulers;  -- a copy, made anew
GRANT USAGE ON SCHEMA queue TO farm_schedulers;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA queue TO farm_schedulers;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA queue TO farm_schedulers;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA queue TO farm_schedulers;
