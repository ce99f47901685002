# What a running subscription needs is dropped together with it, with CASCADE,
# and its worker ends at once; rights that are taken away stop it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('drop');
my $node = KafkaIngest->start_with($broker);
my $n = 0;

sub sql { return $node->safe_psql('postgres', @_); }
sub ten { $broker->produce($topic, map { $n++; "$n,x" } 1 .. 10); return; }

# Subscribes, drops while it runs, and checks that the worker is gone.
sub is_gone_after
{
	my ($drop, $name) = @_;

	$node->subscribe($name);
	is($node->count_once($name), $n, "$name is read");
	my $pid = $node->worker_pid($name);
	ten();
	my $seconds = KafkaIngest::seconds(
		sub {
			sql($drop);
			KafkaCluster::wait_for(sub { !kill 0, $pid });
		});
	cmp_ok($seconds, '<', KafkaCluster::SOON, "$drop ends the worker");
	is(sql("SELECT count(*) FROM kafka.subscription WHERE subscription = '$name'"),
		0, 'the subscription is dropped');
	return;
}

ten();
$node->numbers('n', $topic);
is_gone_after('DROP TABLE n CASCADE', 'n');
sql('CREATE TABLE n (n int, word text, _partition int, _offset bigint)');
is_gone_after('DROP FOREIGN TABLE n_feed CASCADE', 'n');
$node->numbers('s', $topic);
is_gone_after('DROP SERVER broker CASCADE', 's');

# the subscription goes on where the table could not be dropped
KafkaCluster::server($node, 'broker', $broker->bootstrap);
$node->numbers('kept', $topic);
$node->subscribe('kept');
like($node->error_from('DROP TABLE kept'),
	qr/cannot drop table public.kept because other objects depend on it/, 'a table that is needed stays');
ten();
is($node->count_once('kept'), $n, 'and is filled');

# rights taken away in the middle, of another owner
sql(q(CREATE ROLE app LOGIN; GRANT USAGE ON FOREIGN SERVER broker TO app;
	GRANT SELECT ON kept_feed TO app; GRANT INSERT ON kept TO app;
	SELECT kafka.alter_subscription('kept', owner => 'app')));
ten();
is($node->count_once('kept'), $n, 'another owner');
foreach my $right ('SELECT ON kept_feed', 'INSERT ON kept')
{
	sql("REVOKE $right FROM app");
	ten();
	$node->wait_state('kept', 'stopped') or die 'not stopped';
	like($node->error_of('kept'), qr/permission denied for (foreign )?table kept/,
		"without $right the subscription stops");
	sql("GRANT $right TO app; SELECT kafka.enable_subscription('kept')");
	is($node->count_once('kept'), $n, 'and goes on with it');
}
like($node->error_from('DROP ROLE app'), qr/privileges for table kafka.subscription/,
	'the owner cannot be dropped');
my $pid = $node->worker_pid('kept');
sql('DROP OWNED BY app; DROP ROLE app');
ok(KafkaCluster::wait_for(sub { !kill 0, $pid }), 'or only with the subscription');
is(sql('SELECT count(*) FROM kafka.subscription'), 0, 'which is gone');
is(sql('SELECT count(*) FROM kept'), $n, 'the table is not');

$node->stop;
done_testing();
