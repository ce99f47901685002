# A subscription outlives its broker, sees new partitions, and stops when the
# topic is not what it was; it never skips a message.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub wait_for_sql
{
	return $node->poll_query_until('postgres', $_[0]);
}

my $topic = $broker->create_topic('numbers', partitions => 2);
my $n = 0;
sub ten { return map { $n++; "$n,x" } 1 .. 10; }

$node->numbers('n', $topic);
$broker->produce($topic, ten());
$node->subscribe('n');
is($node->count_once('n'), 10, 'before');

# a broker that restarts
$broker->stop;
$broker->start;
$broker->produce($topic, ten());
is($node->count_once('n'), 20, 'after a restart of the broker');

# one that is killed and comes back
$broker->kill;
$node->restart;
wait_for_sql(
	q(SELECT pid IS NOT NULL AND state = 'connecting' FROM kafka.stat_subscription))
  or die 'the worker does not start';
like(
	$node->error_from(q(SELECT kafka.wait_for_subscription('n', '1 s'))),
	qr/could not get the offsets of topic/,
	'who waits is told that Kafka is not there');
like(
	$node->error_from(
		q(SET kafka_fdw.timeout = '1s';
		SELECT kafka.create_subscription('other', 'n_feed', 'n'))),
	qr/could not get the offsets of topic/,
	'no subscription is created without Kafka');
is(sql('SELECT count(*) FROM kafka.subscription'), 1, 'none at all');
$broker->start;
$broker->produce($topic, ten());
is($node->count_once('n'), 30, 'after a crash of the broker');

# an error is shown, and tried again
sql(q(ALTER SERVER broker OPTIONS (SET bootstrap_servers '127.0.0.1:1', ADD timeout '500')));
$node->wait_state('n', 'retrying');
like($node->error_of('n'), qr/could not get the offsets of topic/,
	'the error is shown');
my $bootstrap = $broker->bootstrap;
$broker->produce($topic, ten());
sql(qq(ALTER SERVER broker OPTIONS (SET bootstrap_servers '$bootstrap', DROP timeout)));
is($node->count_once('n'), 40, 'and it goes on when Kafka is there');
is($node->error_of('n'), '', 'with the error gone');

# partitions added later are read from their start
$broker->add_partitions($topic, 4);
$broker->produce($topic, map { { partition => $_, value => "$_,new" } } 0 .. 3);
is($node->count_once('n'), 44, 'new partitions are read from offset 0');
is(sql('SELECT count(*), min(next_offset) > 0 FROM kafka.subscription_position'),
	'4|t', 'and have positions');

# retention has passed the position
sql(q(SELECT kafka.disable_subscription('n')));
$broker->produce($topic,
	map { { partition => 2, value => "$_,deleted" } } 1 .. 5);
$broker->delete_records($topic, 2, 4);
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'stopped');
like(
	$node->error_of('n'),
	qr/messages of partition 2 of topic "numbers" have been deleted before they were read.*The position is offset 1, the earliest message has offset 4\./s,
	'deleted messages stop the subscription');
sql(q(UPDATE kafka.subscription_position SET next_offset = 4 WHERE partition = 2;
	SELECT kafka.enable_subscription('n')));
ok($node->wait_applied('n'), 'a position set by hand lets it go on');

# another topic of the same name
sql(q(SELECT kafka.disable_subscription('n')));
$broker->delete_topic($topic);
wait_for_sql(
	q(SELECT count(*) = 0 FROM kafka.topics('broker') WHERE topic = 'numbers'));
$broker->create_topic($topic, partitions => 4);
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'stopped');
like($node->error_of('n'), qr/partition 0 of topic "numbers" ends before its position/,
	'a recreated topic stops the subscription');

# another topic in the source
$broker->create_topic('another');
sql(q(ALTER FOREIGN TABLE n_feed OPTIONS (SET topic 'another');
	SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'stopped');
like(
	$node->error_of('n'),
	qr/topic of source table "n_feed" has changed from "numbers" to "another"/,
	'positions are not used for another topic');

$node->stop;
done_testing();
