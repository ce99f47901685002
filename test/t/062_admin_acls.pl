# ACLs: what is created is what Kafka's own tool shows, the broker enforces it,
# and who may not is told so.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start($broker);

sub sql { return $node->safe_psql('postgres', $_[0]); }

$broker->server($node, 'alice', 'SASL_PLAINTEXT', "sasl_mechanism 'PLAIN'");
KafkaSecurity::mapping($node, 'PUBLIC', 'alice', KafkaSecurity::password('alice'));
$broker->create_topic('orders');
$broker->produce('orders', 'first');

my ($rc, $out, $err) = $node->psql('postgres', q{SELECT count(*) FROM kafka.acls('broker')});
is($out, '0', 'none at first');
like($err, qr/NOTICE:  Kafka has returned no ACLs/, 'and that may mean something else');

# what alice may not do is refused, with one SQLSTATE
my @refused = (
	q{kafka.create_topic('alice', 't')},
	q{kafka.add_partitions('alice', 'orders', 3)},
	q{kafka.alter_topic_config('alice', 'orders', '{"retention.ms": 1}')},
	q{kafka.topic_config('alice', 'orders')},
	q{kafka.broker_config('alice', 1)},
	q{kafka.create_acl('alice', 'topic', 'orders', 'User:alice', 'read')},
	q{kafka.delete_acl('alice', 'topic', 'orders', 'User:alice', 'read')},
	q{kafka.group_offsets('alice', 'g')},
	q{kafka.group_members('alice', 'g')},
	q{kafka.delete_group('alice', 'g')},
	q{kafka.reset_group_offsets('alice', 'g', start => 'latest')},
	q{kafka.tail('alice', 'orders')});
for (@refused)
{
	(undef, $err) = KafkaCluster::fails($node, "SELECT * FROM $_");
	like($err, qr/ERROR:  42501: .*(authorization failed|not authorized|Cluster authorization|denied|Authorization failed)/i, "refused: $_");
}
is(sql(q{SELECT count(*) FROM kafka.topics('alice')}), '0', 'she sees no topic');

# given, it is enforced at once
sql(q{SELECT kafka.create_acl('broker', 'topic', 'orders', 'User:alice', o) FROM unnest('{read,describe,describe_configs}'::text[]) AS o});
sql(q{SELECT kafka.create_acl('broker', 'topic', 'ord', 'User:bob', 'write', 'deny', '10.0.0.1', 'prefixed')});
sql(q{SELECT kafka.create_acl('broker', 'group', '*', 'User:alice', 'all')});
sql(q{SELECT kafka.create_acl('broker', 'cluster', 'kafka-cluster', 'User:alice', 'create')});
sql(q{SELECT kafka.create_acl('broker', 'cluster', 'kafka-cluster', 'User:alice', 'create')});
ok( KafkaCluster::wait_for(sub { sql(q{SELECT count(*) FROM kafka.acls('broker')}) eq '6' }), 'the broker knows all of them');
ok( KafkaCluster::wait_for(sub { sql(q{SELECT count(*) FROM kafka.topics('alice')}) eq '1' }), 'she sees the topic');
is(sql(q{SELECT count(*) FROM kafka.topic_config('alice', 'orders') WHERE name = 'retention.ms'}), '1', 'and its settings');
is(sql(q{SELECT value FROM kafka.tail('alice', 'orders')}), 'first', 'and its messages');
sql(q{SELECT kafka.create_topic('alice', 't')});
is(sql(q{SELECT new_offset FROM kafka.reset_group_offsets('alice', 'g', 'orders', start => 'latest', dry_run => false)}), '1', 'a group');

# (principal=..., host=..., operation=..., permissionType=...), below the resource
my @tool;
my $resource;
for (split /\n/, $broker->command('org.apache.kafka.tools.AclCommand', '--list'))
{
	$resource = lc join '|', $1, $2, $3 if /resourceType=(\w+), name=(\S+), patternType=(\w+)/;
	push @tool, join '|', $resource, $1, $2, lc $3, lc $4
	  if /principal=(\S+), host=(\S+), operation=(\w+), permissionType=(\w+)/;
}
is(scalar @tool, 6, 'kafka-acls shows six');
is( sql(q{SELECT resource_type, resource_name, pattern_type, principal, host, operation, permission
			FROM kafka.acls('broker') AS a ORDER BY replace(a::text, ',', '|') COLLATE "C"}) =~ tr/\n// + 1,
	6, 'as many');
is( join("\n", sort split /\n/, sql(q{SELECT resource_type, resource_name, pattern_type, principal, host, operation, permission FROM kafka.acls('broker')})),
	join("\n", sort @tool), 'kafka-acls --list');

# taken away: exactly that one
sql(q{SELECT kafka.delete_acl('broker', 'topic', 'orders', 'User:alice', 'read')});
ok( KafkaCluster::wait_for(
		sub {
			sql(q{SELECT string_agg(operation, ' ') FROM kafka.acls('broker') WHERE resource_name = 'orders'}) eq 'describe describe_configs';
		}),
	'delete');
ok( KafkaCluster::wait_for(
		sub { ($node->psql('postgres', q{SELECT * FROM kafka.tail('alice', 'orders')}))[0] != 0 }),
	'it is enforced');
(undef, $err) = KafkaCluster::fails($node, q{SELECT kafka.delete_acl('broker', 'topic', 'orders', 'User:alice', 'read')});
like($err, qr/ERROR:  42704: there is no such ACL/, 'delete again');
(undef, $err) = KafkaCluster::fails($node, q{SELECT kafka.create_acl('broker', 'topic', 'orders', 'alice', 'read')});
like($err, qr/ERROR:  22023: could not create the ACL: /, 'an invalid principal');
is(sql(q{SELECT count(kafka.delete_acl('broker', resource_type, resource_name, principal, operation, permission, host, pattern_type)) FROM kafka.acls('broker')}),
	'5', 'all of them');

done_testing();
