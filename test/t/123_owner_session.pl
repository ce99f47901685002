# A superuser who enables a subscription of somebody else, or tries its dead letters
# again, does not lend its rights to what the owner has written: triggers,
# commands, functions.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('owner');
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Who has run the owner's code since the last call, and how.
sub seen
{
	return sql(q(SELECT string_agg(DISTINCT who || ' ' || how, ', ' ORDER BY who || ' ' || how) FROM seen;
		TRUNCATE seen));
}

sql(q(CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app; GRANT USAGE ON FOREIGN SERVER broker TO app;
	CREATE TABLE seen (who text, how text); GRANT INSERT ON seen TO PUBLIC));
sql(qq(SET ROLE app; SET search_path = app;
	CREATE FOREIGN TABLE feed (n int, _offset bigint) SERVER broker OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE target (n int, _offset bigint, CONSTRAINT small CHECK (n < 10));
	CREATE FUNCTION note(how text) RETURNS int LANGUAGE sql
		AS 'INSERT INTO public.seen VALUES (current_user, how) RETURNING 1';
	-- leaves something for the end of the transaction
	CREATE FUNCTION leave(how text) RETURNS int LANGUAGE plpgsql AS \$\$
	BEGIN
		PERFORM app.note(how);
		BEGIN
			EXECUTE format('DECLARE later CURSOR WITH HOLD FOR SELECT app.note(%L)', how || ' later');
		EXCEPTION WHEN insufficient_privilege OR duplicate_cursor THEN
			NULL;
		END;
		RETURN 1;
	END\$\$;
	CREATE FUNCTION by_trigger() RETURNS trigger LANGUAGE plpgsql
		AS 'BEGIN PERFORM app.leave(TG_ARGV[0]); RETURN NULL; END';
	CREATE FUNCTION by_deferred() RETURNS trigger LANGUAGE plpgsql
		AS 'BEGIN PERFORM app.note(TG_ARGV[0]); RETURN NULL; END'));

# put aside, and mended
$broker->produce($topic, 1, 20, 21);
sql(q(SET ROLE app; SELECT kafka.create_subscription('app', 'app.feed', 'app.target', on_error => 'dead_letter')));
$node->wait_applied('app');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 2, 'messages are put aside');
sql(q(SET ROLE app; ALTER TABLE app.target DROP CONSTRAINT small;
	CREATE TRIGGER leaves AFTER INSERT ON app.target EXECUTE FUNCTION app.by_trigger('trigger');
	CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON app.target DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION app.by_deferred('deferred')));

# triggers
my $retry = q(SELECT * FROM kafka.retry_dead_letters('app', "limit" => 1));
is(sql($retry), '1|0', 'a superuser tries one again');
is(seen(), 'app deferred, app trigger', 'its triggers ran as the owner, and nothing later');

# what the superuser's own transaction has deferred
sql(q(CREATE TABLE own (a int); CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON own DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION app.by_deferred('own')));
is(sql("BEGIN; INSERT INTO own VALUES (1); $retry; COMMIT"), '1|0', 'and one more, in a transaction');
is(seen(), 'app deferred, app trigger, postgres own', 'where what has waited fires as who has deferred it');
is(sql('SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM app.target'), '1 20 21', 'each is in the table once');

# a command, which is planned when it is checked, and planning runs functions
sql(q(SET ROLE app; CREATE FUNCTION app.folded() RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN RETURN app.leave($$command$$); END';
	DROP TRIGGER leaves ON app.target; DROP TRIGGER deferred ON app.target;
	SELECT kafka.disable_subscription('app');
	SELECT kafka.alter_subscription('app', command => 'INSERT INTO app.target SELECT n FROM app.feed WHERE app.folded() = 1')));
seen();
sql(q(SELECT kafka.enable_subscription('app')));
is(seen(), 'app command', 'a command is checked as the owner, and nothing runs later');
$broker->produce($topic, 3);
ok($node->wait_applied('app'), 'and the worker runs it');
is(sql('SELECT count(*) FROM app.target WHERE n = 3'), 1, '... once');

$node->stop;
done_testing();
