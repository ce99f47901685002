# A subscription's worker connects only where kafka_fdw.allowed_brokers lets it, as of the last
# reload, and only with an identity that its owner has.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaIngest;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('guarded');
my ($port) = $broker->bootstrap =~ /:(\d+)$/;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# Sets the list in the configuration file; undef removes it.
sub allow
{
	my ($list) = @_;

	sql('ALTER SYSTEM ' . (defined $list ? 'SET' : 'RESET') . ' kafka_fdw.allowed_brokers'
		  . (defined $list ? " = '$list'" : ''));
	$node->reload;
	return;
}

# The connections of a process to the broker: inode => 1.
sub connections
{
	my ($pid) = @_;
	my %open = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () } glob("/proc/$pid/fd/*");
	my $remote = sprintf ':%04X', $port;
	my %found;

	for (split /\n/, slurp_file('/proc/net/tcp'))
	{
		my (undef, undef, $to, $state, @more) = split;

		$found{ $more[5] } = 1 if $open{ $more[5] // '' } && $to =~ /$remote$/ && $state eq '01';
	}
	return %found;
}

sub retries { return sql(q(SELECT retries FROM kafka.stat_subscription WHERE subscription = 'n')); }

$node->numbers('n', $topic);
$node->subscribe('n');
$broker->produce($topic, '1,a');
is($node->count_once('n'), 1, 'without a list the worker connects');

# Another list that has the broker.
my $pid = $node->worker_pid('n');
my %before = connections($pid);
ok(%before, 'it has connections');
allow("127.0.0.0/8:$port");
ok( KafkaCluster::wait_for(
		sub {
			my %now = connections($pid);

			return %now && !grep { $now{$_} } keys %before;
		}),
	'with another list they are made anew');
$broker->produce($topic, '2,b');
is($node->count_once('n'), 2, 'and it goes on');
is($node->worker_pid('n'), $pid, 'in the same process');
is(retries(), 0, 'without an error');

# One that has it not.
allow('10.0.0.0/8, kafka.example');
$node->wait_state('n', 'retrying');
$broker->produce($topic, '3,c');
like($node->error_of('n'),
	qr/^connection to broker "127.0.0.1:$port".* is not allowed\nSQLSTATE: 42501\nDETAIL: The parameter "kafka_fdw.allowed_brokers" does not include it/,
	'a list without the broker is an error that says so');
ok($node->wait_true(q(SELECT retries >= 2 FROM kafka.stat_subscription WHERE subscription = 'n')),
	'also for a worker that is new');
is(sql('SELECT count(*) FROM n'), 2, 'nothing is read');
is(sql(q(SELECT enabled FROM kafka.subscription WHERE subscription = 'n')), 't', 'the subscription stays enabled');
allow("127.0.0.1");
is($node->count_once('n'), 3, 'and goes on when the list has the broker again');

# A list that comes while the worker waits for a lock.
my $session = KafkaCluster::session($node);
$session->run('BEGIN; LOCK TABLE n');
$broker->produce($topic, '4,d');
$node->wait_state('n', 'waiting for a lock');
allow('10.0.0.0/8');
$node->wait_state('n', 'retrying');
$session->run('ROLLBACK');
is(sql('SELECT count(*) FROM n'), 3, 'a worker that waits for a lock follows as well');
allow(undef);
is($node->count_once('n'), 4, 'and has each message once');
$session->quit;
sql(q(SELECT kafka.drop_subscription('n')));

# The identity of the database server, which a server of app cannot lend to app.
sql(q(CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app; GRANT USAGE ON FOREIGN DATA WRAPPER kafka_fdw TO app));
my $bootstrap = $broker->bootstrap;
sql(qq(SET ROLE app;
	CREATE SERVER own FOREIGN DATA WRAPPER kafka_fdw OPTIONS (bootstrap_servers '$bootstrap');
	CREATE FOREIGN TABLE own_feed (n int, word text, _partition int, _offset bigint)
		SERVER own OPTIONS (topic '$topic', format 'csv');
	CREATE TABLE own (n int, word text, _partition int, _offset bigint)));
my $create = q(SET ROLE app; SELECT kafka.create_subscription('own', 'own_feed', 'own'));
like($node->error_from($create),
	qr/ERROR:  role "app" needs credentials of its own for server "own".*HINT:  Put a password or key into the user mapping, or have a superuser set the option "password_required"/s,
	'without a secret a role has no subscription of a server of its own');
is(sql('SELECT count(*) FROM kafka.subscription'), 0, 'none');

sql(q(ALTER SERVER own OPTIONS (ADD password_required 'false')));
sql($create);
is($node->count_once('own'), 4, 'where a superuser lends the identity it has one');
sql(q(ALTER SERVER own OPTIONS (DROP password_required)));
$node->wait_state('own', 'retrying');
$broker->produce($topic, '5,e');
like($node->error_of('own'), qr/^role "app" needs credentials of its own for server "own"\nSQLSTATE: 42501/,
	'until it is taken away');
is(sql('SELECT count(*) FROM own'), 4, 'from then on nothing is read');
sql(q(ALTER SERVER own OPTIONS (ADD password_required 'false')));
is($node->count_once('own'), 5, 'and it goes on when it is lent again');

$node->stop;
done_testing();
