-- Foreign tables for tools/fuzz, one a way to decode, and what runs them.
CREATE EXTENSION kafka_fdw;
CREATE FUNCTION kafka_fuzz(relation regclass, corpus bytea[], inputs bigint, seed bigint,
	OUT inputs_done bigint, OUT rows bigint, OUT errors bigint, OUT round_trips bigint, OUT failures bigint)
	LANGUAGE c AS '$libdir/kafka_fdw', 'kafka_fuzz';
CREATE SERVER s FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '127.0.0.1:9', delivery 'immediate');
CREATE TYPE color AS ENUM ('red', 'light blue');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
CREATE DOMAIN words AS text[] CHECK (cardinality(VALUE) < 5);

CREATE FOREIGN TABLE json_types (a int, b text, c bool, d float8, e numeric, f timestamptz, g timestamptz OPTIONS (epoch 's'), h timestamp OPTIONS (epoch 'us'),
	i int[], j jsonb, k json, l color, m even, n words, o pair, p pair[], q date, r interval, s uuid, t timestamptz(2), u varchar(5), v bytea, w int8, x int2, y int4range, z jsonb[], _offset bigint)
	SERVER s OPTIONS (topic 'f', format 'json');
CREATE FOREIGN TABLE json_paths (a int OPTIONS (path 'x.y[0].a'), b text OPTIONS (path 'x.y[1]'), c json OPTIONS (path 'x'), d text OPTIONS (path '"x.y"'), e text OPTIONS (path '@'), f text OPTIONS (path '$.x."we \"ird\""'),
	g text OPTIONS (path 'm[1][0]'), h int[] OPTIONS (path 'm[0]'), a1 text OPTIONS (path 'a'), "é" text)
	SERVER s OPTIONS (topic 'f', format 'json');
CREATE FOREIGN TABLE json_nested (a int OPTIONS (path 'x.a'), b text OPTIONS (path 'x.y.b'), c jsonb OPTIONS (path 'x.y.c'), d text OPTIONS (path 'a'), _key text, h text OPTIONS (source 'header'))
	SERVER s OPTIONS (topic 'f', format 'json');
CREATE FOREIGN TABLE json_fields (a text, b text, "x.y" json, "é" text, "we ""ird""" json, x json, data json) SERVER s OPTIONS (topic 'f', format 'json');
CREATE FOREIGN TABLE json_strict (a int NOT NULL, b text) SERVER s OPTIONS (topic 'f', format 'json', strict 'true');
CREATE FOREIGN TABLE json_rows (a int, b text, c jsonb OPTIONS (path '@'), d text OPTIONS (path '$.x.y'), e json OPTIONS (path '$.data.more'), f text OPTIONS (path 'b[0]'), _ordinality int)
	SERVER s OPTIONS (topic 'f', format 'json', rows 'data.rows');
CREATE FOREIGN TABLE json_root_rows (a text, b jsonb OPTIONS (path '@')) SERVER s OPTIONS (topic 'f', format 'json', rows '$');
CREATE FOREIGN TABLE json_deep_rows (a text) SERVER s OPTIONS (topic 'f', format 'json', rows 'x.y[0].a');
CREATE FOREIGN TABLE json_latin1 (a text, b jsonb) SERVER s OPTIONS (topic 'f', format 'json', encoding 'LATIN1');
CREATE FOREIGN TABLE json_sjis (a text, b jsonb) SERVER s OPTIONS (topic 'f', format 'json', encoding 'SJIS');
CREATE FOREIGN TABLE json_null (a int, b date, c int[], d even, e jsonpath, f regclass, g tsquery, k int OPTIONS (source 'key', path 'a'), h timestamptz OPTIONS (source 'header', epoch 'ms'), _headers jsonb, _key json, _error text, junk text OPTIONS (junk 'true'))
	SERVER s OPTIONS (topic 'f', format 'json', key_format 'json', on_error 'null');
CREATE FOREIGN TABLE json_skip (a int, b date, e jsonpath, k int OPTIONS (source 'key', path 'a'), _headers kafka.header[], _offset bigint)
	SERVER s OPTIONS (topic 'f', format 'json', rows 'data.rows', key_format 'csv', on_error 'skip');
CREATE FOREIGN TABLE csv_plain (a int, b text, c text, d timestamptz, e float8, f text[], g bool) SERVER s OPTIONS (topic 'f', format 'csv');
CREATE FOREIGN TABLE csv_text (a text, b text, c text) SERVER s OPTIONS (topic 'f', format 'csv');
CREATE FOREIGN TABLE csv_strict (a text, b text, _offset bigint, c text) SERVER s OPTIONS (topic 'f', format 'csv', strict 'true', delimiter ';', quote '''', escape '\', "null" 'null');
CREATE FOREIGN TABLE csv_force (a text OPTIONS (force_null 'true'), b text OPTIONS (force_not_null 'true'), c text OPTIONS (force_null 'true', force_not_null 'true'))
	SERVER s OPTIONS (topic 'f', format 'csv', delimiter '|', encoding 'LATIN1');
CREATE FOREIGN TABLE csv_one (a text) SERVER s OPTIONS (topic 'f', format 'csv', strict 'true');
CREATE FOREIGN TABLE csv_null (a int, b date, c text, k text OPTIONS (source 'key'), l int OPTIONS (source 'key'), _error text, _ordinality int)
	SERVER s OPTIONS (topic 'f', format 'csv', key_format 'csv', on_error 'null');
CREATE FOREIGN TABLE text_plain (a text, b text, c bytea, d jsonb) SERVER s OPTIONS (topic 'f', format 'text');
CREATE FOREIGN TABLE text_other (a text, b text, c text) SERVER s OPTIONS (topic 'f', format 'text', delimiter ',', "null" 'null', strict 'true');
CREATE FOREIGN TABLE text_skip (a int, b text, k text OPTIONS (source 'key')) SERVER s OPTIONS (topic 'f', format 'text', key_format 'text', on_error 'skip');
CREATE FOREIGN TABLE raw_text (v text, k text OPTIONS (source 'key'), h text OPTIONS (source 'header')) SERVER s OPTIONS (topic 'f', format 'raw');
CREATE FOREIGN TABLE raw_bytes (v bytea, k bytea OPTIONS (source 'key'), h bytea OPTIONS (source 'header'), i int OPTIONS (source 'header'), at timestamptz OPTIONS (source 'header', epoch 'ms'), j jsonb OPTIONS (source 'header')) SERVER s OPTIONS (topic 'f', format 'raw');
CREATE FOREIGN TABLE raw_json (v jsonb, _key json, _headers jsonb) SERVER s OPTIONS (topic 'f', format 'raw');
CREATE FOREIGN TABLE raw_epoch (v timestamptz OPTIONS (epoch 's')) SERVER s OPTIONS (topic 'f', format 'raw');
CREATE FOREIGN TABLE metadata (_topic text, _partition int, _offset bigint, _timestamp timestamptz, _timestamp_type text, _leader_epoch int, _key bytea, _value bytea, _headers kafka.header[], _ordinality int, _error text)
	SERVER s OPTIONS (topic 'f', format 'raw');
CREATE FOREIGN TABLE key_json (v text, a int OPTIONS (source 'key'), b text OPTIONS (source 'key', path 'x.y'), c jsonb OPTIONS (source 'key')) SERVER s OPTIONS (topic 'f', format 'raw', key_format 'json');
CREATE FOREIGN TABLE key_text (v text, a text OPTIONS (source 'key'), b text OPTIONS (source 'key')) SERVER s OPTIONS (topic 'f', format 'raw', key_format 'text');

-- all tables with a share of the inputs each
CREATE FUNCTION fuzz(folder text, inputs bigint, seed bigint) RETURNS TABLE ("table" text, inputs_done bigint, rows bigint, errors bigint, round_trips bigint, failures bigint)
LANGUAGE plpgsql AS $$
DECLARE
	tables regclass[] := ARRAY(SELECT ftrelid::regclass FROM pg_foreign_table ORDER BY ftrelid);
	corpus bytea[] := ARRAY(SELECT pg_read_binary_file(folder || '/' || file) FROM pg_ls_dir(folder) file ORDER BY file);
	relation regclass;
BEGIN
	FOREACH relation IN ARRAY tables LOOP
		RETURN QUERY SELECT relation::text, f.* FROM kafka_fuzz(relation, corpus, inputs / cardinality(tables), seed) f;
	END LOOP;
END $$;
