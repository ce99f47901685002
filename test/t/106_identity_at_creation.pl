# A subscription knows which topic its positions are of from the moment they are
# stored, and not only when a worker has read something.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->new;
my $node = KafkaIngest->start_with($broker);

sub sql { return $node->safe_psql('postgres', @_); }
sub messages { my ($word, $from, $to) = @_; return map { "$_,$word" } $from .. $to; }

# A subscription, without a worker, of a topic of two partitions with 20 messages.
sub subscribed
{
	my ($name, $arguments) = @_;

	$broker->create_topic($name, partitions => 2);
	$broker->produce($name, map { { value => "$_,old", partition => $_ % 2 } } 1 .. 20);
	$node->numbers($name, $name);
	$node->subscribe($name, "enabled => false, $arguments");
	return;
}

# The topic is deleted and created again, with more messages than before, and
# the subscription is enabled.
sub is_stopped
{
	my ($name, $what) = @_;

	$broker->delete_topic($name);
	$broker->create_topic($name, partitions => 2);
	$broker->produce($name, map { { value => "$_,new", partition => $_ % 2 } } 1 .. 60);
	sql("SELECT kafka.enable_subscription('$name')");
	$node->wait_state($name, 'stopped');
	like($node->error_of($name), qr/topic "$name" is not the one that was read before/,
		"$what: another topic is not taken for the one it was made for");
	is(sql("SELECT count(*) FROM $name"), 0, "$what: nothing of it is stored");
	return;
}

subscribed('latest', q(start => 'latest'));
is_stopped('latest', 'start latest');
subscribed('earliest', q(start => 'earliest'));
is_stopped('earliest', 'start earliest');
# what comes first is looked at itself, where it is written at once
subscribed('at_once', q(start => 'earliest', batch_interval => '1 ms'));
is_stopped('at_once', 'start earliest, written at once');
subscribed('offsets', q(start => '{"0": 3, "1": 5}'));
is_stopped('offsets', 'start at offsets');

# what moves or adds positions
subscribed('sought', q(partitions => '{1}'));
$broker->delete_topic('sought');
$broker->create_topic('sought', partitions => 2);
$broker->produce('sought', map { { value => "$_,old", partition => $_ % 2 } } 1 .. 20);
sql(q(SELECT kafka.seek_subscription('sought', '4')));
is_stopped('sought', 'seek');
subscribed('altered', q(partitions => '{1}'));
sql(q(SELECT kafka.alter_subscription('altered', partitions => '{0}')));
is_stopped('altered', 'partitions that come in');
sql(q(SELECT kafka.seek_subscription('altered', 'earliest')));
sql(q(SELECT kafka.enable_subscription('altered')));
$node->wait_applied('altered');
is(sql('SELECT count(*) FROM altered'), 30, 'a seek accepts the topic as it is now');

# an empty topic has no message to be told by
$broker->create_topic('empty');
$node->numbers('empty', 'empty');
$node->subscribe('empty', 'enabled => false');
is(sql(q(SELECT next_offset, proof_offset FROM kafka.subscription_position WHERE subscription = 'empty')),
	'0|', 'an empty topic has none');

# while it is looked at the broker falls silent
my $session = KafkaCluster::session($node);
$session->run(q(SET kafka_fdw.stop_at = 'proof'));
$session->send(q(SELECT kafka.create_subscription('silent', 'latest_feed', 'latest')));
ok(KafkaCluster::wait_for(sub { $session->stopped }), 'a session is about to read');
$broker->pause;
kill CONT => $session->pid;
sql('SELECT pg_cancel_backend(' . $session->pid . ')');
my ($out, $err) = $session->finish;
like($err, qr/canceling statement due to user request/, 'it can be cancelled while the broker is silent');
$session->send(q(SET kafka_fdw.timeout = '500ms'; RESET kafka_fdw.stop_at; SELECT kafka.create_subscription('silent', 'latest_feed', 'latest')));
($out, $err) = $session->finish;
like($err, qr/could not get the offsets/, 'and ends by itself');
$broker->resume;
is(sql(q(SELECT count(*) FROM kafka.subscription WHERE subscription = 'silent')), 0, 'no subscription is left');
($out, $err) = $session->run(q(RESET kafka_fdw.timeout; SELECT kafka.create_subscription('silent', 'latest_feed', 'latest')));
unlike($err, qr/ERROR/, 'the session goes on when the broker does');

$session->quit;
$node->stop;
done_testing();
