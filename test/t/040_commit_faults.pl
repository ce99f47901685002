# Delivery "commit" when something fails while the messages are sent: PostgreSQL
# rolls back, promptly, and readers of committed messages see none of them.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $broker = KafkaBroker->new(
	name => 'commit',
	property => { 'transaction.abort.timed.out.transaction.cleanup.interval.ms' => 200 });
my $node = KafkaCluster::start(undef, 'max_prepared_transactions = 5');
my $topic = $broker->create_topic('commit', partitions => 2);
my $bootstrap = $broker->bootstrap;
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER k FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap', timeout '60s');
CREATE FOREIGN TABLE k (a int, b text, _partition int) SERVER k OPTIONS (topic '$topic');
CREATE TABLE local (a int);
SQL

my $insert = 'INSERT INTO local VALUES (%1$d); '
  . 'INSERT INTO k SELECT %1$d, repeat(\'x\', 100), i %% 2 FROM generate_series(1, %2$d) i';

# What committed readers see, and what the table has.
sub seen
{
	my ($a) = @_;

	return $node->safe_psql('postgres', "SELECT (SELECT count(*) FROM k WHERE a = $a), (SELECT count(*) FROM local WHERE a = $a)");
}

# Nothing of the transaction is there, and a new one is not kept from readers
# by what it has left.
sub gone
{
	my ($session, $a, $name) = @_;
	my ($out, $err) = $session->run('BEGIN; ' . sprintf($insert, $a + 1000, 4) . '; COMMIT');

	unlike($err, qr/\w/, "$name: the next transaction commits");
	ok(KafkaCluster::wait_for(sub { seen($a + 1000) eq '4|1' }), "$name: and is seen");
	is(seen($a), '0|0', "$name: nothing is left of the failed one");
}

sub waits
{
	my ($session) = @_;

	return $node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $session->pid);
}

my $session = KafkaCluster::session($node);
my ($out, $err, $start);

# The transaction's producer is made, and kept.
$session->run('BEGIN; ' . sprintf($insert, 1, 10) . '; COMMIT');
ok(KafkaCluster::wait_for(sub { seen(1) eq '10|1' }), 'a transaction is committed in both');
my $threads = KafkaCluster::threads($session->pid);

# A rollback has nothing to do with Kafka, whatever its state.
$broker->pause;
$start = time();
$session->run('BEGIN; ' . sprintf($insert, 2, 1000) . '; ROLLBACK');
cmp_ok(time() - $start, '<', KafkaCluster::SOON, 'a rollback does not wait for Kafka');

# A cancel in the middle.
foreach my $count (1, 1000)
{
	$session->send('BEGIN; ' . sprintf($insert, 10 + $count, $count) . '; COMMIT');
	ok(waits($session), "$count messages: the commit waits for Kafka");
	$start = time();
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $session->pid . ')');
	($out, $err) = $session->finish;
	cmp_ok(time() - $start, '<', KafkaCluster::SOON, "$count messages: and is cancelled at once");
	like($err, qr/ERROR:  57014: canceling statement due to user request/, "$count messages: with an error");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM local WHERE a = ' . (10 + $count)),
		'0', "$count messages: and a rollback");
}

# statement_timeout counts for the commit.
$session->send('SET statement_timeout = 300; BEGIN; ' . sprintf($insert, 20, 1000) . '; COMMIT');
($out, $err) = $session->finish;
like($err, qr/ERROR:  57014: canceling statement due to statement timeout/, 'statement_timeout ends the commit');
$session->run('RESET statement_timeout');

# transaction_timeout goes on, and ends the session.
my $server = $node->safe_psql('postgres', 'SHOW server_version_num');
if ($server >= 170000)
{
	my $other = KafkaCluster::session($node);

	$other->send('SET transaction_timeout = 1000; BEGIN; ' . sprintf($insert, 21, 1000) . '; COMMIT');
	ok( $node->poll_query_until('postgres',
			'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $other->pid),
		'transaction_timeout ends the session');
	like(slurp_file($node->logfile), qr/FATAL:  terminating connection due to transaction timeout/, 'with that reason');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM local WHERE a = 21'), '0', 'transaction_timeout ends the commit');
}
$broker->resume;
gone($session, 1010, 'cancel');
gone($session, 20, 'timeout');
gone($session, 21, 'transaction_timeout') if $server >= 170000;

# A session that idles for too long with messages held back.
my $idle = KafkaCluster::session($node);
$idle->run('SET idle_in_transaction_session_timeout = 100; BEGIN; ' . sprintf($insert, 22, 1000));
ok( $node->poll_query_until('postgres',
		'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $idle->pid),
	'idle_in_transaction_session_timeout ends a session');
gone($session, 22, 'idle in transaction');

# The server itself goes away.
$broker->pause;
$session->send('BEGIN; ' . sprintf($insert, 30, 1000) . '; COMMIT');
ok(waits($session), 'a commit waits');
$start = time();
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(' . $session->pid . ')');
ok( $node->poll_query_until('postgres',
		'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid),
	'it is terminated');
cmp_ok(time() - $start, '<', KafkaCluster::SOON, 'soon');
$broker->resume;
$session = KafkaCluster::session($node);
gone($session, 30, 'terminated');

# Kafka is down at the commit, and comes back.
$node->safe_psql('postgres', "ALTER SERVER k OPTIONS (SET timeout '1s')");
$broker->stop;
foreach my $count (1, 1000)
{
	($out, $err) = $session->run('BEGIN; ' . sprintf($insert, 40 + $count, $count) . '; COMMIT');
	like($err, qr/ERROR:  08006: could not (send|prepare|deliver)/, "$count messages: a broker that is down fails the commit")
	  or diag $err;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM local WHERE a = ' . (40 + $count)),
		'0', "$count messages: and rolls back");
}
$broker->start;
$node->safe_psql('postgres', "ALTER SERVER k OPTIONS (SET timeout '30s')");
gone($session, 1040, 'broker down');

# A small queue.
$node->safe_psql('postgres',
	"CREATE FOREIGN TABLE small (a int, b text, _partition int) SERVER k OPTIONS (topic '$topic', queue_buffering_max_messages '100')");
($out, $err) = $session->run("INSERT INTO small SELECT 60, repeat('x', 100), i % 2 FROM generate_series(1, 10000) i");
unlike($err, qr/\w/, 'more messages than the queue takes');
ok(KafkaCluster::wait_for(sub { seen(60) eq '10000|0' }), 'are all sent');

# PREPARE TRANSACTION is for those that have nothing to send.
($out, $err) = $session->run("BEGIN; INSERT INTO k VALUES (70); PREPARE TRANSACTION 'p'");
like($err, qr/ERROR:  0A000: cannot PREPARE a transaction that has sent messages to Kafka/, 'PREPARE is refused');
($out, $err) = $session->run(
	"BEGIN; SAVEPOINT s; INSERT INTO k VALUES (70); ROLLBACK TO s; INSERT INTO local VALUES (70); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'");
unlike($err, qr/\w/, 'unless what was sent has been rolled back');
is(seen(70), '0|1', 'and commits without it');

# Another producer with the same id fences ours: an error, and then a new one.
$session->run('BEGIN; ' . sprintf($insert, 80, 2) . '; COMMIT');
isnt(scalar ids($broker), 0, 'Kafka knows the producers by their ids');
foreach my $other (ids($broker))
{
	$broker->with('transactional.id' => $other)->produce_transaction($topic, 'abort', '{"a": 81}');
}
($out, $err) = $session->run('BEGIN; ' . sprintf($insert, 82, 2) . '; COMMIT');
like($err, qr/ERROR:  40000: could not .*fenced|ERROR:  40000: /s, 'a fenced producer fails the commit') or diag $err;
gone($session, 82, 'fenced');

# The Kafka transaction has timed out before the commit.
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (ADD "transaction.timeout.ms" '4000', SET timeout '4s')});
$session->run("SET kafka_fdw.stop_at = 'flushed'");
$session->send('BEGIN; ' . sprintf($insert, 90, 1000) . '; COMMIT');
ok(KafkaCluster::wait_for(sub { $session->stopped }), 'stopped before the commit of the Kafka transaction');
my $last = ($broker->watermarks($topic))[0][1];
ok(KafkaCluster::wait_for(sub { ($broker->watermarks($topic))[0][1] > $last }), 'Kafka aborts it');
kill CONT => $session->pid;
($out, $err) = $session->finish;
like($err, qr/ERROR:  40000: could not commit the Kafka transaction/, 'a transaction that took too long fails the commit') or diag $err;
$session->run('RESET kafka_fdw.stop_at');
$node->safe_psql('postgres', q{ALTER SERVER k OPTIONS (DROP "transaction.timeout.ms", SET timeout '30s')});
gone($session, 90, 'timed out');

# No thread or connection is left but those of the kept producer.
$session->run('SELECT kafka.disconnect_all()');
ok(KafkaCluster::wait_for(sub { KafkaCluster::threads($session->pid) == 1 }), 'no thread is left');

$session->quit;
done_testing();

# The ids of all transactional producers, from Kafka's own log of them.
sub ids
{
	my ($broker) = @_;
	my %ids;

	foreach my $file (glob($broker->log_file =~ s/log$/data/r . '/__transaction_state-*/*.log'))
	{
		my $bytes = slurp_file($file);

		$ids{$1} = 1 while $bytes =~ /(kafka_fdw-[0-9a-f]{16}-[0-9a-f]{8}-\d+-\d+-[0-9a-f]{16})/g;
	}
	return sort keys %ids;
}
