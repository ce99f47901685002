-- Timestamps where the broker stamps.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
SET timezone = 'UTC';
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER stamps FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('stamps', 'stamps', 2, config => '{"message.timestamp.type": "LogAppendTime"}');
CREATE FOREIGN TABLE stamps (a int, _timestamp timestamptz, _timestamp_type text, _partition int, _offset bigint)
	SERVER stamps OPTIONS (topic 'stamps');
CREATE FUNCTION stamps_read(query text) RETURNS TABLE (rows int, messages int) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
	plan := plan -> 0 -> 'Plan';
	RETURN QUERY SELECT (plan ->> 'Actual Rows')::numeric::int, (plan ->> 'Kafka Messages')::int;
END $$;

INSERT INTO stamps (a, _partition) SELECT i, i % 2 FROM generate_series(1, 20) i;
SELECT max(_timestamp) AS first FROM stamps \gset
-- clocks may differ by a second
SELECT FROM pg_sleep_until(timestamptz :'first' + interval '1.5 s');
INSERT INTO stamps (a, _partition) SELECT i, i % 2 FROM generate_series(21, 40) i;
SELECT DISTINCT _timestamp_type FROM stamps;
SELECT * FROM stamps_read(format('SELECT * FROM stamps WHERE _timestamp <= %L', :'first'));
SELECT * FROM stamps_read(format('SELECT * FROM stamps WHERE _timestamp < %L', :'first'::timestamptz + interval '1 ms'));
SELECT * FROM stamps_read(format('SELECT * FROM stamps WHERE _timestamp BETWEEN %L AND %L', timestamptz '2000-01-01', :'first'));
SELECT * FROM stamps_read(format('SELECT * FROM stamps WHERE _timestamp > %L', :'first'));
SELECT * FROM stamps_read(format('SELECT * FROM stamps WHERE _timestamp <= %L OR _offset = 15', :'first'));
SELECT * FROM stamps_read('SELECT * FROM stamps WHERE _timestamp < ''2000-01-01''');
SELECT * FROM stamps_read('SELECT * FROM stamps WHERE _timestamp < ''infinity''');
SELECT * FROM stamps_read('SELECT * FROM stamps WHERE _timestamp < ''-infinity''');
SELECT * FROM stamps_read('SELECT * FROM stamps WHERE _timestamp <> ''2000-01-01''');
-- in parallel
SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
SELECT count(*) FROM stamps WHERE _timestamp <= :'first';
RESET min_parallel_table_scan_size; RESET parallel_setup_cost; RESET parallel_tuple_cost;

-- a topic that producers have stamped before
SELECT kafka.create_topic('stamps', 'stamps_before');
CREATE FOREIGN TABLE stamps_before (a int, _timestamp timestamptz, _timestamp_type text, _offset bigint)
	SERVER stamps OPTIONS (topic 'stamps_before');
INSERT INTO stamps_before (a, _timestamp) VALUES (1, '2020-01-01'), (2, '2021-01-01'), (3, '2020-01-02'), (4, '2019-01-01');
SELECT * FROM stamps_read('SELECT * FROM stamps_before WHERE _timestamp < ''2020-06-01''');
SELECT kafka.alter_topic_config('stamps', 'stamps_before', '{"message.timestamp.type": "LogAppendTime"}');
INSERT INTO stamps_before (a) VALUES (5), (6);
SELECT a, _timestamp_type FROM stamps_before ORDER BY _offset;
SELECT * FROM stamps_read('SELECT * FROM stamps_before WHERE _timestamp < ''2020-06-01''');
SELECT array_agg(a ORDER BY a) FROM stamps_before WHERE _timestamp < '2020-06-01';
SELECT * FROM stamps_read('SELECT * FROM stamps_before WHERE _timestamp < ''2022-06-01''');

-- producers may have been ahead of the brokers
SELECT kafka.create_topic('stamps', 'stamps_ahead', config => '{"message.timestamp.after.max.ms": "9223372036854775807"}');
CREATE FOREIGN TABLE stamps_ahead (a int, _timestamp timestamptz, _timestamp_type text, _offset bigint)
	SERVER stamps OPTIONS (topic 'stamps_ahead');
INSERT INTO stamps_ahead (a, _timestamp) VALUES (1, '2150-01-01'), (2, '2020-01-01');
SELECT kafka.alter_topic_config('stamps', 'stamps_ahead', '{"message.timestamp.type": "LogAppendTime"}');
INSERT INTO stamps_ahead (a) VALUES (3), (4);
SELECT array_agg(a ORDER BY a) FROM stamps_ahead WHERE _timestamp < '2120-01-01';
SELECT array_agg(a ORDER BY a) FROM stamps_ahead WHERE _timestamp < '2020-06-01';

-- a column that rounds is not the message's time
CREATE FOREIGN TABLE stamps_rounded (a int, _timestamp timestamptz(0)) SERVER stamps OPTIONS (topic 'stamps_rounded');
SELECT kafka.create_topic('stamps', 'stamps_rounded');
INSERT INTO stamps_rounded VALUES (1, '2020-01-01 00:00:00.6');
SELECT kafka.produce_now('stamps', 'stamps_rounded', '{"a": 2}', "timestamp" => '2020-01-01 00:00:00.6') IS NOT NULL AS sent;
SELECT a FROM stamps_rounded WHERE _timestamp >= '2020-01-01 00:00:01';
EXPLAIN (COSTS OFF) SELECT a FROM stamps_rounded WHERE _timestamp >= '2020-01-01 00:00:01';

-- many times are not many questions
SELECT count(*) FROM stamps WHERE _timestamp = ANY (SELECT timestamptz '2020-01-01' + i * interval '1 s' FROM generate_series(1, 1000) i);
PREPARE stamps_many(timestamptz[]) AS SELECT count(*) FROM stamps WHERE _timestamp = ANY ($1);
SELECT array_agg(_timestamp) || array_agg(_timestamp + interval '1 day') AS times FROM stamps \gset
EXECUTE stamps_many(:'times');

SET client_min_messages = warning;
SELECT kafka.delete_topic('stamps', t) FROM unnest('{stamps,stamps_before,stamps_ahead,stamps_rounded}'::text[]) t;
DROP SERVER stamps CASCADE;
DROP FUNCTION stamps_read;
