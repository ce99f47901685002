# A server that can give out no MultiXactIds, which a foreign key may need: no message is called
# bad for it, though its SQLSTATE is that of a value that is too large.  (F35)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('exhausted');
my $node = KafkaIngest->start_with($broker, 'autovacuum = off', 'max_prepared_transactions = 1');

sub sql { return $node->safe_psql('postgres', @_); }

# two billion of them are in use, as far as the server knows, and a table is kept from
# being vacuumed
my $next = 2_144_500_000;
sql(q(CREATE TABLE old (); BEGIN; LOCK TABLE old IN SHARE UPDATE EXCLUSIVE MODE; PREPARE TRANSACTION 'old'));
$node->stop;
system_or_bail('pg_resetwal', '-m', "$next,1", '-D', $node->data_dir);
append_to_file($node->data_dir . sprintf('/pg_multixact/offsets/%04X', $next / 65_536), "\0" x 262_144);
$node->start;

sql('CREATE TABLE parents (n int PRIMARY KEY); INSERT INTO parents SELECT generate_series(1, 10)');
$node->numbers('children', $topic, constraints => 'FOREIGN KEY (n) REFERENCES parents');
my $other = KafkaCluster::session($node);
$other->run('BEGIN; SELECT FROM parents FOR KEY SHARE');
$node->subscribe('children', q(on_error => 'dead_letter'));
$broker->produce($topic, map { "$_,child" } 1 .. 10);
$node->wait_true(q(SELECT retries > 0 OR bad_messages > 0 FROM kafka.stat_subscription));
like($node->error_of('children'), qr/^database is not accepting commands.* MultiXactIds.*\nSQLSTATE: 54000/,
	'a worker cannot lock what another transaction has locked');
$other->run('COMMIT');
is($node->faults('children', 10), '', 'when it has ended all is stored');
is(sql('SELECT count(*) FROM kafka.dead_letter'), 0, 'and nothing is put aside');

$other->quit;
$node->stop;
done_testing();
