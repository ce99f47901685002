# Over TLS and SASL, each role is who its user mapping says, and sees what Kafka's
# ACLs let it see.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();

my %topic;
for my $user ('alice', 'bob')
{
	$topic{$user} = $broker->create_topic($user);
	$broker->produce($topic{$user}, $user);
	$broker->allow("User:$user", '--allow-principal' => "User:CN=$user",
		'--operation' => 'Read', '--operation' => 'Write', '--topic' => $user);
	$node->safe_psql('postgres', "CREATE ROLE $user");
}

# listener => what a mapping there says
my %credentials = (
	'SASL_SSL' => \&KafkaSecurity::password,
	'MUTUAL' => \&KafkaSecurity::key);

for my $listener (sort keys %credentials)
{
	my $server = lc $listener;

	$broker->server($node, $server, $listener,
		$listener eq 'SASL_SSL' ? "sasl_mechanism 'PLAIN'" : ());
	$node->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $server TO alice, bob");
	for my $user ('alice', 'bob')
	{
		KafkaSecurity::mapping($node, $user, $server, $credentials{$listener}->($user));
		$node->safe_psql(
			'postgres', qq(
			CREATE FOREIGN TABLE ${server}_$user (v text)
				SERVER $server OPTIONS (topic '$topic{$user}', format 'raw');
			GRANT SELECT, INSERT ON ${server}_$user TO alice, bob));
	}
	for my $user ('alice', 'bob')
	{
		my $other = $user eq 'alice' ? 'bob' : 'alice';
		my $me = "SET ROLE $user;";
		my $sql = "SELECT v FROM ${server}_$user LIMIT 1";

		is($node->safe_psql('postgres', "$me $sql"), $user, "$listener: $user reads");
		$node->safe_psql('postgres', "$me INSERT INTO ${server}_$user VALUES ('new')");
		is($node->safe_psql('postgres', "$me SELECT topic FROM kafka.topics('$server')"),
			$topic{$user}, "$listener: $user sees one topic");

		my (undef, $err) =
		  KafkaCluster::fails($node, "$me SELECT * FROM ${server}_$other");
		like($err, qr/ERROR:  42501: .*Topic authorization failed/,
			"$listener: $user may not read the topic of $other");
	}
}

$node->stop;
done_testing();
