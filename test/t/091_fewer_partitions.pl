# A topic that was deleted and created again with fewer partitions stops its
# subscription with an error that says so, even if what is left of it looks the
# same; nothing is skipped or stored twice.  (F59, F55)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker, 'max_worker_processes = 20');
my $now = time * 1000;

sub sql { return $node->safe_psql('postgres', @_); }

# Makes the topic, with the same ten messages in each of these partitions.
sub make_topic
{
	my ($name, $partitions, @filled) = @_;

	$broker->create_topic($name, partitions => $partitions);
	foreach my $partition (@filled)
	{
		$broker->produce($name,
			map { { value => "$_,same", partition => $partition, timestamp => $now } } 1 .. 10);
	}
	return;
}

# Checks that the subscription is stopped, by which partition, and that its table
# and positions are as they were.  A worker that runs may see the new topic before
# anything is in it.
sub is_stopped
{
	my ($name, $partitions, $before) = @_;
	my $error = qr/topic "$name" has no partition [$partitions] any more/;

	$error = qr/$error|partition \d of topic "$name" ends before its position/ if $name eq 'running';
	$node->wait_state($name, 'stopped') or die "$name is not stopped";
	like($node->error_of($name), $error, "$name: stops, and says why");
	is(state_of($name), $before, "$name: rows and positions are as they were");
	return;
}

# Rows, distinct messages, and positions.
sub state_of
{
	my ($name) = @_;

	return sql(qq(SELECT count(*), count(DISTINCT (_partition, _offset)),
			(SELECT string_agg(next_offset::text, ' ' ORDER BY partition)
				FROM kafka.subscription_position WHERE subscription = '$name')
		FROM $name));
}

# Makes a topic of three partitions, reads it, makes it again with fewer, and
# gives it back to the subscription.
sub shrink
{
	my ($name, $arguments, $filled, $left, $running) = @_;

	make_topic($name, 3, @$filled);
	$node->numbers($name, $name);
	$node->subscribe($name, $arguments);
	$node->wait_applied($name) or die "$name does not catch up";
	my $before = state_of($name);
	sql("SELECT kafka.disable_subscription('$name')") unless $running;
	$broker->delete_topic($name);
	make_topic($name, $left, grep { $_ < $left } @$filled);
	sql("SELECT kafka.enable_subscription('$name')") unless $running;
	return $before;
}

is_stopped('away', '12', shrink('away', '', [ 0, 1, 2 ], 1));
is_stopped('running', '12', shrink('running', '', [ 0, 1, 2 ], 1, 1));
is_stopped('unread', '2', shrink('unread', '', [ 0, 1 ], 2));
is_stopped('restricted', '2', shrink('restricted', q(partitions => '{2}'), [ 0, 1, 2 ], 2));
is_stopped('shared', '12', shrink('shared', 'workers => 3', [ 0, 1, 2 ], 1));

# what the hint says helps
sql(q(BEGIN; SELECT kafka.drop_subscription('away'); TRUNCATE away; COMMIT));
$node->subscribe('away');
is($node->faults('away', 10), '', 'created again, it has the new topic');

# so does to go on without the partitions, where what is left is the same
$broker->produce('unread', map { { value => "$_,new", partition => 1, timestamp => $now } } 11 .. 15);
sql(q(SELECT kafka.alter_subscription('unread', partitions => '{0,1}');
	SELECT kafka.enable_subscription('unread')));
is($node->faults('unread', 25), '', 'it goes on with what is left when told to');

$node->stop;
done_testing();
