-- kafka.produce and kafka.produce_now: what a message can be made of.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
SET TIME ZONE 'UTC';
SET bytea_output = hex;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER prd FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers :'brokers');
SELECT kafka.create_topic('prd', 'prd', 3);
CREATE FOREIGN TABLE prd (_key bytea, _value bytea, _headers kafka.header[], _partition int, _offset bigint, _timestamp timestamptz)
	SERVER prd OPTIONS (topic 'prd', format 'raw');

-- literals, parameters without a type, and NULL are text
SELECT kafka.produce('prd', 'prd', 'literal', partition => 0);
SELECT kafka.produce('prd', 'prd', 'with a key', 'k', partition => 0);
SELECT kafka.produce('prd', 'prd', NULL, key => 'tombstone', partition => 0);
SELECT kafka.produce('prd', 'prd', '', key => '', partition => 0);
PREPARE untyped AS SELECT kafka.produce('prd', $1, $2, key => $3, partition => 0);
EXECUTE untyped('prd', 'parameter', 'k');
EXECUTE untyped('prd', NULL, 'k');

-- other types of value
SELECT kafka.produce('prd', 'prd', '\x0001ff'::bytea, partition => 0);
SELECT kafka.produce('prd', 'prd', '{"b": 1,  "a": null}'::json, partition => 0);
SELECT kafka.produce('prd', 'prd', '{"b": 1,  "a": null}'::jsonb, partition => 0);
SELECT kafka.produce('prd', 'prd', row_to_json(r), partition => 0) FROM (VALUES (1, 'x')) r (a, b);
SELECT kafka.produce('prd', 'prd', 'varchar'::varchar(20), partition => 0);

-- other types of key
SELECT kafka.produce('prd', 'prd', 'integer', key => 42, partition => 0);
SELECT kafka.produce('prd', 'prd', 'bytea', key => '\x00'::bytea, partition => 0);
SELECT kafka.produce('prd', 'prd', 'jsonb', key => '{"a": 1}'::jsonb, partition => 0);
SELECT kafka.produce('prd', 'prd', 'uuid', key => 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, partition => 0);
SELECT kafka.produce('prd', 'prd', 'timestamptz', key => '2018-10-22 14:20:30+00'::timestamptz, partition => 0);
SELECT kafka.produce('prd', 'prd', 'null', key => NULL::int, partition => 0);
SELECT encode(_key, 'escape') AS key, encode(_value, 'escape') AS value FROM prd WHERE _partition = 0 ORDER BY _offset;

-- headers, partition and timestamp
SELECT kafka.produce('prd', 'prd', 'a', headers => '{"a": "1", "n": null, "twice": ["x", "y"]}', partition => 1);
SELECT kafka.produce('prd', 'prd', 'b', headers => '{"a": "1"}'::jsonb, partition => 1);
SELECT kafka.produce('prd', 'prd', 'c', headers => '{"a": "1"}'::text, partition => 1);
SELECT kafka.produce('prd', 'prd', 'd', headers => ARRAY[('z', '\x00'), ('a', NULL), ('z', '')]::kafka.header[], partition => 1);
SELECT kafka.produce('prd', 'prd', 'e', headers => NULL, partition => 1, "timestamp" => '2018-10-22 14:20:30.123456+00');
SELECT kafka.produce('prd', 'prd', 'f', headers => 17);
SELECT kafka.produce('prd', 'prd', 'f', headers => '["a"]');
SELECT kafka.produce('prd', 'prd', 'f', partition => -1);
SELECT kafka.produce('prd', 'prd', 'f', "timestamp" => 'infinity');
SELECT kafka.produce('prd', NULL, 'f');
SELECT encode(_value, 'escape') AS value, _headers, CASE WHEN _timestamp < '2019-01-01' THEN _timestamp END AS "timestamp"
FROM prd WHERE _partition = 1 ORDER BY _offset;

-- produce_now: at once, and with an answer
BEGIN;
SELECT partition, "offset", "timestamp" FROM kafka.produce_now('prd', 'prd', 'now', key => 1, partition => 2, "timestamp" => '2018-10-22 14:20:30+00');
SELECT partition, "offset" FROM kafka.produce_now('prd', 'prd', '\x00'::bytea, partition => 2);
SELECT partition, "offset" FROM kafka.produce_now('prd', 'prd', '{"a": 1}'::jsonb, partition => 2, headers => '{"h": "v"}');
SELECT partition, "offset" FROM kafka.produce_now('prd', 'prd', NULL, key => 'k', partition => 2);
ROLLBACK;
SELECT encode(_key, 'escape') AS key, encode(_value, 'escape') AS value FROM prd WHERE _partition = 2 ORDER BY _offset;
SELECT kafka.create_topic('prd', 'prd_stamped', config => '{"message.timestamp.type": "LogAppendTime"}');
SELECT partition, "offset", "timestamp" > now() - interval '1 hour' AS stamped
FROM kafka.produce_now('prd', 'prd_stamped', 'x', "timestamp" => '2018-10-22 14:20:30+00');

-- delivery "immediate": kafka.produce sends at once too
SET kafka_fdw.delivery = immediate;
BEGIN;
SELECT kafka.produce('prd', 'prd', 'immediate', partition => 2);
ROLLBACK;
RESET kafka_fdw.delivery;
ALTER SERVER prd OPTIONS (ADD delivery 'immediate');
BEGIN;
SELECT kafka.produce('prd', 'prd', 'by server', partition => 2);
ROLLBACK;
ALTER SERVER prd OPTIONS (DROP delivery);
SELECT encode(_value, 'escape') AS value FROM prd WHERE _partition = 2 AND _offset > 3 ORDER BY _offset;

-- who may: EXECUTE, and USAGE on the server
CREATE ROLE kafka_produce_user;
SET ROLE kafka_produce_user;
SELECT kafka.produce('prd', 'prd', 'x');
SELECT kafka.produce_now('prd', 'prd', 'x');
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kafka TO kafka_produce_user;
SET ROLE kafka_produce_user;
SELECT kafka.produce('prd', 'prd', 'x');
SELECT kafka.produce_now('prd', 'prd', 'x');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER prd TO kafka_produce_user;
SET ROLE kafka_produce_user;
SELECT kafka.produce('prd', 'prd', 'granted', partition => 2);
RESET ROLE;
SELECT encode(_value, 'escape') AS value FROM prd WHERE _partition = 2 AND _offset > 5;

DROP OWNED BY kafka_produce_user;
DROP ROLE kafka_produce_user;
SELECT kafka.delete_topic('prd', topic) FROM unnest('{prd,prd_stamped}'::text[]) topic;
DROP SERVER prd CASCADE;
