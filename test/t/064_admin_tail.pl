# kafka.tail() returns as many messages as there are, whatever gaps the log
# has.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(property => { 'log.cleaner.backoff.ms' => 100 });
my $node = KafkaCluster::start($broker);

sub tail
{
	my ($topic, @arguments) = @_;
	my $arguments = join '', map { ", $_" } @arguments;

	return $node->safe_psql('postgres',
		"SELECT coalesce(string_agg(value, ' '), '') FROM kafka.tail('broker', '$topic'$arguments)");
}

# aborted transactions: more offsets than any first window has
my $topic = $broker->create_topic('tail_tx', partitions => 2);
$broker->produce($topic, map { { value => "v$_", partition => 0 } } 1 .. 5);
$broker->produce_transaction($topic, 'abort', map { { value => 'no', partition => 0 } } 1 .. 500);
is(tail($topic, 3), 'v3 v4 v5', 'behind an aborted transaction');
is(tail($topic, 100), 'v1 v2 v3 v4 v5', 'all that there are');
$broker->produce_transaction($topic, 'commit', { value => "v$_", partition => 0 }) for 6 .. 8;
is(tail($topic, 4), 'v5 v6 v7 v8', 'between transaction markers and over a gap');
is(tail($topic, 1, 'true'), 'v8', 'an empty partition has none');

# an open transaction: what comes after it is not there yet
my $client = $broker->with('transactional.id' => $topic);
$client->produce_transaction($topic, 'hang', { value => 'open', partition => 0 });
$broker->produce($topic, { value => 'after', partition => 0 });
is(tail($topic, 2), 'v7 v8', 'an open transaction');
$node->safe_psql('postgres', "CREATE SERVER dirty FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '"
	  . $broker->bootstrap . "', \"isolation.level\" 'read_uncommitted')");
is($node->safe_psql('postgres', "SELECT string_agg(value, ' ') FROM kafka.tail('dirty', '$topic', 2)"),
	'open after', 'read_uncommitted');
$client->produce_transaction($topic, 'abort');

# compaction leaves one message of each key
$topic = $broker->create_topic(
	'tail_compacted',
	config => {
		'cleanup.policy' => 'compact',
		'segment.ms' => 100,
		'min.cleanable.dirty.ratio' => '0.01',
		'max.compaction.lag.ms' => 100,
	});
$broker->produce($topic, map { { key => "k$_", value => "first$_" } } 1 .. 3);
$broker->produce($topic, map { { key => 'busy', value => "b$_" } } 1 .. 2000);
my $round = 0;
ok( KafkaCluster::wait_for(
		sub {
			$broker->produce($topic, { key => 'last', value => 'last' . $round++ });
			return $node->safe_psql('postgres',
				"SELECT count(*) < 100 FROM kafka.tail('broker', '$topic', 3000)") eq 't';
		}),
	'compacted');
like(tail($topic, 3000), qr/^first1 first2 first3 b2000 last/, 'all that is left');

done_testing();
