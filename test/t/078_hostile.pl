# Nothing of the extension runs what a hostile schema earlier in the search path offers, and
# names that need quotes are quoted everywhere; installed by another superuser.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaIngest;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('hostile');
my $bootstrap = $broker->bootstrap;
my $node = KafkaIngest->start_with(undef);

# A superuser that is not the first one, under whom everything is hostile.
$node->safe_psql('postgres', q{
	DROP EXTENSION kafka_fdw;
	CREATE ROLE boss SUPERUSER LOGIN;
	CREATE ROLE app LOGIN;
	CREATE SCHEMA evil;
	GRANT USAGE ON SCHEMA evil TO PUBLIC});
$node->safe_psql('postgres', q{
	-- every operator between common types, and the functions that SQL is written with
	CREATE FUNCTION evil.bite() RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'bitten as %', current_user; END $$;
	DO $do$
	DECLARE
		o record;
		types regtype[] := '{text,name,int4,int8,oid,bool,regclass,regrole,timestamptz,interval,jsonb,json,bytea,"char",anyarray}';
	BEGIN
		FOR o IN SELECT p.oprname, p.oprleft::regtype AS l, p.oprright::regtype AS r, p.oprresult::regtype AS result, row_number() OVER () AS n
			FROM pg_operator p WHERE p.oprkind = 'b' AND p.oprleft = ANY (types) AND p.oprright = ANY (types) AND p.oprcode <> 0
		LOOP
			EXECUTE format('CREATE FUNCTION evil.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.bite(); RETURN NULL; END $$',
				o.n, o.l, o.r, o.result);
			EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.operator_%s)', o.oprname, o.l, o.r, o.n);
		END LOOP;
		FOR o IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS args, p.prorettype::regtype AS result
			FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
			AND p.prorettype = ANY (types || '{void,regproc}'::regtype[]) AND NOT (p.prorettype = 'anyarray'::regtype)
			AND p.proname ~ '^(pg_has_role|has_|format|quote_|to_|now|clock_timestamp|current_|nextval|currval|setval|concat|length|lower|upper|replace|pg_get_|pg_advisory|array_|jsonb?_|to_regclass|set_config|pg_try|row_to_json|string_to|regexp_|pg_extension_config_dump|texteq|int4eq|int8eq|oideq)'
			AND NOT p.proargtypes::oid[] && '{internal,cstring,"\"any\"",anyelement}'::regtype[]::oid[]
		LOOP
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.bite(); %s END $$',
				o.proname, o.args, o.result, CASE WHEN o.result = 'void'::regtype THEN '' ELSE 'RETURN NULL;' END);
		END LOOP;
	END $do$;
	CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
	CREATE DOMAIN evil.int4 AS pg_catalog.int4 CHECK (false);
	CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (false);
	CREATE DOMAIN evil.bytea AS pg_catalog.bytea CHECK (false);
	CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (false);
	CREATE TABLE evil.pg_class (oid pg_catalog.int4);
	CREATE TABLE evil.pg_foreign_server (oid pg_catalog.int4);
	CREATE TABLE evil.subscription (subscription pg_catalog.text);
	CREATE TABLE evil.subscription_position (subscription pg_catalog.text);
	ALTER DATABASE postgres SET search_path = evil, pg_catalog, public});
my $bitten = $node->error_from(q{SELECT 1 = 1});
like($bitten, qr/bitten as/, 'the schema is hostile');

sub as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql,
		connstr => $node->connstr('postgres') . " user=$role");

	is($rc, 0, "$role is not bitten: " . substr($sql =~ s/\s+/ /gr, 0, 60)) or diag $err;
	return $out;
}

# Names for everything that can have one.
my $odd = q{we"ird \\ 'ünï'; --};
my $q = '"' . ($odd =~ s/"/""/gr) . '"';
my $literal = q{E'} . ($odd =~ s/(['\\])/\\$1/gr) . q{'};

as('boss', 'CREATE EXTENSION kafka_fdw');
as('boss', "CREATE SERVER $q FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap', delivery 'immediate')");
as('boss', "GRANT USAGE ON FOREIGN SERVER $q TO app; CREATE SCHEMA $q AUTHORIZATION app");
as('boss', "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kafka TO app");
my $injection = q{a\"); DROP TABLE kafka.subscription; --};
$broker->produce($topic, qq({"$injection": 1, "ünï 'q'": "x", "_offset": 5, "": 2}));
as('app', qq(IMPORT FOREIGN SCHEMA x LIMIT TO ($topic) FROM SERVER $q INTO $q OPTIONS (infer 'true')));
my $topic_literal = "'" . ("$q.$topic" =~ s/'/''/gr) . "'";
is($node->safe_psql('postgres', "SET search_path = pg_catalog; SELECT string_agg(attname, '|' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ${topic_literal}::regclass AND attnum > 0 LIMIT 1") =~ s/\|_.*//r,
	q{a"); DROP TABLE kafka.subscription; --|ünï 'q'}, 'names of columns are what the messages say');
like(as('app', qq(SELECT * FROM $q.$topic)), qr/^1\|x\|/, 'and can be read');
as('app', qq(ANALYZE $q.$topic; EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM $q.$topic));
as('app', qq(SELECT * FROM kafka.topics($literal)));
as('app', qq(SELECT * FROM kafka.watermarks($literal, '$topic')));
as('app', qq(SELECT * FROM kafka.produce_now($literal, '$topic', 'null', key => $literal)));
as('app', qq(SELECT kafka.produce($literal, '$topic', 'null', key => $literal)));
as('app', qq(SELECT * FROM kafka.connections()));

# The worker has the search path of nobody, and quotes what it is told.
my $numbers = $broker->create_topic('numbers');
$broker->produce($numbers, '1,one', '2,two');
as('app', qq(
	CREATE FOREIGN TABLE $q.${q} ($q pg_catalog.int8, word pg_catalog.text, _partition pg_catalog.int4, _offset pg_catalog.int8)
		SERVER $q OPTIONS (topic '$numbers', format 'csv');
	CREATE TABLE $q."target $odd" ($q pg_catalog.int8, word pg_catalog.text, _partition pg_catalog.int4, _offset pg_catalog.int8))
	  =~ s/"target \Q$odd\E"/'"target ' . ($odd =~ s{"}{""}gr) . '"'/er);
my $target = '"target ' . ($odd =~ s/"/""/gr) . '"';
my $source_name = "'" . ("$q.$q" =~ s/'/''/gr) . "'";
my $target_name = "'" . ("$q.$target" =~ s/'/''/gr) . "'";
as('app', qq(SELECT kafka.create_subscription($literal, ${source_name}::pg_catalog.regclass, ${target_name}::pg_catalog.regclass)));
ok($node->wait_true("SET search_path = pg_catalog; SELECT count(*) = 2 FROM $q.$target"), 'rows arrive');
as('app', 'SELECT * FROM kafka.stat_subscription');
as('app', "SELECT kafka.wait_for_subscription($literal, '30 s')");
as('app', "SELECT kafka.disable_subscription($literal); SELECT kafka.enable_subscription($literal)");
as('app', "SELECT kafka.drop_subscription($literal)");
as('boss', "DROP EXTENSION kafka_fdw CASCADE");

my @bites = slurp_file($node->logfile) =~ /ERROR:  bitten as/g;
is(scalar @bites, 1, 'nobody was bitten but who asked for it');

$node->stop;
done_testing();
