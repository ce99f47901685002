# The end of a scan is right whatever gaps the log has: aborted transactions,
# control records at the tail, an open transaction, deleted records,
# compaction.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $table = 0;

# Creates committed and uncommitted views of a topic; returns their names.
sub tables
{
	my ($topic) = @_;
	my $name = 't' . ++$table;

	$node->safe_psql('postgres', <<"SQL");
CREATE FOREIGN TABLE ${name}_c (_value text, _partition int, _offset bigint)
	SERVER broker OPTIONS (topic '$topic', format 'raw');
CREATE FOREIGN TABLE ${name}_u (_value text, _partition int, _offset bigint)
	SERVER broker OPTIONS (topic '$topic', format 'raw', "isolation.level" 'read_uncommitted');
SQL
	return ("${name}_c", "${name}_u");
}

# Several processes find the same ends.
sub rows
{
	my ($from) = @_;
	my $query = "SELECT string_agg(_value, ' ' ORDER BY _partition, _offset) FROM $from";
	my $alone = $node->safe_psql('postgres', "SET statement_timeout = '60s'; $query");
	my $parallel = $node->safe_psql('postgres',
		"SET statement_timeout = '60s'; SET min_parallel_table_scan_size = 0;
		SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; $query");

	return $alone eq $parallel ? $alone : "$alone, but in parallel $parallel";
}

# commit, abort, and a control record as the last thing in the log
my $topic = $broker->create_topic('gaps_tx');
my ($committed, $uncommitted) = tables($topic);
$broker->produce_transaction($topic, 'commit', 'a', 'b');
is(rows($committed), 'a b', 'a control record at the tail');
$broker->produce_transaction($topic, 'abort', 'c', 'd');
is(rows($committed), 'a b', 'an aborted transaction at the tail');
is(rows($uncommitted), 'a b c d', 'read_uncommitted reads it');
$broker->produce($topic, 'e');
is(rows($committed), 'a b e', 'an aborted transaction in the middle');
is(rows("$committed WHERE _offset >= 2 AND _offset <= 5"), '',
	'a range in which nothing is visible');
is(rows("$committed WHERE _offset > 1"), 'e', 'a range that begins in a gap');

# an open transaction: the last stable offset is the end
$broker->produce_transaction($topic, 'hang', 'f');
$broker->produce($topic, 'g');
is(rows($committed), 'a b e', 'an open transaction ends the scan');
is(rows($uncommitted), 'a b c d e f g', 'but not under read_uncommitted');

# transactions that are longer than what a process reads at once
$topic = $broker->create_topic('gaps_long');
($committed, $uncommitted) = tables($topic);
for my $end ('commit', 'abort', 'abort', 'commit', 'hang')
{
	$broker->produce_transaction($topic, $end, map { "$end $_" } 1 .. 12000);
}
sub numbers
{
	my ($from) = @_;

	return "(SELECT count(*) || ':' || count(DISTINCT _offset) || ':' || count(*) FILTER (WHERE _value LIKE 'commit%') AS _value,
		0 AS _partition, 0 AS _offset FROM $from) x";
}
is(rows(numbers($committed)), '24000:24000:24000', 'long transactions');
is(rows(numbers($uncommitted)), '60000:60000:24000', 'and all that they wrote');
is(rows(numbers("$committed WHERE _offset BETWEEN 11990 AND 36010")), '18:18:18', 'and a part of them');

# records deleted from the beginning, all of them, and an empty partition
$topic = $broker->create_topic('gaps_deleted', partitions => 3);
($committed, $uncommitted) = tables($topic);
$broker->produce($topic, map { { value => "v$_", partition => 0 } } 0 .. 9);
$broker->produce($topic, map { { value => "w$_", partition => 1 } } 0 .. 4);
$broker->delete_records($topic, 0, 7);
$broker->delete_records($topic, 1, 5);
is(rows($committed), 'v7 v8 v9', 'deleted records');
is(rows("$committed WHERE _offset < 8"), 'v7', 'a range that begins before the log does');
is(rows("$committed WHERE _partition = 1"), '', 'a partition of which nothing is left');

# ranges that end early hold up no other partition, of which a client that asks
# for little at once has not seen anything yet
$topic = $broker->create_topic('gaps_ranges', partitions => 3);
($committed) = tables($topic);
$broker->produce($topic, map { { value => "v$_", partition => $_ % 3 } } 0 .. 5999);
my $session = KafkaCluster::session($node);
my $start = time;
for (1 .. 40)
{
	($session->run("SELECT count(*) FROM $committed WHERE (_partition, _offset) IN ((0, 1), (1, 2), (2, 3))"))[0] eq '3'
	  or die 'wrong number of rows';
}
cmp_ok(time - $start, '<', KafkaCluster::SOON, 'ranges of one message in several partitions');
$session->quit;

# compaction
$topic = $broker->create_topic(
	'gaps_compacted',
	config => {
		'cleanup.policy' => 'compact',
		'segment.ms' => 100,
		'min.cleanable.dirty.ratio' => '0.01',
		'max.compaction.lag.ms' => 100,
	});
($committed, $uncommitted) = tables($topic);
my $count = "SELECT count(*) FROM $committed";
my $compacted = KafkaCluster::wait_for(
	sub {
		$broker->produce($topic, map { { key => 'k' . $_ % 3, value => "v$_" } } 0 .. 29);
		my ($watermarks) = $broker->watermarks($topic);
		return $node->safe_psql('postgres', $count) < $watermarks->[1];
	});
ok($compacted, 'compaction leaves gaps');
my ($watermarks) = $broker->watermarks($topic);
is( $node->safe_psql('postgres', "SELECT max(_offset) + 1 FROM $committed"),
	$watermarks->[1],
	'and the scan reads to the end');

done_testing();
