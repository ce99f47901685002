# The broker goes away in the middle of a statement.

use strict;
use warnings FATAL => 'all';

use IO::Socket::INET;
use KafkaBroker;
use KafkaCluster;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(name => 'loss');
my $node = KafkaCluster::start($broker);
my $topic = $broker->create_topic('loss', partitions => 2);

$node->safe_psql('postgres', <<"SQL");
ALTER SERVER broker OPTIONS (ADD timeout '2s');
CREATE FOREIGN TABLE t (a int, b text, _partition int, _offset bigint)
	SERVER broker OPTIONS (topic '$topic', "fetch.message.max.bytes" '10000', "queued.min.messages" '100');
INSERT INTO t SELECT i, repeat('x', 1000), i % 2 FROM generate_series(1, 20000) i;
SQL
my $session = KafkaCluster::session($node);

# Says whether the topic has more messages than that.
sub arrived
{
	my ($count) = @_;

	return $count < $node->safe_psql('postgres',
		"SELECT sum(high) FROM kafka.watermarks('broker', '$topic')");
}

# A scan that has begun does not end short: it fails.
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH 1 FROM c');
$broker->pause;
my ($out, $err) = $session->run('MOVE FORWARD ALL FROM c');
like($err, qr/ERROR:  08006: no answer from Kafka for 2000 ms/, 'a paused broker fails the scan');
like($err, qr/DETAIL:.*has been read to offset \d+, of 10000/, 'and tells how far it was');
$session->run('ROLLBACK');

# It goes on where the broker comes back in time.
$broker->resume;
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET timeout '60s')");
$session->run('BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH 1 FROM c');
$broker->pause;
$session->send('SELECT count(*) FROM t');
$broker->resume;
($out, $err) = $session->finish;
is("$out$err", '20000', 'a scan outlives a pause');
$session->run('ROLLBACK');

# A killed broker that comes back: the scan reads on.
$session->send('SELECT count(*), sum(a) FROM t');
$broker->kill;
$broker->start;
($out, $err) = $session->finish;
is("$out$err", '20000|200010000', 'a scan outlives a restart of the broker');

# INSERT: what it says of a failure is true.
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET timeout '3s')");
my $before = $node->safe_psql('postgres', "SELECT sum(high) FROM kafka.watermarks('broker', '$topic')");
$session->send(q{INSERT INTO t SELECT i, repeat('x', 1000), i % 2 FROM generate_series(1, 10000000) i});
ok(KafkaCluster::wait_for(sub { arrived($before + 1000) }), 'some of an INSERT has arrived');
$broker->pause;
($out, $err) = $session->finish;
like($err, qr/ERROR:  08006: could not deliver (\d+) of (\d+) messages to Kafka/,
	'a paused broker fails the INSERT')
  or diag $err;
my ($delivered) = $err =~ /DETAIL:  (\d+) messages were delivered/;
$broker->resume;
my $after = $node->safe_psql('postgres', "SELECT sum(high) FROM kafka.watermarks('broker', '$topic')");
cmp_ok($after - $before, '>=', $delivered, 'at least as many messages are there as it says');
is(($session->run('SELECT count(*) FROM t WHERE _offset < 10'))[0], '20', 'the session goes on');

# A full queue takes a cancel.
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET timeout '60s')");
$before = $node->safe_psql('postgres', "SELECT sum(high) FROM kafka.watermarks('broker', '$topic')");
$session->send(q{INSERT INTO t SELECT i, repeat('x', 1000), i % 2 FROM generate_series(1, 10000000) i});
ok(KafkaCluster::wait_for(sub { arrived($before + 1000) }), 'some of an INSERT has arrived');
$broker->pause;
ok( KafkaCluster::wait_for(
		sub {
			$node->safe_psql('postgres',
				"SELECT wait_event_type FROM pg_stat_activity WHERE pid = " . $session->pid) eq 'Extension';
		}),
	'it waits for room in the queue');
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
($out, $err) = $session->finish;
$broker->resume;
like($err, qr/ERROR:  57014: canceling statement due to user request/, 'and can be cancelled');
like($err, qr/CONTEXT:.*messages delivered, .* not yet acknowledged|WARNING:  01000: \d+ messages of the failed statement/s,
	'and tells what became of its messages');

# A broker lost while the session is idle: the next statement says why, though
# the client has met the same error before.  In its place listens who hangs up.
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET timeout '2s')");
is(($session->run('SELECT count(*) FROM t WHERE _offset < 10'))[0], '20', 'a connection is kept');
$broker->kill;
my $calls = "$PostgreSQL::Test::Utils::tmp_check/012_calls";
my $listener = IO::Socket::INET->new(
	Listen => 5,
	ReuseAddr => 1,
	LocalAddr => $broker->bootstrap) or die "$@";
my $pid = fork() // die $!;
if ($pid == 0)
{
	while (my $socket = $listener->accept)
	{
		append_to_file($calls, 'x');
		$socket->close;
	}
	POSIX::_exit(1);
}
ok(KafkaCluster::wait_for(sub { (-s $calls // 0) >= 2 }), 'it has been tried again');
($out, $err) = $session->run('SELECT count(*) FROM t WHERE _offset < 10');
kill 'KILL', $pid;
waitpid $pid, 0;
like($err, qr/ERROR:  08006: could not get the offsets/, 'the next statement fails');
like($err, qr/DETAIL:  .*Disconnected/, 'and says why');

$session->quit;
done_testing();
