
=pod

=head1 NAME

KafkaBroker - a Kafka broker for TAP tests

=head1 SYNOPSIS

  use PostgreSQL::Test::Utils;
  use KafkaBroker;

  my $broker = KafkaBroker->from_env;   # the one that runs for all tests
  my $broker = KafkaBroker->new;        # one of its own, to stop and kill
  my $broker = KafkaBroker->new(name => 'three', brokers => 3,
      property => { 'message.max.bytes' => 1000 });

  my $topic = $broker->create_topic('orders', partitions => 2,
      config => { 'cleanup.policy' => 'compact' });

  $broker->produce($topic, 'value', undef, { key => 'k', value => '',
      partition => 1, timestamp => 1540219230000,
      headers => [ [ 'name', 'value' ], [ 'null', undef ] ] });
  $broker->produce_transaction($topic, 'abort', 'never seen');
  my @messages = $broker->consume($topic);

=head1 DESCRIPTION

A message is a hash with key, value, partition, timestamp (milliseconds) and
headers; from consume also offset.  A string or undef stands for a hash with
that value only.  undef is NULL, which is something else than ''.  Strings with
characters above 255 are sent as UTF-8; what comes back are bytes.

A method that fails dies with the reason.  A broker made by new stops when the
test ends; its logs stay in the test's tmp_check folder.

=cut

package KafkaBroker;

use strict;
use warnings;

use Carp;
use Cwd qw(realpath);
use File::Basename qw(basename dirname);
use File::Path qw(remove_tree);
use IPC::Run ();
use PostgreSQL::Test::Utils ();

my $lib = realpath(dirname(__FILE__));
my $tool = realpath("$lib/../../tools/broker");
my $admin = "$lib/kafka_admin";

# bounds every call, in seconds; none of them should come near
my $timeout = 240;

my $topic_number = 0;
my %started;    # folder => process that started it

=head1 METHODS

=over

=item KafkaBroker->new(name => 'broker', brokers => 1, property => {}, listeners => [], scram => {})

Start a broker.  property are lines for server.properties, listeners and scram
(user => password) what tools/broker has options for.  KafkaSecurity makes one
with TLS, SASL and ACLs.

=cut

sub new
{
	my ($class, %args) = @_;
	my $name = delete $args{name} // 'broker';
	my $brokers = delete $args{brokers} // 1;
	my %property = %{ delete $args{property} // {} };
	my @listeners = @{ delete $args{listeners} // [] };
	my %scram = %{ delete $args{scram} // {} };
	my $test = basename($0, '.pl');
	my $self = bless {
		dir => realpath($PostgreSQL::Test::Utils::tmp_check)
		  . "/kafka_${test}_$name",
		client => {}
	}, $class;

	croak 'KafkaBroker->new: unknown ' . join(', ', sort keys %args) if %args;
	_need_admin();
	if (-e $self->{dir})
	{
		$self->kill;    # left over by an earlier run
		remove_tree($self->{dir});
	}
	$started{ $self->{dir} } = $$;
	$self->{bootstrap} = $self->_tool(
		'start',
		'--brokers' => $brokers,
		(map { ('--listener' => $_) } @listeners),
		(map { ('--scram' => "$_=$scram{$_}") } sort keys %scram),
		map { ('--property' => "$_=$property{$_}") } sort keys %property);
	return $self;
}

=item KafkaBroker->from_env

The broker at $ENV{KAFKA_FDW_TEST_BROKERS}, which other tests use too: it
cannot be stopped, and create_topic makes names unique.  Without that variable
the same as new.

=cut

sub from_env
{
	my ($class) = @_;

	return $class->new unless $ENV{KAFKA_FDW_TEST_BROKERS};
	_need_admin();
	return bless {
		bootstrap => $ENV{KAFKA_FDW_TEST_BROKERS},
		shared => 1,
		client => {}
	}, $class;
}

=item $broker->with('compression.codec' => 'zstd', ...)

The same broker, used with these client properties.

=cut

sub with
{
	my ($self, %properties) = @_;

	return bless { %$self, client => { %{ $self->{client} }, %properties } },
	  ref $self;
}

=item $broker->bootstrap($listener)

Addresses for bootstrap.servers; those of one of the further listeners.

=cut

sub bootstrap
{
	my ($self, $listener) = @_;

	return $self->{bootstrap} if ($listener // 'PLAINTEXT') eq 'PLAINTEXT';
	return $self->_tool('address', '--listener' => $listener);
}

=item $broker->allow($principal, @words)

Add an ACL.  words are those of Kafka's own tool: '--operation' => 'Read',
'--topic' => $topic.

=cut

sub allow
{
	my ($self, $principal, @words) = @_;

	$self->command('org.apache.kafka.tools.AclCommand',
		'--add', '--allow-principal' => $principal, @words);
	return;
}

=item $broker->command($class, @arguments)

What one of Kafka's own command line tools prints: the class behind a script
such as kafka-topics, without its --bootstrap-server.  More than a second each.

=cut

sub command
{
	my ($self, $class, @arguments) = @_;

	return _run(undef, $tool, 'run', $class, @arguments,
		'--bootstrap-server' => $self->{bootstrap});
}

=item $broker->tool($input, $class, @arguments)

Run one of Kafka's own tools.

=cut

sub tool
{
	my ($self, $input, @command) = @_;

	return _run($input, $tool, 'run', @command);
}

=item $broker->log_file($node = 1)

=cut

sub log_file { return "$_[0]->{dir}/node" . ($_[1] // 1) . '/log'; }

=item $broker->start($node), ->stop, ->kill, ->pause, ->resume

Without a node: all of them.  stop keeps data and ports; kill is SIGKILL; pause
is SIGSTOP, after which the broker takes connections and never answers.  start
returns when the broker answers.

=cut

sub start { return $_[0]->_tool_node('start', $_[1]); }
sub stop { return $_[0]->_tool_node('stop', $_[1]); }
sub kill { return $_[0]->_tool_node('kill', $_[1]); }
sub pause { return $_[0]->_tool_node('pause', $_[1]); }
sub resume { return $_[0]->_tool_node('resume', $_[1]); }

=item $broker->is_running($node)

=cut

sub is_running
{
	my ($self, $node) = @_;

	return defined eval { $self->_tool_node('status', $node); 1 };
}

=item $broker->create_topic($topic, partitions => 1, config => {})

Returns the name of the new topic, to be used from then on.

=cut

sub create_topic
{
	my ($self, $topic, %args) = @_;
	my $partitions = delete $args{partitions} // 1;
	my %config = %{ delete $args{config} // {} };

	croak 'create_topic: unknown ' . join(', ', sort keys %args) if %args;
	$topic = join '_', $topic, $$, time, ++$topic_number if $self->{shared};
	$self->_admin(undef, 'create-topic', $topic, $partitions,
		map { "$_=$config{$_}" } sort keys %config);
	return $topic;
}

=item KafkaBroker::properties()

The names of all properties that librdkafka has here.

=cut

sub properties
{
	_need_admin();
	return map { /^([a-z]\S*) +\|/ ? $1 : () } split /\n/,
	  _run(undef, $admin, 'properties');
}

=item KafkaBroker::client_version()

The version of librdkafka here, as a number: 2006001 is 2.6.1.

=cut

sub client_version
{
	_need_admin();
	my ($major, $minor, $patch) = _run(undef, $admin, 'version') =~ /^(\d+)\.(\d+)\.(\d+)/;

	return $major * 1_000_000 + $minor * 1000 + $patch;
}

=item $broker->delete_topic($topic)

=item $broker->add_partitions($topic, $total)

=item $broker->delete_records($topic, $partition, $offset)

Deletes what is before the offset.

=cut

sub delete_topic
{
	my ($self, @arguments) = @_;

	$self->_admin(undef, 'delete-topic', @arguments);
	return;
}

sub add_partitions
{
	my ($self, @arguments) = @_;

	$self->_admin(undef, 'add-partitions', @arguments);
	return;
}

sub delete_records
{
	my ($self, @arguments) = @_;

	$self->_admin(undef, 'delete-records', @arguments);
	return;
}


=item $broker->watermarks($topic)

A list, for each partition [ low, high ].

=cut

sub watermarks
{
	my ($self, $topic) = @_;

	return map { [ (split / /)[ 1, 2 ] ] }
	  split /\n/, $self->_admin(undef, 'watermarks', $topic);
}

=item $broker->produce($topic, @messages)

Returns where they were written, for each message [ partition, offset ].

=cut

sub produce
{
	my ($self, $topic, @messages) = @_;

	return $self->_produce([ 'produce', $topic ], @messages);
}

=item $broker->fill($topic, $count, $bytes, $random)

Produces so many messages of so many bytes each, {"n": 0, "t": "..."} and so
on.  $random of the bytes are random, and the others always the same.

=cut

sub fill
{
	my ($self, $topic, $count, $bytes, $random) = @_;

	$self->_admin(undef, 'fill', $topic, $count, $bytes, $random);
	return;
}

=item $broker->produce_transaction($topic, $end, @messages)

The same in a Kafka transaction, which ends with 'commit' or 'abort', or is
left open with 'hang'.  To end that one later: the same transactional.id.

  my $client = $broker->with('transactional.id' => 'tx');
  $client->produce_transaction($topic, 'hang', 'in doubt');
  $client->produce_transaction($topic, 'abort');

=cut

sub produce_transaction
{
	my ($self, $topic, $end, @messages) = @_;

	return $self->_produce([ 'produce-transaction', $topic, $end ], @messages);
}

=item $broker->produce_file($topic, $file, partition => N, delimiter => "\n", key_delimiter => ':')

Each line of the file becomes a message.

=cut

sub produce_file
{
	my ($self, $topic, $file, %args) = @_;
	my %client = ('enable.idempotence' => 'true', %{ $self->{client} });
	my %option = (partition => '-p', delimiter => '-D', key_delimiter => '-K');
	my @command = ('kcat', '-P', '-b', $self->{bootstrap}, '-t', $topic);

	foreach my $name (sort keys %args)
	{
		croak "produce_file: unknown $name" unless $option{$name};
		push @command, $option{$name}, $args{$name};
	}
	push @command, map { ('-X', "$_=$client{$_}") } sort keys %client;
	_run(undef, @command, '-l', $file);
	return;
}

=item $broker->consume($topic)

All messages that are in the topic now, by partition and offset.  Aborted ones
are left out, unless C<with('isolation.level' =E<gt> 'read_uncommitted')>.

=back

=cut

sub consume
{
	my ($self, $topic) = @_;
	my $bytes = $self->_admin(undef, 'consume', $topic);
	my $position = 0;
	my @messages;

	my $take = sub {
		my ($length) = @_;
		return undef if $length < 0;
		$position += $length;
		return substr($bytes, $position - $length, $length);
	};
	my $take_line = sub {
		my $end = index($bytes, "\n", $position);
		my @fields = split / /, substr($bytes, $position, $end - $position);
		$position = $end + 1;
		return @fields;
	};

	while ($position < length $bytes)
	{
		my %message;
		my ($key_length, $value_length, $headers);

		(@message{ 'partition', 'offset', 'timestamp' },
			$key_length, $value_length, $headers) = $take_line->();
		$message{key} = $take->($key_length);
		$message{value} = $take->($value_length);
		$message{headers} = [];
		for (1 .. $headers)
		{
			my ($name_length, $header_length) = $take_line->();
			my $name = $take->($name_length);
			push @{ $message{headers} }, [ $name, $take->($header_length) ];
		}
		push @messages, \%message;
	}
	return
	  sort { $a->{partition} <=> $b->{partition} || $a->{offset} <=> $b->{offset} }
	  @messages;
}

# ---- internals -------------------------------------------------------------

sub _need_admin
{
	-x $admin or croak "$admin is missing: make -C test/lib";
	return;
}

# Run a command to its end.  Returns its standard output, dies if it fails.
sub _run
{
	my ($input, @command) = @_;
	my ($output, $errors) = ('', '');
	my $stdin = defined $input ? \$input : \undef;

	IPC::Run::run(\@command, '<', $stdin, '>', \$output, '2>', \$errors,
		IPC::Run::timeout($timeout))
	  or croak "@command failed:\n$errors";
	return $output;
}

sub _admin
{
	my ($self, $input, @arguments) = @_;
	my %client = %{ $self->{client} };

	return _run($input, $admin,
		(map { ('-X', "$_=$client{$_}") } sort keys %client),
		$self->{bootstrap}, @arguments);
}

# Run tools/broker.  Returns its last line of output.
sub _tool
{
	my ($self, $command, @arguments) = @_;

	croak "cannot $command the broker of all tests" if $self->{shared};
	my $output = _run(undef, $tool, $command, '--dir' => $self->{dir}, @arguments);
	return (split /\n/, $output)[-1];
}

sub _tool_node
{
	my ($self, $command, $node) = @_;

	$self->_tool($command, defined $node ? ('--node' => $node) : ());
	return;
}

sub _produce
{
	my ($self, $command, @messages) = @_;
	my $input = join '', map { _message_bytes($_) } @messages;

	return map { [ split / / ] } split /\n/, $self->_admin($input, @$command);
}

# A message as kafka_admin reads it.
sub _message_bytes
{
	my ($message) = @_;
	my %message = ref $message ? %$message : (value => $message);
	my ($key, $value) = map { _bytes(delete $message{$_}) } qw(key value);
	my $partition = delete $message{partition} // -1;
	my $timestamp = delete $message{timestamp} // 0;
	my $headers = delete $message{headers} // [];

	croak 'produce: unknown ' . join(', ', sort keys %message) if %message;
	my $bytes = join(' ',
		$partition, 0, $timestamp, _length($key), _length($value),
		scalar @$headers) . "\n";
	$bytes .= ($key // '') . ($value // '');
	foreach my $header (@$headers)
	{
		my ($name, $content) = map { _bytes($_) } @$header;

		$bytes .= _length($name) . ' ' . _length($content) . "\n";
		$bytes .= $name . ($content // '');
	}
	return $bytes;
}

sub _length
{
	my ($bytes) = @_;

	return defined $bytes ? length $bytes : -1;
}

sub _bytes
{
	my ($string) = @_;

	utf8::encode($string) unless !defined $string || utf8::downgrade($string, 1);
	return $string;
}

# Stop what this process started, also when a test dies.
END
{
	local $?;
	foreach my $dir (grep { $started{$_} == $$ } sort keys %started)
	{
		system($tool, 'kill', '--dir', $dir);
	}
}

1;
