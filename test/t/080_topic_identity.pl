# A topic that is not the one that was read before stops its subscription,
# before anything of it is stored; one that has only lost old messages does not.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);
my $now = time * 1000;

sub sql { return $node->safe_psql('postgres', @_); }
sub messages { my ($word, $from, $to) = @_; return map { "$_,$word" } $from .. $to; }
sub disable { return sql("SELECT kafka.disable_subscription('$_[0]')"); }
sub enable { return sql("SELECT kafka.enable_subscription('$_[0]')"); }

# A topic of one partition with 20 messages that a subscription has applied.
sub read_topic
{
	my ($name, %config) = @_;

	$broker->create_topic($name, config => \%config);
	$broker->produce($name, messages('old', 1, 20));
	$node->numbers($name, $name);
	$node->subscribe($name);
	is($node->count_once($name), 20, "$name: before");
	return;
}

# Deletes the topic and creates it again, with more messages than before.
sub recreate
{
	my ($name, @messages) = @_;

	$broker->delete_topic($name);
	$broker->create_topic($name);
	$broker->produce($name, @messages ? @messages : messages('new', 1, 50));
	return;
}

# Checks that the subscription is stopped and nothing new is stored.
sub is_stopped
{
	my ($name, $what, $error) = @_;

	$node->wait_state($name, 'stopped') or die "$name is not stopped";
	like($node->error_of($name), $error, "$name: $what stops it");
	is(sql("SELECT count(*) FROM $name WHERE word <> 'old'"),
		0, "$name: nothing of it is stored");
	return;
}

# the nasty case: more messages than before, while the worker does not run
read_topic('away');
disable('away');
recreate('away');
enable('away');
is_stopped('away', 'a topic recreated meanwhile',
	qr/topic "away" is not the one that was read before.*Partition 0 has another message at offset 19/s);

# while it runs, and sees messages behind its position at once
read_topic('running');
my $pid = $node->worker_pid('running');
recreate('running');
is_stopped('running', 'a topic recreated under the worker',
	qr/topic "running" is not the one that was read before|partition 0 of topic "running" ends before its position/);

# a new topic with the same numbers of the same timestamps, but for one word
$broker->create_topic('alike');
my @same = map { { value => $_, timestamp => $now } } messages('old', 1, 30);
$broker->produce('alike', @same[ 0 .. 19 ]);
$node->numbers('alike', 'alike');
$node->subscribe('alike');
is($node->count_once('alike'), 20, 'alike: before');
disable('alike');
recreate('alike', @same);
enable('alike');
is($node->count_once('alike'), 30,
	'alike: a topic with the same messages at the same offsets is the same');
disable('alike');
$same[29] = { value => '30,other', timestamp => $now };
recreate('alike', @same, @same);
enable('alike');
is_stopped('alike', 'one other message',
	qr/Partition 0 has another message at offset 29/);

# nothing read yet, but a position that counts
$broker->create_topic('latest');
$broker->produce('latest', messages('skipped', 1, 20));
$node->numbers('latest', 'latest');
$node->subscribe('latest', q(start => 'latest'));
$node->wait_applied('latest');
disable('latest');
recreate('latest');
enable('latest');
is_stopped('latest', 'a topic of which nothing was read', qr/is not the one that was read before/);

# retention, or delete_records, up to the position
read_topic('deleted');
disable('deleted');
$broker->delete_records('deleted', 0, 20);
enable('deleted');
$node->wait_applied('deleted');
$broker->produce('deleted', messages('old', 21, 30));
is($node->count_once('deleted'), 30, 'deleted: what was read may be deleted');
$broker->delete_records('deleted', 0, 30);
$broker->produce('deleted', messages('old', 31, 40));
is($node->count_once('deleted'), 40, 'deleted: also while it is read');

# a message that is larger than what is asked for at once is a proof, too
$broker->create_topic('large', partitions => 3);
$node->numbers('large', 'large');
$node->subscribe('large', q(batch_interval => '10 ms'));
foreach my $round (1 .. 3)
{
	$broker->produce('large',
		map { { value => "$_," . 'x' x 300_000, partition => $_ % 3 } } 1 .. 9);
	is($node->count_once('large'), 9 * $round, 'large: messages of 300 kB');
}
is(sql(q(SELECT retries, state <> 'stopped' FROM kafka.stat_subscription WHERE subscription = 'large')),
	'0|t', 'large: without an error');

# the proof moves with the position, and a second one is found where it is gone
is( sql(q(SELECT next_offset, proof_offset FROM kafka.subscription_position
		WHERE subscription = 'deleted')),
	'40|39',
	'deleted: the last message is the proof');

$node->stop;
done_testing();
