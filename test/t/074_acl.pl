# What Kafka's ACLs do not allow is an error that says which is missing; with it the same
# works.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();

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
	cmp_ok($seconds, '<', 15, 'promptly');
}

sub works
{
	my ($what, $sql) = @_;

	is(($node->psql('postgres', $sql))[0], 0, "$what: works");
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
is(scalar(my @messages = $broker->consume('committed')), 2, 'and was sent once');

$node->stop;
done_testing();
