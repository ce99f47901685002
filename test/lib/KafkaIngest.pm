
=pod

=head1 NAME

KafkaIngest - a PostgreSQL server with subscriptions for TAP tests

=head1 SYNOPSIS

  use KafkaBroker;
  use KafkaIngest;

  my $broker = KafkaBroker->from_env;
  my $topic = $broker->create_topic('numbers', partitions => 2);
  my $node = KafkaIngest->start_with($broker);

  $node->numbers('n', $topic);              # tables n_feed and n
  $node->subscribe('n');                    # subscription n
  $broker->produce($topic, "1,one", "2,two");
  is($node->count_once('n'), 2, '...');

=head1 DESCRIPTION

What KafkaCluster::start makes, with methods for subscriptions.

=cut

package KafkaIngest;

use strict;
use warnings;

use parent 'PostgreSQL::Test::Cluster';

use KafkaCluster;
use Time::HiRes qw(time);

=head1 METHODS

=over

=item KafkaIngest->start_with($broker, @settings)

A server that runs, with the extension and the foreign server "broker"; settings
are lines for postgresql.conf.

=cut

sub start_with
{
	my ($class, $broker, @settings) = @_;

	return bless KafkaCluster::start($broker, 'restart_after_crash = on',
		@settings), $class;
}

=item $node->prepare_database($broker, $dbname)

Makes extension and foreign server in another database.

=cut

sub prepare_database
{
	my ($node, $broker, $dbname) = @_;
	my $bootstrap = $broker->bootstrap;

	$node->safe_psql(
		$dbname, qq(
		CREATE EXTENSION kafka_fdw;
		CREATE SERVER broker FOREIGN DATA WRAPPER kafka_fdw
			OPTIONS (bootstrap_servers '$bootstrap')));
	return;
}

=item $node->numbers($name, $topic, %args)

A foreign table NAME_feed of csv messages "n,word", and a table NAME for them
with lineage columns.  dbname: the database; constraints: what else is in the
table's definition.

=cut

sub numbers
{
	my ($node, $name, $topic, %args) = @_;
	my $constraints = $args{constraints} ? ", $args{constraints}" : '';
	my $columns = 'n int, word text, _partition int, _offset bigint';

	$node->safe_psql(
		$args{dbname} // 'postgres', qq(
		CREATE FOREIGN TABLE ${name}_feed ($columns)
			SERVER broker OPTIONS (topic '$topic', format 'csv');
		CREATE TABLE $name ($columns$constraints)));
	return;
}

=item $node->subscribe($name, $arguments, $dbname)

The subscription NAME from NAME_feed into NAME; arguments are more of
kafka.create_subscription(), in SQL.

=cut

sub subscribe
{
	my ($node, $name, $arguments, $dbname) = @_;

	$arguments = $arguments ? ", $arguments" : '';
	$node->safe_psql(
		$dbname // 'postgres', qq(
		SELECT kafka.create_subscription('$name',
			source => '${name}_feed', target => '$name'$arguments)));
	return;
}

=item $node->wait_true($query, $dbname)

Waits until a query returns true, like poll_query_until, also while the server
crashes and restarts.

=cut

sub wait_true
{
	my ($node, $query, $dbname) = @_;

	# psql may be gone before it has read the query, which IPC::Run dies of
	return KafkaCluster::wait_for(
		sub {
			my $answer = eval {
				($node->psql($dbname // 'postgres', $query))[1];
			};
			return defined $answer && $answer eq 't';
		});
}

=item $node->wait_applied($name, $dbname)

Waits until all messages are in the table, also over crashes of the server, and
until the views say so.

=cut

sub wait_applied
{
	my ($node, $name, $dbname) = @_;

	# who waits may see the batch before the worker counts it; a test may have
	# made the search_path a hostile one
	return $node->wait_true("SELECT kafka.wait_for_subscription('$name', '5 s')",
		$dbname)
	  && $node->wait_true(
		"SET search_path = pg_catalog; SELECT count(*) = 0 FROM kafka.stat_subscription WHERE subscription = '$name' AND state = 'applying'",
		$dbname);
}

=item $node->count_once($name, $dbname)

Waits likewise, and returns how many rows are in the table; dies if a message
is there twice, or one is missing between others.

=cut

sub count_once
{
	my ($node, $name, $dbname) = @_;

	$node->wait_applied($name, $dbname) or die "$name does not catch up";
	my ($rows, $offsets, $gaps) = split /\|/,
	  $node->safe_psql(
		$dbname // 'postgres', qq(
		SELECT sum(rows), sum(offsets), sum(span - offsets) FROM (
			SELECT count(*) AS rows, count(DISTINCT _offset) AS offsets,
				max(_offset) - min(_offset) + 1 AS span
			FROM $name GROUP BY _partition) AS partitions));
	return 0 if $rows eq '';
	die "$rows rows of $offsets messages" if $rows != $offsets;
	die "$gaps messages are missing" if $gaps != 0;
	return $rows;
}

=item $node->faults($name, $messages)

Waits until all messages are in the table, and returns what is wrong, or ''.
The subscription was made by numbers() and subscribe() and reads its topic from
the start: rows and topic are the same, each message is there once, positions
are behind all rows, nothing is left to be done, no worker is stuck, and no
database is invalid.  messages is how many there are, if that is known.

=cut

sub faults
{
	my ($node, $name, $messages) = @_;
	my $expected = defined $messages ? "count(*) <> $messages" : 'false';

	$node->wait_applied($name) or return "$name does not catch up";
	$node->wait_true(
		"SELECT state = 'idle' AND lag_messages = 0 FROM kafka.stat_subscription
			WHERE subscription = '$name'") or return "$name does not become idle";
	return $node->safe_psql(
		'postgres', qq(
		SELECT string_agg(fault, ', ') FROM (
			SELECT 'wrong number of rows: ' || count(*) AS fault
			FROM $name HAVING $expected
			UNION ALL
			SELECT 'messages that are there twice: ' || count(*)
			FROM (SELECT FROM $name GROUP BY _partition, _offset HAVING count(*) > 1) AS t
			HAVING count(*) > 0
			UNION ALL
			SELECT 'messages that are missing: ' || count(*)
			FROM (SELECT n, word, _partition, _offset FROM ${name}_feed
				EXCEPT SELECT n, word, _partition, _offset FROM $name) AS t
			HAVING count(*) > 0
			UNION ALL
			SELECT 'rows without message: ' || count(*)
			FROM (SELECT n, word, _partition, _offset FROM $name
				EXCEPT SELECT n, word, _partition, _offset FROM ${name}_feed) AS t
			HAVING count(*) > 0
			UNION ALL
			SELECT 'rows past the position of partition ' || p.partition
			FROM kafka.subscription_position AS p
			WHERE p.subscription = '$name' AND EXISTS (SELECT FROM $name AS t
				WHERE t._partition = p.partition AND t._offset >= p.next_offset)
			UNION ALL
			SELECT 'lag of partition ' || partition
			FROM kafka.subscription_lag
			WHERE subscription = '$name' AND lag_messages <> 0
			UNION ALL
			SELECT 'worker ' || pid || ' is in a transaction'
			FROM pg_stat_activity
			WHERE application_name = '$name' AND backend_xmin IS NOT NULL
				AND xact_start < clock_timestamp() - interval '10 s'
			UNION ALL
			SELECT 'invalid database ' || datname
			FROM pg_database WHERE datconnlimit = -2) AS faults));
}

=item $node->worker_pid($name, $dbname)

Waits for the subscription's worker.

=cut

sub worker_pid
{
	my ($node, $name, $dbname) = @_;
	my $pid = "FROM kafka.stat_subscription WHERE subscription = '$name'";

	$dbname //= 'postgres';
	$node->wait_true("SELECT pid IS NOT NULL $pid", $dbname)
	  or die "no worker for $name";
	return $node->safe_psql($dbname, "SELECT pid $pid");
}

=item $node->wait_state($name, $state)

Waits until kafka.stat_subscription shows that state.

=cut

sub wait_state
{
	my ($node, $name, $state) = @_;

	return $node->poll_query_until('postgres',
		"SELECT state = '$state' FROM kafka.stat_subscription WHERE subscription = '$name'"
	);
}

=item $node->error_of($name)

What kafka.stat_subscription shows as last error.

=cut

sub error_of
{
	my ($node, $name) = @_;

	return $node->safe_psql('postgres',
		"SELECT last_error FROM kafka.stat_subscription WHERE subscription = '$name'"
	);
}

=item $node->error_from($sql)

What an SQL command that must fail says.

=cut

sub error_from
{
	my ($node, $sql, %args) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, %args);

	return $status == 0 ? 'no error' : $stderr;
}

=item KafkaIngest::seconds(sub { ... })

How long something takes.

=cut

sub seconds
{
	my ($action) = @_;
	my $start = time;

	$action->();
	return time - $start;
}

=back

=cut

1;
