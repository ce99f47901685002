# What may pass by itself is no message's fault; and whatever ends a worker, each
# message is stored or put aside once.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, q(max_worker_processes = 20));

sub sql { return $node->safe_psql('postgres', @_); }

# A table whose trigger does something at its first rows, which no rollback of
# the sequence takes back.
sub failing
{
	my ($name, $times, $action, @messages) = @_;
	my $topic = $broker->create_topic($name);

	$broker->produce($topic, @messages);
	$node->numbers($name, $topic);
	sql(qq(CREATE SEQUENCE ${name}_tries;
		CREATE FUNCTION ${name}_fail() RETURNS trigger LANGUAGE plpgsql AS \$\$
			BEGIN
				IF nextval('public.${name}_tries') <= $times THEN $action; END IF;
				RETURN NEW;
			END\$\$;
		CREATE TRIGGER fail BEFORE INSERT ON $name FOR EACH ROW EXECUTE FUNCTION ${name}_fail()));
	$node->subscribe($name, q(on_error => 'dead_letter'));
	return $topic;
}

sub retries
{
	my ($name) = @_;

	return sql(qq(SELECT retries FROM kafka.stat_subscription WHERE subscription = '$name'));
}

foreach my $case (
	[ 'serialization_failure', '40001' ], [ 'deadlock', '40P01' ],
	[ 'lock_timeout', '55P03' ], [ 'no_memory', '53200' ], [ 'full_disk', '53100' ],
	[ 'io_error', '58030' ])
{
	my ($name, $sqlstate) = @$case;

	failing($name, 1, "RAISE 'passes' USING ERRCODE = '$sqlstate'", map { "$_,w" } 1 .. 5);
	# a worker that fails while others change the catalogs starts anew for that, which is no retry
	$node->count_once($name);
}
failing('cancelled', 1, 'PERFORM pg_sleep(1000)', '1,w');
$node->poll_query_until('postgres',
	q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE application_name = 'cancelled' AND wait_event = 'PgSleep'))
  or die 'nothing to cancel';
foreach my $name (qw(serialization_failure deadlock lock_timeout no_memory full_disk io_error cancelled))
{
	$node->count_once($name) if $name eq 'cancelled';
	is(sql("SELECT count(*) FROM $name"), $name eq 'cancelled' ? 1 : 5, "$name: all is stored in the end");
	is(retries($name), 1, "$name: after it was tried again");
}
failing('damaged', 1000, "RAISE 'damaged' USING ERRCODE = 'data_corrupted'", map { "$_,w" } 1 .. 5);
$node->wait_state('damaged', 'stopped');
like($node->error_of('damaged'), qr/^damaged\nSQLSTATE: XX001/, 'a damaged table stops it');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 0, 'nothing is put aside for it');

# workers that are killed while every tenth message is bad
sql(qq(SELECT kafka.drop_subscription(subscription) FROM kafka.subscription));
my $topic = $broker->create_topic('killed', partitions => 2);
$node->numbers('killed', $topic, constraints => 'CHECK (n % 25 <> 0)');
$node->subscribe('killed', q(on_error => 'dead_letter', batch_rows => 200));
my $n = 0;
foreach my $round (1 .. 5)
{
	$broker->produce($topic, map { $n++; $n % 10 == 0 ? "x$n,bad" : "$n,w" } 1 .. 2000);
	my $seen = ($round - 1) * 2000 + 300;
	$node->wait_true("SELECT sum(next_offset) > $seen FROM kafka.subscription_position");
	my $pid = $node->worker_pid('killed');
	kill 'KILL', $pid;
	$node->wait_true("SELECT pid <> $pid FROM kafka.stat_subscription");
}
ok($node->wait_applied('killed'), 'killed workers are followed by others');
is(sql('SELECT count(*), count(DISTINCT n) FROM killed'), '8800|8800', 'good messages are stored once');
is( sql(q(SELECT count(*), count(DISTINCT value), count(*) FILTER (WHERE attempts > 1) FROM kafka.dead_letter)),
	'1200|1200|0',
	'bad ones are put aside once');
is(sql('SELECT sum(bad_messages) FROM kafka.subscription_position'), 1200, 'and counted once');

$node->stop;
done_testing();
