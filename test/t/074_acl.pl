# What Kafka's ACLs do not allow is an error that says which is missing; with it the same
# works.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaIngest;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaIngest->start_with(undef);

$broker->create_topic($_) for 'readable', 'writable', 'committed', 'hidden';
$broker->produce('readable', '1');
$broker->allow('User:alice', '--operation' => 'Read', '--topic' => 'readable');
$broker->allow('User:alice', '--operation' => 'Write',
	'--topic' => 'writable', '--topic' => 'committed');

$broker->server($node, 'broker', 'SASL_SSL', "sasl_mechanism 'PLAIN'");
KafkaSecurity::mapping($node, 'PUBLIC', 'broker', KafkaSecurity::password('alice'));
$node->safe_psql('postgres',
	"CREATE FOREIGN TABLE $_ (v text) SERVER broker OPTIONS (topic '$_', format 'raw', delivery '"
	  . ($_ eq 'committed' ? 'commit' : 'immediate') . "')")
  for 'readable', 'writable', 'committed', 'hidden';

sub refused
{
	my ($what, $sql, $reason, $hint) = @_;
	my ($seconds, $err) = KafkaCluster::fails($node, $sql);

	like($err, qr/ERROR:  42501: .*$reason.*HINT:  Kafka's ACLs .*$hint/s, "$what: says what is missing");
	cmp_ok($seconds, '<', KafkaCluster::SOON, 'promptly');
}

sub works
{
	my ($what, $sql) = @_;

	# what has been allowed takes a moment to be known
	ok(KafkaCluster::wait_for(sub { ($node->psql('postgres', $sql))[0] == 0 }), "$what: works");
}

# Allows alice something, and waits until it works.
sub allowed
{
	my ($what, $sql, @acl) = @_;

	$broker->allow('User:alice', @acl);
	works($what, $sql);
}

works('Read', 'SELECT * FROM readable');
works('Write', "INSERT INTO writable VALUES ('x')");
refused('no Read', 'SELECT * FROM writable', qr/Topic authorization failed/, qr/Read/);
refused('no Write', "INSERT INTO readable VALUES ('x')", qr/Topic authorization failed/, qr/Write/);
refused('no Write, in a transaction', "SELECT kafka.produce('broker', 'readable', 'x')",
	qr/authorization failed/i, qr/(Write)/);
refused('no Describe', "SELECT * FROM kafka.watermarks('broker', 'hidden')",
	qr/Topic authorization failed/, qr/topic/);
refused('no Create', "SELECT kafka.create_topic('broker', 'new')", qr/authorization failed/i, qr/topic/);
refused('no Delete', "SELECT kafka.delete_topic('broker', 'readable')", qr/authorization failed/i, qr/topic/);
is($node->safe_psql('postgres', "SELECT topic FROM kafka.topics('broker') ORDER BY 1"),
	"committed\nreadable\nwritable", 'what may not be described is not shown');

refused('no transactional id', "INSERT INTO committed VALUES ('x'), ('y')",
	qr/Transactional Id authorization failed/, qr/Write and Describe on transactional ids/);
$broker->allow('User:alice', '--operation' => 'Write', '--operation' => 'Describe',
	'--transactional-id' => 'kafka_fdw', '--resource-pattern-type' => 'prefixed');
works('transactional id', "INSERT INTO committed VALUES ('x'), ('y')");
# Kafka shows a transaction a moment after it has said that it is committed
my @messages;
KafkaCluster::wait_for(sub { @messages = $broker->consume('committed') });
is(scalar(@messages), 2, 'and was sent once');

# consumer groups
my $offsets = q(SELECT * FROM kafka.group_offsets('broker', 'g'));
my $reset = q(SELECT * FROM kafka.reset_group_offsets('broker', 'g', 'readable', start => 'latest', dry_run => false));
$broker->server($node, 'everything', 'PLAINTEXT');
$node->safe_psql('postgres', q(SELECT * FROM kafka.reset_group_offsets('everything', 'g', 'readable', start => 'earliest', dry_run => false)));
refused('no Describe on a group', $offsets, qr/Group authorization failed/, qr/on the consumer group/);
refused('no Describe on a group, to reset', $reset, qr/Group authorization failed/, qr/on the consumer group/);
allowed('Describe on a group', $offsets, '--operation' => 'Describe', '--group' => 'g');
refused('no Read on a group', $reset, qr/Group authorization failed/, qr/Read on the consumer group/);
allowed('Read on a group', $reset, '--operation' => 'Read', '--group' => 'g');
is($node->safe_psql('postgres', q(SELECT topic, committed, lag FROM kafka.group_offsets('broker', 'g'))),
	'readable|1|0', 'its offsets are what was set');
refused('no Delete on a group', q(SELECT kafka.delete_group('broker', 'g')),
	qr/Group authorization failed/, qr/on the consumer group, and Describe or Delete/);

# the group that a subscription shows its positions to
$node->safe_psql('postgres', q(CREATE TABLE stored (v text);
	SELECT kafka.create_subscription('stored', 'readable', 'stored', group_id => 'shown')));
ok($node->wait_applied('stored'), 'a subscription does not need its group');
is($node->safe_psql('postgres', 'TABLE stored'), '1', 'and has read the topic');
ok($node->wait_for_log(qr/WARNING:  could not show the positions of subscription "stored" to consumer group "shown": Broker: Group authorization failed\n.*HINT:  Kafka's ACLs must allow this client the operation Read on the consumer group/),
	'the log says which is missing');
$broker->allow('User:alice', '--operation' => 'Read', '--group' => 'shown');
ok( $node->wait_true(q(SELECT count(*) = 1 FROM kafka.group_offsets('broker', 'shown') WHERE committed = 1)),
	'and when it is there the group has the positions');

# the cluster
my $acls = q(SELECT * FROM kafka.acls('broker'));
my $acl = q(SELECT kafka.create_acl('broker', 'topic', 'hidden', 'User:bob', 'read'));
like(($node->psql('postgres', $acls))[2], qr/NOTICE:  Kafka has returned no ACLs\n.*HINT:  Listing them needs the operation Describe on the cluster/s,
	'no Describe on the cluster: says what may be missing');
refused('no Alter on the cluster', $acl, qr/Cluster authorization failed/, qr/on the cluster: .*Describe and Alter for ACLs/);
allowed('Describe on the cluster', $acls, '--operation' => 'Describe', '--cluster');
allowed('Alter on the cluster', $acl, '--operation' => 'Alter', '--cluster');
allowed('Create on the cluster', q(SELECT kafka.create_topic('broker', 'new')), '--operation' => 'Create', '--cluster');

$node->stop;
done_testing();
