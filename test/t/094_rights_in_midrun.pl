# Row-level security, attributes of roles and ownership that change while a
# subscription runs count from the next batch on: rows go the way they must go, or
# the subscription stops and says why.  (F34)

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use KafkaBroker;
use KafkaCluster;
use KafkaIngest;

my $broker = KafkaBroker->from_env;
my $topic = $broker->create_topic('rights', partitions => 2);
my $node = KafkaIngest->start_with($broker);
my $n = 0;

sub sql { return $node->safe_psql('postgres', @_); }

# Changes something, produces ten messages, and says how they were stored.
sub flows
{
	my ($change) = @_;

	sql($change) if $change;
	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 10);
	my $faults = $node->faults('n', $n);
	return $faults if $faults ne '';
	return sql(q(SELECT insert_mode FROM kafka.stat_subscription WHERE subscription = 'n'));
}

# Checks that the change stops the subscription at the next message, of which
# nothing is stored, and that the mending lets it go on.
sub stops
{
	my ($change, $error, $mend, $mode) = @_;
	my $name = $change =~ s/\s+/ /gr;

	sql($change);
	my $rows = sql('SELECT count(*) FROM n');
	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 10);
	$node->wait_state('n', 'stopped') or die "$name does not stop it";
	like($node->error_of('n'), $error, "$name stops it");
	is(sql('SELECT count(*) FROM n'), $rows, "$name: nothing is stored");
	sql("$mend; SELECT kafka.enable_subscription('n')");
	is(flows(), $mode, "$mend: it goes on");
	return;
}

my ($bulk, $rows) = ('many rows at once', 'insert');
my $violation = qr/new row violates row-level security policy for table "n"\nSQLSTATE: 42501/;

$node->numbers('n', $topic, constraints => 'who text DEFAULT current_user');
sql(q(CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app;
	GRANT SELECT ON n_feed TO app; GRANT USAGE ON FOREIGN SERVER broker TO app;
	GRANT INSERT ON n TO app;
	SET ROLE app; SELECT kafka.create_subscription('n', 'n_feed', 'n', batch_rows => 7)));
is(flows(), $bulk, 'without policies rows are copied');

# row-level security
my $pid = $node->worker_pid('n');
stops('ALTER TABLE n ENABLE ROW LEVEL SECURITY', $violation,
	q(CREATE POLICY app ON n FOR INSERT TO app WITH CHECK (who = 'app')), $rows);
is(flows('ALTER TABLE n DISABLE ROW LEVEL SECURITY'), $bulk, 'disabled, rows are copied');
$pid = $node->worker_pid('n');
is(flows('ALTER TABLE n ENABLE ROW LEVEL SECURITY'), $rows, 'enabled, they are inserted');
is(flows('ALTER ROLE app BYPASSRLS'), $bulk, 'for an owner with BYPASSRLS they are copied');
is(flows('ALTER ROLE app NOBYPASSRLS'), $rows, 'and without they are inserted');
is($node->worker_pid('n'), $pid, 'all that by the same worker');
stops('ALTER POLICY app ON n WITH CHECK (n < 0)', $violation,
	q(ALTER POLICY app ON n WITH CHECK (who = 'app')), $rows);
stops('CREATE POLICY more ON n AS RESTRICTIVE FOR INSERT WITH CHECK (false)',
	qr/new row violates row-level security policy "more" for table "n"/,
	'DROP POLICY more ON n', $rows);
is(sql('SELECT DISTINCT who FROM n'), 'app', 'rows are inserted as the owner of the subscription');

# a policy is a matter of the message, where the subscription puts bad ones aside
sql(q(SELECT kafka.alter_subscription('n', on_error => 'dead_letter')));
sql(q(ALTER POLICY app ON n WITH CHECK (word <> 'secret')));
$broker->produce($topic, '0,secret', '0,x');
$n += 1;
$node->wait_applied('n');
is(sql('SELECT count(*) FROM n'), $n, 'a row that the policy lets through is stored');
is(sql('SELECT count(*), min(sqlstate), min(convert_from(value, $$UTF8$$)) FROM kafka.dead_letter'),
	'1|42501|0,secret', 'and one that it does not is put aside');
sql(q(ALTER POLICY app ON n WITH CHECK (true)));
is(sql(q(SELECT * FROM kafka.retry_dead_letters('n'))), '1|0', 'until the policy lets it through');
$n += 1;
sql(q(SELECT kafka.alter_subscription('n', reset => '{on_error}')));

# the target changes hands: its owner is not held by policies, unless forced
is(flows('ALTER TABLE n OWNER TO app'), $bulk, 'the target becomes the subscription owner\'s');
stops(q(ALTER POLICY app ON n WITH CHECK (n < 0); ALTER TABLE n FORCE ROW LEVEL SECURITY), $violation,
	'ALTER TABLE n NO FORCE ROW LEVEL SECURITY', $bulk);
stops('ALTER TABLE n OWNER TO CURRENT_USER; REVOKE INSERT ON n FROM app',
	qr/permission denied for table n/, 'GRANT INSERT ON n TO app; ALTER POLICY app ON n WITH CHECK (true)', $rows);
is(flows('ALTER TABLE n DISABLE ROW LEVEL SECURITY'), $bulk, 'as it was');

# the same as a race
sql(q(CREATE PROCEDURE churn() LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1 .. 50 LOOP
	ALTER TABLE n ENABLE ROW LEVEL SECURITY; COMMIT;
	ALTER ROLE app BYPASSRLS; COMMIT;
	ALTER ROLE app NOBYPASSRLS; COMMIT;
	ALTER TABLE n DISABLE ROW LEVEL SECURITY; COMMIT;
	END LOOP; END $$));
my $session = KafkaCluster::session($node);
$session->send('CALL churn()');
foreach (1 .. 20)
{
	$broker->produce($topic, map { $n++; "$n,x" } 1 .. 20);
}
my (undef, $err) = $session->finish;
unlike($err, qr/ERROR/, 'changes at any moment succeed');
$session->quit;
is(flows(), $bulk, 'and no message is lost or repeated');

# other names, and less power
sql('ALTER ROLE app RENAME TO renamed');
is(flows(), $bulk, 'an owner that is renamed goes on');
is(sql(q(SELECT owner FROM kafka.subscription)), 'renamed', 'under its name');
sql('CREATE ROLE boss LOGIN SUPERUSER');
sql(q(SELECT kafka.alter_subscription('n', owner => 'boss')));
is(flows(), $bulk, 'a superuser becomes the owner');
stops('ALTER ROLE boss NOSUPERUSER', qr/permission denied for foreign table n_feed/,
	'GRANT SELECT ON n_feed TO boss; GRANT USAGE ON FOREIGN SERVER broker TO boss; GRANT INSERT ON n TO boss',
	$bulk);
is(sql(q(SELECT usesuper, usename FROM pg_stat_activity JOIN pg_user USING (usename) WHERE application_name = 'n')),
	'f|boss', 'a worker has the powers that its owner has left');

$node->stop;
done_testing();
