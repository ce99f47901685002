# The manual has what there is: functions with their arguments, tables and views with
# their columns, parameters, options, SQLSTATEs; and each function says what it does.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = $ENV{KAFKA_FDW_ROOT};
my %page = map { m{([^/]+)\.md$} => slurp_file($_) } glob("$root/doc/*.md");
my $node = KafkaCluster::start();

# The rows of a query, with columns separated by |.
sub rows
{
	my ($sql) = @_;

	return split /\n/, $node->safe_psql('postgres', $sql);
}

# Functions: what they are declared as.

is($node->safe_psql('postgres', q{
	SELECT p.oid::regprocedure FROM pg_proc p
	WHERE pronamespace = 'kafka'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL}),
	'', 'functions have comments');
is($node->safe_psql('postgres', q{
	SELECT c.oid::regclass FROM pg_class c
	WHERE relnamespace = 'kafka'::regnamespace AND relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL}),
	'', 'tables and views have comments');
# What Kafka says changes at any time; what a leader has connected to, no worker has.
is($node->safe_psql('postgres', q{
	SELECT p.oid::regprocedure, provolatile, proparallel FROM pg_proc p
	WHERE pronamespace = 'kafka'::regnamespace
		AND (provolatile <> 'v' OR proparallel = 's')
		AND proname NOT IN ('fdw_handler', 'fdw_validator', 'subscription_is_copy')}),
	'', 'functions that talk to Kafka are volatile, and not for parallel workers');
my $changes = join ',', map { "'$_'" } qw(add_partitions alter_subscription alter_topic_config create_acl create_subscription
  create_topic delete_acl delete_group delete_records delete_topic disable_subscription drop_subscription
  enable_subscription produce produce_now produce_row reset_group_offsets retry_dead_letters seek_subscription
  skip_message stat_subscription_reset subscription_ends subscription_on_drop wait_for_subscription);
is($node->safe_psql('postgres', qq{
	SELECT DISTINCT proname FROM pg_proc p
	WHERE pronamespace = 'kafka'::regnamespace AND (proparallel = 'u') <> (proname IN ($changes))}),
	'', 'those that change something are for no parallel query');
is($node->safe_psql('postgres', q{
	SELECT p.oid::regprocedure FROM pg_proc p
	WHERE pronamespace = 'kafka'::regnamespace AND proisstrict AND pronargs > 0
		AND pg_get_function_arguments(p.oid) LIKE '%DEFAULT NULL%'}),
	'', 'a function with an argument that may be NULL is called with it');

# Functions: each has a heading with the arguments that it has, in this order.

my @missing;
my %argument = map { $_ => 1 } $page{functions} =~ /^### .*?`kafka\.(\w+)\(/mg;
for (rows(q{
	SELECT DISTINCT proname, array_to_string(proargnames[1:pronargs], ' ') FROM pg_proc
	WHERE pronamespace = 'kafka'::regnamespace
		AND proname NOT IN ('fdw_handler', 'fdw_validator', 'subscription_on_drop', 'subscription_stats',
			'subscription_is_copy', 'subscription_ends')}))
{
	my ($function, $arguments) = split /\|/, $_, 2;
	my ($heading) = $page{functions} =~ /^### .*`kafka\.$function\((.*?)\)`/m;

	if (!defined $heading)
	{
		push @missing, $function;
		next;
	}
	my @has = split ' ', $arguments // '';
	my @names = map { s/^\s*"?(\w+)"?.*/$1/r } grep { /\w/ } split /,(?![^\[]*\])/, $heading;
	# an ellipsis stands for arguments that are like those of another function
	next if $heading =~ /…|\.\.\./;
	push @missing, "$function($heading), has (@has)" if "@names" ne "@has";
}
is(join("\n", @missing), '', 'functions are in the manual, with their arguments');

# Tables and views: all columns are in the manual.

my @columns;
for (rows(q{
	SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
	WHERE relnamespace = 'kafka'::regnamespace AND relkind IN ('r', 'v')}))
{
	my ($relation, $column) = split /\|/;
	my ($section) = $page{functions} =~ /^### (?:Table|View) `kafka\.$relation`\n(.*?)(?=^##)/ms;

	$section = $page{subscriptions} if $relation eq 'dead_letter';
	# those of kafka.subscription are arguments of create_subscription
	$section = "$page{functions}$page{subscriptions}" if $relation eq 'subscription';
	next if $relation eq 'subscription_error';
	push @columns, "$relation.$column" unless ($section // '') =~ /\b$column\b/;
}
is(join("\n", @columns), '', 'columns are in the manual');

# Parameters: name and default.

my @parameters;
for (rows(q{
	SELECT name, context FROM pg_settings WHERE name LIKE 'kafka\_fdw.%' AND name <> 'kafka_fdw.stop_at'}))
{
	my ($name, $context) = split /\|/;
	my ($by) = $page{configuration} =~ /^\| `\Q$name\E` \| [^|]* \| ([^|]*) \|/m;
	my %says = (user => 'everybody', superuser => 'superusers', sighup => 'configuration file', postmaster => 'start of the server');

	push @parameters, "$name ($context)" if ($by // '') ne ($says{$context} // '?');
}
is(join("\n", @parameters), '', 'parameters are in the manual, with who sets them');

# Options: the rows of the one table, against what the manual says of them.

my %place = (ON_SERVER => 'server', ON_MAPPING => 'user mapping', ON_TABLE => 'table', TUNABLE => 'server, table');
my @options;
my $options = slurp_file("$root/src/option_defs.c");
my $count = 0;
while ($options =~ /^\t\{"([\w.]+)", ([\w |]+), ([\w |]+), CLASS_(\w+)(?:, TYPE_(\w+))?(?:, (-?\d+), ([^,\s}]+))?(?:, 0, 0,\s*"([^"]*)")?/mg)
{
	my ($name, $where, $clients, $class, $type, $min, $max, $values) = ($1, $2, $3, $4, $5, $6, $7, $8);

	$count++;
	if ($class eq 'NEVER')
	{
		push @options, "$name among those that are never set" unless $page{configuration} =~ /### Never.*`\Q$name\E`/s;
	}
	elsif ($clients eq '0')
	{
		# in the tables of tables.md and from-adjust.md
		push @options, $name unless "$page{tables}$page{'from-adjust'}$page{configuration}$page{writing}" =~ /`\Q$name\E`/;
	}
	else
	{
		my ($row) = $page{configuration} =~ /^\| `\Q$name\E` \| (.*)$/m;
		my @cells = split /\s*\|\s*/, $row // '';
		my $places = join ', ', map { $place{$_} } split / \| /, $where;

		push @options, "$name: where" unless ($cells[1] // '') eq $places;
		next unless defined $row;
		push @options, "$name: values $values"
		  if $values && $cells[0] ne join(', ', map { "`$_`" } split /\|/, $values);
		push @options, "$name: boolean" if $type eq 'BOOL' && $cells[0] !~ /^boolean/;
		push @options, "$name: range" if $type eq 'INT' && $cells[0] ne ($max =~ /INT_MAX/ ? "from $min" : "$min to $max");
	}
}
cmp_ok($count, '>', 150, 'there are options');
is(join("\n", @options), '', 'options are in the manual, with values and place');

# SQLSTATEs: by the names of their conditions.

my %alias = (
	datetime_value_out_of_range => 'datetime_field_overflow',
	e_r_i_e_trigger_protocol_violated => 'trigger_protocol_violated',
	e_r_i_e_event_trigger_protocol_violated => 'event_trigger_protocol_violated',
	t_r_serialization_failure => 'serialization_failure');
my %raised;
for my $file (glob("$root/src/*.c $root/src/*/*.c"))
{
	$raised{lc $_} = 1 for slurp_file($file) =~ /errcode\(ERRCODE_(\w+)\)/g;
}
is( join("\n", grep { $_ ne 'warning' && $page{errors} !~ /`$_`/ } map { $alias{$_} // $_ } sort keys %raised),
	'', 'SQLSTATEs are in the manual');

$node->stop;
done_testing();
