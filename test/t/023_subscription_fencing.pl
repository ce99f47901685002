# A position moved by somebody else fences the worker that does not know it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('fencing');
my $node = KafkaIngest->start_with($broker);

$node->numbers('n', $topic);
$node->subscribe('n', q(batch_interval => '1 hour'));
$broker->produce($topic, map { "$_,theirs" } 1 .. 10);
$node->poll_query_until('postgres',
	q(SELECT lag_messages = 10 FROM kafka.stat_subscription))
  or die 'the worker does not hold the messages';
is($node->safe_psql('postgres', 'SELECT count(*) FROM n'),
	0, 'the worker holds messages that it has not written');
my $old = $node->worker_pid('n');

# what a second worker would do with the first five of them
$node->safe_psql(
	'postgres', q(BEGIN;
	INSERT INTO n SELECT * FROM n_feed WHERE _offset < 5;
	UPDATE kafka.subscription_position SET next_offset = 5 WHERE next_offset = 0;
	COMMIT));

is($node->count_once('n'), 10, 'no message is written twice');
isnt($node->worker_pid('n'), $old, 'the worker has started anew');
like(
	slurp_file($node->logfile),
	qr/positions of subscription "n" have been moved by another session/,
	'and has said why');
is( $node->safe_psql('postgres', q(SELECT last_error IS NULL, state <> 'retrying'
		FROM kafka.stat_subscription)),
	't|t',
	'which is over when a batch has succeeded');

$node->stop;
done_testing();
