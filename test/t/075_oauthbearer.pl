# OAUTHBEARER with unsecured tokens, which are for tests: each mapping names its principal.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start();

for my $user ('alice', 'bob')
{
	$broker->create_topic($user);
	$broker->allow("User:$user", '--operation' => 'Read', '--operation' => 'Write',
		'--topic' => $user);
	$node->safe_psql('postgres', "CREATE ROLE $user");
}
$broker->server($node, 'broker', 'SASL_SSL', "sasl_mechanism 'OAUTHBEARER'",
	q{"enable.sasl.oauthbearer.unsecure.jwt" 'true'});
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER broker TO alice, bob');

# A token of few seconds is refreshed while it is used.
KafkaSecurity::mapping($node, $_, 'broker',
	"sasl_oauthbearer_config 'principal=$_ lifeSeconds=60'")
  for 'alice', 'bob';
for my $user ('alice', 'bob')
{
	is($node->safe_psql('postgres', "SET ROLE $user; SELECT topic FROM kafka.topics('broker')"),
		$user, "$user sees one topic");
	$node->safe_psql(
		'postgres', qq(
		CREATE FOREIGN TABLE f_$user (v text) SERVER broker
			OPTIONS (topic '$user', format 'raw', delivery 'immediate');
		GRANT ALL ON f_$user TO PUBLIC;
		SET ROLE $user;
		INSERT INTO f_$user VALUES ('x')));
	is($node->safe_psql('postgres', "SET ROLE $user; SELECT v FROM f_$user"), 'x', 'and reads it');
}
my (undef, $err) = KafkaCluster::fails($node, 'SET ROLE bob; SELECT * FROM f_alice');
like($err, qr/ERROR:  42501: .*authorization failed/, 'and not the other');

# Without a principal there is no token.
(undef, $err) = KafkaCluster::fails($node, "SELECT * FROM kafka.topics('broker')");
like($err, qr/ERROR:  28000: no principal for server "broker"/, 'without a mapping: an error');

# What is no token is an error, and nothing worse.
$node->safe_psql('postgres', q{CREATE USER MAPPING FOR PUBLIC SERVER broker OPTIONS (sasl_oauthbearer_config 'x');
	ALTER SERVER broker OPTIONS (ADD timeout '500ms')});
for my $config ('nonsense', 'principal=', 'principal=a lifeSeconds=-1', ' ', 'principal=a extension_=1',
	'principal=' . ('a' x 5000))
{
	$node->safe_psql('postgres', "ALTER USER MAPPING FOR PUBLIC SERVER broker OPTIONS (SET sasl_oauthbearer_config '$config')");
	my ($rc, $out, $errors) = $node->psql('postgres', "SELECT * FROM kafka.topics('broker')");
	note substr($config, 0, 50) . ": $errors";
	isnt($rc, 2, 'survives ' . substr($config, 0, 50));
}

$node->stop;
done_testing();
