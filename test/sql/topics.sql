-- Topics and single messages by function.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER topics FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');

SELECT kafka.create_topic('topics', 'topics_a', 3);
SELECT kafka.create_topic('topics', 'topics_b', config => '{"cleanup.policy": "compact", "max.message.bytes": 100000}');
SELECT * FROM kafka.topics('topics') WHERE topic LIKE 'topics\_%';
SELECT * FROM kafka.watermarks('topics', 'topics_a');

-- where a message is
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'one', partition => 2);
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'two', key => 'k', partition => 2,
								headers => '{"h": "v", "n": null, "twice": ["1", "2"]}',
								"timestamp" => '2018-10-22 14:20:30+00');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', NULL, key => '', partition => 2);
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', '', partition => 2);
SELECT * FROM kafka.watermarks('topics', 'topics_a');

-- NULL and empty are different things
CREATE FOREIGN TABLE topics_raw (_partition int, _offset bigint, _key text, _value text, _headers jsonb)
	SERVER topics OPTIONS (topic 'topics_a', format 'raw');
SELECT * FROM topics_raw ORDER BY _offset;
CREATE FOREIGN TABLE topics_meta (topic text OPTIONS (metadata 'topic'), _headers kafka.header[], _timestamp timestamptz)
	SERVER topics OPTIONS (topic 'topics_a', format 'raw');
SET timezone = 'UTC';
SELECT * FROM topics_meta WHERE _timestamp < '2020-01-01';

-- the same by the name that adjust/kafka_fdw has for it
SELECT * FROM kafka.kafka_get_watermarks('topics_raw');
SELECT * FROM kafka.kafka_get_watermarks('pg_class');
CREATE ROLE kafka_topics_user;
SET ROLE kafka_topics_user;
SELECT * FROM kafka.kafka_get_watermarks('topics_raw');
RESET ROLE;
DROP ROLE kafka_topics_user;

-- what is refused
SELECT kafka.create_topic('topics', 'topics_a');
SELECT kafka.create_topic('topics', 'topics c');
SELECT kafka.create_topic('topics', 'topics_c', 0);
SELECT kafka.create_topic('topics', 'topics_c', replication_factor => 3);
SELECT kafka.create_topic('topics', 'topics_c', config => '{"no.such.setting": 1}');
SELECT kafka.create_topic('topics', 'topics_c', config => '[]');
SELECT kafka.create_topic('topics', NULL);
SELECT * FROM kafka.watermarks('topics', 'topics_none');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_none', 'x');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', partition => 3);
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', partition => -1);
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', "timestamp" => 'infinity');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', "timestamp" => '1970-01-01 00:00:00+00');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', "timestamp" => '1969-12-31 23:59:59.9995+00');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', 'x', headers => '["a"]');
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_a', repeat('x', 2000000));
SELECT partition, "offset" FROM kafka.produce_now('topics', 'topics_b', repeat('x', 200000), key => 'k');
SELECT kafka.delete_topic('topics', 'topics_none');
-- none of which has sent anything
SELECT * FROM kafka.watermarks('topics', 'topics_a');

SELECT kafka.delete_topic('topics', 'topics_a');
SELECT kafka.delete_topic('topics', 'topics_b');
SELECT * FROM kafka.topics('topics') WHERE topic LIKE 'topics\_%';
DROP SERVER topics CASCADE;
