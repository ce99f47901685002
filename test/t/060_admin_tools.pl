# What the functions show of topics, settings and offsets is what Kafka's own
# tools show, and what they change, the tools see; with three brokers, of which
# one goes away.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(brokers => 3, property => { 'broker.rack' => 'here' });
my $node = KafkaCluster::start($broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Lines of both, in one order.
sub same
{
	my ($sql, $tool, $name) = @_;

	return is(sql($sql), join("\n", sort @$tool), $name);
}

# the cluster
is(sql(q{SELECT string_agg(broker::text, ' ') FROM kafka.brokers('broker')}), '1 2 3', 'brokers');
is(sql(q{SELECT count(*) FROM kafka.brokers('broker') WHERE controller}), '1', 'one controller');
my ($cluster) = $broker->command('org.apache.kafka.tools.ClusterTool', 'cluster-id') =~ /Cluster ID: (\S+)/;
is(sql(q{SELECT cluster_id, brokers FROM kafka.cluster('broker')}), "$cluster|3", 'cluster');
is( sql(q{SELECT value FROM kafka.broker_config('broker', 2) WHERE name = 'broker.rack'}),
	'here', 'a broker that is not the first one asked');

# librdkafka before 2.3 does not know it
is(sql(q{SELECT DISTINCT coalesce(rack, 'here') FROM kafka.brokers('broker')}), 'here', 'rack');

# topics: each way to say how many, and where
sql(q{SELECT kafka.create_topic('broker', 'spread', 4, 3, '{"min.insync.replicas": 2, "retention.ms": 86400000}')});
sql(q{SELECT kafka.create_topic('broker', 'placed', replica_assignment => '{{3,1},{2,3}}')});
sql(q{SELECT kafka.add_partitions('broker', 'placed', 4, '{{1,2},{3,2}}')});
sql(q{SELECT kafka.create_topic('broker', 'alone', replica_assignment => '{{3},{1}}')});
is( sql(q{SELECT replicas FROM kafka.partitions('broker', 'placed')}),
	"{3,1}\n{2,3}\n{1,2}\n{3,2}", 'replica assignment');
my @described;
for (split /\n/, $broker->command('org.apache.kafka.tools.TopicCommand', '--describe'))
{
	my %field = /(\w+): (\S+)/g;
	push @described, join '|', @field{ 'Topic', 'Partition', 'Leader', 'Replicas', 'Isr' }
	  if exists $field{Partition};
}
same(
	q{SELECT topic, partition, leader, array_to_string(replicas, ','), array_to_string(isr, ',')
		FROM kafka.partitions('broker') ORDER BY topic COLLATE "C", partition},
	\@described, 'kafka-topics --describe');

# settings
sql(q{SELECT kafka.alter_topic_config('broker', 'spread', '{"cleanup.policy": "compact", "retention.ms": null, "segment.ms": 3600000}')});
my @settings = $broker->command('kafka.admin.ConfigCommand', '--describe', '--all',
	'--entity-type' => 'topics', '--entity-name' => 'spread') =~
  /^  ([^=\s]+=\S*) sensitive=/mg;
cmp_ok(scalar @settings, '>', 20, 'kafka-configs shows settings');
same(
	q{SELECT name || '=' || value FROM kafka.topic_config('broker', 'spread') ORDER BY name || '=' || value COLLATE "C"},
	\@settings, 'kafka-configs --describe --all');
is( sql(q{SELECT string_agg(name || '=' || value, ' ') FROM kafka.topic_config('broker', 'spread') WHERE source = 'DYNAMIC_TOPIC_CONFIG'}),
	'cleanup.policy=compact min.insync.replicas=2 segment.ms=3600000',
	'set, kept and reset');

# offsets
$broker->produce('placed', map { { value => $_, partition => $_ % 3, timestamp => 1577836800000 + 1000 * $_ } } 0 .. 29);
$broker->produce_transaction('placed', 'hang', { value => 'open', partition => 0 });
sql(q{SELECT * FROM kafka.delete_records('broker', 'placed', 1, 4)});
my %offsets;
for (['latest', 'latest'], ['earliest', 'earliest'], ['time', 1577836815000])
{
	my ($name, $time) = @$_;

	for ($broker->command('org.apache.kafka.tools.GetOffsetShell', '--topic' => 'placed', '--time' => $time) =~ /^placed:(.*)$/mg)
	{
		my ($partition, $offset) = split /:/;
		push @{ $offsets{$name} }, join '|', $partition, $offset // '';
	}
}
same(q{SELECT partition, latest FROM kafka.partitions('broker', 'placed') ORDER BY 1}, $offsets{latest}, 'latest');
same(q{SELECT partition, earliest FROM kafka.partitions('broker', 'placed') ORDER BY 1}, $offsets{earliest}, 'earliest');
is( sql(q{SELECT partition, "offset" FROM kafka.offsets_for_time('broker', 'placed', to_timestamp(1577836815)) WHERE "offset" IS NOT NULL}),
	join("\n", grep { /\d$/ && !/\|$/ } sort @{ $offsets{time} }),
	'kafka-get-offsets --time');
is( sql(q{SELECT stable, latest FROM kafka.partitions('broker', 'placed') WHERE partition = 0}),
	'10|11', 'an open transaction holds the last stable offset');

# kafka-delete-records, and what it has done
my $file = PostgreSQL::Test::Utils::tempdir() . '/records.json';
append_to_file($file, '{"partitions": [{"topic": "placed", "partition": 2, "offset": 7}], "version": 1}');
$broker->command('org.apache.kafka.tools.DeleteRecordsCommand', '--offset-json-file' => $file);
is(sql(q{SELECT earliest FROM kafka.partitions('broker', 'placed') WHERE partition = 2}), '7', 'kafka-delete-records');

# a broker goes: what has no other replica has no leader and no offsets
$broker->kill(3);
ok( KafkaCluster::wait_for(sub { sql(q{SELECT count(*) FROM kafka.brokers('broker')}) eq '2' }),
	'the cluster notices');
ok( KafkaCluster::wait_for(
		sub { sql(q{SELECT count(*) FROM kafka.partitions('broker', 'alone') WHERE leader IS NULL}) eq '1' }),
	'a partition without a leader');
is( sql(q{SELECT partition, leader, replicas, earliest, latest, stable FROM kafka.partitions('broker', 'alone')}),
	"0||{3}|||\n1|1|{1}|0|0|0", 'is shown with what is known');
is(sql(q{SELECT count(*) FROM kafka.partitions('broker') WHERE topic = 'placed' AND latest IS NULL}), '0', 'others go on');
is( sql(q{SELECT count(*) FROM kafka.partitions('broker', 'placed') WHERE cardinality(isr) < cardinality(replicas)}),
	'3', 'under-replicated partitions');
my (undef, $err) = KafkaCluster::fails($node, q{SELECT * FROM kafka.broker_config('broker', 3)});
like($err, qr/ERROR:  22023: there is no broker 3, or it is not running/, 'a dead broker is not waited for');

done_testing();
