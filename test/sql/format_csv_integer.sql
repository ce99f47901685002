-- Formats csv and text: integers, which are read without the types' input functions, and text, whose bytes are looked at in words.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS kafka_fdw;
RESET client_min_messages;
\getenv brokers KAFKA_FDW_TEST_BROKERS
CREATE SERVER fi FOREIGN DATA WRAPPER kafka_fdw
	OPTIONS (bootstrap_servers :'brokers', delivery 'immediate');
\pset null '(null)'
SELECT kafka.create_topic('fi', 'fi');
CREATE FOREIGN TABLE fi_raw (value text, _offset bigint) SERVER fi OPTIONS (topic 'fi', format 'raw');
CREATE DOMAIN fi_even AS int CHECK (VALUE % 2 = 0);
CREATE FOREIGN TABLE fi (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null');
CREATE FOREIGN TABLE fi_null (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null', "null" '12');
CREATE FOREIGN TABLE fi_minus (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null', "null" '-');
CREATE FOREIGN TABLE fi_delimiter (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null', delimiter '0');
CREATE FOREIGN TABLE fi_quote (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null', quote '1');
CREATE FOREIGN TABLE fi_text (a int2, b int4, c int8, d fi_even, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi', format 'text', delimiter ',', on_error 'null');
CREATE FOREIGN TABLE fi_force (a int2, b int4 OPTIONS (force_null 'true'), c int8 OPTIONS (force_not_null 'true'), d fi_even, _offset bigint, _error text)
	SERVER fi OPTIONS (topic 'fi', format 'csv', on_error 'null');

-- what may be an integer
CREATE TABLE fi_parts (part text);
INSERT INTO fi_parts VALUES
	(''), ('0'), ('-0'), ('7'), ('12'), ('-12'), ('+12'), ('007'), ('-'), ('--1'), ('1-'), ('1-2'), ('+'), ('x'), ('1x'), ('x1'), ('1.0'), ('1e3'), ('0x10'), ('1_000'),
	(' 12'), ('12 '), (' 12 '), (E'\t12'), ('1 2'), ('"12"'), ('"-12"'), ('"12'), ('12"'), ('1"2"'), ('""'), ('" 12"'), ('\12'), ('\N'), ('12\'), ('1١2'), ('é'), ('null'),
	('32767'), ('32768'), ('-32768'), ('-32769'), ('65536'), ('2147483647'), ('2147483648'), ('-2147483648'), ('-2147483649'), ('4294967297'), ('4294967296'),
	('9223372036854775807'), ('9223372036854775808'), ('-9223372036854775808'), ('-9223372036854775809'), ('18446744073709551617'), ('18446744073709551616'),
	('340282366920938463463374607431768211457'), ('000000000000000012'), ('0000000000000000012'), ('00000000000000000000000000000012'), ('-000000000000000000000000000000000000012');
INSERT INTO fi_parts SELECT sign || repeat('9', n) FROM generate_series(1, 40) n, unnest(ARRAY['', '-', '1', '-1']) sign;
-- at each place of a line, and in front of each end of a line
INSERT INTO fi_raw (value)
	SELECT format(line, part) FROM fi_parts, unnest(ARRAY['%s,2,3,4', '1,%s,3,4', '1,2,%s,4', '1,2,3,%s', '%1$s,%1$s,%1$s,%1$s', '%s', '1,2,%s', '1,2,3,%s,5', E'%s\n', E'1,%s\r\n', E'1,2,3,%s\n', E'1,2,3,%s\r\n', E'%s,2\n3,%1$s\n']) line;

-- the same lines, as the types read them: of each field, all that its table's options make of it, as text
CREATE FUNCTION fi_check(relation regclass, as_text regclass, OUT lines bigint, OUT fields bigint, OUT errors bigint, OUT wrong bigint, OUT example text) LANGUAGE plpgsql AS $$
DECLARE
	line record;
	field text;
	expected text;
	failed bool;
BEGIN
	lines := 0; fields := 0; errors := 0; wrong := 0;
	FOR line IN EXECUTE format('SELECT t._offset, i.found, ARRAY[t.a, t.b, t.c, t.d] AS texts, i.error, t.error AS text_error FROM '
		'(SELECT *, row_number() OVER (PARTITION BY _offset) AS n, _error AS error FROM %s) t FULL JOIN '
		'(SELECT _offset, row_number() OVER (PARTITION BY _offset) AS n, ARRAY[a::text, b::text, c::text, d::text] AS found, _error AS error FROM %s) i USING (_offset, n)', as_text, relation)
	LOOP
		lines := lines + 1;
		CONTINUE WHEN line.text_error IS NOT NULL AND line.error IS NOT NULL;
		failed := false;
		FOR i IN 1 .. 4 LOOP
			field := line.texts[i];
			fields := fields + 1;
			BEGIN
				expected := CASE i WHEN 1 THEN field::int2::text WHEN 2 THEN field::int4::text WHEN 3 THEN field::int8::text ELSE field::fi_even::text END;
			EXCEPTION WHEN data_exception OR check_violation THEN
				expected := NULL;
				failed := true;
				errors := errors + 1;
			END;
			IF expected IS DISTINCT FROM line.found[i] THEN
				wrong := wrong + 1;
				example := format('offset %s, column %s: %L, not %L', line._offset, i, line.found[i], expected);
			END IF;
		END LOOP;
		IF failed <> (line.error IS NOT NULL) THEN
			wrong := wrong + 1;
			example := format('offset %s: error %L', line._offset, line.error);
		END IF;
	END LOOP;
END $$;
-- a table of the same options, all of text
CREATE FUNCTION fi_as_text(relation text) RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
	options text;
BEGIN
	SELECT string_agg(format('%I %L', split_part(o, '=', 1), split_part(o, '=', 2)), ', ') INTO options
		FROM pg_foreign_table, unnest(ftoptions) o WHERE ftrelid = relation::regclass;
	EXECUTE format('CREATE FOREIGN TABLE %I (a text, b text%s, c text%s, d text, _offset bigint, _error text) SERVER fi OPTIONS (%s)', relation || '_as_text',
		CASE relation WHEN 'fi_force' THEN ' OPTIONS (force_null ''true'')' END, CASE relation WHEN 'fi_force' THEN ' OPTIONS (force_not_null ''true'')' END, options);
	RETURN (relation || '_as_text')::regclass;
END $$;
SELECT relation, lines, fields, errors > 1000 AS errors, wrong, example FROM unnest(ARRAY['fi', 'fi_null', 'fi_minus', 'fi_delimiter', 'fi_quote', 'fi_text', 'fi_force']) relation, fi_check(relation, fi_as_text(relation)) c;

-- an error says what it always did
CREATE FOREIGN TABLE fi_error (a int2, b int4, _offset bigint) SERVER fi OPTIONS (topic 'fi', format 'csv');
SELECT min(_offset) AS n FROM fi_raw WHERE value = '1,2147483648,3,4' \gset
SELECT * FROM fi_error WHERE _offset = :n;
-- a column that is NOT NULL is looked after, as before
CREATE FOREIGN TABLE fi_not_null (a int2, b int4 NOT NULL, _offset bigint) SERVER fi OPTIONS (topic 'fi', format 'csv');
SELECT min(_offset) AS n FROM fi_raw WHERE value = '7' \gset
SELECT * FROM fi_not_null WHERE _offset = :n;

--
-- Text: a NUL, or what is no UTF-8, at each place of a message of each length is an error, and nothing else is
--
SELECT kafka.create_topic('fi', 'fi_bytes');
CREATE FOREIGN TABLE fi_bytes (value bytea, _offset bigint) SERVER fi OPTIONS (topic 'fi_bytes', format 'raw');
CREATE FOREIGN TABLE fi_letters (t text, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi_bytes', format 'csv', on_error 'null');
CREATE FOREIGN TABLE fi_latin1 (t text, _offset bigint, _error text) SERVER fi OPTIONS (topic 'fi_bytes', format 'csv', on_error 'null', encoding 'LATIN1');
INSERT INTO fi_bytes (value)
	SELECT set_byte(convert_to(repeat(letter, n), 'UTF8'), i, byte)
	FROM unnest(ARRAY['a', chr(1), chr(127)]) letter, generate_series(1, 20) n, generate_series(0, n - 1) i, unnest(ARRAY[0, 1, 97, 127, 128, 195, 255]) byte;
INSERT INTO fi_bytes (value) SELECT convert_to(overlay(repeat('a', n) PLACING 'é' FROM i FOR 1), 'UTF8') FROM generate_series(1, 20) n, generate_series(1, n) i;
SELECT b.value IS NOT NULL AND position('\x00' IN b.value) > 0 AS nul, b.value = convert_to(t, 'UTF8') AS same, regexp_replace(_error, ': 0x.*|"fi_.*', '') AS error, count(*)
	FROM fi_bytes b JOIN fi_letters USING (_offset) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT position('\x00' IN b.value) > 0 AS nul, b.value = convert_to(t, 'LATIN1') AS same, regexp_replace(_error, ': 0x.*|"fi_.*', '') AS error, count(*)
	FROM fi_bytes b JOIN fi_latin1 USING (_offset) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

SET client_min_messages = warning;
DROP SERVER fi CASCADE;
DROP TABLE fi_parts;
DROP FUNCTION fi_check, fi_as_text;
DROP DOMAIN fi_even;
