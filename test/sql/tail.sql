-- The last messages of a topic.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
SET timezone = 'UTC';
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER tail FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SELECT kafka.create_topic('tail', 'tail', 2);
SELECT * FROM kafka.tail('tail', 'tail');

-- odd partitions are ahead in time
SELECT count(kafka.produce_now('tail', 'tail', 'v' || i, key => 'k' || i, partition => i % 2,
							   "timestamp" => '2020-01-01 00:00:00+00'::timestamptz + i * interval '1 min'))
	FROM generate_series(0, 99) AS i;
SELECT partition, "offset", "timestamp", key, value FROM kafka.tail('tail', 'tail', 3);
SELECT partition, "offset", key, value FROM kafka.tail('tail', 'tail', 2, per_partition => true);
SELECT partition, "offset", key, value FROM kafka.tail('tail', 'tail', 2, partitions => '{0}');
SELECT count(*), count(DISTINCT (partition, "offset")) FROM kafka.tail('tail', 'tail', 2000000000);
SELECT count(*) FROM kafka.tail('tail', 'tail');
SELECT count(*) FROM kafka.tail('tail', 'tail', 40, per_partition => true);

-- by time, not by partition
SELECT partition, "offset" FROM kafka.produce_now('tail', 'tail', 'late', partition => 0, "timestamp" => '2021-01-01 00:00:00+00');
SELECT partition, "offset" FROM kafka.produce_now('tail', 'tail', 'early', partition => 1, "timestamp" => '2019-01-01 00:00:00+00');
SELECT partition, value FROM kafka.tail('tail', 'tail', 2);
SELECT partition, value FROM kafka.tail('tail', 'tail', 1, true);

-- NULL, empty, not text, headers
CREATE FOREIGN TABLE tail_raw (_key bytea, _value bytea, _headers kafka.header[], _partition int) SERVER tail
	OPTIONS (topic 'tail', format 'raw');
INSERT INTO tail_raw VALUES
	(NULL, NULL, '{}', 0), ('', '', '{}', 0), ('\xff00', '\xfe', '{"(h,\"\\\\xff\")","(h,)","(h2,\"\\\\x\")"}', 0), ('é', '{"a": "ü"}', '{}', 0);
SELECT key, value, headers, key_bytes, value_bytes FROM kafka.tail('tail', 'tail', 4, partitions => '{0}');

SELECT * FROM kafka.tail('tail', 'tail', 0);
SELECT * FROM kafka.tail('tail', NULL);
SELECT * FROM kafka.tail('tail', 'tail', 1, partitions => '{2}');
SELECT * FROM kafka.tail('tail', 'tail_none');

-- where the log begins later
SELECT * FROM kafka.delete_records('tail', 'tail', 0, 52);
SELECT partition, "offset" FROM kafka.tail('tail', 'tail', 10, partitions => '{0}');
SELECT * FROM kafka.delete_records('tail', 'tail', 0, NULL);
SELECT * FROM kafka.tail('tail', 'tail', 10, partitions => '{0}');

DROP FOREIGN TABLE tail_raw;
SELECT kafka.delete_topic('tail', 'tail');
DROP SERVER tail;
