-- The example of the manual: bikes per hour and station, from a table to a topic.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
SET TIME ZONE 'UTC';
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER agg FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('agg', topic, config => '{"cleanup.policy": "compact"}') FROM (VALUES ('station_hours')) t (topic);
SELECT kafka.create_topic('agg', 'station_averages');
CREATE TABLE station_status (station_id text, num_bikes_available int, reported_at timestamptz);
INSERT INTO station_status VALUES
	('387', 4, '2018-10-22 14:05+00'), ('387', 5, '2018-10-22 14:35+00'), ('387', 0, '2018-10-22 15:05+00'),
	('627', 10, '2018-10-22 14:05+00'), ('627', 0, '2018-10-22 14:35+00');
CREATE FOREIGN TABLE station_hours (
	_key		text,
	station_id	text,
	hour		timestamptz,
	avg_bikes	numeric,
	min_bikes	int
) SERVER agg OPTIONS (topic 'station_hours', format 'json');

INSERT INTO station_hours (_key, station_id, hour, avg_bikes, min_bikes)
SELECT station_id || '/' || to_char(date_trunc('hour', reported_at, 'UTC'), 'YYYY-MM-DD"T"HH24'),
	station_id, date_trunc('hour', reported_at, 'UTC'), round(avg(num_bikes_available), 1), min(num_bikes_available)
FROM station_status
GROUP BY station_id, date_trunc('hour', reported_at, 'UTC');
SELECT kafka.produce('agg', 'station_averages', jsonb_build_object('station_id', station_id, 'avg_bikes', avg(num_bikes_available)))
FROM station_status
GROUP BY station_id;

-- committed messages are seen a moment later
DO $$
DECLARE
	until timestamptz := clock_timestamp() + interval '30 s';
BEGIN
	WHILE (SELECT count(*) FROM station_hours) < 3 LOOP
		EXIT WHEN clock_timestamp() > until;
	END LOOP;
END $$;
SELECT * FROM station_hours ORDER BY _key;
CREATE FOREIGN TABLE station_averages (_value text) SERVER agg OPTIONS (topic 'station_averages', format 'raw');
DO $$
DECLARE
	until timestamptz := clock_timestamp() + interval '30 s';
BEGIN
	WHILE (SELECT count(*) FROM station_averages) < 2 LOOP
		EXIT WHEN clock_timestamp() > until;
	END LOOP;
END $$;
SELECT * FROM station_averages ORDER BY 1;

SELECT kafka.delete_topic('agg', topic) FROM unnest('{station_hours,station_averages}'::text[]) topic;
DROP TABLE station_status;
DROP SERVER agg CASCADE;
