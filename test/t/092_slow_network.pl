# A network that is slow, breaks off, trickles or swallows everything: no batch and
# no scan is ever short, workers hold nothing meanwhile, end when they are told to,
# and each message is in the table once.  (F52, F04, F25)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;
use KafkaProxy;

my $proxy = KafkaProxy->new;
my $broker = KafkaBroker->new(listeners => [ $proxy->listener ]);
$proxy->start($broker);

my $topic = $broker->create_topic('n', partitions => 2);
my $node = KafkaIngest->start_with($broker);
my $address = $proxy->address;
my $n = 0;

sub sql { return $node->safe_psql('postgres', @_); }

# Produces messages of 100 bytes, not through the proxy.
sub produce
{
	my ($count) = @_;

	$broker->produce($topic, map { $n++; "$n," . 'x' x 100 } 1 .. $count);
	return;
}

# Rows and positions agree, in whatever state the network is.
sub is_whole
{
	my ($name) = @_;

	is( sql(q(SELECT (SELECT count(*) FROM n) = sum(next_offset) FROM kafka.subscription_position
			WHERE subscription = 'n')),
		't',
		"$name: rows and positions agree");
	is( sql(q(SELECT count(*) FROM pg_stat_activity LEFT JOIN pg_locks USING (pid)
			WHERE application_name = 'n' AND (backend_xmin IS NOT NULL OR xact_start IS NOT NULL
				OR mode IS NOT NULL))),
		0,
		"$name: the worker has no transaction and no lock");
	return;
}

# Something that waits for no answer of Kafka's: the client would wait a minute.
sub is_quick
{
	my ($name, $action) = @_;

	cmp_ok(KafkaIngest::seconds($action), '<', KafkaCluster::SOON, "$name is quick");
	return;
}

sub gone
{
	my ($pid) = @_;

	return KafkaCluster::wait_for(sub { !kill 0, $pid }) || die "$pid does not end";
}

sql("ALTER SERVER broker OPTIONS (SET bootstrap_servers '$address')");
$node->numbers('n', $topic);
$node->subscribe('n', 'batch_rows => 500');

# slow
$proxy->latency(50);
produce(3000);
is($node->faults('n', $n), '', 'latency');
$proxy->pass;

# connections that break in the middle of an answer
my $cuts = 0;
foreach my $bytes (20, 1_000, 30_000, 100_000)
{
	$proxy->cut($bytes);
	produce(2000);
	ok(KafkaCluster::wait_for(sub { $proxy->cuts > $cuts }), "connections break after $bytes bytes");
	$cuts++;
	is($node->faults('n', $n), '', "a break after $bytes bytes");
}

# a byte a second
$proxy->trickle(1);
produce(1000);
my $before = $proxy->passed;
ok(KafkaCluster::wait_for(sub { $proxy->passed > $before }), 'an answer trickles in');
is_whole('a trickle');
foreach my $sql ('SELECT count(*) FROM n_feed', 'SELECT * FROM n_feed LIMIT 1')
{
	my $error = $node->error_from("SET kafka_fdw.timeout = '1s'; $sql");
	like($error, qr/ERROR:  (no answer from Kafka|could not)/, "$sql fails, and is not short");
	is_quick("cancelling $sql", sub {
			like($node->error_from("SET statement_timeout = '200ms'; $sql"),
				qr/canceling statement due to statement timeout/, "$sql can be cancelled");
		});
}
my $pid = $node->worker_pid('n');
is_quick('disabling a subscription', sub { sql(q(SELECT kafka.disable_subscription('n'))); gone($pid); });
sql(q(SELECT kafka.enable_subscription('n')));
$node->wait_state('n', 'connecting');
$pid = $node->worker_pid('n');
is_quick('ending a worker', sub { sql("SELECT pg_terminate_backend($pid)"); gone($pid); });
ok($node->wait_true("SELECT pid <> $pid AND state = 'connecting' FROM kafka.stat_subscription"),
	'the next worker says what it does');
is_whole('a worker that connects');
$proxy->pass;
is($node->faults('n', $n), '', 'after a trickle');

# no byte at all, in the middle of a backlog
sql(q(SELECT kafka.alter_subscription('n', batch_rows => 50)));
my $rows = $n;
produce(20_000);
$node->wait_true("SELECT count(*) > $rows + 500 FROM n");
$proxy->hole;
ok($node->wait_true(q(SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'n' AND xact_start IS NULL)),
	'what has come is stored');
sql('CREATE TABLE other (LIKE n)');
like($node->error_from(q(SET kafka_fdw.timeout = '1s'; SELECT kafka.create_subscription('other', 'n_feed', 'other'))),
	qr/could not get the offsets of topic/, 'a subscription cannot be created meanwhile');
$proxy->pass;
is($node->faults('n', $n), '', 'after a silence');

# the client gives up, and tries again
sql(q(ALTER SERVER broker OPTIONS (ADD timeout '1s')));
$proxy->hole;
$pid = $node->worker_pid('n');
sql("SELECT pg_terminate_backend($pid)");
ok($node->wait_true(q(SELECT state = 'retrying' AND last_error <> '' AND retries > 0 FROM kafka.stat_subscription)),
	'who gets no answer says so, and tries again');
produce(500);
is_whole('a silence');
$proxy->pass;
sql(q(ALTER SERVER broker OPTIONS (DROP timeout)));
is($node->faults('n', $n), '', 'and goes on');

# what ends workers, in silence
sql(q(SELECT kafka.create_subscription('other', 'n_feed', 'other')));
$node->wait_applied('other');
$pid = $node->worker_pid('other');
$proxy->hole;
is_quick('DROP TABLE CASCADE', sub { sql('DROP TABLE other CASCADE'); gone($pid); });
produce(500);
is_quick('fast shutdown', sub { $node->stop('fast'); });
$node->start;
$node->wait_state('n', 'connecting');
$proxy->pass;
is($node->faults('n', $n), '', 'after a restart in silence');

$node->stop;
done_testing();
