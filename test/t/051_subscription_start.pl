# Where a subscription starts, and where it is moved to: earliest, latest,
# timestamps, offsets, one partition or all, within what Kafka holds.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('start', partitions => 3);
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# The positions of a new subscription, which no worker reads.
sub start
{
	my ($start, $more) = @_;

	$node->subscribe('n', "start => '$start', enabled => false" . ($more // ''));
	my $positions = positions();
	sql(q(SELECT kafka.drop_subscription('n')));
	return $positions;
}

sub positions
{
	return sql(q(SELECT string_agg(partition || ':' || next_offset, ' ' ORDER BY partition)
		FROM kafka.subscription_position));
}

sub refused
{
	my ($call) = @_;

	return $node->error_from("SELECT kafka.$call");
}

# ten messages a partition, a day apart, and the first two gone in partition 0
my $day = 86_400_000;
foreach my $partition (0 .. 2)
{
	$broker->produce($topic,
		map { { value => "$_,word", partition => $partition, timestamp => $_ * $day } }
		  1 .. 10);
}
$broker->delete_records($topic, 0, 2);
$node->numbers('n', $topic);

is(start('earliest'), '0:2 1:0 2:0', 'earliest');
is(start('latest'), '0:10 1:10 2:10', 'latest');
is(start('1970-01-06 00:00+00'), '0:4 1:4 2:4', 'a timestamp');
is(start('1970-01-06 00:00:00.0001+00'), '0:5 1:5 2:5', 'between two');
is(start('1970-01-02 00:00+00'), '0:2 1:0 2:0', 'before all of them');
is(start('2050-01-01'), '0:10 1:10 2:10', 'after all of them');
is(start('7'), '0:7 1:7 2:7', 'an offset');
is(start('{"0": 5, "1": "latest", "2": "1970-01-06 00:00+00"}'),
	'0:5 1:10 2:4', 'places by partition');
is(start(qq({"$topic": {"0": 5, "1": 10, "2": "earliest"}})),
	'0:5 1:10 2:0', 'by topic and partition');
is(start(qq({"$topic": "latest"})), '0:10 1:10 2:10', 'by topic');
is(start('earliest', ', partitions => ARRAY[0, 2]'), '0:2 2:0', 'of some partitions');

my $create = "create_subscription('n', 'n_feed', 'n', start =>";
like(refused(qq($create '{"0": 5, "1": 5}'\))),
	qr/start says nothing of partition 2 of topic "$topic"/,
	'all partitions must be named');
like(
	refused(qq($create '{"0": 1, "1": 5, "2": 5}'\))),
	qr/offset 1 is out of range for partition 0.*begins at offset 2 and ends before offset 10/s,
	'an offset that is gone is refused');
like(refused("$create '11')"), qr/offset 11 is out of range/, 'or yet to come');
like(refused(qq($create '{"3": 1}'\))),
	qr/does not read partition 3/, 'or one of no partition');
like(refused(qq($create '{"other": {"0": 1}}'\))),
	qr/does not read partition 0 of topic "other"/, 'or topic');
like(refused(qq($create '{"0": [1]}'\))),
	qr/positions of a subscription must be places/, 'or what is no offset');
like(refused("$create 'infinity')"), qr/must be finite/, 'or no time');
like(refused("$create 'earliest', partitions => '{0,7}')"),
	qr/has no partition 7/, 'partitions must exist');

# seek
$node->subscribe('n', q(enabled => false));
my $seek = q{SELECT kafka.seek_subscription('n',};
sql("$seek 'latest')");
is(positions(), '0:10 1:10 2:10', 'seek moves all partitions');
sql("$seek '3', 1)");
is(positions(), '0:10 1:3 2:10', 'or one');
sql(qq($seek '{"2": 7}'\)));
is(positions(), '0:10 1:3 2:7', 'or those that it names');
sql("$seek '1970-01-03 00:00+00', partition => 2, topic => '$topic')");
is(positions(), '0:10 1:3 2:1', 'to a time');
sql("BEGIN; $seek 'earliest'); ROLLBACK");
is(positions(), '0:10 1:3 2:1', 'unless it is rolled back');
like(refused(q(seek_subscription('n', '11', 1))),
	qr/offset 11 is out of range/, 'not to where nothing is');
like(refused(q(seek_subscription('n', '1', 9))),
	qr/does not read partition 9/, 'nor in a partition that does not exist');
sql(q(SELECT kafka.enable_subscription('n')));
ok($node->wait_applied('n'), 'the worker goes on');
is(sql('SELECT count(*) FROM n'), 0 + 7 + 9, 'from there');

# of a running subscription, the worker follows
$node->worker_pid('n');
sql("BEGIN; DELETE FROM n; $seek 'earliest'); COMMIT");
ok($node->wait_applied('n'), 'a worker that runs follows');
is($node->count_once('n'), 28, 'and reads again');
ok(!$node->log_contains('have been moved by another session'), 'without an error');
foreach my $round (1 .. 10)
{
	sql("BEGIN; DELETE FROM n; $seek 'earliest'); COMMIT");
}
is($node->count_once('n'), 28, 'also while it is moved again and again');

# partitions that the subscription does not read are nobody's business
sql(q(SELECT kafka.alter_subscription('n', partitions => '{1}')));
my $lag = q(SELECT state = 'idle' AND lag_messages = 0 AND partitions = 1 FROM kafka.stat_subscription);
$broker->produce($topic, map { { value => "$_,word", partition => $_ } } 0 .. 2);
ok($node->wait_applied('n'), 'those of other partitions are not waited for');
is(sql('SELECT count(*) FROM n WHERE _offset = 10'), 1, 'nor read');
ok($node->poll_query_until('postgres', $lag), 'nor counted');
sql(q(SELECT kafka.alter_subscription('n', reset => '{partitions}')));
is($node->count_once('n'), 31, 'until they are, from where they were');

$node->stop;
done_testing();
