# A parallel scan that is cancelled, runs out of time, or loses a worker or the
# broker, fails as a whole and leaves nothing.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(name => 'parallel');
my $node = KafkaCluster::start($broker, 'min_parallel_table_scan_size = 0',
	'parallel_setup_cost = 0', 'parallel_tuple_cost = 0');
my $topic = $broker->create_topic('parallel', partitions => 2,
	config => { 'message.timestamp.type' => 'LogAppendTime' });

# Little is fetched ahead, so that there is a wait for the broker to be met.
$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE t (a int, b text, _timestamp timestamptz) SERVER broker
	OPTIONS (topic '$topic', "fetch.message.max.bytes" '10000', "queued.min.messages" '100');
INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 40000) i;
SQL
my $session = KafkaCluster::session($node);

# Little is read ahead, so that processes soon wait when the broker does not answer.
$session->run("SET kafka_fdw.fetch_memory = '1MB'");
my $all = '40000|800020000';
my $sum = 'SELECT count(*), sum(a) FROM t';
my $slow = "$sum WHERE pg_sleep(0.001) IS NOT NULL";
is(($session->run($sum))[0], $all, 'a parallel scan');
like(($session->run("EXPLAIN $slow"))[0], qr/Parallel Foreign Scan/, 'which it is');

# The workers of the session, or those of them that wait.
sub workers
{
	my ($condition) = @_;

	return $node->safe_psql('postgres',
		'SELECT pid FROM pg_stat_activity WHERE leader_pid = ' . $session->pid
		  . ($condition ? " AND $condition" : ''));
}

# Says whether the workers and what the leader had open are gone.
sub nothing_left
{
	my ($name) = @_;

	ok(KafkaCluster::wait_for(sub { workers() eq '' }), "$name: no worker is left");
	return;
}

# Starts a query and stops the broker when its workers are reading.
sub start_and_pause
{
	$session->send($slow);
	ok(KafkaCluster::wait_for(sub { workers() ne '' }), 'workers read');
	$broker->pause;
	ok(KafkaCluster::wait_for(sub { workers("wait_event_type = 'Extension'") ne '' }),
		'and wait for the broker');
	return;
}

$session->run('SELECT kafka.disconnect_all()');
my $threads = KafkaCluster::threads($session->pid);
my $descriptors = KafkaCluster::descriptors($session->pid);

start_and_pause();
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
my ($out, $err) = $session->finish;
like($err, qr/ERROR:  57014: canceling statement due to user request/, 'a cancel ends it');
nothing_left('cancel');
$broker->resume;

# which may come before a look at the workers is done
$session->run("SET statement_timeout = '3s'");
$session->send($slow);
$broker->pause;
($out, $err) = $session->finish;
like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, 'statement_timeout ends it');
nothing_left('timeout');
$broker->resume;
$session->run('RESET statement_timeout');

start_and_pause();
my ($worker) = split(/\n/, workers());
$node->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
($out, $err) = $session->finish;
like($err, qr/FATAL|ERROR.*terminating/s, 'a worker that is terminated ends it');
nothing_left('terminated worker');
$broker->resume;

$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (ADD timeout '5s')");
start_and_pause();
($out, $err) = $session->finish;
like($err, qr/ERROR:  08006: no answer from Kafka for 5000 ms/, 'a broker that does not answer ends it');
nothing_left('no answer');
$broker->resume;

# The leader asks for offsets, for a time and for the configuration of the topic.
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET timeout '60s')");
for my $query ($sum, "$sum WHERE _timestamp < now()")
{
	is(($session->run($query))[0], $all, "warm: $query");
	$broker->pause;
	$session->send($query);
	ok( KafkaCluster::wait_for(
			sub {
				$node->safe_psql('postgres',
					'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $session->pid) eq
				  'Extension';
			}),
		'the leader waits');
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	($out, $err) = $session->finish;
	like($err, qr/ERROR:  57014: canceling statement due to user request/, 'and can be cancelled');
	nothing_left('cancelled leader');
	$broker->resume;
}

is(($session->run($sum))[0], $all, 'the session goes on');
$session->run('SELECT kafka.disconnect_all()');
ok( KafkaCluster::wait_for(
		sub {
			KafkaCluster::threads($session->pid) <= $threads
			  && KafkaCluster::descriptors($session->pid) <= $descriptors;
		}),
	'and has the threads and descriptors that it had');
is($node->safe_psql('postgres', $sum), $all, 'so do others');

$session->quit;
done_testing();
