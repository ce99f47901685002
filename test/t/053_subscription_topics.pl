# A list of topics, or a pattern, as source: a position for each partition of each
# topic, new topics from their beginning, and lost ones by name.

use strict;
use warnings;

use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $one = $broker->create_topic('topics_one', partitions => 2);
my $two = $broker->create_topic('topics_two');
my $prefix = $one =~ s/one.*//r;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

sub table
{
	my ($name, $topic) = @_;
	my $columns = 'n int, _topic text, _partition int, _offset bigint';

	sql(qq(CREATE FOREIGN TABLE ${name}_feed ($columns)
			SERVER broker OPTIONS (topic '$topic', format 'csv');
		CREATE TABLE $name ($columns)));
	return;
}

sub counts
{
	my ($name) = @_;

	$node->wait_applied($name) or die "$name does not catch up";
	return sql(qq(SELECT string_agg(count::text, ' ' ORDER BY _topic) FROM
		(SELECT _topic, count(*) FROM $name GROUP BY _topic) AS c));
}

$broker->produce($one, 1 .. 5);
$broker->produce($two, 1 .. 3);

# a list
table('list', "$one, $two");
$node->subscribe('list', q(workers => 2));
is(counts('list'), '5 3', 'all topics of a list are read');
is(sql(q(SELECT count(DISTINCT topic), count(*) FROM kafka.subscription_position)),
	'2|3', 'each partition of each has a position');
$broker->produce($one, 6 .. 9);
$broker->produce($two, 4 .. 6);
is(counts('list'), '9 6', 'and followed');
is(sql('SELECT count(*) = count(DISTINCT (_topic, _partition, _offset)) FROM list'),
	't', 'each message once');

# positions of one of them
sql(qq(BEGIN; DELETE FROM list WHERE _topic = '$two';
	SELECT kafka.seek_subscription('list', 'earliest', topic => '$two'); COMMIT));
is(counts('list'), '9 6', 'one topic can be read again');
sql(q(SELECT kafka.disable_subscription('list')));
$node->subscribe('list2', qq(enabled => false, start => '{"$one": {"0": 0, "1": 0}, "$two": "latest"}'))
  if eval { table('list2', "$one,$two"); 1 };
is(sql(q(SELECT sum(next_offset) FROM kafka.subscription_position WHERE subscription = 'list2')),
	6, 'start has places by topic');
sql(q(SELECT kafka.drop_subscription('list2')));

# the list changes
my $three = $broker->create_topic('topics_three');
$broker->produce($three, 1 .. 4);
sql(q(SELECT kafka.enable_subscription('list')));
sql("ALTER FOREIGN TABLE list_feed OPTIONS (SET topic '$one,$three')");
ok($node->wait_state('list', 'stopped'), 'another list of topics stops the subscription');
like($node->error_of('list'), qr/topic of source table "list_feed" has changed/, 'which says so');
sql(q(SELECT kafka.alter_subscription('list', source => 'list_feed');
	  SELECT kafka.enable_subscription('list')));
is(counts('list'), '9 4 6', 'until it takes over the new one');
is(sql(qq(SELECT count(*) FROM kafka.subscription_position WHERE topic = '$two')),
	0, 'and forgets what is not read any more');
sql(q(SELECT kafka.drop_subscription('list')));

# a pattern
my $shape = $prefix =~ s/_topics_$/_/r;
table('pattern', "^${prefix}(one|two|new)_");
$node->subscribe('pattern');
is(counts('pattern'), '9 6', 'all topics of a pattern are read');
my $new = $broker->create_topic('topics_new');
$broker->produce($new, 1 .. 7);
is(counts('pattern'), '7 9 6', 'one that is made later from its beginning');
$broker->delete_topic($new);
$node->wait_true("SELECT count(*) = 0 FROM kafka.topics('broker') WHERE topic = '$new'");
sql(q(SELECT kafka.alter_subscription('pattern', batch_rows => 5000)));    # it looks at once
ok($node->wait_state('pattern', 'stopped'), 'one that is gone stops the subscription');
like($node->error_of('pattern'), qr/topic "$new" does not exist any more/, 'which names it');
sql(q(SELECT kafka.alter_subscription('pattern', source => 'pattern_feed');
	  SELECT kafka.enable_subscription('pattern')));
$broker->produce($two, 7);
is(counts('pattern'), '7 9 7', 'and goes on without it when told to');

$node->stop;
done_testing();
