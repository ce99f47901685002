# What has been mended is tried at once: a worker that waits after an error, or
# for an answer that will not come, does not wait any longer.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker);
my $bootstrap = $broker->bootstrap;

sub sql { return $node->safe_psql('postgres', @_); }

sub state_is
{
	my ($state) = @_;

	return $node->wait_true("SELECT state = '$state' FROM kafka.stat_subscription");
}

my $topic = $broker->create_topic('mended');
$node->numbers('n', $topic);
$broker->produce($topic, '1,one');
$node->subscribe('n');
is($node->count_once('n'), 1, 'a subscription reads');

# A worker that asks for an answer that will not come within ten minutes.
sub asks
{
	my ($what) = @_;

	sql(q(ALTER SERVER broker OPTIONS (SET bootstrap_servers '127.0.0.1:1', ADD timeout '600000')));
	ok(state_is('connecting'), "$what: the worker asks for an answer that will not come");
	return $node->worker_pid('n');
}

sub mend { sql("ALTER SERVER broker OPTIONS (SET bootstrap_servers '$bootstrap', DROP timeout)"); return; }

my $pid = asks('ALTER SERVER');
$broker->produce($topic, '2,two');
mend();
is($node->count_once('n'), 2, 'ALTER SERVER has it ask again');
isnt($node->worker_pid('n'), $pid, 'by another process');
is(sql('SELECT retries FROM kafka.stat_subscription'), 0, 'which was no failure');

$pid = asks('user mapping');
sql(q(CREATE USER MAPPING FOR CURRENT_USER SERVER broker OPTIONS (sasl_username 'x', sasl_password 'y')));
ok($node->wait_true("SELECT pid <> $pid FROM kafka.stat_subscription"), 'so does CREATE USER MAPPING');
$pid = $node->worker_pid('n');
sql(q(SELECT kafka.alter_subscription('n', batch_rows => 5000)));
ok($node->wait_true("SELECT pid <> $pid FROM kafka.stat_subscription"), 'and kafka.alter_subscription()');
sql(q(SELECT kafka.disable_subscription('n')));
ok($node->wait_true('SELECT count(*) = 0 FROM kafka.subscription_stats()'), 'kafka.disable_subscription() ends it');
sql(q(SELECT kafka.enable_subscription('n')));
mend();
is($node->count_once('n'), 2, 'and it goes on where it was');

# A worker that waits after an error: one that may pass comes at once where no
# address is allowed.
$node->append_conf('postgresql.conf', q(kafka_fdw.allowed_brokers = '192.0.2.1'));
$node->reload;
ok($node->wait_true('SELECT retries >= 4 FROM kafka.stat_subscription'), 'a worker fails again and again');
$broker->produce($topic, '3,three');
$node->append_conf('postgresql.conf', q(kafka_fdw.allowed_brokers = ''));
my $seconds = KafkaIngest::seconds(
	sub {
		$node->reload;
		is($node->count_once('n'), 3, 'and is started at once after a reload');
	});
cmp_ok($seconds, '<', 6, 'not only after the 8 seconds that it would wait');

$node->stop;
done_testing();
