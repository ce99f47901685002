# What other extensions do to a backend: a message that their callback sends while
# the transaction commits is sent or refused and never lost, and a process that
# they fork off it cannot use its connections.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker, 'max_prepared_transactions = 2');
my $topic = $broker->create_topic('hooks');
my $hooks = "$ENV{KAFKA_FDW_ROOT}/test/lib/kafka_hooks";

sub sql { return $node->safe_psql('postgres', @_); }

sql(<<"SQL");
ALTER SERVER broker OPTIONS (SET delivery 'commit');
CREATE FOREIGN TABLE sent (_value text, _offset bigint) SERVER broker OPTIONS (topic '$topic', format 'raw');
CREATE FOREIGN TABLE now (_value text) SERVER broker OPTIONS (topic '$topic', format 'raw', delivery 'immediate');
CREATE TABLE local (a text);
CREATE FUNCTION at_event(event text, sql text) RETURNS void LANGUAGE c AS '$hooks';
CREATE FUNCTION forked(sql text) RETURNS text LANGUAGE c AS '$hooks';
SQL

my @all;

# Says that so much more was sent, and nothing else.
sub sent
{
	my ($expected, $name) = @_;

	push @all, $expected || (), $name;
	sql("INSERT INTO now VALUES ('$name')");
	is(seen(), join("\n", @all), $name);
	return;
}

# What is in the topic, once the last message can be read.
sub seen
{
	my $value;

	KafkaCluster::wait_for(sub { ($value = sql('SELECT _value FROM sent ORDER BY _offset')) =~ /^\Q$all[-1]\E$/m });
	return $value;
}

# Runs a transaction in which another extension sends something at an event.
sub transaction
{
	my ($session, $event, $statement, $before, $end) = @_;
	my ($out, $err) = $session->run("BEGIN; INSERT INTO local VALUES ('x'); $before
		SELECT at_event('$event', \$\$$statement\$\$); $end");

	return $err;
}

my $produce = "SELECT kafka.produce('broker', '$topic', 'late')";
my $insert = q(INSERT INTO sent VALUES ('late'));
my $early = q(INSERT INTO sent VALUES ('early'););

# kafka_fdw was loaded first, and so acts last.
my $session = KafkaCluster::session($node);
foreach my $statement ($produce, $insert)
{
	my ($what) = $statement =~ /^(\w+)/;

	is(transaction($session, 'pre-commit', $statement, '', 'COMMIT'), '', "first: $what by a callback");
	sent('late', "first: $what alone");
	is(transaction($session, 'pre-commit', $statement, $early, 'COMMIT'), '', "first: $what by a callback behind another");
	sent("early\nlate", "first: $what behind another");
}
my $prepare = q(PREPARE TRANSACTION 'p');
like(transaction($session, 'pre-prepare', $produce, '', $prepare),
	qr/ERROR:  0A000: cannot PREPARE a transaction that has sent messages/, 'first: a callback before PREPARE');
sent('', 'first: after PREPARE');
is(sql('SELECT count(*) FROM local'), '4', 'first: what was refused has been rolled back');
$session->quit;

# kafka_fdw was loaded last, and so acts first.
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$hooks,kafka_fdw'");
$node->restart;
$session = KafkaCluster::session($node);
my $refused = qr/ERROR:  25000: cannot send messages to Kafka while the transaction commits\n.*HINT:  Load kafka_fdw before/s;
foreach my $statement ($produce, $insert)
{
	my ($what) = $statement =~ /^(\w+)/;

	like(transaction($session, 'pre-commit', $statement, '', 'COMMIT'), $refused, "last: $what by a callback is refused");
	sent('', "last: $what alone");
}
my $err = transaction($session, 'pre-commit', $produce, $early, 'COMMIT');
like($err, $refused, 'last: and behind another');
like($err, qr/WARNING:  08007: Kafka has committed 1 messages of a transaction that failed afterwards/, 'last: which Kafka has');
sent('early', 'last: behind another');
is(transaction($session, 'pre-commit', q(INSERT INTO now VALUES ('at once')), '', 'COMMIT'), '', 'last: immediate delivery');
sent('at once', 'last: is as ever');
like(transaction($session, 'pre-prepare', $produce, '', $prepare), $refused, 'last: a callback before PREPARE is refused');
sent('', 'last: after PREPARE');
is(sql('SELECT count(*) FROM local'), '5', 'last: what was refused has been rolled back');
is(($session->run("BEGIN; $early COMMIT"))[1], '', 'last: the session goes on');
sent('early', 'last: next');

# A fork of a backend that has all kinds of connections.
my $in_child = 'cannot use Kafka in a process that was forked off a backend';
my ($out);

$session->run(q(SELECT count(*) FROM sent; SELECT count(*) FROM kafka.topics('broker'); BEGIN; DECLARE c CURSOR FOR SELECT _value FROM sent; FETCH c; DECLARE d CURSOR FOR SELECT _value FROM sent));
foreach my $statement (
	'SELECT count(*) FROM sent', 'FETCH d',
	q(INSERT INTO now VALUES ('forked')), "SELECT kafka.produce_now('broker', '$topic', 'forked')",
	q(SELECT count(*) FROM kafka.topics('broker')), 'SELECT count(*) FROM kafka.connections()')
{
	($out, $err) = $session->run("SELECT forked(\$\$$statement\$\$)");
	is($err . $out, $in_child, "forked: $statement");
}
foreach my $statement ('CLOSE c', 'SELECT kafka.disconnect_all()')
{
	($out, $err) = $session->run("SELECT forked(\$\$$statement\$\$)");
	is($err . ($out || 0), '0', "forked: $statement leaves the backend's alone");
}
($out, $err) = $session->run(q(FETCH ALL FROM c; CLOSE c; INSERT INTO sent VALUES ('parent'); COMMIT));
is($err, '', 'the backend itself goes on');
sent('parent', 'forked: the parent');

$session->quit;
$node->stop;
done_testing();
