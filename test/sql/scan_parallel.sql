-- Parallel scans.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER par FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('par', 'par_a', 3);
SELECT kafka.create_topic('par', 'par_b', 1);
CREATE FOREIGN TABLE par (a int, b text, _topic text, _partition int, _offset bigint)
	SERVER par OPTIONS (topic 'par_a,par_b');
-- most is in one partition
INSERT INTO par SELECT i, 'row ' || i, CASE WHEN i % 10 = 0 THEN 'par_a' ELSE 'par_b' END, CASE WHEN i % 10 = 0 THEN i / 10 % 3 ELSE 0 END
	FROM generate_series(1, 60000) i;
CREATE TABLE par_local AS SELECT * FROM par;
SELECT count(*) FROM par_local;

-- what has not been analyzed, or is small, is read by one process
EXPLAIN (COSTS OFF) SELECT count(*) FROM par;
ANALYZE par;
EXPLAIN (COSTS OFF) SELECT count(*) FROM par;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT count(*), sum(a) FROM par WHERE _offset > 5;

-- the answer is that of one process, and each row comes once
SELECT count(*), sum(a) FROM par;
SELECT count(*) FROM ((TABLE par EXCEPT ALL TABLE par_local) UNION ALL (TABLE par_local EXCEPT ALL TABLE par)) x;
SELECT count(*), sum(a) FROM par WHERE _topic = 'par_b' AND _offset BETWEEN 20000 AND 44999 AND _offset NOT IN (20001, 30000);
SELECT count(*), sum(a) FROM par WHERE _offset > (SELECT 50000);
SELECT count(*) FROM par WHERE false AND a = 1 OR _offset < 0;
-- without workers, or without the leader
SET max_parallel_workers = 0;
SELECT count(*), sum(a) FROM par;
RESET max_parallel_workers;
SET parallel_leader_participation = off;
SELECT count(*), sum(a) FROM par;
RESET parallel_leader_participation;

-- EXPLAIN ANALYZE adds up what all have read
CREATE FUNCTION par_node(node json) RETURNS json LANGUAGE sql AS $$
	WITH RECURSIVE nodes(node) AS (
		SELECT node
		UNION ALL
		SELECT json_array_elements(n.node -> 'Plans') FROM nodes n
	) SELECT n.node FROM nodes n WHERE n.node ->> 'Node Type' = 'Foreign Scan'
$$;
CREATE FUNCTION par_explain(query text)
	RETURNS TABLE (parallel bool, workers int, messages int, of_all int, several_chunks bool) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, FORMAT json) ' || query INTO plan;
	plan := par_node(plan -> 0 -> 'Plan');
	RETURN QUERY SELECT (plan ->> 'Parallel Aware')::bool, json_array_length(plan -> 'Kafka Processes') - 1,
		(plan ->> 'Kafka Messages')::int,
		(SELECT sum((p ->> 'Kafka Messages')::int)::int FROM json_array_elements(plan -> 'Kafka Processes') p),
		(plan ->> 'Kafka Chunks')::int > 4;
END $$;
SELECT * FROM par_explain('SELECT count(*) FROM par');
SET parallel_leader_participation = off;
SELECT * FROM par_explain('SELECT count(*) FROM par');
RESET parallel_leader_participation;
-- a LIMIT stops the workers
SELECT count(*) FROM (SELECT a FROM par LIMIT 5) x;

-- rescans: each with the values of its time
SET enable_material = off;
SELECT n, (SELECT count(*) FROM par WHERE _offset < (SELECT n)) FROM (VALUES (10), (0), (20000)) v(n);
CREATE FUNCTION par_count(p int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM par WHERE _partition = p';
SELECT par_count(0) = (SELECT count(*) FROM par_local WHERE _partition = 0);
-- the inner side of a nested loop under Gather is scanned again and again
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*) FROM (VALUES (1), (2)) v(x) CROSS JOIN (SELECT count(*) AS n FROM par WHERE _topic = 'par_a') y WHERE y.n > v.x;
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material;

-- parameters and generic plans
PREPARE par_p(bigint, text[]) AS SELECT count(*), sum(a) FROM par WHERE _offset >= $1 AND _topic = ANY ($2);
SET plan_cache_mode = force_generic_plan;
EXECUTE par_p(1000, '{par_a,par_b}');
EXECUTE par_p(53990, '{par_b}');
EXECUTE par_p(NULL, '{par_b}');
RESET plan_cache_mode;

-- one snapshot for all of a transaction
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM par;
INSERT INTO par (a, _topic) SELECT 0, 'par_b' FROM generate_series(1, 10);
SELECT count(*) FROM par;
SELECT count(*) FROM par p JOIN par q USING (_topic, _partition, _offset);
COMMIT;
SELECT count(*) FROM par;

-- a worker's error is the query's, with its place, and leaves nothing
SELECT partition FROM kafka.produce_now('par', 'par_b', 'not JSON');
\set VERBOSITY terse
SELECT sum(a) FROM par;
\set VERBOSITY default
SELECT count(*) FROM par WHERE _topic = 'par_a';
SELECT count(*) FROM kafka.connections() WHERE server = 'par' AND active;

SET client_min_messages = warning;
SELECT kafka.delete_topic('par', t) FROM unnest('{par_a,par_b}'::text[]) t;
DROP SERVER par CASCADE;
DROP TABLE par_local;
DROP FUNCTION par_node, par_explain, par_count;
