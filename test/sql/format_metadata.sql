-- Columns that come from neither the value nor its place: metadata, one header,
-- fields of the key.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fm FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'

--
-- Metadata
--
SELECT kafka.create_topic('fm', 'fm_create');
SELECT kafka.create_topic('fm', 'fm_append', config => '{"message.timestamp.type": "LogAppendTime"}');
CREATE FOREIGN TABLE fm_create (a int, _timestamp_type text, _leader_epoch int, _ordinality bigint, _error text, _offset bigint)
	SERVER fm OPTIONS (topic 'fm_create', rows 'rows');
CREATE FOREIGN TABLE fm_create_raw (value text, kind varchar(6) OPTIONS (metadata 'timestamp_type'), _ordinality int) SERVER fm OPTIONS (topic 'fm_create', format 'raw');
CREATE FOREIGN TABLE fm_append (a int, b text, _timestamp_type text, n int OPTIONS (metadata 'ordinality'), _error varchar, _leader_epoch bigint, _offset bigint)
	SERVER fm OPTIONS (topic 'fm_append', format 'csv');
CREATE FOREIGN TABLE fm_append_raw (value text) SERVER fm OPTIONS (topic 'fm_append', format 'raw');
INSERT INTO fm_create_raw VALUES ('{"rows": [{"a": 1}, {"a": 2}, {}]}'), ('{"rows": []}'), ('{"rows": [{"a": 4}]}');
SELECT a, _timestamp_type, _ordinality, _error, _offset FROM fm_create ORDER BY _offset, _ordinality;
SELECT _ordinality FROM fm_create WHERE _offset = 0;
SELECT count(*) FROM fm_create WHERE _ordinality = 1;
SELECT _ordinality FROM fm_create_raw;
-- what the type does not take
SELECT kind FROM fm_create_raw LIMIT 1;
INSERT INTO fm_append_raw VALUES (E'1,x\n2,y\n'), (NULL), ('3,z');
SELECT a, b, _timestamp_type, n, _error, _offset FROM fm_append ORDER BY _offset, n;
-- known or not, never an error
SELECT count(*) FROM fm_append WHERE _leader_epoch < 0;
-- they are not sent
INSERT INTO fm_append VALUES (4, 'w', 'CreateTime', 7, 'no error', 9, 1000);
SELECT a, b, _timestamp_type, n, _error, _offset FROM fm_append WHERE a = 4;
-- types
ALTER FOREIGN TABLE fm_append ALTER n TYPE text;
SELECT * FROM fm_append;
ALTER FOREIGN TABLE fm_append ALTER n TYPE int, ALTER _error TYPE int;
SELECT * FROM fm_append;
-- a field of the name of metadata
CREATE FOREIGN TABLE fm_fields (_error text OPTIONS (path '_error'), _ordinality int OPTIONS (path '_ordinality')) SERVER fm OPTIONS (topic 'fm_fields');
SELECT kafka.create_topic('fm', 'fm_fields');
INSERT INTO fm_fields VALUES ('E', 5);
SELECT * FROM fm_fields;

--
-- A header
--
SELECT kafka.create_topic('fm', 'fm_headers');
CREATE TYPE fm_color AS ENUM ('red', 'green');
CREATE DOMAIN fm_even AS int CHECK (VALUE % 2 = 0);
CREATE FOREIGN TABLE fm_headers (
	id int,
	trace text OPTIONS (source 'header'),
	n fm_even OPTIONS (source 'header', path 'the number'),
	bytes bytea OPTIONS (source 'header', path 'größe'),
	j jsonb OPTIONS (source 'header'),
	c fm_color OPTIONS (source 'header'),
	at timestamptz OPTIONS (source 'header', epoch 'ms'),
	list int[] OPTIONS (source 'header'),
	_headers kafka.header[],
	_offset bigint)
	SERVER fm OPTIONS (topic 'fm_headers');
INSERT INTO fm_headers (id, trace, n, bytes, j, c, at, list) VALUES
	(1, 'abc', 2, '\x00ff', '{"a": [1]}', 'red', '2026-01-02 03:04:05.678+00', '{1,2}'),
	(2, '', NULL, '', 'null', NULL, NULL, NULL),
	(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO fm_headers (id, trace, _headers) VALUES
	(4, 'last', ARRAY[('trace', 'first'), ('other', 'x'), ('TRACE', 'case counts')]::kafka.header[]),
	(5, NULL, ARRAY[('trace', 'first'), ('trace', 'second')]::kafka.header[]),
	(6, NULL, ARRAY[('trace', 'first'), ('trace', NULL)]::kafka.header[]),
	(7, NULL, ARRAY[('trace', '\xff'), ('the number', '3')]::kafka.header[]);
SELECT id, trace, n, bytes, j, c, at, list FROM fm_headers WHERE _offset < 6 ORDER BY _offset;
SELECT id, h.name, convert_from(h.value, 'UTF8') AS value FROM fm_headers, unnest(_headers) WITH ORDINALITY h(name, value, n) WHERE _offset = 3 ORDER BY h.n;
SELECT cardinality(_headers) FROM fm_headers WHERE _offset IN (0, 2) ORDER BY _offset;
SELECT trace FROM fm_headers WHERE _offset = 6;
SELECT n FROM fm_headers WHERE _offset = 6;
SELECT id, c FROM fm_headers WHERE _offset = 6;

--
-- The key
--
SELECT kafka.create_topic('fm', 'fm_key');
CREATE FOREIGN TABLE fm_key_raw (_key text, value text, _offset bigint) SERVER fm OPTIONS (topic 'fm_key', format 'raw');
CREATE FOREIGN TABLE fm_key (
	id int OPTIONS (source 'key'),
	region text OPTIONS (source 'key', path 'place.region'),
	at timestamptz OPTIONS (source 'key', epoch 's'),
	v int,
	_offset bigint)
	SERVER fm OPTIONS (topic 'fm_key', key_format 'json');
INSERT INTO fm_key VALUES (1, 'north', '2026-01-02 03:04:05+00', 10), (2, NULL, NULL, NULL), (NULL, NULL, NULL, 30);
SELECT * FROM fm_key_raw ORDER BY _offset;
SELECT * FROM fm_key ORDER BY _offset;
SELECT v FROM fm_key WHERE id = 1;
INSERT INTO fm_key_raw VALUES ('{"id": "x", "place": 1}', '{"v": 40}'), ('{"id": ', '{"v": 50}'), ('[]', '{"v": 60}'), ('', NULL);
SELECT v FROM fm_key WHERE _offset > 2 ORDER BY _offset;
SELECT region FROM fm_key WHERE _offset = 3;
SELECT id FROM fm_key WHERE _offset = 3;
SELECT id FROM fm_key WHERE _offset = 4;
SELECT id FROM fm_key WHERE _offset = 5;
SELECT id FROM fm_key WHERE _offset = 6;
-- the key of several rows
CREATE FOREIGN TABLE fm_key_rows (id int OPTIONS (source 'key'), a int, _ordinality int, _offset bigint) SERVER fm OPTIONS (topic 'fm_key', key_format 'json', rows 'rows');
INSERT INTO fm_key_raw VALUES ('{"id": 7}', '{"rows": [{"a": 1}, {"a": 2}]}');
SELECT * FROM fm_key_rows WHERE _offset = 7;
-- csv and text
SELECT kafka.create_topic('fm', 'fm_key_csv');
CREATE FOREIGN TABLE fm_key_csv_raw (_key text, value text, _offset bigint) SERVER fm OPTIONS (topic 'fm_key_csv', format 'raw');
CREATE FOREIGN TABLE fm_key_csv (a int OPTIONS (source 'key'), v text, b text OPTIONS (source 'key'), w text) SERVER fm OPTIONS (topic 'fm_key_csv', format 'csv', delimiter ';', key_format 'csv');
CREATE FOREIGN TABLE fm_key_text (a int OPTIONS (source 'key'), v text, b text OPTIONS (source 'key'), _offset bigint) SERVER fm OPTIONS (topic 'fm_key_csv', format 'raw', key_format 'text');
INSERT INTO fm_key_csv VALUES (1, 'v;1', 'b,1', 'w1'), (2, 'v2', NULL, 'w2'), (NULL, 'v3', NULL, 'w3');
SELECT * FROM fm_key_csv_raw ORDER BY _offset;
SELECT * FROM fm_key_csv ORDER BY a;
INSERT INTO fm_key_text VALUES (4, 'v4', E'tab\t4');
SELECT * FROM fm_key_csv_raw WHERE _offset = 3;
SELECT * FROM fm_key_text WHERE _offset = 3;
-- raw is the default
SELECT kafka.create_topic('fm', 'fm_key_bytes');
CREATE FOREIGN TABLE fm_key_bytes (id uuid OPTIONS (source 'key'), v int) SERVER fm OPTIONS (topic 'fm_key_bytes');
INSERT INTO fm_key_bytes VALUES ('00000000-0000-0000-0000-00000000000a', 1), (NULL, 2);
SELECT * FROM fm_key_bytes ORDER BY v;
-- what does not fit
ALTER FOREIGN TABLE fm_key_bytes ADD b int OPTIONS (source 'key');
SELECT * FROM fm_key_bytes;
ALTER FOREIGN TABLE fm_key_bytes OPTIONS (ADD key_format 'json');
ALTER FOREIGN TABLE fm_key_bytes ALTER b OPTIONS (ADD path 'b[0]');
INSERT INTO fm_key_bytes VALUES (NULL, 1);
ALTER FOREIGN TABLE fm_key_bytes ALTER b OPTIONS (DROP path), ADD _key text;
INSERT INTO fm_key_bytes (b, _key) VALUES (1, 'k');
ALTER FOREIGN TABLE fm_key_bytes ALTER b OPTIONS (ADD metadata 'key');
SELECT * FROM fm_key_bytes;
ALTER FOREIGN TABLE fm_key_bytes ALTER b OPTIONS (DROP metadata, SET source 'value');

SET client_min_messages = warning;
DROP SERVER fm CASCADE;
DROP TYPE fm_color;
DROP DOMAIN fm_even;
