# SCRAM, which librdkafka before 2.6.1 cannot with Kafka 4: the error says so.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();

$broker->create_topic('alice');
$broker->produce('alice', 'x');
$broker->allow('User:alice', '--operation' => 'Read', '--operation' => 'Write',
	'--topic' => 'alice');

for my $listener ('SASL_SSL', 'SASL_PLAINTEXT')
{
	for my $hash (256, 512)
	{
		my $server = lc "${listener}_$hash";
		my $query = "SELECT v FROM ${server}_t LIMIT 1";
		my ($seconds, $err);

		$broker->server($node, $server, $listener, "sasl_mechanism 'SCRAM-SHA-$hash'");
		KafkaSecurity::mapping($node, 'PUBLIC', $server, KafkaSecurity::password('alice'));
		$node->safe_psql('postgres',
			"CREATE FOREIGN TABLE ${server}_t (v text) SERVER $server OPTIONS (topic 'alice', format 'raw')");
		if (KafkaBroker::client_version() < 2_006_001)
		{
			($seconds, $err) = KafkaCluster::fails($node, $query);
			like($err, qr/ERROR:  28000: .*HINT:  SCRAM of librdkafka .* fails with Kafka 4\.0/s,
				"$listener, SHA-$hash: this librdkafka cannot");
			next;
		}
		is($node->safe_psql('postgres', $query), 'x', "$listener, SHA-$hash: reads");
		$node->safe_psql('postgres', "INSERT INTO ${server}_t VALUES ('y'), ('z')") if $hash == 512;
		$node->safe_psql('postgres',
			"ALTER USER MAPPING FOR PUBLIC SERVER $server OPTIONS (SET sasl_password 'wrong')");
		($seconds, $err) = KafkaCluster::fails($node, $query);
		like($err, qr/ERROR:  28000: .*HINT:  Check the credentials/s, 'and not with another password');
	}
}

$node->stop;
done_testing();
