# Each property of librdkafka may be set by whom, and where, test/lib/client_properties
# says; one that nobody has classified is refused.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %catalog = (
	server => 'pg_foreign_server',
	mapping => 'pg_user_mapping',
	table => 'pg_foreign_table');

my (%class, %places);
for (split /\n/, slurp_file(dirname(__FILE__) . '/../lib/client_properties'))
{
	my ($class, $name, @places) = split / /;

	next if !defined $name || $class eq '#';
	$class{$name} = $class;
	$places{$name} = { map { $_ => 1 } @places };
}
my @known = KafkaBroker::properties();
cmp_ok(scalar @known, '>', 150, 'librdkafka has properties');

my $node = KafkaCluster::start();
$node->safe_psql(
	'postgres', q{
	CREATE ROLE ordinary;
	CREATE FUNCTION refused(name text, catalog regclass) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM kafka.fdw_validator(ARRAY[name || '=?'], catalog);
		RETURN '';
	EXCEPTION
		WHEN fdw_invalid_option_name THEN RETURN 'refused';
		WHEN insufficient_privilege THEN RETURN 'denied';
		WHEN fdw_invalid_attribute_value OR fdw_option_name_not_found THEN RETURN '';
	END $$});

# What becomes of a property: accepted (''), denied to the role, or refused.
sub expected
{
	my ($name, $place, $role) = @_;
	my $class = $class{$name} // 'unclassified';

	return 'refused' unless $places{$name}->{$place};
	return 'denied' if $role eq 'ordinary' && $class =~ /^(superuser|file)$/;
	return '';
}

for my $role ('postgres', 'ordinary')
{
	for my $place (sort keys %catalog)
	{
		my @names = sort keys %{ { %class, map { $_ => 1 } @known } };
		my $list = join ',', map { "'$_'" } @names;
		my $is = $node->safe_psql('postgres', qq(
			SET ROLE $role;
			SELECT name || ' ' || refused(name, '$catalog{$place}')
			FROM unnest(ARRAY[$list]) WITH ORDINALITY AS n(name, i) ORDER BY i));

		is($is, join("\n", map { "$_ " . expected($_, $place, $role) } @names),
			"as $role, in a $place");
	}
}
note 'not classified: ' . join(' ', grep { !$class{$_} } @known);

# Names with underscores are the same properties.
my $underscores = join ',', map { "'" . tr/./_/r . "'" } grep { $class{$_} eq 'never' } keys %class;
is($node->safe_psql('postgres',
	"SELECT name FROM unnest(ARRAY[$underscores]) AS n(name) WHERE refused(name, 'pg_foreign_server') <> 'refused'"),
	'', 'with underscores too');

# Predefined role pg_read_server_files is for the files of the database server.
is($node->safe_psql('postgres', q{
	GRANT pg_read_server_files TO ordinary;
	SET ROLE ordinary;
	SELECT refused('ssl.ca.location', 'pg_foreign_server'), refused('debug', 'pg_foreign_server')}),
	'|denied', 'who may read files of the server, may name them');

$node->stop;
done_testing();
