# kafka_fdw.allowed_brokers says where clients may connect to: first, and where brokers
# send them.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->new(listeners => [
	'LINKLOCAL:PLAINTEXT:169.254.1.1:9092',
	'ELSEWHERE:PLAINTEXT:192.0.2.1:9092' ]);
my $topic = $broker->create_topic('t');
my ($port) = $broker->bootstrap =~ /:(\d+)$/;
my $node = KafkaCluster::start($broker);
my $seconds;
my $err;

$broker->produce($topic, '1');
KafkaCluster::server($node, 'localhost', "localhost:$port");
KafkaCluster::server($node, 'numeric', "2130706433:$port");

# What a list makes of the broker, whose advertised address is 127.0.0.1.
sub reach
{
	my ($list, $server) = @_;

	return $node->psql('postgres',
		"SET kafka_fdw.allowed_brokers = $list; SELECT count(*) FROM kafka.watermarks('$server', '$topic')");
}

sub reaches
{
	my ($list, $server) = @_;

	is((reach($list, $server // 'broker'))[1], '1', "$list lets through");
}

sub refuses
{
	my ($list, $what, $server) = @_;

	like((reach($list, $server // 'broker'))[2],
		qr/ERROR:  connection to broker "\Q$what\E.* is not allowed.*"kafka_fdw.allowed_brokers"/s,
		"$list refuses");
}

reaches($_)
  for "''", "'*'", "'127.0.0.1'", "'127.0.0.1:$port'", "'10.0.0.0/8, 127.0.0.0/8'",
  "'example.com', '126.0.0.0/7:$port'", "'0.0.0.0/0'", "'::1,fd00::/8,[::1]:9092,127.0.0.1/32'";
reaches($_, 'localhost') for "'LocalHost 127.0.0.1'", "'l?calhos*', '127.0.0.1'";
refuses($_, "127.0.0.1:$port")
  for "'127.0.0.2'", "'127.0.0.1:1'", "'128.0.0.0/1'", "'::/0'", "'localhost'";
refuses($_, "localhost:$port", 'localhost')
  for "'localhos'", "'localhost:1'", "'?ocalhost.example'";
refuses("'localhost'", "127.0.0.1:$port", 'localhost');
refuses("'10.0.0.0/8'", "2130706433:$port", 'numeric');

# What is not a list.
for my $bad ("'10.*'", "'127.0.0.1/33'", "'a b/c'", "'host:0'", "'host:65536'", "'[::1'",
	"'[::1]9092'", "'a;b'", "'127.0.0.1:'", "'::1/129'", "'1.2.3'")
{
	like((reach($bad, 'broker'))[2],
		qr/ERROR:  invalid value for parameter "kafka_fdw.allowed_brokers"/, "$bad is not a list");
}

# Link-local addresses, where clouds keep credentials, are not among all addresses.
my %addresses = (
	'169.254.169.254:80' => '169.254.169.254', '2852039166:80' => '169.254.169.254',
	'[::ffff:169.254.169.254]:80' => '169.254.169.254', '[fe80::1]:80' => 'fe80::1');
for my $address (sort keys %addresses)
{
	$node->safe_psql('postgres', 'DROP SERVER IF EXISTS s CASCADE');
	KafkaCluster::server($node, 's', $address);
	for my $list ("''", "'*'")
	{
		($seconds, $err) = KafkaCluster::fails($node,
			"SET kafka_fdw.allowed_brokers = $list; SELECT * FROM kafka.topics('s')");
		like($err,
			qr/ERROR:  42501: connection to broker ".*" at address \Q$addresses{$address}\E is not allowed.*link-local/s,
			"$address is refused with $list");
		cmp_ok($seconds, '<', KafkaCluster::SOON, 'at once');
	}
}

# Advertised addresses, in everything that connects.
my %statements = (
	scan => 'SELECT * FROM %s_t',
	insert => 'INSERT INTO %s_t VALUES (1)',
	watermarks => "SELECT * FROM kafka.watermarks('%s', '$topic')",
	produce => "SELECT kafka.produce_now('%s', '$topic', 'x')",
	'create topic' => q{SELECT kafka.create_topic('%s', 'new')});
for my $listener ('LINKLOCAL', 'ELSEWHERE')
{
	my $server = lc $listener;

	KafkaCluster::server($node, $server, $broker->bootstrap($listener));
	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE ${server}_t (a int) SERVER $server OPTIONS (topic '$topic')");
	for my $name (sort keys %statements)
	{
		($seconds, $err) = KafkaCluster::fails($node,
			"SET kafka_fdw.allowed_brokers = 'localhost, 127.0.0.0/8'; "
			  . sprintf($statements{$name}, $server));
		like($err, qr/ERROR:  42501: connection to broker "(169.254.1.1|192.0.2.1):9092" at address/,
			"$name does not follow to $listener");
		cmp_ok($seconds, '<', KafkaCluster::SOON, 'and says so at once');
	}
}
($seconds, $err) = KafkaCluster::fails($node, 'SELECT * FROM linklocal_t');
like($err, qr/at address 169.254.1.1 is not allowed/, 'link-local also without a list');

# A connection that is kept was made under the list of its time.
my $session = KafkaCluster::session($node);
my $count = "SELECT count(*) FROM kafka.watermarks('broker', '$topic')";
is(($session->run($count))[0], '1', 'without a list');
(undef, $err) = $session->run("SET kafka_fdw.allowed_brokers = '10.0.0.0/8'; $count");
like($err, qr/is not allowed/, 'not with one, in the same session');
is(($session->run("RESET kafka_fdw.allowed_brokers; $count"))[0], '1', 'and again without');

$node->safe_psql('postgres', 'CREATE ROLE ordinary LOGIN');
(undef, $err) = KafkaCluster::fails($node,
	"SET ROLE ordinary; SET kafka_fdw.allowed_brokers = '*'");
like($err, qr/permission denied to set parameter/, 'superusers set it');

$session->quit;
$node->stop;
done_testing();
