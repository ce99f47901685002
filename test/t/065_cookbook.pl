# Every statement of doc/cookbook.md does something.

use strict;
use warnings FATAL => 'all';

use KafkaCluster;
use KafkaSecurity;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaSecurity->new;
my $node = KafkaCluster::start($broker);

$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE orders (id int, name text, _partition int, _offset bigint, _timestamp timestamptz)
	SERVER broker OPTIONS (topic 'orders');
SQL

# The statements of tables, and those of code blocks.
my @statements;
my $block = '';
for (split /\n/, slurp_file("$ENV{KAFKA_FDW_ROOT}/doc/cookbook.md"))
{
	if (/^```/)
	{
		push @statements, grep { /\S/ } split /(?<=;)\n\n?/, $block;
		$block = /sql/ ? ' ' : '';
	}
	elsif ($block)
	{
		$block .= "$_\n";
	}
	elsif (/^\|.*(?<!\\)\| (.*) \|$/)
	{
		my $cell = $1;
		my ($command) = /^\| (.*?) (?<!\\)\|/;

		if ($cell =~ /^`(SELECT.*)`$/)
		{
			push @statements, $1;
		}
		elsif ($command =~ /^`\.\.\. / && $cell =~ /^`(.*=>.*)`$/)
		{
			my $argument = $1;

			$argument = "'orders', $argument" unless $argument =~ /^topic/;
			$argument .= ", start => 'latest'" if $argument =~ /^topic/;
			push @statements, "SELECT * FROM kafka.reset_group_offsets('broker', 'billing', $argument);";
		}
	}
}
cmp_ok(scalar @statements, '>', 55, 'statements were found');

for my $statement (@statements)
{
	# what a statement needs, and one broker for three
	my $create = $statement =~ /create_topic/;
	$statement =~ s/6, 3,/6, 1,/;
	$statement =~ s/\{\{1,2\},\{2,3\}\}/{{1},{1}}/;
	$node->safe_psql('postgres', $create ? <<'SQL' : <<'SQL2');
SELECT kafka.delete_topic('broker', topic) FROM kafka.topics('broker') WHERE topic = 'orders';
SQL
SELECT kafka.create_topic('broker', 'orders', 6) WHERE NOT EXISTS (SELECT FROM kafka.topics('broker') WHERE topic = 'orders');
SELECT kafka.add_partitions('broker', topic, 6) FROM kafka.topics('broker') WHERE topic = 'orders' AND partitions < 6;
INSERT INTO orders SELECT i, 'n', i % 6, NULL, '2020-01-01 00:00:00+00' FROM generate_series(1, 60) AS i;
SELECT * FROM kafka.reset_group_offsets('broker', 'billing', 'orders', start => 'earliest', dry_run => false);
SELECT kafka.create_acl('broker', 'topic', 'orders', 'User:alice', 'read');
SQL2
	my ($rc, $out, $err) = $node->psql('postgres', $statement);
	(my $name = $statement) =~ s/\s+/ /g;
	is($rc, 0, $name) or diag $err;
}

done_testing();
