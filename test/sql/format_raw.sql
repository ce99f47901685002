-- Format raw: the value as one column, and the other parts of a message.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fr FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
\pset null '(null)'

--
-- The payload as text, bytea, json, jsonb, and other types
--
SELECT kafka.create_topic('fr', 'fr_value');
CREATE FOREIGN TABLE fr_bytea (v bytea, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
CREATE FOREIGN TABLE fr_text (v text, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
CREATE FOREIGN TABLE fr_json (v json, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
CREATE FOREIGN TABLE fr_jsonb (v jsonb, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
CREATE FOREIGN TABLE fr_int (v int, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
INSERT INTO fr_bytea (v) VALUES ('\x00ff0a'), (''), (NULL), ('123'), (convert_to('{"é": [1, 1.0], "é": "\u00e9"}', 'UTF8'));
INSERT INTO fr_text (v) VALUES ('text'), (''), (NULL), ('é日本😀'), (E' \n\t'), ('\x00');
INSERT INTO fr_json (v) VALUES ('{"b": 1,  "a": 2}'), ('null'), (NULL), ('"s"');
INSERT INTO fr_jsonb (v) VALUES ('{"b": 1,  "a": 2}'), ('null'), (NULL), ('[]');
INSERT INTO fr_int (v) VALUES (-7), (NULL);
SELECT * FROM fr_bytea ORDER BY _offset;
SELECT * FROM fr_text WHERE _offset > 0 ORDER BY _offset;
SELECT * FROM fr_json WHERE _offset BETWEEN 2 AND 4 ORDER BY _offset;
SELECT * FROM fr_json WHERE _offset BETWEEN 11 AND 18 ORDER BY _offset;
SELECT * FROM fr_jsonb WHERE _offset BETWEEN 2 AND 4 ORDER BY _offset;
SELECT * FROM fr_jsonb WHERE _offset BETWEEN 11 AND 18 ORDER BY _offset;
SELECT * FROM fr_int WHERE _offset BETWEEN 2 AND 3 ORDER BY _offset;
SELECT * FROM fr_int WHERE _offset > 18 ORDER BY _offset;
-- what a type does not take
SELECT v FROM fr_text WHERE _offset = 0;
SELECT v FROM fr_json WHERE _offset = 1;
SELECT v FROM fr_jsonb WHERE _offset = 5;
SELECT v FROM fr_int WHERE _offset = 1;
SELECT v FROM fr_int WHERE _offset = 7;
SELECT count(*) FROM fr_int;

-- all bytes, both ways
INSERT INTO fr_bytea (v) SELECT decode(string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i), 'hex') FROM generate_series(0, 255) i;
SELECT md5(v), length(v) FROM fr_bytea WHERE _offset = 21;
SELECT md5(decode(string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i), 'hex')) FROM generate_series(0, 255) i;

-- one column is the value, another can only be refused; none is fine
CREATE FOREIGN TABLE fr_two (a text, b text) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
SELECT * FROM fr_two;
CREATE FOREIGN TABLE fr_none (_offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
SELECT count(*), max(_offset) FROM fr_none;

-- domains and NOT NULL
CREATE DOMAIN fr_word AS text CHECK (VALUE ~ '^\w*$');
CREATE DOMAIN fr_some AS bytea NOT NULL CHECK (length(VALUE) > 0);
CREATE FOREIGN TABLE fr_domain (v fr_word, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
SELECT * FROM fr_domain WHERE _offset BETWEEN 5 AND 7 ORDER BY _offset;
SELECT * FROM fr_domain WHERE _offset = 9;
CREATE FOREIGN TABLE fr_domain_bytea (v fr_some, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
SELECT * FROM fr_domain_bytea WHERE _offset = 0;
SELECT * FROM fr_domain_bytea WHERE _offset = 1;
SELECT * FROM fr_domain_bytea WHERE _offset = 2;
CREATE FOREIGN TABLE fr_not_null (v text NOT NULL, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw');
SELECT * FROM fr_not_null WHERE _offset = 1;
SELECT * FROM fr_not_null WHERE _offset = 2;
CREATE FOREIGN TABLE fr_raw_strict (v text, _offset bigint) SERVER fr OPTIONS (topic 'fr_value', format 'raw', strict 'true');
SELECT * FROM fr_raw_strict WHERE _offset = 1;
SELECT * FROM fr_raw_strict WHERE _offset = 2;

--
-- Key, value and timestamp as metadata
--
SELECT kafka.create_topic('fr', 'fr_parts', 2);
CREATE FOREIGN TABLE fr_parts (_topic text, _partition int, _offset bigint, _timestamp timestamptz, _key text, _value text)
	SERVER fr OPTIONS (topic 'fr_parts', format 'raw');
CREATE FOREIGN TABLE fr_parts_bytea (t varchar OPTIONS (metadata 'topic'), p int2 OPTIONS (metadata 'partition'), o bigint OPTIONS (metadata 'offset'),
	ts timestamptz(0) OPTIONS (metadata 'timestamp'), k bytea OPTIONS (metadata 'key'), v bytea OPTIONS (metadata 'value'))
	SERVER fr OPTIONS (topic 'fr_parts', format 'raw');
INSERT INTO fr_parts (_key, _value, _partition, _timestamp) VALUES
	(NULL, NULL, 0, '2018-10-22 14:20:30.4999+00'), ('', '', 0, '1970-01-01 00:00:00.001+00'), ('k', NULL, 0, '2018-10-22 14:20:30.5+00'), (NULL, 'v', 1, '2018-10-22 14:20:30+00'), ('é', '日本', 1, '2018-10-22 14:20:30+00');
INSERT INTO fr_parts_bytea (t, p, k, v, ts) VALUES ('fr_parts', 1, '\x00ff', '\xfe', '2018-10-22 14:20:31+00');
SELECT * FROM fr_parts WHERE _offset < 2 ORDER BY _partition, _offset;
SELECT * FROM fr_parts_bytea ORDER BY p, o;
-- key and value as json; the same part twice
CREATE FOREIGN TABLE fr_parts_json (_partition int, _offset bigint, _key jsonb, _value json, again jsonb OPTIONS (metadata 'value'), v text)
	SERVER fr OPTIONS (topic 'fr_parts', format 'raw');
INSERT INTO fr_parts_json (_partition, _key, _value) VALUES (0, '{"id": 1}', '[1,  2]');
INSERT INTO fr_parts_json (_partition, _key, v) VALUES (0, '"k"', '{}');
SELECT * FROM fr_parts_json WHERE _partition = 0 AND _offset >= 3 ORDER BY _offset;
-- what cannot be written
INSERT INTO fr_parts_json (_partition, _value, v) VALUES (0, '1', '2');
INSERT INTO fr_parts (_topic, _value) VALUES ('another', 'x');
INSERT INTO fr_parts (_timestamp, _value) VALUES ('1969-12-31 23:59:59.999+00', 'x');
INSERT INTO fr_parts (_timestamp, _value) VALUES ('1970-01-01 00:00:00.0009+00', 'x');		-- Kafka's clients take 0 for now
INSERT INTO fr_parts (_timestamp, _value) VALUES ('infinity', 'x');
INSERT INTO fr_parts (_timestamp, _value, _partition) VALUES ('2200-01-01', 'x', 0);
INSERT INTO fr_parts_bytea (p, v) VALUES (-1, 'x');
SELECT sum(high) FROM kafka.watermarks('fr', 'fr_parts');
-- types that do not fit
CREATE FUNCTION fr_refused("column" text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE fr_refused (%s) SERVER fr OPTIONS (topic ''fr_parts'', format ''raw'')', "column");
	PERFORM count(*) FROM fr_refused;
	DROP FOREIGN TABLE fr_refused;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT "column", fr_refused("column") FROM unnest(ARRAY['_topic int', '_topic name', '_partition text', '_partition bigint', '_offset int', '_timestamp timestamp', '_timestamp bigint',
	'_key int', '_key uuid', '_key varchar(10)', '_value text[]', '_value jsonb', '_headers text', '_headers json', '_headers jsonb', '_headers kafka.header[]', '_headers kafka.header',
	'_headers text[]', 'x text OPTIONS (metadata ''keys'')', 'x int OPTIONS (metadata ''key'')', 'x text OPTIONS (metadata '''')']) "column";

--
-- Headers
--
SELECT kafka.create_topic('fr', 'fr_headers');
CREATE FOREIGN TABLE fr_headers (v text, _offset bigint, _headers kafka.header[]) SERVER fr OPTIONS (topic 'fr_headers', format 'raw');
CREATE FOREIGN TABLE fr_headers_jsonb (v text, _offset bigint, _headers jsonb) SERVER fr OPTIONS (topic 'fr_headers', format 'raw');
CREATE TABLE fr_local (v text, _headers kafka.header[]);
INSERT INTO fr_local VALUES
	('none', NULL),
	('empty', '{}'),
	('one', ARRAY[ROW('name', 'value')]::kafka.header[]),
	('null and empty', ARRAY[ROW('null', NULL), ROW('empty', ''), ROW('', 'empty name')]::kafka.header[]),
	('twice', ARRAY[ROW('b', '1'), ROW('a', '2'), ROW('b', NULL), ROW('b', '1')]::kafka.header[]),
	('names', ARRAY[ROW('é', convert_to('日本', 'UTF8')), ROW('a "b"', 'x'), ROW('B', 'capital')]::kafka.header[]),
	('long', ARRAY[ROW(repeat('n', 1000), convert_to(repeat('v', 10000), 'UTF8'))]::kafka.header[]),
	('two dimensions', ARRAY[[ROW('a', '1'), ROW('b', '2')], [ROW('c', '3'), ROW('d', '4')]]::kafka.header[]);
INSERT INTO fr_headers (v, _headers) SELECT * FROM fr_local;
SELECT v, _headers FROM fr_headers WHERE v <> 'long' ORDER BY _offset;
SELECT v, _headers FROM fr_headers_jsonb WHERE v <> 'long' ORDER BY _offset;
-- identical but for NULL and dimensions
SELECT v FROM (SELECT * FROM fr_local EXCEPT SELECT v, _headers FROM fr_headers) missing;
-- bytes are for kafka.header[] only
INSERT INTO fr_headers (v, _headers) VALUES ('bytes', ARRAY[ROW('b', '\x00ff')]::kafka.header[]), ('nul', ARRAY[ROW('b', '\x6100')]::kafka.header[]);
SELECT v, _headers FROM fr_headers WHERE _offset >= 8 ORDER BY _offset;
SELECT v, _headers FROM fr_headers_jsonb WHERE _offset = 8;
SELECT v, _headers FROM fr_headers_jsonb WHERE _offset = 9;
SELECT v FROM fr_headers_jsonb WHERE _offset = 9;
-- jsonb to headers
INSERT INTO fr_headers_jsonb (v, _headers) VALUES
	('none', NULL), ('empty', '{}'), ('scalars', '{"s": "x", "n": 1.50, "t": true, "f": false, "0": null, "e": ""}'), ('arrays', '{"a": ["1", null, "", 2], "none": []}'), ('é', '{"é": "日本"}'), ('ten', '{"a": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}');
SELECT v, _headers FROM fr_headers WHERE _offset >= 10 ORDER BY _offset;
SELECT v, _headers FROM fr_headers_jsonb WHERE _offset >= 10 ORDER BY _offset;
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('object', '{"a": {"b": 1}}');
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('object in array', '{"a": [{"b": 1}]}');
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('array in array', '{"a": [["b"], "c"]}');
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('array', '["a"]');
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('string', '"a"');
INSERT INTO fr_headers_jsonb (v, _headers) VALUES ('null', 'null');
INSERT INTO fr_headers (v, _headers) VALUES ('null header', ARRAY[NULL]::kafka.header[]);
INSERT INTO fr_headers (v, _headers) VALUES ('null name', ARRAY[ROW(NULL, 'v')]::kafka.header[]);
SELECT high FROM kafka.watermarks('fr', 'fr_headers');
-- a type and a domain of one's own
CREATE TYPE fr_header AS (n text, v bytea);
CREATE DOMAIN fr_header_array AS kafka.header[] CHECK (cardinality(VALUE) < 3);
CREATE FOREIGN TABLE fr_headers_own (v text, _offset bigint, h fr_header[] OPTIONS (metadata 'headers'), _headers fr_header_array)
	SERVER fr OPTIONS (topic 'fr_headers', format 'raw');
SELECT * FROM fr_headers_own WHERE _offset = 2;
SELECT v, cardinality(h), h[4] FROM fr_headers_own WHERE _offset = 4;
SELECT * FROM fr_headers_own WHERE _offset = 4;

SET client_min_messages = warning;
DROP SERVER fr CASCADE;
DROP TABLE fr_local;
DROP FUNCTION fr_refused;
DROP TYPE fr_header, fr_header_array, fr_word, fr_some;
