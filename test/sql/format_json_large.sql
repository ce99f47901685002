-- Format json: objects of a million keys, numbers of 100,000 digits, deep paths.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fl FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
SET datestyle = 'ISO, YMD';
\pset null '(null)'
SELECT kafka.create_topic('fl', 'fl', config => '{"max.message.bytes": 30000000}');
CREATE FOREIGN TABLE fl_raw (v text, _offset bigint) SERVER fl OPTIONS (topic 'fl', format 'raw', "message.max.bytes" '30000000');
CREATE FOREIGN TABLE fl (a int, first text OPTIONS (path 'k0'), middle int OPTIONS (path 'k200000'), last int OPTIONS (path 'k999999'), n numeric, f float8, i bigint,
	deep text OPTIONS (path 'x.x.x.x.x.x.x.x.x.x'), ranges int8multirange, list datemultirange[], _offset bigint, _error text)
	SERVER fl OPTIONS (topic 'fl', on_error 'null');

-- keys, plain and with escapes, and values for one of them a million times
INSERT INTO fl_raw SELECT '{' || string_agg(format('"k%s":%s', i, i), ',') || ',"a":1}' FROM generate_series(0, 999999) i;
INSERT INTO fl_raw SELECT '{' || string_agg(format('"\u006b%s":%s', i, i), ',') || ',"\u0061":2}' FROM generate_series(0, 999999) i;
INSERT INTO fl_raw SELECT '{' || string_agg(format('"a":%s', i), ',') || '}' FROM generate_series(0, 999999) i;
SELECT a, first, middle, last, _error FROM fl ORDER BY _offset;

-- numbers
INSERT INTO fl_raw VALUES
	('{"n": ' || repeat('1', 100000) || '}'), ('{"n": 0.' || repeat('1', 10000) || '}'), ('{"n": 1e131071}'), ('{"n": 1e131072}'),
	('{"n": 1e400, "f": 1e400, "i": 1e400}'), ('{"f": 1e-400}'), ('{"f": 0.' || repeat('0', 100000) || '1}'), ('{"f": ' || repeat('9', 300) || '}'), ('{"f": ' || repeat('9', 100000) || '}'),
	('{"i": 9223372036854775807}'), ('{"i": 9223372036854775808}'), ('{"i": ' || repeat('1', 100000) || '}'), ('{"i": ' || repeat('0', 100000) || '1}'), ('{"n": "NaN", "f": "-Infinity"}');
SELECT _offset, length(n::text) AS digits, left(n::text, 12) AS n, f, i, CASE WHEN length(_error) < 200 THEN _error ELSE left(_error, 30) || ' ... ' || right(_error, 40) END AS error
	FROM fl WHERE _offset > 2 ORDER BY _offset;

-- depth: of a path, and of what a path leads into
INSERT INTO fl_raw VALUES (repeat('{"x":', 10) || '"at the end"' || repeat('}', 10)), (repeat('{"x":', 12) || '"beyond it"' || repeat('}', 12)),
	(repeat('{"x":', 4) || '"before it"' || repeat('}', 4)), (repeat('{"x":', 2000) || '1' || repeat('}', 2000));
SELECT left(deep, 40) AS deep, length(deep), _error FROM fl WHERE _offset > 16 ORDER BY _offset;

-- ranges and multiranges
INSERT INTO fl_raw VALUES ('{"ranges": "{[1,3),[5,7)}", "list": ["{[2024-01-01,2024-02-01)}", "{}", null]}'), ('{"ranges": [1, 3]}');
SELECT ranges, list, _error FROM fl WHERE _offset > 20 ORDER BY _offset;

SET client_min_messages = warning;
DROP SERVER fl CASCADE;
