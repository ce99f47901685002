# A connection that a broker refuses, or that refuses a broker, is an error at once, which
# says why and what to change.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();
my $topic = $broker->create_topic('t');

my @plain = ("sasl_mechanism 'PLAIN'");
my $sasl_hint = qr/HINT:  Check the credentials in the user mapping/;
my $key_hint = qr/HINT:  Put certificate and key of a client .* into the user mapping/;
my $trust_hint = qr/HINT:  Certificates are trusted by the option "ssl.ca.pem"/;

# what, listener, user mapping, SQLSTATE, detail, hint, options
my @refused = (
	[ 'wrong password', 'SASL_SSL', "sasl_username 'alice', sasl_password 'wrong'",
		'28000', qr/Invalid username or password/, $sasl_hint, @plain ],
	[ 'unknown user', 'SASL_PLAINTEXT', "sasl_username 'nobody', sasl_password 'alice-secret'",
		'28000', qr/Invalid username or password/, $sasl_hint, @plain ],
	[ 'wrong password of SCRAM', 'SASL_SSL', "sasl_username 'alice', sasl_password 'wrong'",
		'28000', qr/invalid credentials/,
		qr/HINT:  (Check the credentials|SCRAM of librdkafka \S+ fails with Kafka 4\.0)/,
		"sasl_mechanism 'SCRAM-SHA-256'" ],
	[ 'no password', 'SASL_SSL', '',
		'28000', qr/no user name and password/, qr/HINT:  Put "sasl_username"/, @plain ],
	[ 'expired certificate', 'EXPIRED', '',
		'08006', qr/the broker's certificate has expired/, $trust_hint ],
	[ 'certificate of another host', 'STRANGE', '',
		'08006', qr/the broker's certificate is for another host/, $trust_hint ],
	[ 'certificate of an unknown authority', 'MUTUAL', KafkaSecurity::key('alice'),
		'08006', qr/signed by an authority that is not trusted/, $trust_hint,
		"ssl_ca_pem '" . slurp_file(KafkaSecurity::certificates() . '/unknown.pem') . "'" ],
	[ 'no certificate of the client', 'MUTUAL', '',
		'28000', qr/SSL alert number/, $key_hint ],
	[ 'certificate that the broker does not trust', 'MUTUAL', KafkaSecurity::key('rogue'),
		'28000', qr/SSL alert number/, $key_hint ] );

my %statements = (
	scan => 'SELECT * FROM %s_t',
	insert => 'INSERT INTO %s_t VALUES (1)',
	commit => q{SELECT kafka.produce('%s', 't', 'x')},
	topics => q{SELECT * FROM kafka.topics('%s')},
	'create topic' => q{SELECT kafka.create_topic('%s', 'new')});

my $number = 0;
for (@refused)
{
	my ($what, $listener, $mapping, $sqlstate, $detail, $hint, @options) = @$_;
	my $server = 's' . ++$number;

	$broker->server($node, $server, $listener, @options);
	KafkaSecurity::mapping($node, 'PUBLIC', $server, $mapping) if $mapping;
	$node->safe_psql('postgres',
		"CREATE FOREIGN TABLE ${server}_t (v int) SERVER $server OPTIONS (topic '$topic')");
	for my $name (sort keys %statements)
	{
		my ($seconds, $err) =
		  KafkaCluster::fails($node, sprintf($statements{$name}, $server));

		like($err, qr/ERROR:  $sqlstate: .*$detail.*$hint/s, "$what: $name says so");
		cmp_ok($seconds, '<', KafkaCluster::SOON, 'and does not wait for the timeout');
	}
}

# One that is refused is not trusted because somebody says that all are.
my ($rc, $out, $err) = $node->psql('postgres', q{
	ALTER SERVER s5 OPTIONS (ADD enable_ssl_certificate_verification 'false');
	SELECT * FROM kafka.watermarks('s5', 't')});
is($out, '0|0|0', 'without verification an expired certificate does');
like($err, qr/WARNING:  certificates of the brokers are not verified/, 'with a warning');

$node->stop;
done_testing();
