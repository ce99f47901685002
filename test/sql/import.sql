-- IMPORT FOREIGN SCHEMA: a foreign table a topic.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER "import ""broker""" FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
CREATE SERVER import FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
CREATE SCHEMA imported;
SET timezone = 'UTC';
SELECT count(kafka.create_topic('import', topic, 2))
	FROM unnest('{import_text,import.Dots-and_CAPS,import_empty,import_bytes,import_mixed,__import_internal}'::text[]) topic;
SELECT kafka.create_topic('import', 'import_json');
CREATE VIEW import_tables AS
	SELECT c.relname AS table, array_agg(a.attname ORDER BY attnum) AS columns, f.ftoptions
	FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE nspname = 'imported' AND relname ~ '^(__)?import'
	GROUP BY c.relname, f.ftoptions ORDER BY c.relname COLLATE "C";

-- all topics but the internal ones, whatever the schema is called
IMPORT FOREIGN SCHEMA kafka FROM SERVER import INTO imported;
SELECT * FROM import_tables;
SET client_min_messages = warning; DROP SCHEMA imported CASCADE; RESET client_min_messages;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA "any other name" EXCEPT (import_json, "import.Dots-and_CAPS", import_none) FROM SERVER import INTO imported;
SELECT "table" FROM import_tables;
SET client_min_messages = warning; DROP SCHEMA imported CASCADE; RESET client_min_messages;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA kafka LIMIT TO ("import.Dots-and_CAPS", __import_internal, import_text) FROM SERVER "import ""broker""" INTO imported
	OPTIONS (format 'csv', delimiter ';', "null" '\', "isolation.level" 'read_uncommitted', timeout '20s');
SELECT * FROM import_tables;
\d imported."import.Dots-and_CAPS"
INSERT INTO imported.import_text (_key, _value) VALUES (NULL, 'a'), ('k', '');
SELECT _key, _value, _headers FROM imported.import_text ORDER BY _value;

-- names that nobody has
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json, import_none) FROM SERVER import INTO imported;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (IMPORT_TEXT, "Import_Json") FROM SERVER import INTO imported;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_text, "import.dots-and_caps") FROM SERVER import INTO imported;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import.Dots) FROM SERVER import INTO imported;
IMPORT FOREIGN SCHEMA kafka EXCEPT (a.b.c) FROM SERVER import INTO imported;
-- a table that is there
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_text) FROM SERVER import INTO imported;

-- options are those of a table, and checked before anything is asked
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (inferr 'true');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (infer 'perhaps');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (topic 'import_json');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (bootstrap_servers 'h:1');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (format 'xml');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (delimiter ';');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (infer 'true', format 'csv');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (infer 'true', rows 'a');
SELECT count(*) FROM import_tables;

-- columns from messages
SELECT count(*) FROM unnest(ARRAY[
	'{"id": 1, "name": "a", "price": 1.5, "large": 12345678901234567890, "ok": true, "at": "2024-05-31T23:59:59.25+02:00", '
		'"local": "2024-05-31T10:00:00", "day": "2024-05-31", "tags": ["a"], "address": {"id": {"name": 1}}, "mixed": 1, "nothing": null}',
	'{"name": null, "id": -2, "price": 2, "ok": false, "at": "2024-06-01 00:00:00Z", "mixed": "one", "lastName": "b", "order": 1.0}',
	NULL,
	'{"first.name": "c", "say \"hi\" \\ it''s": 3, "ключ": "значение", "_id": 4, "_offset": 5, "_offset_1": 6, "ctid": "(0,1)", "": 7}',
	format('{"%s1": 8, "%s2": 9, "%s": 10}', repeat('a', 70), repeat('a', 70), repeat('я', 40)),
	'{"id": 3, "id": 4}'
]) WITH ORDINALITY v (value, n), kafka.produce_now('import', 'import_json', value, key => n::text);
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_json) FROM SERVER import INTO imported OPTIONS (infer 'true');
\d imported.import_json
SELECT jsonb_strip_nulls(to_jsonb(t) - '{_timestamp,_partition,_headers}'::text[]) FROM imported.import_json t;

-- what is no JSON object, or no text
SELECT count(*) FROM unnest('{"{\"a\": 1}","[1]"}'::text[]) value, kafka.produce_now('import', 'import_mixed', value, partition => 0);
CREATE FOREIGN TABLE import_write (_key bytea, _value bytea) SERVER import OPTIONS (topic 'import_bytes');
INSERT INTO import_write VALUES ('\x00', '\xff');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_mixed, import_bytes, import_empty, "import.Dots-and_CAPS") FROM SERVER import INTO public OPTIONS (infer 'on');
\d import_mixed
\d import_bytes
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'import_empty'::regclass;
SELECT _key, _value FROM import_bytes;
DROP FOREIGN TABLE import_mixed, import_empty, "import.Dots-and_CAPS";
-- a format that is given is kept
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_mixed) FROM SERVER import INTO public OPTIONS (infer 'true', format 'json', strict 'on');
\d import_mixed
-- the most recent messages count
SELECT count(*) FROM generate_series(1, 150) i, kafka.produce_now('import', 'import_mixed', format('{"b": %s}', i), partition => i % 2);
DROP FOREIGN TABLE import_mixed;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_mixed) FROM SERVER import INTO public OPTIONS (infer 'true');
\d import_mixed
SELECT count(b), sum(b) FROM import_mixed WHERE _offset > 10;
-- objects with more keys than a table has columns
SELECT kafka.create_topic('import', 'import_wide');
SELECT "offset" FROM kafka.produce_now('import', 'import_wide', (SELECT jsonb_object_agg('key' || i, i)::text FROM generate_series(1, 2000) i));
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_wide) FROM SERVER import INTO imported OPTIONS (infer 'true');
SELECT * FROM import_tables WHERE "table" = 'import_wide';

-- names that are longer than a table's
\set VERBOSITY default
SELECT kafka.create_topic('import', 'import_' || repeat('x', 60) || '_a');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx) FROM SERVER import INTO imported;
SELECT * FROM import_tables WHERE "table" ~ 'xx';
SELECT kafka.create_topic('import', 'import_' || repeat('x', 60) || '_b');
IMPORT FOREIGN SCHEMA kafka FROM SERVER import INTO imported;
IMPORT FOREIGN SCHEMA kafka EXCEPT (import_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, import_json, import_text, import_wide, __import_internal, "import.Dots-and_CAPS")
	FROM SERVER import INTO imported;
SELECT "table" FROM import_tables;
SELECT kafka.delete_topic('import', 'import_' || repeat('x', 60) || x) FROM unnest('{_a,_b}'::text[]) x;

-- who may
CREATE ROLE import_user;
GRANT CREATE ON SCHEMA imported TO import_user;
SET ROLE import_user;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_text) FROM SERVER import INTO imported;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER import TO import_user;
DROP FOREIGN TABLE imported.import_text;
SET ROLE import_user;
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_text) FROM SERVER import INTO imported OPTIONS (debug 'all');
IMPORT FOREIGN SCHEMA kafka LIMIT TO (import_text) FROM SERVER import INTO imported;
RESET ROLE;
SELECT relowner::regrole FROM pg_class WHERE relname = 'import_text';

SET client_min_messages = warning;
DROP VIEW import_tables;
DROP SCHEMA imported CASCADE;
DROP SERVER import CASCADE;
DROP SERVER "import ""broker""" CASCADE;
DROP ROLE import_user;
