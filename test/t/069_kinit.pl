# For a Kerberos ticket the command of kafka_fdw.kinit_command is run, and nothing without one.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A kinit that shows that it was run, for librdkafka would run one by default.
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/kinit", "#!/bin/sh\necho \"\$*\" >'$dir/default'\n");
chmod 0755, "$dir/kinit" or die $!;
local $ENV{PATH} = "$dir:$ENV{PATH}";

my $node = KafkaCluster::start();
KafkaCluster::server($node, 'kerberos', '127.0.0.1:9', "security_protocol 'SASL_PLAINTEXT'",
	"sasl_mechanism 'GSSAPI'", "sasl_kerberos_principal 'db/host\@EXAMPLE.ORG'",
	"sasl_kerberos_keytab '/etc/db.keytab'", "timeout '1s'");

if (($node->psql('postgres', q(SELECT * FROM kafka.topics('kerberos'))))[2] =~ /No provider for SASL mechanism GSSAPI/)
{
	$node->stop;
	plan skip_all => 'this librdkafka was built without GSSAPI';
}

sub command
{
	my ($command) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET kafka_fdw.kinit_command = '$command'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('kafka_fdw.kinit_command') = '$command'");
	return;
}

sub connects
{
	my ($as) = @_;

	return (KafkaCluster::fails($node, ($as // '') . q( SELECT * FROM kafka.topics('kerberos'))))[1];
}

like(connects(), qr/ERROR:  08006: /, 'empty');
ok(!-e "$dir/default", 'nothing is run');

command("echo %{sasl.kerberos.principal} %{sasl.kerberos.keytab} >$dir/given");
$node->safe_psql('postgres', 'CREATE ROLE ordinary LOGIN; GRANT USAGE ON FOREIGN SERVER kerberos TO ordinary');
like(connects('SET ROLE ordinary;'), qr/ERROR:  42501: role "ordinary" needs credentials of its own/,
	'it is not for who has no right to the ticket');
ok(!-e "$dir/given", 'for whom nothing is run');
like(connects(), qr/ERROR:  08006: /, 'a superuser connects');
ok(KafkaCluster::wait_for(sub { -s "$dir/given" }), 'and the command is run');
is(slurp_file("$dir/given"), "db/host\@EXAMPLE.ORG /etc/db.keytab\n", 'with the options of the server');
ok(!-e "$dir/default", 'and no other');

command('kinit -k');
connects();
ok(KafkaCluster::wait_for(sub { -s "$dir/default" }), 'the kinit of this test would have been noticed');

my $err = (KafkaCluster::fails($node, q(SET kafka_fdw.kinit_command = 'id')))[1];
like($err, qr/ERROR:  55P02: parameter "kafka_fdw.kinit_command" cannot be changed now/, 'no statement sets it');

$node->stop;
done_testing();
