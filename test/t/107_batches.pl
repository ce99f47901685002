# A batch is written when it has its rows, when it has its bytes, or when its time
# has come, whichever is first.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub subscribed
{
	my ($name, $arguments, @messages) = @_;
	my $topic = $broker->create_topic($name);

	$broker->produce($topic, @messages);
	$node->numbers($name, $topic);
	$node->subscribe($name, $arguments);
	return;
}

sub stat_of
{
	my ($columns, $name) = @_;

	return sql("SELECT $columns FROM kafka.stat_subscription WHERE subscription = '$name'");
}

subscribed('rows', q(batch_rows => 10, batch_interval => '1 hour'), map { "$_,x" } 1 .. 25);
ok($node->wait_true('SELECT count(*) = 20 FROM rows'), 'so many rows are written');
ok($node->wait_true(q(SELECT messages = 20 FROM kafka.stat_subscription WHERE subscription = 'rows')), 'and counted');
is(stat_of('batches', 'rows'), 2, 'together');
is($node->count_once('rows'), 25, 'and less when somebody waits for them');

# 8 MB, of which a message has almost one
subscribed('bytes', q(batch_rows => 1000000, batch_interval => '1 hour'), map { "$_," . 'x' x 900_000 } 1 .. 30);
ok($node->wait_true(q(SELECT batches >= 2 FROM kafka.stat_subscription WHERE subscription = 'bytes')),
	'so many bytes are written');
is(stat_of('bytes >= batches * 8 * 1024 * 1024', 'bytes'), 't', 'together');
is($node->count_once('bytes'), 30, 'the rest as well');

subscribed('times', q(batch_rows => 1000000, batch_interval => '50 ms'), map { "$_,x" } 1 .. 5);
ok($node->wait_true('SELECT count(*) = 5 FROM times'), 'what is there is written when it is old');

# rows of one message are not divided
my $topic = $broker->create_topic('wide');
$broker->produce($topic, ('{"rows": [' . join(', ', map { qq({"n": $_}) } 1 .. 7) . ']}') x 3);
sql(qq(CREATE FOREIGN TABLE wide_feed (n int, _offset bigint) SERVER broker
		OPTIONS (topic '$topic', format 'json', rows 'rows');
	CREATE TABLE wide (n int, _offset bigint);
	SELECT kafka.create_subscription('wide', 'wide_feed', 'wide', batch_rows => 10)));
$node->wait_applied('wide');
is(sql('SELECT count(*), count(DISTINCT xmin::text) FROM wide'), '21|2', 'a message with several rows has them in one batch');

$node->stop;
done_testing();
