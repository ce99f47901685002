# What is done to a table for its own good while messages arrive: each command waits
# for a batch at most, no message is lost or repeated, and what a worker does can be
# seen as it is seen of any COPY.  (F27, F29, F30, F33)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use Time::HiRes qw(usleep);

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('maintenance', partitions => 2);
my $node = KafkaIngest->start_with($broker, 'allow_in_place_tablespaces = on', 'max_worker_processes = 20');
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my ($stop, $count) = ("$tmp/maintenance.stop", "$tmp/maintenance.count");

sub sql { return $node->safe_psql('postgres', @_); }

# Something has been stored since.
sub grows
{
	my ($what) = @_;
	my $rows = sql('SELECT count(*) FROM n');

	$node->wait_true("SELECT count(*) > $rows FROM n")
	  or die "nothing comes after $what: " . $node->error_of('n');
	return;
}

sql(q(CREATE TABLESPACE space LOCATION ''));
$node->numbers('n', $topic, constraints => 'PRIMARY KEY (_partition, _offset)');
$node->subscribe('n', q(workers => 2, batch_rows => 100, batch_interval => '10 ms'));
$node->worker_pid('n');
my $parent = $$;
my $producer = fork // die "fork: $!";
if ($producer == 0)
{
	my $produced = 0;

	# nothing here may end as a test ends, which would stop the server
	my $all = eval {
		until (-e $stop || getppid() != $parent)
		{
			$broker->produce($topic, map { "$_,some text" } $produced + 1 .. $produced + 200);
			$produced += 200;
			usleep(20_000);
		}
		append_to_file($count, $produced);
		1;
	};
	append_to_file("$tmp/maintenance.error", $@) unless $all;
	POSIX::_exit($all ? 0 : 1);
}

foreach my $command (
	'ALTER TABLE n SET TABLESPACE space',
	'ALTER INDEX n_pkey SET TABLESPACE space',
	'ALTER TABLE n SET TABLESPACE pg_default',
	'VACUUM FULL n',
	'CREATE INDEX word ON n (word)',
	'CLUSTER n USING word',
	'CREATE INDEX CONCURRENTLY number ON n (n)',
	'REINDEX TABLE CONCURRENTLY n',
	'REINDEX TABLE n',
	'DROP INDEX CONCURRENTLY number',
	'ALTER TABLE n SET UNLOGGED',
	'ALTER TABLE n SET LOGGED',
	'VACUUM (FREEZE, ANALYZE) n',
	'ALTER TABLE n ADD COLUMN later int; ALTER TABLE n ALTER COLUMN later SET STATISTICS 10',
	'CREATE STATISTICS pairs ON n, word FROM n')
{
	sql($command);
	grows($command);
}
ok(1, 'the subscription goes on after each');
append_to_file($stop, '');
waitpid $producer, 0;
is($?, 0, 'all messages were produced');
my $messages = slurp_file($count);
is($node->faults('n', $messages), '', 'each message is in the table once');
is(sql(q(SELECT last_error IS NULL, retries FROM kafka.stat_subscription)), 't|0', 'without an error');

# TRUNCATE takes rows, not positions
sql('TRUNCATE n');
my $positions = sql('SELECT sum(next_offset) FROM kafka.subscription_position');
is($positions, $messages, 'TRUNCATE leaves the positions');
$broker->produce($topic, map { "$_,new" } 1 .. 20);
$node->wait_applied('n');
is(sql(q(SELECT count(*), count(DISTINCT (_partition, _offset)), count(*) FILTER (WHERE word = 'new') FROM n)),
	'20|20|20', 'and what comes later is stored');

# a COPY like any other
sql(q(CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_catalog.pg_advisory_xact_lock(1); RETURN NEW; END $$;
	CREATE TRIGGER wait BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION wait()));
my $gate = KafkaCluster::session($node);
$gate->run('SELECT pg_advisory_lock(1)');
$broker->produce($topic, '1,seen');
ok( $node->wait_true(
		q(SELECT true FROM pg_stat_progress_copy AS c JOIN pg_stat_activity AS a USING (pid)
		WHERE a.application_name = 'n' AND c.relid = 'n'::regclass AND c.command = 'COPY FROM'
			AND c.type = 'CALLBACK' AND c.datname = 'postgres')),
	'pg_stat_progress_copy has a worker that stores a batch');
is(sql(q(SELECT state FROM kafka.stat_subscription)), 'applying', 'which says that it does');
$gate->run('SELECT pg_advisory_unlock(1)');
$gate->quit;
$node->wait_applied('n');
is(sql('SELECT count(*) FROM pg_stat_progress_copy'), 0, 'and no row for one that does not');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)) FROM n'), '21|21', 'each message is there once');

# a database that moves
sql('CREATE DATABASE moved');
$node->prepare_database($broker, 'moved');
$node->numbers('n', $topic, dbname => 'moved');
$node->subscribe('n', undef, 'moved');
my $all = $messages + 21;
is($node->count_once('n', 'moved'), $all, 'another database');
sql('ALTER DATABASE moved SET TABLESPACE space');
$broker->produce($topic, map { "$_,moved" } 1 .. 10);
is($node->count_once('n', 'moved'), $all + 10, 'goes on in another tablespace');
sql('DROP DATABASE moved WITH (FORCE)');
is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE datname = 'moved')), 0, 'and is dropped with force');

$node->stop;
done_testing();
