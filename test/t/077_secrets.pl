# A secret is seen by its owner only: not by others, not in errors, plans, statistics,
# dumps or logs, with all that PostgreSQL and librdkafka log.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start(undef, 'log_statement = none', 'log_min_messages = debug5');
my $key = slurp_file(KafkaSecurity::certificates() . '/alice.key');
my ($key_line) = $key =~ /\n(\S{40})/;
my @secrets = ('alice-secret', 'wrong-secret', 'key-secret', $key_line);
my $seen = '';

$broker->create_topic('t');
$broker->allow('User:alice', '--allow-principal' => 'User:CN=alice',
	'--operation' => 'Read', '--operation' => 'Write', '--topic' => 't');
$broker->server($node, 'good', 'SASL_SSL', "sasl_mechanism 'PLAIN'", "debug 'all'");
$broker->server($node, 'bad', 'SASL_SSL', "sasl_mechanism 'PLAIN'", "debug 'all'");
$broker->server($node, 'scram', 'SASL_SSL', "sasl_mechanism 'SCRAM-SHA-256'", "debug 'all'");
$broker->server($node, 'mutual', 'MUTUAL', "debug 'all'");
$broker->server($node, 'badkey', 'MUTUAL', "debug 'all'");
$node->safe_psql('postgres', "CREATE FOREIGN TABLE ${_}_t (v text) SERVER $_ OPTIONS (topic 't', format 'raw', timeout '5s')")
  for 'good', 'bad', 'scram', 'mutual', 'badkey';
$node->safe_psql('postgres', q{
	CREATE ROLE alice LOGIN;
	CREATE ROLE other LOGIN;
	GRANT USAGE ON FOREIGN SERVER good, bad, scram, mutual, badkey TO alice, other;
	GRANT SELECT, INSERT ON good_t, bad_t, scram_t, mutual_t, badkey_t TO alice, other});
KafkaSecurity::mapping($node, 'alice', 'good', KafkaSecurity::password('alice'));
KafkaSecurity::mapping($node, 'alice', 'bad', "sasl_username 'alice', sasl_password 'wrong-secret'");
KafkaSecurity::mapping($node, 'alice', 'scram', KafkaSecurity::password('alice'));
KafkaSecurity::mapping($node, 'alice', 'mutual', KafkaSecurity::key('alice'));
KafkaSecurity::mapping($node, 'alice', 'badkey',
	KafkaSecurity::key('alice') =~ s/ssl_key_pem '[^']*'/ssl_key_pem 'key-secret'/r);

# Everything that alice and others are told.
sub run_as
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres',
		"SET client_min_messages = debug5; \\set VERBOSITY verbose\n SET ROLE $role; $sql");

	$seen .= "$out\n$err\n";
	return $rc;
}
for my $server ('good', 'bad', 'scram', 'mutual', 'badkey')
{
	my %rc = map { $_ => run_as('alice', $_) } (
		"SELECT * FROM ${server}_t",
		"EXPLAIN (ANALYZE, VERBOSE, SETTINGS) SELECT * FROM ${server}_t",
		"INSERT INTO ${server}_t VALUES ('x')",
		"SELECT * FROM kafka.topics('$server')",
		"SELECT * FROM kafka.connections(); SELECT * FROM pg_stat_activity",
		"ALTER USER MAPPING FOR alice SERVER $server OPTIONS (ADD debug 'all')",
		"ALTER SERVER $server OPTIONS (SET debug 'broker')");

	is($rc{"SELECT * FROM ${server}_t"} == 0 ? 'works' : 'fails',
		$server =~ /^(good|mutual)$/
		  || ($server eq 'scram' && KafkaBroker::client_version() >= 2_006_001) ? 'works' : 'fails',
		"$server: works as it should");
}

# What others can look at.
run_as('other', "TABLE $_")
  for 'pg_foreign_server', 'pg_foreign_table', 'pg_user_mappings', 'pg_stat_activity',
  'pg_foreign_data_wrapper', 'information_schema.user_mapping_options',
  'information_schema.foreign_server_options', 'information_schema.foreign_table_options';
run_as('other', $_) for 'TABLE pg_user_mapping', 'SELECT * FROM good_t', "SELECT * FROM kafka.topics('good')";
$node->safe_psql('postgres', 'GRANT SELECT ON ALL TABLES IN SCHEMA kafka TO other;
	GRANT SELECT ON ALL SEQUENCES IN SCHEMA kafka TO other');
my ($dump, $errors) = ('', '');
IPC::Run::run([ 'pg_dump', '--schema-only', '-d' => $node->connstr('postgres') . ' user=other' ],
	'>', \$dump, '2>', \$errors) or note $errors;
like($dump, qr/CREATE USER MAPPING FOR alice SERVER good/, 'others can dump');

my $log = slurp_file($node->logfile);
like($log, qr/Kafka client of server "good": .*(SASL|AUTH)/, 'the log has what librdkafka logs');
for my $secret (@secrets)
{
	my $base64 = MIME::Base64::encode_base64("\0alice\0$secret", '');

	for my $form ($secret, $base64)
	{
		is(index($seen, $form), -1, 'no secret in what clients are told');
		is(index("$dump$errors", $form), -1, 'none in a dump of somebody else');
		is(index($log, $form), -1, 'none in the log');
	}
}
is($node->safe_psql('postgres', q{SET ROLE alice; SELECT count(*) FROM pg_user_mappings WHERE umoptions::text LIKE '%alice-secret%'}),
	2, 'their owner sees them');

$node->stop;
done_testing();
