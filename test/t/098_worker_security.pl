# Code that a worker runs into has the rights that it should have, and no others,
# and what stands in other schemas does not change what the worker does.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');

sub sql { return $node->safe_psql('postgres', @_); }

sub numbers
{
	my ($name, $role, $more) = @_;
	my $topic = $broker->create_topic($name);
	my $columns = 'n int, word text, _partition int, _offset bigint';

	$more = $more ? ", $more" : '';
	sql(qq(SET search_path = public; SET ROLE $role;
		CREATE FOREIGN TABLE ${name}_feed ($columns)
			SERVER broker OPTIONS (topic '$topic', format 'csv');
		CREATE TABLE $name ($columns$more)));
	return $topic;
}

sub stopped
{
	my ($name) = @_;

	$node->wait_state($name, 'stopped') or die "$name is not stopped";
	return $node->error_of($name);
}

sql(q(CREATE ROLE app LOGIN; CREATE ROLE friend; GRANT friend TO app; CREATE ROLE stranger LOGIN;
	GRANT USAGE ON FOREIGN SERVER broker TO app; GRANT CREATE ON SCHEMA public TO app;
	CREATE TABLE seen (place text, who text, super text, path text, outcome text);
	GRANT INSERT ON seen TO PUBLIC));

# A function that notes who runs it, and tries to become somebody else.
sub prober
{
	my ($name, $returns, $return) = @_;

	return qq(CREATE FUNCTION $name RETURNS $returns LANGUAGE plpgsql AS \$\$
		DECLARE
			attempt text;
			outcome text;
		BEGIN
			FOREACH attempt IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET ROLE NONE',
				'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION',
				'SET LOCAL ROLE postgres', 'CREATE ROLE mine SUPERUSER',
				'CREATE TEMP TABLE subscription (a int)']
			LOOP
				BEGIN
					EXECUTE attempt;
					outcome := current_user;
				EXCEPTION WHEN OTHERS THEN
					outcome := SQLSTATE;
				END;
				INSERT INTO public.seen VALUES ('$name', current_user,
					current_setting('is_superuser'), current_setting('search_path'),
					attempt || ': ' || outcome);
			END LOOP;
			RETURN $return;
		END\$\$);
}

# A superuser subscribes into another role's table.
my $topic = numbers('victim', 'app');
sql('SET ROLE app; ' . prober('trigger_code()', 'trigger', 'NEW') . ';'
	  . prober('deferred_code()', 'trigger', 'NULL') . ';'
	  . prober('default_code()', 'text', "'d'") . ';'
	  . prober('check_code(int)', 'bool', 'true') . q(;
	ALTER TABLE victim ADD by_default text DEFAULT default_code(), ADD CHECK (check_code(n));
	CREATE TRIGGER before BEFORE INSERT ON victim FOR EACH ROW EXECUTE FUNCTION trigger_code();
	CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON victim
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deferred_code()));
$node->subscribe('victim');
$broker->produce($topic, '1,a');
is($node->count_once('victim'), 1, 'a superuser can ingest into the table of another role');
is(sql('SELECT DISTINCT who FROM seen'), 'app', 'all of its code runs as the table\'s owner');
is(sql('SELECT DISTINCT place FROM seen ORDER BY 1'),
	join("\n", 'check_code(int)', 'default_code()', 'deferred_code()', 'trigger_code()'),
	'also a trigger that is deferred');
is(sql(q(SELECT count(*) FROM seen WHERE outcome !~ ': (42501|app)$')), 0,
	'nowhere can it become another role');
is(sql(q(SELECT count(*) FROM seen WHERE outcome ~ 'TEMP TABLE: app')), 0,
	'nor make a temporary table');
is(sql(q(SELECT count(*) FROM pg_roles WHERE rolname = 'mine')), 0, 'nor a superuser');
$broker->produce($topic, '2,b');
is($node->count_once('victim'), 2, 'and the next batch is as the first');
sql(q(DELETE FROM seen; SELECT kafka.drop_subscription('victim')));

# The same table, subscribed by its owner.
sql(q(SET ROLE app; SELECT kafka.create_subscription('own', 'victim_feed', 'victim', start => 'latest')));
$broker->produce($topic, '3,c');
$node->wait_applied('own');
is(sql('SELECT DISTINCT who, super FROM seen'), 'app|off', 'an owner\'s worker is no superuser');
is(sql(q(SELECT count(*) FROM seen WHERE outcome ~ '(postgres$|ROLE mine.*: app)')), 0, 'and does not become one');

# What code sets does not outlive the batch.
$topic = numbers('sets', 'app', 'who text, path text');
sql(q(SET ROLE app; CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		NEW.who := current_user;
		NEW.path := current_setting('search_path');
		SET ROLE friend;
		SET search_path = public;
		SET session_replication_role = DEFAULT;
		RETURN NEW;
	EXCEPTION WHEN insufficient_privilege THEN
		SET ROLE friend;
		SET search_path = public;
		RETURN NEW;
	END$$;
	CREATE TRIGGER sets BEFORE INSERT ON sets FOR EACH ROW EXECUTE FUNCTION sets();
	GRANT ALL ON sets TO friend;
	SELECT kafka.create_subscription('sets', 'sets_feed', 'sets')));
my $pid = $node->worker_pid('sets');
foreach my $n (1, 2)
{
	$broker->produce($topic, "$n,x");
	$node->wait_applied('sets');
}
is(sql('SELECT who, path FROM sets ORDER BY n'),
	join("\n", ('app|pg_catalog, pg_temp') x 2),
	'a role and a search_path that a trigger sets end with its batch');
is($node->worker_pid('sets'), $pid, 'and the worker goes on');

# Other objects of the same names, wherever somebody may put them.
sql(q(CREATE SCHEMA evil AUTHORIZATION stranger; GRANT USAGE ON SCHEMA evil TO PUBLIC));
sql(q(SET ROLE stranger; SET search_path = evil;
	CREATE FUNCTION evil() RETURNS bool LANGUAGE plpgsql AS
		$$BEGIN INSERT INTO public.seen VALUES ('evil', current_user, current_setting('is_superuser')); RETURN true; END$$;
	CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT evil.evil()';
	CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql AS 'SELECT evil.evil()';
	CREATE OPERATOR = (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
	CREATE OPERATOR = (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
	CREATE OPERATOR > (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
	CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT evil.evil(); SELECT pg_catalog.now()';
	CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS 'SELECT evil.evil(); SELECT $1';
	CREATE FUNCTION unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql AS 'SELECT evil.evil(); SELECT NULL::anyelement';
	CREATE TYPE text AS (a int);
	CREATE TABLE subscription (a int); CREATE TABLE subscription_position (a int); CREATE TABLE dead_letter (a int);
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA evil TO PUBLIC));
sql(q(DELETE FROM seen; ALTER DATABASE postgres SET search_path = evil, public, pg_catalog;
	ALTER ROLE app SET search_path = evil, public, pg_catalog));
$topic = numbers('hunted', 'app', 'CHECK (n > 0)');
sql(q(SET ROLE app; SET search_path = public;
	SELECT kafka.create_subscription('hunted', 'hunted_feed', 'hunted', on_error => 'dead_letter');
	CREATE TABLE words (word text PRIMARY KEY, n int);
	SELECT kafka.create_subscription('command', 'hunted_feed', on_error => 'dead_letter',
		command => 'INSERT INTO words SELECT lower(word), sum(n) FROM hunted_feed
			WHERE n > 0 AND word = word GROUP BY lower(word)
			ON CONFLICT (word) DO UPDATE SET n = EXCLUDED.n')));
$broker->produce($topic, '1,A', '-2,B', 'x,C');
$node->wait_applied('hunted');
$node->wait_applied('command');
is(sql('SELECT n, word FROM public.hunted'), '1|A', 'a worker does not look there');
is(sql('SELECT * FROM public.words'), 'a|1', 'nor does a command');
is(sql('SET ROLE app; SELECT pg_catalog.count(*) FROM kafka.dead_letter'), 3, 'nor who reads dead letters');
sql(q(SET ROLE app; SELECT kafka.retry_dead_letters('hunted'), kafka.retry_dead_letters('command');
	SELECT kafka.disable_subscription('hunted'); SELECT kafka.enable_subscription('hunted');
	SELECT * FROM kafka.stat_subscription));
is(sql('SELECT count(*) FROM public.seen'), 0, 'nor do functions, whatever the search_path');
sql(q(ALTER DATABASE postgres RESET search_path; ALTER ROLE app RESET search_path));
is(sql(q(SELECT search_path FROM kafka.subscription WHERE subscription = 'command')),
	'public, pg_temp', 'a command keeps the search_path of its creator');

# A schema that is open to everybody.
my $create = q(SET ROLE app; SELECT kafka.create_subscription('open', 'hunted_feed',
	command => 'INSERT INTO words SELECT word, n FROM hunted_feed'));
sql('GRANT CREATE ON SCHEMA public TO PUBLIC');
like($node->error_from($create),
	qr/cannot use schema "public" in the search_path of a command.*rights of role "app"/s,
	'a command does not look for names where everybody may put them');
$broker->produce($topic, '5,E');
like(stopped('command'), qr/cannot use schema "public"/, 'not later either');
sql('REVOKE CREATE ON SCHEMA public FROM PUBLIC; SELECT kafka.enable_subscription($$command$$)');
ok($node->wait_applied('command'), 'and goes on when it is closed');

# Rights that are taken away while the worker runs.
sql('ALTER TABLE words OWNER TO postgres; GRANT SELECT, INSERT, UPDATE ON words TO app');
$broker->produce($topic, '6,F');
ok($node->wait_applied('command'), 'a command needs the rights that it uses');
sql('REVOKE UPDATE ON words FROM app');
$broker->produce($topic, '7,G');
like(stopped('command'), qr/permission denied for table words/, 'all of them');
is(sql(q(SELECT count(*) FROM kafka.dead_letter WHERE subscription = 'command')), 1,
	'and no message is put aside for a right that is missing');
sql('REVOKE SELECT ON hunted_feed FROM app; ALTER FOREIGN TABLE hunted_feed OWNER TO postgres');
$broker->produce($topic, '8,H');
like(stopped('hunted'), qr/permission denied for foreign table hunted_feed/, 'so it is with the source');

# Tables that only the extension's functions write.
foreach my $table (qw(subscription subscription_position subscription_error dead_letter))
{
	foreach my $change ("INSERT INTO kafka.$table DEFAULT VALUES", "TRUNCATE kafka.$table",
		$table eq 'dead_letter' ? () : "DELETE FROM kafka.$table",
		"ALTER TABLE kafka.$table ADD x int")
	{
		like($node->error_from("SET ROLE app; $change"), qr/permission denied|must be owner/,
			"nobody may: $change");
	}
}
like($node->error_from('SET ROLE app; CREATE TABLE kafka.x (a int)'), qr/permission denied for schema kafka/,
	'nor make something in its schema');

$node->stop;
done_testing();
