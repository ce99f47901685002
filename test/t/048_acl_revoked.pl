# An ACL that is revoked, or a password that is changed, while it is in use: what is
# written fails as a whole or says what has arrived, a subscription waits, and all go
# on when it is back.

use strict;
use warnings FATAL => 'all';

use KafkaIngest;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new(
	property => { 'transaction.abort.timed.out.transaction.cleanup.interval.ms' => 200 });
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }

# The broker is asked until it knows.
sql(<<'SQL');
CREATE FUNCTION allow(type text, name text, operation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kafka.create_acl('broker', type, name, 'User:alice', operation);
	WHILE NOT EXISTS (SELECT FROM kafka.acls('broker') AS a WHERE (a.resource_name, a.operation) = (name, allow.operation)) LOOP
	END LOOP;
END$$;
CREATE FUNCTION revoke(type text, name text, operation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kafka.delete_acl('broker', type, name, 'User:alice', operation);
	WHILE EXISTS (SELECT FROM kafka.acls('broker') AS a WHERE (a.resource_name, a.operation) = (name, revoke.operation)) LOOP
	END LOOP;
END$$;
SQL
$broker->create_topic($_) for 'now', 'later';
sql("SELECT allow('topic', '$_', 'write')") for 'now', 'later';
ids('--add', 'Write', 'Describe');

$broker->server($node, 'alice', 'SASL_PLAINTEXT', "sasl_mechanism 'PLAIN'");
KafkaSecurity::mapping($node, 'PUBLIC', 'alice', KafkaSecurity::password('alice'));
sql(<<'SQL');
CREATE FOREIGN TABLE now (a int, b text) SERVER alice OPTIONS (topic 'now', delivery 'immediate');
CREATE FOREIGN TABLE later (a int, b text) SERVER alice OPTIONS (topic 'later', delivery 'commit');
CREATE FOREIGN TABLE now_seen (a int, b text) SERVER broker OPTIONS (topic 'now');
CREATE FOREIGN TABLE later_seen (a int, b text) SERVER broker OPTIONS (topic 'later');
CREATE TABLE local (a int);
SQL
my $session = KafkaCluster::session($node);
my ($out, $err);

# The ACL on transactional ids, which only newer librdkafka can change.
sub ids
{
	my ($change, @operations) = @_;

	$broker->command('org.apache.kafka.tools.AclCommand', $change, $change eq '--remove' ? '--force' : (),
		'--allow-principal' => 'User:alice', (map { ('--operation' => $_) } @operations),
		'--transactional-id' => 'kafka_fdw', '--resource-pattern-type' => 'prefixed');
	return;
}

sub refused
{
	my ($what, $reason, $hint) = @_;

	($out, $err) = $session->finish;
	like($err, qr/ERROR:  42501: .*$reason.*HINT:  Kafka's ACLs .*$hint/s, "$what: says what is missing");
	return;
}

# Delivery immediate: the ACL goes in the middle of the statement.
($out, $err) = $session->run(q(INSERT INTO now VALUES (1, 'x')));
unlike($err, qr/\w/, 'immediate: works at first');
$session->send(<<'SQL');
INSERT INTO now SELECT 2, CASE i WHEN 20000 THEN revoke('topic', 'now', 'write')::text ELSE repeat('x', 100) END
	FROM generate_series(1, 40000) i
SQL
refused('immediate', qr/Topic authorization failed/, qr/Write/);
my ($delivered) = $err =~ /(\d+) messages (?:of the failed statement )?were delivered/;
my ($perhaps) = $err =~ /(\d+) more were sent/;
my $seen = sql('SELECT count(*) FROM now_seen WHERE a = 2');
cmp_ok($seen, '<', 40000, 'not all messages have been sent');
cmp_ok($seen, '>=', $delivered, 'those that have are counted') or diag $err;
cmp_ok($seen, '<=', $delivered + ($perhaps // 0), 'and those that may have') or diag $err;
$session->send(q(INSERT INTO now VALUES (3, 'x')));
refused('immediate, again', qr/Topic authorization failed/, qr/Write/);
sql("SELECT allow('topic', 'now', 'write')");
($out, $err) = $session->run(q(INSERT INTO now VALUES (4, 'x')));
unlike($err, qr/\w/, 'immediate: the same session goes on when it is back');
is(sql('SELECT a, count(*) FROM now_seen WHERE a <> 2 GROUP BY a ORDER BY a'), "1|1\n4|1", 'each message is there once');

# Delivery commit: the ACL on the topic goes between statement and commit, that
# on the transactional id in the middle of the commit.
my $insert = q(INSERT INTO local VALUES (%1$d); INSERT INTO later SELECT %1$d, 'x' FROM generate_series(1, 1000));

sub gone
{
	my ($what, $a) = @_;

	($out, $err) = $session->run('BEGIN; ' . sprintf($insert, $a + 100) . '; COMMIT');
	unlike($err, qr/\w/, "$what: the same session goes on when it is back");
	ok( KafkaCluster::wait_for(
			sub { sql("SELECT count(*) FROM later_seen WHERE a = $a + 100") eq '1000' }),
		"$what: and its messages are seen");
	is(sql("SELECT (SELECT count(*) FROM later_seen WHERE a = $a), (SELECT count(*) FROM local WHERE a = $a)"),
		'0|0', "$what: nothing is left of what failed");
	return;
}

$session->run('BEGIN; ' . sprintf($insert, 1) . '; COMMIT');
is(sql('SELECT count(*) FROM later_seen'), '1000', 'commit: works at first');

$session->run('BEGIN; ' . sprintf($insert, 2));
sql("SELECT revoke('topic', 'later', 'write')");
$session->send('COMMIT');
refused('commit', qr/could not deliver 1000 of 1000 messages to Kafka\nDETAIL:  The Kafka transaction is aborted: .*Topic authorization failed/, qr/Write/);
sql("SELECT allow('topic', 'later', 'write')");
gone('commit', 2);
$session->run(q(BEGIN; INSERT INTO local VALUES (3); INSERT INTO later VALUES (3, 'x')));
sql("SELECT revoke('topic', 'later', 'write')");
$session->send('COMMIT');
refused('single message', qr/could not (?:send|deliver)[^\n]*\n?[^\n]*Topic authorization failed/, qr/Write/);
sql("SELECT allow('topic', 'later', 'write')");
gone('single message', 3);

$session->run("SET kafka_fdw.stop_at = 'flushed'");
$session->send('BEGIN; ' . sprintf($insert, 4) . '; COMMIT');
ok(KafkaCluster::wait_for(sub { $session->stopped }), 'stopped in the middle of the commit');
ids('--remove', 'Write');
kill CONT => $session->pid;
refused('middle', qr/Transactional Id authorization failed/i, qr/transactional ids/);
$session->run('RESET kafka_fdw.stop_at');
ids('--add', 'Write');
gone('middle', 4);

# A subscription.  The right goes while it holds messages, before which it reads
# another one again, by a connection that has not seen the topic yet.
$broker->create_topic('feed');
sql("SELECT allow('topic', 'feed', 'read')");
sql(<<'SQL');
CREATE FOREIGN TABLE n_feed (n int, word text, _partition int, _offset bigint) SERVER alice OPTIONS (topic 'feed', format 'csv');
CREATE TABLE n (n int, word text, _partition int, _offset bigint);
SQL
$node->subscribe('n', q(batch_interval => '4 s'));
ok($node->wait_state('n', 'idle'), 'a subscription waits');
$broker->produce('feed', map { "$_,x" } 1 .. 100);
is($node->count_once('n'), 100, 'and reads');
$broker->produce('feed', map { "$_,x" } 101 .. 200);
ok($node->wait_true('SELECT lag_messages = 100 FROM kafka.stat_subscription'), 'it has more to write');
sql("SELECT revoke('topic', 'feed', 'read')");
ok($node->wait_state('n', 'retrying'), 'it stops, and waits');
like($node->error_of('n'), qr/authorization failed.*SQLSTATE: 42501/si, 'its error says why at once');
ok($node->wait_true('SELECT retries >= 2 FROM kafka.stat_subscription'), 'it tries again');
cmp_ok(sql('SELECT retries FROM kafka.stat_subscription'), '<=', 3, 'not all the time');
is(sql('SELECT count(*), max(_offset) FROM n'), '100|99', 'it has what it had');
sql("SELECT allow('topic', 'feed', 'read')");
is($node->count_once('n'), 200, 'it goes on by itself when the ACL is back, and nothing is lost');
is($node->error_of('n'), '', 'with the error gone');

# Its password, changed here and, as it were, there.
sql(q(ALTER USER MAPPING FOR PUBLIC SERVER alice OPTIONS (SET sasl_password 'old')));
ok($node->wait_state('n', 'retrying'), 'a password that is no longer good is noticed');
like($node->error_of('n'), qr/SQLSTATE: 28000/, 'and called by its name');
$broker->produce('feed', map { "$_,x" } 201 .. 300);
my $password = KafkaSecurity::password('alice') =~ s/.*(?=sasl_password)/SET /r;
sql("ALTER USER MAPPING FOR PUBLIC SERVER alice OPTIONS ($password)");
is($node->count_once('n'), 300, 'with the new one it goes on');

$session->quit;
$node->stop;
done_testing();
