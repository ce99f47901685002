# With group_id Kafka's own tool shows a subscription's positions; they are never
# used, and what is wrong with the group does not stop the subscription.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Partition => [ position, end, lag ] of a group, by Kafka's own tool.
sub group
{
	my ($group) = @_;
	my %lag;

	foreach (split /\n/, $broker->command('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
			'--describe', '--group' => $group))
	{
		my (undef, undef, $partition, @numbers) = split;
		$lag{$partition} = "@numbers[0..2]" if defined $partition && $partition =~ /^\d+$/;
	}
	return \%lag;
}

# Waits until the group has these positions.
sub is_group
{
	my ($expected, $name) = @_;
	my $found;

	KafkaCluster::wait_for(
		sub {
			$found = group('g');
			return join(',', %$found{ sort keys %$found }) eq join(',', %$expected{ sort keys %$expected });
		});
	is_deeply($found, $expected, $name);
	return;
}

$broker->create_topic('n', partitions => 2);
$broker->produce('n', map { { value => "$_,x", partition => $_ % 2 } } 1 .. 20);
$broker->produce_transaction('n', 'commit', map { { value => "$_,t", partition => 1 } } 21 .. 25);
$node->numbers('n', 'n');
$node->subscribe('n', q(group_id => 'g'));
$node->wait_applied('n');
is_group({ 0 => '10 10 0', 1 => '16 16 0' },
	'the lag is zero, past the marker of a transaction');

# a backlog is the same in both
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE n');
$broker->produce('n', map { { value => "$_,x", partition => 0 } } 26 .. 30);
$node->wait_state('n', 'waiting for a lock');
is_group({ 0 => '10 15 5', 1 => '16 16 0' }, 'what is not stored yet is lag');
is(sql('SELECT partition, next_offset, end_offset, lag_messages FROM kafka.subscription_lag ORDER BY partition'),
	"0|10|15|5\n1|16|16|0", 'as in kafka.subscription_lag');
$session->run('ROLLBACK');
$node->wait_applied('n');
is_group({ 0 => '15 15 0', 1 => '16 16 0' }, 'and none when it is stored');

# the group's positions are not the subscription's
sql(q(SELECT kafka.disable_subscription('n')));
$broker->command('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
	'--group' => 'g', '--reset-offsets', '--to-earliest', '--topic' => 'n', '--execute');
sql(q(SELECT kafka.enable_subscription('n')));
$broker->produce('n', { value => '31,x', partition => 0 });
$node->wait_applied('n');
is(sql('SELECT count(*), count(DISTINCT (_partition, _offset)) FROM n'),
	'31|31', 'positions of the group are never read');
is_group({ 0 => '16 16 0', 1 => '16 16 0' }, 'but written anew');

# a group that is somebody else's
my $consumer = IPC::Run::start(
	[ 'kcat', '-b', $broker->bootstrap, '-G', 'taken', 'n' ], '>', '/dev/null', '2>', '/dev/null');
KafkaCluster::wait_for(
	sub {
		$broker->command('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
			'--describe', '--group' => 'taken', '--state') =~ /Stable/;
	}) or die 'no consumer';
sql(q(SELECT kafka.alter_subscription('n', group_id => 'taken')));
$broker->produce('n', '32,x');
ok($node->wait_for_log(qr/WARNING:  could not show the positions of subscription "n" to consumer group "taken"/),
	'a group with members is a warning');
$node->wait_applied('n');
is(sql('SELECT count(*) FROM n'), 32, 'and the subscription goes on');
is(sql('SELECT state, retries FROM kafka.stat_subscription') =~ /^(idle|reading|applying)\|0$/,
	1, 'without an error');
$consumer->kill_kill;

$node->stop;
done_testing();
