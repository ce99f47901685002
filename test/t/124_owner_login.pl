# How the subscription's owner may connect: what ALTER ROLE and ALTER DATABASE have
# set for the role does not count, and a worker that may not connect says why.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('login');
my $node = KafkaIngest->start_with($broker);
my $stats = 'SELECT %s FROM kafka.stat_subscription';

sub sql { return $node->safe_psql('postgres', @_); }

# Has the worker start anew.
sub restart
{
	my $pid = $node->worker_pid('n');

	sql("SET ROLE NONE; SELECT pg_terminate_backend($pid)");
	return;
}

sql('CREATE ROLE app LOGIN; CREATE ROLE boss; GRANT boss TO app');
$node->numbers('n', $topic, constraints => 'who text DEFAULT current_user');
sql(q(GRANT SELECT ON n_feed TO app; GRANT INSERT ON n TO app; GRANT USAGE ON FOREIGN SERVER broker TO app;
	SET ROLE app; SELECT kafka.create_subscription('n', 'n_feed', 'n')));
$broker->produce($topic, '1,a');
$node->wait_applied('n');

# a role that is set
foreach my $of ('ROLE app', 'DATABASE postgres')
{
	my $log = -s $node->logfile;

	sql("ALTER $of SET role = 'boss'");
	restart();
	$broker->produce($topic, '2,b');
	ok($node->wait_true('SET ROLE NONE; SELECT count(*) = 1 FROM n WHERE n = 2'), "role of ALTER $of: the worker goes on");
	my @started = slurp_file($node->logfile, $log) =~ /worker for Kafka subscription "n" has started/g;
	is(scalar @started, 1, "... and is started once");
	sql("SET ROLE NONE; DELETE FROM n WHERE n = 2; ALTER $of RESET role");
}
is(sql('SELECT DISTINCT who FROM n'), 'app', 'its rows are those of the owner');

# no privilege to connect
sql(q(REVOKE CONNECT ON DATABASE postgres FROM PUBLIC));
restart();
ok($node->wait_true(sprintf $stats, q(state = 'retrying' AND last_error IS NOT NULL)), 'a worker that may not connect is tried again');
like($node->error_of('n'), qr/^permission denied for database "postgres"\nSQLSTATE: 42501\nDETAIL: User does not have CONNECT/, 'and says why');
sql(q(GRANT CONNECT ON DATABASE postgres TO PUBLIC));
$broker->produce($topic, '3,c');
ok($node->wait_true('SELECT count(*) = 1 FROM n WHERE n = 3'), 'it goes on when it may');
ok($node->wait_true(sprintf $stats, 'last_error IS NULL'), 'the error is gone then');

# which somebody who ends it does not need
restart();
$node->worker_pid('n');
is($node->error_of('n'), '', 'there is none when a worker was terminated');

$node->stop;
done_testing();
