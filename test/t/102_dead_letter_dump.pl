# Dead letters are in a dump: restored, they are the same bytes, their owner sees
# them, and they can be tried again there; the original does not notice.  (F36, F39)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('letters', partitions => 2);
my $node = KafkaIngest->start_with($broker);
my $tmp = $PostgreSQL::Test::Utils::tmp_check;
my $all = q(SELECT * FROM kafka.dead_letter ORDER BY id);
my $positions = q(SELECT subscription, partition, next_offset FROM kafka.subscription_position ORDER BY partition);

sub sql { my ($dbname, @sql) = @_; return $node->safe_psql($dbname, @sql); }

# every kind of value that a column may have
$broker->produce(
	$topic,
	map { { partition => 0, %$_ } } { value => '1,good' },
	{ key => "\x00\xFF", value => "\xFE\x00bad" },
	{ key => '', value => 'x,empty key', timestamp => 1540219230123 },
	{ value => '300,later', headers => [ [ 'a', "\x00" ], [ 'a', undef ], [ 'b', '' ] ] },
	{ value => '', key => 'empty value' },
	{ value => "y,quotes ' \" \\ and\nlines\tand tabs" });
$node->numbers('n', $topic, constraints => 'CHECK (n < 100 AND n IS NOT NULL)');
sql('postgres', q(CREATE ROLE app LOGIN; CREATE ROLE other LOGIN;
	GRANT SELECT ON n_feed TO app; GRANT USAGE ON FOREIGN SERVER broker TO app; GRANT INSERT ON n TO app;
	SET ROLE app; SELECT kafka.create_subscription('n', 'n_feed', 'n', on_error => 'dead_letter')));
$node->wait_applied('n');
is(sql('postgres', 'SELECT (SELECT count(*) FROM n), count(*) FROM kafka.dead_letter'),
	'1|5', 'messages are put aside');
my $letters = sql('postgres', $all);

my %restore = (
	plain => sub { return [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $_[0], '-d', $_[1] ]; },
	custom => sub { return [ 'pg_restore', '--exit-on-error', '-d', $_[1], $_[0] ]; },
	directory => sub { return [ 'pg_restore', '--exit-on-error', '--jobs', 4, '-d', $_[1], $_[0] ]; });
foreach my $format (sort keys %restore)
{
	my $dump = "$tmp/letters.$format";

	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $dump, $node->connstr('postgres') ],
		"$format: pg_dump");
	sql('postgres', "CREATE DATABASE $format");
	$node->command_ok($restore{$format}->($dump, $node->connstr($format)), "$format: restore");
	is(sql($format, $all), $letters, "$format: dead letters are the same");
	is(sql($format, $positions), sql('postgres', $positions), "$format: and so are the positions");
	is(sql($format, 'SET ROLE app; SELECT count(*) FROM kafka.dead_letter'),
		5, "$format: the owner of the subscription sees them");
	is(sql($format, 'SET ROLE other; SELECT count(*) FROM kafka.dead_letter'),
		0, "$format: others do not");
	is(sql($format, q(SELECT * FROM kafka.retry_dead_letters('n'))),
		'0|5', "$format: they can be tried again");
	sql($format, 'ALTER TABLE n DROP CONSTRAINT n_n_check');
	is(sql($format, q(SET ROLE app; SELECT * FROM kafka.retry_dead_letters('n'))),
		'2|3', "$format: once what was wrong is mended");
	is(sql($format, 'SELECT count(*), count(DISTINCT _offset), max(n) FROM n'),
		'3|3|300', "$format: and are then in the table once");
}
is(sql('postgres', $all), $letters, 'the original is as it was');

# a copy that runs puts its own aside, under new numbers
$broker->produce($topic, { partition => 1, value => 'z,bad' });
sql('plain', q(SELECT kafka.enable_subscription('n')));
$node->wait_applied('n', 'plain');
is(sql('plain', 'SELECT count(*), count(DISTINCT id), max(id) FROM kafka.dead_letter'),
	'4|4|6', 'new dead letters have new numbers');
$node->wait_applied('n');
is(sql('postgres', 'SELECT count(*), count(DISTINCT id), max(id) FROM kafka.dead_letter'),
	'6|6|6', 'in the original, too');

$node->stop;
done_testing();
