# Whatever ends a worker, at whatever point of a batch, and even if commits that were
# visible are lost with it: rows and positions stay together, and each message is in
# the table once.  (F01 to F04)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('cut', partitions => 2);

# nothing but a commit that waits for it writes WAL to disk
my $node = KafkaIngest->start_with($broker, q(wal_writer_delay = '10s'),
	q(wal_writer_flush_after = '1GB'), 'autovacuum = off', q(checkpoint_timeout = '1h'));
my $n = 0;

sub sql { return $node->safe_psql('postgres', @_); }

sub produce
{
	my ($count) = @_;

	$broker->produce($topic, map { $n++; "$n,x" } 1 .. $count);
	return;
}

sub gone
{
	my (@pids) = @_;

	return KafkaCluster::wait_for(sub { !kill 0, @pids }) || die "@pids do not end";
}

$node->numbers('n', $topic, constraints => 'PRIMARY KEY (_partition, _offset)');
$node->subscribe('n');
produce(10);
is($node->faults('n', $n), '', 'before');

# triggers that wait for a lock: in the COPY, before a position moves, and after all
# has been written
sql(q(CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_catalog.pg_advisory_xact_lock(TG_ARGV[0]::int); RETURN NEW; END $$;
	CREATE TRIGGER wait BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION wait(1);
	CREATE TRIGGER wait BEFORE UPDATE ON kafka.subscription_position FOR EACH ROW EXECUTE FUNCTION wait(2);
	CREATE TRIGGER wait_again AFTER UPDATE ON kafka.subscription_position FOR EACH ROW EXECUTE FUNCTION wait(3)));
my %point = (1 => 'in the middle of the rows', 2 => 'before the position', 3 => 'after the position');

my %end = (
	'kill -9 of the worker' => sub { my ($pid) = @_; kill 'KILL', $pid; gone($pid); },
	'pg_terminate_backend()' => sub { my ($pid) = @_; sql("SELECT pg_terminate_backend($pid)"); gone($pid); },
	'pg_cancel_backend()' => sub { my ($pid) = @_; sql("SELECT pg_cancel_backend($pid)"); gone($pid); },
	'kill -9 of another backend' => sub {
		my ($pid, $gate) = @_;
		kill 'KILL', $gate->pid;
		gone($pid);
	},
	'an immediate shutdown' => sub { $node->stop('immediate'); $node->start; },
	'a fast shutdown' => sub { $node->stop('fast'); $node->start; });

foreach my $point (sort keys %point)
{
	foreach my $end ($point == 2 ? sort keys %end : 'kill -9 of the worker')
	{
		my $gate = KafkaCluster::session($node);

		$gate->run("SELECT pg_advisory_lock($point)");
		produce(10);
		$node->wait_true(
			"SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = $point AND NOT granted")
		  or die 'the worker does not get there';
		$end{$end}->($node->worker_pid('n'), $gate);
		$gate->{psql}->kill_kill;
		is($node->faults('n', $n), '', "$end $point{$point}");
	}
}
sql(q(DROP FUNCTION wait() CASCADE));

# a crash takes commits with it that everybody has seen: workers do not wait for the disk
produce(10);
is($node->faults('n', $n), '', 'rows are visible');
sql('CHECKPOINT');
# the WAL writer would flush sooner or later; a signal that it cannot catch ends it
kill 'STOP', sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'));
produce(100);
is($node->faults('n', $n), '', 'and more of them');
$node->stop('immediate');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = ''));
$node->start;
my ($rows, $agree) = split /\|/,
  sql(q(SELECT (SELECT count(*) FROM n), (SELECT count(*) FROM n) = sum(next_offset)
		FROM kafka.subscription_position));
cmp_ok($rows, '<', $n, 'a crash has lost some');
is($agree, 't', 'and their positions');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = 'kafka_fdw'));
$node->restart;
is($node->faults('n', $n), '', 'they are read again');

$node->stop;
done_testing();
