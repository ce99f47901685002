# Compaction leaves gaps, and may remove the very message that the topic is
# recognised by; neither stops the subscription, but another topic does.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->new(property => { 'log.cleaner.backoff.ms' => 50 });
my $node = KafkaIngest->start_with($broker);
my %compact = (
	'cleanup.policy' => 'compact',
	'min.cleanable.dirty.ratio' => '0.001',
	'max.compaction.lag.ms' => 1,
	'segment.ms' => 20);

sub sql { return $node->safe_psql('postgres', @_); }

# Makes the topic of these keys, and waits until only the last message of each
# is left, and the one that closed the last segment.
sub produce_compacted
{
	my ($topic, $word, @keys) = @_;

	$broker->produce($topic, map { { key => $_, value => "$_,$word" } } @keys);
	my %distinct = map { $_ => 1 } @keys;
	my $last = 0;
	# a segment is closed by a message that comes after segment.ms
	KafkaCluster::wait_for(
		sub {
			$broker->produce($topic, { key => 'tail', value => '0,tail' });
			return sql("SELECT count(*) < 2 * @{[ scalar keys %distinct ]}
				FROM ${topic}_feed WHERE word = '$word'") eq 't'
			  && sql("SELECT count(*) = count(DISTINCT n) FROM ${topic}_feed
				WHERE word <> 'tail' AND n > 0") eq 't';
		}) or die 'no compaction';
	return;
}

$broker->create_topic('c', config => \%compact);
$node->numbers('c', 'c');
$broker->produce('c', map { { key => $_, value => "$_,first" } } 1 .. 10);
$node->subscribe('c');
$node->wait_applied('c');
is(sql('SELECT count(*), max(_offset) FROM c'), '10|9', 'all messages are read');

# the message before the position goes while nobody looks
sql(q(SELECT kafka.disable_subscription('c')));
produce_compacted('c', 'second', 1 .. 10);
is(sql('SELECT count(*) FROM c_feed WHERE _offset < 10'),
	0, 'compaction has removed what was read');
sql(q(SELECT kafka.enable_subscription('c')));
$node->wait_applied('c');
is(sql(q(SELECT count(*) FROM c WHERE word = 'second')),
	10, 'the subscription goes on behind the gap');
is(sql('SELECT count(*), count(DISTINCT _offset) FROM c') =~ /^(\d+)\|\1$/,
	1, 'each message is in the table once');
is(sql(q(SELECT last_error IS NULL FROM kafka.stat_subscription)),
	't', 'without any error');

# another compacted topic, which does not have that offset either
sql(q(SELECT kafka.disable_subscription('c')));
my $position = sql('SELECT next_offset FROM kafka.subscription_position');
$broker->delete_topic('c');
$broker->create_topic('c');
$broker->produce('c', map { { key => $_, value => "$_,third" } } 1 .. $position - 2);
$broker->produce_transaction('c', 'abort', map { "$_,aborted" } 1 .. 10);
$broker->produce('c', map { "$_,third" } 1 .. 10);
is(sql("SELECT count(*) FROM c_feed WHERE _offset = $position - 1"),
	0, 'a new topic has no message there');
sql(q(SELECT kafka.enable_subscription('c')));
$node->wait_state('c', 'stopped');
like(
	$node->error_of('c'),
	qr/topic "c" is not the one that was read before.*messages before it are younger/s,
	'it is recognised by the age of what it has');
is(sql(q(SELECT count(*) FROM c WHERE word = 'third')), 0, 'and not read');

$node->stop;
done_testing();
