# DDL on source and target while messages arrive is followed without a restart;
# deadlocks, and timeouts that are set for the worker's role, cost no message.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('ddl', partitions => 2);
my $node = KafkaIngest->start_with($broker, q(deadlock_timeout = '100ms'));

sub sql { return $node->safe_psql('postgres', @_); }

my $messages = 0;

# Sends some messages, and waits until they are there.
sub flows
{
	$broker->produce($topic, map { $messages++; "$messages,$messages" } 1 .. 20);
	my $rows = sql('SELECT count(*) FROM n');
	return $node->poll_query_until('postgres', "SELECT count(*) = $messages FROM n");
}

sql(qq(CREATE FOREIGN TABLE feed (n int, word text, _partition int, _offset bigint)
		SERVER broker OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE n (n int, word text, _partition int, _offset bigint) PARTITION BY LIST (_partition);
	CREATE TABLE n_0 PARTITION OF n FOR VALUES IN (0);
	CREATE TABLE n_1 PARTITION OF n FOR VALUES IN (1);
	SELECT kafka.create_subscription('n', 'feed', 'n', batch_rows => 7, batch_interval => '20 ms')));
ok(flows(), 'messages flow');
my $pid = $node->worker_pid('n');

my @changes = (
	'ALTER TABLE n ADD extra int DEFAULT 7',
	'ALTER TABLE n ALTER word TYPE varchar(100)',
	'ALTER TABLE n ALTER word TYPE bytea USING word::bytea; ALTER TABLE n ALTER word TYPE text USING word::text',
	'ALTER TABLE n ALTER n SET NOT NULL',
	'ALTER TABLE n DROP extra',
	'ALTER TABLE n DROP word',
	'ALTER TABLE n ADD word text COLLATE "C"',
	'ALTER TABLE n ADD CONSTRAINT small CHECK (n < 1000000)',
	'CREATE UNIQUE INDEX once ON n (_partition, _offset)',
	'ALTER TABLE n ALTER n TYPE bigint',
	'ALTER TABLE n DETACH PARTITION n_1; CREATE TABLE n_default PARTITION OF n DEFAULT;'
	  . 'INSERT INTO n SELECT * FROM n_1; DROP TABLE n_1',
	'ALTER TABLE n_0 RENAME TO n_zero',
	'ALTER TABLE n RENAME TO renamed; ALTER TABLE renamed RENAME TO n',
	'ALTER TABLE n RENAME n TO other; ALTER TABLE n RENAME other TO n',
	'CREATE SCHEMA elsewhere; ALTER TABLE n SET SCHEMA elsewhere; ALTER TABLE elsewhere.n SET SCHEMA public',
	'ALTER FOREIGN TABLE feed ALTER n TYPE bigint',
	q(ALTER FOREIGN TABLE feed OPTIONS (ADD "fetch.wait.max.ms" '100')),
	'ALTER FOREIGN TABLE feed RENAME TO source; ALTER FOREIGN TABLE source RENAME TO feed',
	'CREATE STATISTICS pairs ON n, _offset FROM n; ANALYZE n',
	'ALTER TABLE n_zero SET (fillfactor = 90)',
	'DROP INDEX once');
foreach my $change (@changes)
{
	sql("BEGIN; $change; COMMIT");
	flows() or die "not after $change: " . $node->error_of('n');
}
ok(1, 'whatever is changed');
is($node->worker_pid('n'), $pid, 'by the same worker');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)), count(DISTINCT n) FROM n'),
	"$messages|$messages|$messages", 'each message once');
is($node->safe_psql('postgres', q(SELECT count(*) FROM kafka.stat_subscription WHERE last_error IS NOT NULL)),
	0, 'without an error');

# the same as a race: changes and messages at once
sql(q(CREATE PROCEDURE churn() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. 40 LOOP
	EXECUTE format('ALTER TABLE n ADD c%s int DEFAULT %s', i, i); COMMIT;
	ALTER TABLE n ALTER n TYPE int; COMMIT;
	EXECUTE format('ALTER TABLE n DROP c%s', i); COMMIT;
	ALTER TABLE n ALTER n TYPE bigint; COMMIT;
	EXECUTE 'CREATE TABLE n_new PARTITION OF n FOR VALUES IN (77)'; COMMIT;
	EXECUTE 'DROP TABLE n_new'; COMMIT;
	END LOOP; END $$));
my $session = KafkaCluster::session($node);
$session->send('CALL churn()');
foreach (1 .. 20)
{
	$broker->produce($topic, map { $messages++; "$messages,$messages" } 1 .. 20);
}
my (undef, $err) = $session->finish;
unlike($err, qr/ERROR/, 'changes at any moment succeed');
is($node->count_once('n'), $messages, 'and no message is lost or repeated');

# incompatible changes
sql('ALTER TABLE n DROP n; ALTER TABLE n ADD n point');
$broker->produce($topic, '0,0');
ok($node->wait_state('n', 'stopped'), 'a type that does not fit stops the subscription');
like($node->error_of('n'), qr/column "n" of table "n" is of type point/, 'which says so');
sql('ALTER TABLE n DROP n; ALTER TABLE n ADD n bigint');
sql(q(SELECT kafka.enable_subscription('n')));
$messages++;
is($node->count_once('n'), $messages, 'until it fits again');

# a deadlock whose victim is the worker
sql(q(CREATE TABLE other (id int PRIMARY KEY, rows int); INSERT INTO other VALUES (1, 0);
	CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_catalog.pg_advisory_xact_lock(1);
		UPDATE public.other SET rows = rows + 1; RETURN NEW; END $$;
	CREATE TRIGGER other AFTER INSERT ON n FOR EACH ROW EXECUTE FUNCTION other()));
my $gate = KafkaCluster::session($node);
$gate->run('BEGIN; SELECT pg_advisory_xact_lock(1)');
$session->run(q(SET deadlock_timeout = '1min'; BEGIN; UPDATE other SET rows = rows));
$broker->produce($topic, map { $messages++; "$messages,$messages" } 1 .. 5);
$node->poll_query_until('postgres',
	q(SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted));
$session->send('LOCK TABLE n');
$node->poll_query_until('postgres',
	q(SELECT count(*) > 0 FROM pg_locks WHERE relation = 'n'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted));
$gate->run('COMMIT');
(undef, $err) = $session->finish;
unlike($err, qr/ERROR/, 'the other session of a deadlock goes on');
$session->run('COMMIT');
ok($node->wait_for_log('deadlock detected'), 'the worker is the victim');
is($node->count_once('n'), $messages, 'and tries again');
is(sql('SELECT rows FROM other'), 5, 'with all that belongs to the batch');
$session->quit;
$gate->quit;

# timeouts of the role and the database
sql(q(ALTER ROLE ALL SET statement_timeout = '20ms'; ALTER DATABASE postgres SET lock_timeout = '1ms';
	ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '1ms';
	ALTER DATABASE postgres SET default_transaction_read_only = on));
$node->restart;
$broker->produce($topic, map { $messages++; "$messages,$messages" } 1 .. 20);
my $unset = 'SET statement_timeout = 0; SET lock_timeout = 0;';
ok( KafkaCluster::wait_for(
		sub { ($node->psql('postgres', "$unset SELECT count(*) FROM n"))[1] eq $messages }),
	'timeouts of role and database do not reach the worker');

$node->stop;
done_testing();
