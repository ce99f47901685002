# A disk that is full, for tables, for temporary files, for WAL: workers try again, later
# and later, no message is taken for a bad one, no subscription is stopped for it, and when
# there is space each message is there once.  (F35)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaDisk;
use KafkaIngest;

my $tables = KafkaDisk->mount('160m') or plan skip_all => KafkaDisk::REASON;
my $temporary = KafkaDisk->mount('64m') // die 'no second disk';
my $wal = KafkaDisk->mount('64m') // die 'no third disk';

my $broker = KafkaBroker->from_env;
my $node = KafkaIngest->start_with($broker, 'autovacuum = off', q(log_line_prefix = '%n '),
	'kafka_fdw.commit_memory = 64kB', 'max_worker_processes = 20');
my (%topic, %produced);
my $text = 'x' x 1000;

sub sql { return $node->safe_psql('postgres', @_); }

sub of { return "FROM kafka.stat_subscription WHERE subscription = '$_[0]'"; }

sub subscribe
{
	my ($name, $arguments, $constraints) = @_;

	$topic{$name} = $broker->create_topic($name);
	$produced{$name} = 0;
	$node->numbers($name, $topic{$name}, constraints => $constraints);
	$node->subscribe($name, $arguments);
	return;
}

sub produce
{
	my ($count, @names) = @_;

	foreach my $name (@names)
	{
		$broker->produce($topic{$name}, map { ++$produced{$name} . ",$text" } 1 .. $count);
	}
	return;
}

# What a full disk is to subscriptions: each tries again, not stopped, at ever longer
# intervals, with few lines in the log.
sub are_retrying
{
	my ($disk, @names) = @_;
	my $before = -s $node->logfile;
	my %retries = map { $_ => sql("SELECT retries " . of($_)) } @names;

	foreach my $name (@names)
	{
		$node->wait_true("SELECT retries >= $retries{$name} + 3 AND state = 'retrying' " . of($name))
		  or die "$name does not try again";
		like($node->error_of($name), qr/^could not (extend|write to) file .*\nSQLSTATE: 53100/, "$disk: $name says why it waits");
	}
	my $log = slurp_file($node->logfile, $before);
	foreach my $name (@names)
	{
		my @starts = $log =~ /^(\d+\.\d+) LOG:  worker for Kafka subscription "$name" has started/gm;
		cmp_ok($starts[-1] - $starts[-2], '>=', 2, "$disk: $name tries later and later");
	}
	my @starts = $log =~ /has started$/gm;
	my @lines = grep { /^\d+\.\d+ (LOG|WARNING|ERROR|FATAL):/ && !/: {2}(statement:|checkpoint)/ } split /\n/, $log;
	cmp_ok(scalar(@lines), '<=', 4 * (@starts + keys %topic), "$disk: the log has a few lines for each try");
	return;
}

sub space
{
	my ($name, $disk) = @_;
	my $place = $disk->path . "/$name";

	mkdir $place or die "$place: $!";
	sql("CREATE TABLESPACE $name LOCATION '$place'");
	return;
}

# Does not wait for the next try, which may be half a minute away.
sub try_at_once
{
	sql("SELECT kafka.enable_subscription('$_')") foreach @_;
	return;
}

# each has a disk; WAL is in segments of a megabyte
$node->stop;
system_or_bail('pg_resetwal', '--wal-segsize=1', '-D', $node->data_dir);
my $pg_wal = $node->data_dir . '/pg_wal';
system_or_bail('mv', $pg_wal, $wal->path);
symlink($wal->path . '/pg_wal', $pg_wal) or die $!;
$node->append_conf('postgresql.conf', "min_wal_size = '2MB'\nmax_wal_size = '8MB'");
$node->start;
space('tables', $tables);
space('temporary', $temporary);
$node->safe_psql('template1', q(ALTER DATABASE postgres SET TABLESPACE tables;
	ALTER DATABASE postgres SET temp_tablespaces = 'temporary';
	ALTER DATABASE postgres SET work_mem = '64kB'));

subscribe('kept');
subscribe('skipped', q(on_error => 'skip'));
subscribe('letters', q(on_error => 'dead_letter'), 'CHECK (n % 50 <> 0)');
subscribe('upserted', q(mode => 'upsert', on_error => 'dead_letter'), 'PRIMARY KEY (n)');
subscribe('sorted', q(on_error => 'dead_letter', command => 'INSERT INTO public.sorted SELECT * FROM public.sorted_feed ORDER BY word, n DESC'));
subscribe('sent', q(on_error => 'dead_letter', command => 'INSERT INTO public.sent SELECT * FROM public.sent_feed'));
my @all = qw(kept skipped letters upserted sorted sent);

# What is wrong; every fiftieth message of "letters" is a bad one.
sub faults
{
	my ($name) = @_;

	return $node->faults($name, $produced{$name}) if $name ne 'letters';
	my $good = $produced{$name} * 49 / 50;
	my $bad = $produced{$name} / 50;
	$node->wait_applied($name) or return "$name does not catch up";
	my $found = sql(q(SELECT count(*), count(DISTINCT _offset), count(*) FILTER (WHERE n = _offset + 1)
			FROM letters
		UNION ALL
		SELECT count(*), count(DISTINCT "offset"), count(*) FILTER (WHERE sqlstate = '23514' AND "offset" % 50 = 49)
			FROM kafka.dead_letter));
	return $found eq "$good|$good|$good\n$bad|$bad|$bad" ? '' : $found;
}

sub are_complete
{
	my ($disk) = @_;

	is(faults($_), '', "$disk: $_ has each message once when there is space") foreach @all;
	is(sql(q(SELECT count(*) FROM kafka.dead_letter WHERE sqlstate <> '23514')), 0, "$disk: no message is put aside for it");
	is(sql(q(SELECT subscription, sum(bad_messages) FROM kafka.subscription_position GROUP BY 1 HAVING sum(bad_messages) > 0)),
		"letters|@{[$produced{letters} / 50]}", "$disk: none is counted as bad");
	return;
}

# tables
subscribe('stopped');
produce(100, 'stopped', @all);
foreach my $name ('stopped', @all)
{
	$node->wait_applied($name) or die "$name does not catch up";
}
$tables->fill(1_000_000);
produce(3000, @all);
are_retrying('tables', @all);

# not even that a subscription is stopped can be stored
$tables->fill;
$broker->produce($topic{stopped}, "x,$text");
produce(10, 'stopped');
are_retrying('tables', 'stopped');
$tables->empty;
are_complete('tables');
$node->wait_state('stopped', 'stopped');
like($node->error_of('stopped'), qr/^invalid input syntax for type integer: "x"\n.*offset 100\b/s,
	'a message that is bad is so when there is space');
sql(q(SELECT kafka.skip_message('stopped', 0, 100), kafka.enable_subscription('stopped')));
$node->wait_applied('stopped') or die 'stopped does not go on';
is(sql(q(SELECT count(*), count(DISTINCT _offset) FROM stopped)), '110|110', 'and is passed by then');

# temporary files: of a sort, of a statement's transition table, of messages that wait for
# the commit
my $sent = $broker->create_topic('copies');
my @spill = qw(sorted upserted sent);
sql(qq(CREATE FOREIGN TABLE copies (n int, word text)
		SERVER broker OPTIONS (topic '$sent', format 'csv', delivery 'commit')));
sql(q(SELECT kafka.alter_subscription('sent', command =>
		'WITH t AS (INSERT INTO public.sent SELECT * FROM public.sent_feed RETURNING n, word)
			INSERT INTO public.copies SELECT n, word FROM t')));
$temporary->fill;
produce(3000, @all);
are_retrying('temporary files', @spill);
ok($node->wait_applied($_), "temporary files: $_ does without") foreach qw(kept skipped);
$temporary->empty;
try_at_once(@spill);
are_complete('temporary files');
is(sql('SELECT count(*), count(DISTINCT n) FROM copies'), '3000|3000', 'temporary files: messages are sent once');

# WAL: the server panics
foreach my $round (1 .. 2)
{
	my $before = -s $node->logfile;

	$node->worker_pid($_) foreach @all;
	$wal->fill;
	produce(2000, @all);
	ok(KafkaCluster::wait_for(sub { slurp_file($node->logfile, $before) =~ /PANIC:.*No space left on device/ }), 'WAL: PANIC');
	$node->stop('immediate', fail_ok => 1);
	$wal->empty;
	$node->start;
	are_complete("WAL, $round");
}

$node->stop;
done_testing();
