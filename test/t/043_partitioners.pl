# A key lands on the partition where other clients put it: with murmur2 where
# Kafka's own console producer does, by default where kcat does.

use strict;
use warnings FATAL => 'all';

use KafkaBroker;
use KafkaCluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $broker = KafkaBroker->from_env;
my $node = KafkaCluster::start($broker);
my $bootstrap = $broker->bootstrap;
my @keys = ((map { "key$_" } 1 .. 60), '627', 'x', "\xc3\xa4\xc3\xb6", ' spaced ', 'long' x 50);

# Says for each key on which partition of a topic it is.
sub placed
{
	my ($topic) = @_;

	return join "\n", sort map { ($_->{key} // 'NULL') . " => $_->{partition}" } $broker->consume($topic);
}

sub topic { return $broker->create_topic($_[0], partitions => 7); }

sub table
{
	my ($name, $topic, @options) = @_;
	my $options = join(', ', "topic '$topic'", "format 'raw'", @options);

	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $name (_key bytea, value text) SERVER broker OPTIONS ($options)");
}

sub insert
{
	my ($name, @insert) = @_;
	my $rows = join(', ', map { "(decode('" . unpack('H*', $_) . "', 'hex'), 'v')" } @insert);

	$node->safe_psql('postgres', "INSERT INTO $name VALUES $rows");
}

# Kafka's console producer, whose client is Java's; an empty key is a key.
my $java = topic('java');
my $lines = join '', map { "$_:v\n" } @keys, '';
$broker->tool($lines, 'org.apache.kafka.tools.ConsoleProducer', '--bootstrap-server' => $bootstrap,
	'--topic' => $java, '--property' => 'parse.key=true', '--property' => 'key.separator=:');
my $murmur2 = topic('murmur2');
table('murmur2', $murmur2, "partitioner 'murmur2_random'");
insert('murmur2', @keys, '');
is(placed($murmur2), placed($java), 'murmur2_random puts keys where the console producer does');
my $fixed = topic('fixed');
table('fixed', $fixed, "partitioner 'murmur2'");
insert('fixed', @keys, '');
is(placed($fixed), placed($java), 'and so does murmur2');

# kcat, which has librdkafka's default
my $kcat = topic('kcat');
$lines = join '', map { "$_:v\n" } @keys;
IPC::Run::run([ 'kcat', '-P', '-b', $bootstrap, '-t', $kcat, '-K', ':' ], '<', \$lines)
  or BAIL_OUT('kcat failed');
my $default = topic('default');
table('standard', $default);
insert('standard', @keys);
is(placed($default), placed($kcat), 'the default puts keys where kcat does');
isnt(placed($kcat), placed($java) =~ s/^ => \d\n//r, 'which is not where Java does');

# under delivery commit, and for kafka.produce, which has the server's
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (SET delivery 'commit', ADD partitioner 'murmur2_random')");
my $produced = topic('produced');
$node->safe_psql('postgres',
	"SELECT kafka.produce('broker', '$produced', 'v', key => key) FROM unnest("
	  . join(', ', 'ARRAY[' . join(', ', map { "decode('" . unpack('H*', $_) . "', 'hex')" } @keys, '') . ']')
	  . ') key');
ok(KafkaCluster::wait_for(sub { placed($produced) eq placed($java) }), 'kafka.produce takes the partitioner of the server');

# no key: anywhere
my $none = topic('none');
table('none', $none, "sticky_partitioning_linger_ms '0'", "delivery 'immediate'");
$node->safe_psql('postgres', "INSERT INTO none SELECT NULL, i FROM generate_series(1, 100) i");
my %partitions = map { $_->{partition} => 1 } $broker->consume($none);
cmp_ok(scalar keys %partitions, '>', 1, 'messages without key are spread');
my $empty = topic('empty');
$node->safe_psql('postgres', "ALTER SERVER broker OPTIONS (DROP partitioner)");
table('empty', $empty, "sticky_partitioning_linger_ms '0'", "delivery 'immediate'");
$node->safe_psql('postgres', "INSERT INTO empty SELECT '', i FROM generate_series(1, 100) i");
%partitions = map { $_->{partition} => 1 } $broker->consume($empty);
cmp_ok(scalar keys %partitions, '>', 1, 'and by default those with an empty one');

done_testing();
