# A broker that is silent, a topic that is gone, a transaction that hangs: workers
# wait, say so, end when they are told to, and go on.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# a transaction that hangs holds back what came after it, and only that
my $topic = $broker->create_topic('n');
my $client = $broker->with('transactional.id' => 'tx');
$node->numbers('n', $topic);
$broker->produce($topic, map { "$_,before" } 1 .. 10);
$node->subscribe('n');
is($node->faults('n', 10), '', 'before');
$client->produce_transaction($topic, 'hang', map { "$_,in doubt" } 11 .. 15);
$broker->produce($topic, map { "$_,after" } 16 .. 25);
is($node->faults('n', 10), '', 'nothing behind a hanging transaction is read');
is( sql('SELECT next_offset, end_offset, lag_messages FROM kafka.subscription_lag'),
	'10|10|0',
	'which is not lag: the end is the last stable offset');
$client->produce_transaction($topic, 'abort');
is($node->faults('n', 20), '', 'the rest is read when the transaction has ended');

# a worker in the middle of a batch, the broker silent
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE n');
$broker->produce($topic, map { "$_,silent" } 26 .. 35);
$node->wait_state('n', 'waiting for a lock');
my $pid = $node->worker_pid('n');
$broker->pause;
my $seconds = KafkaIngest::seconds(
	sub {
		sql("SELECT pg_terminate_backend($pid)");
		KafkaCluster::wait_for(sub { !kill 0, $pid });
	});
cmp_ok($seconds, '<', KafkaCluster::SOON, 'a worker ends when it is told to');
$session->run('ROLLBACK');
$node->wait_state('n', 'connecting');
$pid = $node->worker_pid('n');
$seconds = KafkaIngest::seconds(
	sub {
		sql(q(SELECT kafka.disable_subscription('n')));
		KafkaCluster::wait_for(sub { !kill 0, $pid });
	});
cmp_ok($seconds, '<', KafkaCluster::SOON, 'also one that waits for the broker');
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'connecting');
$broker->resume;
is($node->faults('n', 30), '', 'nothing is lost or written twice');

# a topic that is gone is waited for; one of its name is not taken for it
$broker->delete_topic($topic);
$pid = $node->worker_pid('n');
sql("SELECT pg_terminate_backend($pid)");
ok( $node->wait_true(
		q(SELECT state = 'retrying' AND last_error ~ 'topic "n" does not exist' FROM kafka.stat_subscription)),
	'a topic that is gone is said to be');
$broker->create_topic($topic);
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'stopped');
like($node->error_of('n'), qr/partition 0 of topic "n" ends before its position/,
	'a new one of its name is not it');
is(sql('SELECT count(*) FROM n'), 30, 'the rows are as they were');

$node->stop;
done_testing();
