# Consumer groups with live members: what the functions show is what Kafka's
# own tool shows, and nothing is changed under the members.

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $class = 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand';
my $broker = KafkaBroker->new;
my $node = KafkaCluster::start($broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

$broker->create_topic('a', partitions => 3);
$broker->create_topic('b');
$broker->produce('a', map { { value => $_, partition => $_ % 3, timestamp => 1577836800000 + 1000 * $_ } } 0 .. 29);

# Two members; one reads both topics, the other one only b, and so nothing.
my @members;
for (['one', 'a', 'b'], ['two', 'b'])
{
	my ($client, @topics) = @$_;
	push @members, IPC::Run::start(
		[ 'kcat', '-b', $broker->bootstrap, '-q', '-X', "client.id=$client", '-X', 'auto.commit.interval.ms=100',
			'-X', 'auto.offset.reset=earliest', '-G', 'live', @topics ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
}
ok( KafkaCluster::wait_for(
		sub {
			sql(q{SELECT state, members, coordinator FROM kafka.consumer_groups('broker') WHERE group_id = 'live'})
			  eq 'Stable|2|1'
			  && sql(q{SELECT count(*) FROM kafka.group_offsets('broker', 'live') WHERE topic = 'a' AND lag = 0}) eq '3';
		}),
	'a group with two members that has read all');
ok( KafkaCluster::wait_for(
		sub { sql(q{SELECT count(*) FROM kafka.group_members('broker', 'live')}) =~ /^[23]$/ }),
	'members');

# GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS CURRENT-EPOCH CURRENT-ASSIGNMENT
my @tool;
for (grep { /^live / } split /\n/, $broker->command($class, '--describe', '--group' => 'live', '--members', '--verbose'))
{
	push @tool, join '|', (split / +/)[ 3, 1, 2, 6 ];
}
is( sql(<<'SQL'), join("\n", sort @tool), 'kafka-consumer-groups --members --verbose');
SELECT client_id, member_id, host, coalesce(string_agg(topic || ':' || array_to_string(partitions, ','), ';' ORDER BY topic), '-')
FROM kafka.group_members('broker', 'live') GROUP BY 1, 2, 3 ORDER BY 1
SQL

# offsets: TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG
sub tool_offsets
{
	my ($group) = @_;

	return join "\n", sort map { s/-(?=\||$)//gr } map { join '|', (split / +/)[ 1, 2, 3, 4, 5 ] }
	  grep { /^$group / } split /\n/, $broker->command($class, '--describe', '--group' => $group);
}
my $offsets = q{SELECT topic, partition, committed, latest, lag FROM kafka.group_offsets('broker', '%s') ORDER BY 1, 2};
is(sql(sprintf $offsets, 'live'), tool_offsets('live'), 'kafka-consumer-groups --describe');
is( sql(q{SELECT topic, partition, committed, lag FROM kafka.group_offsets('broker', 'live') WHERE topic = 'b'}),
	'b|0||', 'a partition that is assigned, and has no offset');

# nothing is changed under the members, nor said to be possible
for my $dry_run ('true', 'false')
{
	my (undef, $err) = KafkaCluster::fails($node,
		"SELECT * FROM kafka.reset_group_offsets('broker', 'live', 'a', start => 'earliest', dry_run => $dry_run)");
	like($err, qr/ERROR:  55006: consumer group "live" has members\n.*DETAIL:  Its state is Stable./s, "reset, dry_run $dry_run");
}
my (undef, $err) = KafkaCluster::fails($node, q{SELECT kafka.delete_group('broker', 'live')});
like($err, qr/ERROR:  55006: could not delete consumer group "live": Broker: The group is not empty/, 'delete');
is(sql(sprintf $offsets, 'live'), "a|0|10|10|0\na|1|10|10|0\na|2|10|10|0\nb|0||0|", 'offsets are as before');

# they leave
for (@members)
{
	$_->signal('TERM');
	$_->finish;
}
ok( KafkaCluster::wait_for(
		sub { sql(q{SELECT state, members FROM kafka.consumer_groups('broker') WHERE group_id = 'live'}) eq 'Empty|0' }),
	'without members');

# a reset does what the tool would
my @dry = grep { /^live / } split /\n/, $broker->command($class, '--reset-offsets', '--group' => 'live', '--topic' => 'a',
	'--to-datetime' => '2020-01-01T00:00:13.000Z', '--dry-run');
my $reset = q{SELECT * FROM kafka.reset_group_offsets('broker', 'live', 'a', to_time => '2020-01-01 00:00:13+00', dry_run => %s)};
is( sql("SELECT topic, partition, new_offset FROM (" . sprintf($reset, 'true') . ") AS r"),
	join("\n", sort map { join '|', (split / +/)[ 1, 2, 3 ] } @dry), 'kafka-consumer-groups --reset-offsets --dry-run');
is(sql(q{SELECT sum(lag) FROM kafka.group_offsets('broker', 'live')}), '0', 'a dry run changes nothing');
is(sql(sprintf $reset, 'false'), "a|0|10|5\na|1|10|4\na|2|10|4", 'what was, and what is now');
is(sql(sprintf $offsets, 'live'), tool_offsets('live'), 'the tool sees it');
is(sql(q{SELECT string_agg(lag::text, ' ' ORDER BY partition) FROM kafka.group_offsets('broker', 'live')}), '5 6 6', 'lag');
sql(q{SELECT kafka.delete_group('broker', 'live')});
unlike($broker->command($class, '--list'), qr/live/, 'deleted');

# Transaction markers and aborted messages are offsets, but nothing to read:
# a consumer that commits the offset after its last message has no more to do.
$broker->create_topic('tx', partitions => 2);
$broker->produce_transaction('tx', 'commit', map { { value => $_, partition => 0 } } 1 .. 3);
$broker->produce_transaction('tx', 'abort', { value => 'no', partition => 0 });
sql(q{SELECT * FROM kafka.reset_group_offsets('broker', 'tx', 'tx', to_offset => 3, dry_run => false)});
my $lag = q{SELECT partition, committed, latest, stable, lag FROM kafka.group_offsets('broker', 'tx', %s)};
is(sql(sprintf $lag, 'false'), "0|3|6|6|3\n1|0|0|0|0", 'lag as Kafka counts it');
is(sql(sprintf $lag, 'true'), "0|3|6|6|0\n1|0|0|0|0", 'with skip_gaps, all is read');
$broker->produce_transaction('tx', 'hang', { value => 'open', partition => 0 });
is(sql(sprintf $lag, 'true'), "0|3|7|6|1\n1|0|0|0|0", 'an open transaction is to be read');
sql(q{SELECT * FROM kafka.reset_group_offsets('broker', 'tx', 'tx', to_offset => 1, partitions => '{0}', dry_run => false)});
is(sql(sprintf $lag, 'true'), "0|1|7|6|6\n1|0|0|0|0", 'a message is left');

done_testing();
