-- What a table writes it reads back as it was, in every format, for every type,
-- and whatever the settings of the two sessions are.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER rt FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
CREATE TYPE rt_color AS ENUM ('red', 'light blue', 'a,"b\c');
CREATE TYPE rt_pair AS (x int, "the y" text);
CREATE TYPE rt_nested AS (p rt_pair, list rt_pair[], j jsonb, n numeric, t timestamptz, b bool, c rt_color);
CREATE DOMAIN rt_even AS int CHECK (VALUE % 2 = 0);
CREATE DOMAIN rt_list AS text[] CHECK (cardinality(VALUE) < 9);
CREATE DOMAIN rt_domain_pair AS rt_pair;
CREATE TYPE rt_span AS RANGE (subtype = float8);
CREATE TABLE rt_local (
	b bool, ch "char", nm name, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, vc varchar(9), bc char(5), ba bytea,
	d date, ti time, ttz timetz, ts timestamp, tz timestamptz, iv interval, u uuid, net inet, cid cidr, mac macaddr, mac8 macaddr8, bits bit(4), vb varbit,
	j json, jb jsonb, jp jsonpath, pt point, ln line, ls lseg, bx box, pa path, po polygon, ci circle, tv tsvector, tq tsquery,
	r int4range, nr numrange, tr tstzrange, sp rt_span, mr int8multirange, dm datemultirange, o oid, lsn pg_lsn, x8 xid8, ov oidvector, iv2 int2vector,
	color rt_color, even rt_even, list rt_list, pair rt_pair, dp rt_domain_pair, nested rt_nested,
	ia int[], ta text[], fa float8[], na numeric[], tza timestamptz[], dta date[], ba2 bool[], baa bytea[], ca rt_color[], pairs rt_pair[], nesteds rt_nested[], ja json[], jba jsonb[], ra int4range[], mra int4multirange[], ea rt_even[], uu uuid[]);
INSERT INTO rt_local (i4) VALUES (1);
INSERT INTO rt_local VALUES (
	true, 'c', 'a name', 1, 2, 3, 1.1, 0.1, 1.10, 'text', 'varchar', 'bc', '\x0001ff',
	'2024-02-29', '12:34:56.789', '12:34:56.789+05:30', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+05', '1 year 2 mons -3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '1010', '10101',
	'{"a":  [1, null]}', '{"a": [1, null]}', '$.a[*] ? (@ > 1)', '(1.5,-2)', '{1,2,3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '[(1,2),(3,4)]', '((1,2),(3,4),(5,6))', '<(1,2),3>', '''a'':1A ''b c'':2', '''a'' & !''b'' <-> ''c''',
	'[1,5)', '(1.5,]', '["2024-01-01 00:00:00+00",infinity)', '[0.1,0.2)', '{[1,2),[5,9)}', '{[2024-01-01,2024-02-01)}', 4294967295, 'FFFFFFFF/FFFFFFFF', '18446744073709551615', '1 2', '3 -4',
	'light blue', 4, '{a,NULL,""}', '(1,y)', '(2,"""z""")', ROW(ROW(1, 'a,"b'), ARRAY[ROW(2, NULL), NULL]::rt_pair[], '{"k": [1]}', 1.50, '2024-01-01 00:00:00.5+00', false, 'red'),
	'{1,NULL,3}', '{a,"b c",NULL,"NULL","",",","{}","\""}', '{0.1,NaN,-Infinity,-0}', '{1.10,NaN}', '{"2024-01-01 00:00:00+00",infinity,NULL}', '{2024-01-01,-infinity}', '{t,f,NULL}', '{"\\x00ff","\\x"}', '{red,"light blue","a,\"b\\c"}', ARRAY[ROW(1, 'a'), NULL, ROW(NULL, NULL), ROW(3, '{"),(')]::rt_pair[],
	ARRAY[ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL), ROW(ROW(1, 'x'), '{}', '"s"', 'NaN', 'infinity', true, 'a,"b\c')]::rt_nested[], ARRAY['{"a": 1}', '"s"', '1']::json[], ARRAY['{"a": [1]}', '2.50', 'true']::jsonb[], '{"[1,3)",empty}', ARRAY['{[1,3),[5,7)}', '{}']::int4multirange[], '{2,4}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'),
	(false, '', '', -32768, -2147483648, -9223372036854775808, '-Infinity', 'NaN', '-Infinity', '', '', '', '',
	'-infinity', '24:00:00', '00:00:00-15:59', 'infinity', '-infinity', '-178000000 years', '00000000-0000-0000-0000-000000000000', '::1', '::/0', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00:00:00', '0000', '',
	'[ ]', '{}', '$', '(Infinity,NaN)', '{0,-1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((1,2))', '((0,0))', '<(0,0),0>', '', '',
	'empty', '(,)', 'empty', '[-Infinity,Infinity]', '{}', '{(,)}', 0, '0/0', '0', '', '',
	'red', 0, '{}', '(,)', '(,)', '(,,,,,,)',
	'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
	(NULL, '\200', E'n,"\\\n', 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, '1e500'::numeric + 0.1, E'\b\f\n\r\t\x0b\x01\x7f"\\/,;''é€😀 NULL \N \.', E'"a\r\nb",', 'é', decode(repeat('00ff0a0d2c225c', 50), 'hex'),
	'5874897-12-31', '00:00:00.000001', '23:59:59.999999+15:59', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '178000000 years 11 mons', NULL, '255.255.255.255', NULL, NULL, NULL, NULL, repeat('1', 100)::varbit,
	E'{"keeps": 1,\n  "space" :2, "keeps": 3}', '"\\u00e9\\n\""', '$."a b".c', NULL, NULL, NULL, NULL, '((1e-300,1e300),(0.1,0.2))', NULL, NULL, NULL, NULL,
	'(,5)', NULL, '("0044-03-15 00:00:00+00 BC",)', '(0.1,)', NULL, NULL, NULL, NULL, NULL, '4294967295', NULL,
	'a,"b\c', -2, '{{a,b},{c,d}}', ROW(-1, E'\\"\n,()'), ROW(NULL, ''), NULL,
	'{{1,2},{3,4}}', '{{{a}}}', '{4.9e-324,1e300}', '{}', NULL, '{{infinity}}', NULL, NULL, NULL, NULL,
	NULL, ARRAY['[1]', 'null', NULL]::json[], ARRAY['[1, [2]]', 'null', NULL]::jsonb[], NULL, NULL, NULL, NULL);
INSERT INTO rt_local (i4, ia, ta, pairs) VALUES (4, '[2:3]={1,2}', '[0:1][-1:0]={{a,b},{c,d}}', '[5:5]={"(1,a)"}'), (5, '[1:2]={1,2}', NULL, '{{"(1,a)"},{"(2,b)"}}');
INSERT INTO rt_local DEFAULT VALUES;

SELECT kafka.create_topic('rt', 'rt_' || format) FROM unnest('{json,csv,text,paths}'::text[]) format;
SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns,
	string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || format(' OPTIONS (path ''deep."%s".x'')', attname), ', ' ORDER BY attnum) AS nested
	FROM pg_attribute WHERE attrelid = 'rt_local'::regclass AND attnum > 0 \gset
CREATE FOREIGN TABLE rt_json (:columns, _offset bigint) SERVER rt OPTIONS (topic 'rt_json', format 'json', strict 'true');
CREATE FOREIGN TABLE rt_csv (:columns, _offset bigint) SERVER rt OPTIONS (topic 'rt_csv', format 'csv', strict 'true');
CREATE FOREIGN TABLE rt_text (:columns, _offset bigint) SERVER rt OPTIONS (topic 'rt_text', format 'text', strict 'true');
CREATE FOREIGN TABLE rt_paths (:nested, _offset bigint) SERVER rt OPTIONS (topic 'rt_paths', format 'json', strict 'true');

-- settings of the writer that no reader has
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -3;
SET timezone = 'Asia/Kathmandu';
SET bytea_output = 'escape';
SET search_path = pg_temp;
INSERT INTO public.rt_json SELECT * FROM public.rt_local;
INSERT INTO public.rt_csv SELECT * FROM public.rt_local;
INSERT INTO public.rt_text SELECT * FROM public.rt_local;
INSERT INTO public.rt_paths SELECT * FROM public.rt_local;
RESET search_path;
RESET extra_float_digits;
RESET bytea_output;
SET intervalstyle = 'iso_8601';
SET datestyle = 'German, YMD';
SET timezone = 'America/St_Johns';

-- the columns that are not the same, byte for byte
CREATE FUNCTION rt_differs(relation regclass) RETURNS TABLE (line bigint, "column" name, written text, "read" text) LANGUAGE plpgsql AS $$
DECLARE
	attribute name;
BEGIN
	EXECUTE format('CREATE TEMP TABLE rt_read AS SELECT * FROM %s', relation);
	FOR attribute IN SELECT attname FROM pg_attribute WHERE attrelid = 'rt_local'::regclass AND attnum > 0 ORDER BY attnum LOOP
		RETURN QUERY EXECUTE format($q$
			SELECT l.line, '%1$s'::name, l.%1$I::text, r.%1$I::text
			FROM (SELECT row_number() OVER () - 1 AS line, %1$I FROM rt_local) l LEFT JOIN rt_read r ON r._offset = l.line
			WHERE r._offset IS NULL OR record_image_ne(ROW(l.%1$I), ROW(r.%1$I)) ORDER BY 1$q$, attribute);
	END LOOP;
	DROP TABLE rt_read;
END $$;
SELECT * FROM rt_differs('rt_csv');
SELECT * FROM rt_differs('rt_text');
SELECT * FROM rt_differs('rt_json');
SELECT * FROM rt_differs('rt_paths');

-- all columns in the key
SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod) || ' OPTIONS (source ''key'')', ', ' ORDER BY attnum) AS keys
	FROM pg_attribute WHERE attrelid = 'rt_local'::regclass AND attnum > 0 \gset
SELECT kafka.create_topic('rt', 'rt_key_' || format) FROM unnest('{json,csv,text}'::text[]) format;
CREATE FOREIGN TABLE rt_key_json (:keys, value int, _offset bigint) SERVER rt OPTIONS (topic 'rt_key_json', key_format 'json', strict 'true');
CREATE FOREIGN TABLE rt_key_csv (:keys, value int, _offset bigint) SERVER rt OPTIONS (topic 'rt_key_csv', key_format 'csv', strict 'true');
CREATE FOREIGN TABLE rt_key_text (:keys, value int, _offset bigint) SERVER rt OPTIONS (topic 'rt_key_text', key_format 'text', strict 'true');
INSERT INTO rt_key_json SELECT *, 1 FROM rt_local;
INSERT INTO rt_key_csv SELECT *, 1 FROM rt_local;
INSERT INTO rt_key_text SELECT *, 1 FROM rt_local;
SELECT * FROM rt_differs('rt_key_json');
SELECT * FROM rt_differs('rt_key_csv');
SELECT * FROM rt_differs('rt_key_text');

-- each type as the value in format raw, as a header, and as the key
SELECT kafka.create_topic('rt', 'rt_raw');
CREATE FUNCTION rt_alone("column" name, type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE FOREIGN TABLE rt_one (v %1$s, h %1$s OPTIONS (source ''header''), k %1$s OPTIONS (source ''key''),
		line bigint OPTIONS (source ''header''), "column" text OPTIONS (source ''header''))
		SERVER rt OPTIONS (topic ''rt_raw'', format ''raw'', on_error ''skip'')', type);
	EXECUTE format('INSERT INTO rt_one SELECT %1$I, %1$I, %1$I, row_number() OVER (), %1$L FROM rt_local', "column");
	EXECUTE format('CREATE TEMP TABLE rt_read AS SELECT * FROM rt_one WHERE "column" = %1$L', "column");
	EXECUTE format('SELECT string_agg(format(''%%s: %%s is %%s, %%s, %%s'', l.line, l.v, v.v, v.h, v.k), '' / '')
		FROM (SELECT %1$I AS v, row_number() OVER () AS line FROM rt_local) l LEFT JOIN rt_read v USING (line)
		WHERE v.line IS NULL OR record_image_ne(ROW(l.v, l.v, l.v), ROW(v.v, v.h, v.k))', "column") INTO result;
	DROP FOREIGN TABLE rt_one;
	DROP TABLE rt_read;
	RETURN result;
END $$;
SET client_min_messages = error;	-- what other types have written is skipped
SELECT attname, alone FROM pg_attribute, rt_alone(attname, format_type(atttypid, atttypmod)) alone
	WHERE attrelid = 'rt_local'::regclass AND attnum > 0 AND alone IS NOT NULL;

SET client_min_messages = warning;
DROP SERVER rt CASCADE;
DROP FUNCTION rt_differs, rt_alone;
DROP TABLE rt_local;
DROP TYPE rt_nested, rt_domain_pair, rt_pair, rt_color, rt_even, rt_list, rt_span;
